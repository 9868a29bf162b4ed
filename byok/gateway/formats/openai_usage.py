"""The usage object of OpenAI and its likes, in the chat and in the responses spelling.

Reference: https://platform.openai.com/docs/api-reference/chat/object, …/responses/object; for the likes see the comments.
"""

from collections.abc import Mapping
from typing import Any

from byok.gateway.formats.shape import add, largest, mapping, numbers, whole, written_by_age
from byok.usage import TokenCounts

_RECOUNT = 2  # times: hosts that count reasoning anew, with another tokenizer, find somewhat more than the model made


def counts(usage: Mapping[str, Any]) -> TokenCounts:
    """Return the counts of one usage object.

    >>> counts({"prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 303}).completion_tokens
    291
    """
    told = numbers(usage)
    prompt = told.get("prompt_tokens", told.get("input_tokens"))
    completion = told.get("completion_tokens", told.get("output_tokens"))
    total = told.get("total_tokens")
    into = _details(usage, "prompt_tokens_details", "prompt_token_details", "input_tokens_details")  # the second: Mistral, Writer
    out = _details(usage, "completion_tokens_details", "completion_token_details", "output_tokens_details")
    hit = told.get("prompt_cache_hit_tokens")  # DeepSeek
    cached = largest(
        into.get("cached_tokens"),
        told.get("cached_tokens"),  # Moonshot
        told.get("num_cached_tokens"),  # Mistral
        told.get("cache_read_input_tokens"),  # hosts that add Anthropic's words
        hit,
    )
    cache_write = largest(
        into.get("cache_write_tokens"),
        into.get("cache_creation_input_tokens"),  # Qwen
        told.get("cache_creation_input_tokens"),
        written_by_age(
            usage.get("cache_creation") or mapping(usage.get("prompt_tokens_details")).get("cache_creation")
        ),  # Qwen: the latter
    )
    reasoning = out.get("reasoning_tokens", told.get("reasoning_tokens"))
    if prompt is None:
        prompt = add(hit, told.get("prompt_cache_miss_tokens")) if "prompt_cache_miss_tokens" in usage else None
    if not prompt and not completion and total:
        prompt = completion = None  # only a total was reported; the zeros are not counts
    if prompt is None or completion is None:
        return whole(prompt, completion, total, cached=cached, cache_write=cache_write, reasoning=reasoning)
    gap = (total or 0) - prompt - completion
    if gap > 0 and gap != reasoning and _is_input(gap, told, into):
        prompt += gap
    elif gap > 0:  # xAI's chat leaves reasoning out of completion, Gemini's compatible path thinking out of everything but the total
        completion += gap
    elif reasoning is not None and reasoning > _RECOUNT * completion:  # it cannot be a part of what it exceeds by so much
        completion += reasoning
    return whole(prompt, completion, total, cached=cached, cache_write=cache_write, reasoning=reasoning)


def _details(usage: Mapping[str, Any], *names: str) -> dict[str, int]:
    """The counts of all objects of these names; one that stands in two of them is the larger."""
    found: dict[str, int] = {}
    for name in names:
        if told := usage.get(name):
            counts = numbers(told)
            found = {key: max(counts.get(key, 0), found.get(key, 0)) for key in counts | found} if found else counts
    return found


def _is_input(gap: int, told: Mapping[str, int], into: Mapping[str, int]) -> bool:
    """Whether what only the total tells was input: Mistral leaves audio out of the prompt, some hosts what Anthropic's cache had."""
    cache = add(told.get("cache_read_input_tokens"), told.get("cache_creation_input_tokens"))
    return bool(told.get("prompt_audio_seconds")) or into.get("audio_tokens", 0) >= gap or cache == gap
