"""The usage object of OpenAI and its likes, in the chat and in the responses spelling.

Reference: https://platform.openai.com/docs/api-reference/chat/object, …/responses/object; for the likes see the comments.
"""

from collections.abc import Mapping
from typing import Any

from byok.gateway.formats.shape import add, largest, numbers, whole
from byok.usage import TokenCounts


def counts(usage: Mapping[str, Any]) -> TokenCounts:
    """Return the counts of one usage object.

    >>> counts({"prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 303}).completion_tokens
    291
    """
    told = numbers(usage)
    prompt = told.get("prompt_tokens", told.get("input_tokens"))
    completion = told.get("completion_tokens", told.get("output_tokens"))
    total = told.get("total_tokens")
    # Mistral also spells it "prompt_token_details".
    into = numbers(usage.get("prompt_tokens_details") or usage.get("prompt_token_details") or usage.get("input_tokens_details"))
    out = numbers(usage.get("completion_tokens_details") or usage.get("output_tokens_details"))
    hit = told.get("prompt_cache_hit_tokens")  # DeepSeek
    cached = largest(
        into.get("cached_tokens"),
        told.get("cached_tokens"),  # Moonshot
        told.get("num_cached_tokens"),  # Mistral
        hit,
    )
    cache_write = largest(
        into.get("cache_write_tokens"),
        into.get("cache_creation_input_tokens"),  # Qwen
    )
    reasoning = out.get("reasoning_tokens", told.get("reasoning_tokens"))
    if prompt is None:
        prompt = add(hit, told.get("prompt_cache_miss_tokens")) if "prompt_cache_miss_tokens" in usage else None
    if not prompt and not completion and total:
        prompt = completion = None  # only a total was reported; the zeros are not counts
    prompt, completion = _close_the_gap(
        prompt, completion, total, reasoning, audio=bool(told.get("prompt_audio_seconds") or into.get("audio_tokens"))
    )
    return whole(prompt, completion, total, cached=cached, cache_write=cache_write, reasoning=reasoning)


def _close_the_gap(
    prompt: int | None, completion: int | None, total: int | None, reasoning: int | None, *, audio: bool
) -> tuple[int | None, int | None]:
    """Return prompt and completion with what only the total tells.

    xAI's chat leaves reasoning out of completion, Gemini's compatible path leaves thinking out of everything but the total, and
    Mistral leaves audio out of the prompt.
    """
    if prompt is None or completion is None:
        return prompt, completion
    gap = (total or 0) - prompt - completion
    if gap > 0 and audio and gap != reasoning:
        return prompt + gap, completion
    if gap > 0:
        return prompt, completion + gap
    if reasoning is not None and reasoning > completion:  # it cannot be a part of what it exceeds
        return prompt, completion + reasoning
    return prompt, completion
