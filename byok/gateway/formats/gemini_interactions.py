"""Gemini interactions. Reference: https://ai.google.dev/api/interactions-api

One usage object at the end: in the answer, or in the interaction that `interaction.completed` carries. Thoughts are output beside the
output, tool use is input beside the input.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from byok.gateway.formats import gemini
from byok.gateway.formats.failure import error_status, first_status
from byok.gateway.formats.shape import Format, Seen, add, mapping, number, whole
from byok.usage import TokenCounts


class _Interaction(msgspec.Struct):
    model: Any = None
    usage: Any = None
    status: Any = None
    error: Any = None


class _Delta(msgspec.Struct):
    text: Any = None
    arguments: Any = None
    data: Any = None  # an image or a sound


class _Event(msgspec.Struct):
    event_type: Any = None
    delta: _Delta | None = None
    interaction: _Interaction | None = None
    error: Any = None


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_answer = msgspec.json.Decoder(_Interaction).decode


def read_event(data: bytes, seen: Seen) -> None:
    """Update `seen` by one event's data."""
    if data.startswith(b"[DONE]"):
        seen.ended = True
        return
    event = _decode_event(data)
    if event.delta is not None:
        if text := event.delta.text or event.delta.arguments:
            seen.count(text)
        elif event.delta.data:
            seen.count(None)
    seen.failure = error_status(event.error) or seen.failure
    seen.ended = seen.ended or event.event_type in ("interaction.completed", "interaction.complete", "error")
    if event.interaction is not None:
        _read(event.interaction, seen, final=seen.ended)


def read_answer(body: bytes, seen: Seen) -> None:
    """Update `seen` by a whole answer."""
    answer = _decode_answer(body)
    seen.ended = True
    _read(answer, seen, final=True)


def counts(usage: Mapping[str, Any]) -> TokenCounts:
    """Return the counts of one usage object.

    >>> counts({"total_input_tokens": 20, "total_tool_use_tokens": 2, "total_output_tokens": 5, "total_thought_tokens": 3}).total_tokens
    30
    """
    thoughts = number(usage.get("total_thought_tokens"))
    prompt = number(usage.get("total_input_tokens"))
    if prompt is not None:  # of a part alone the whole is not known
        prompt += number(usage.get("total_tool_use_tokens")) or 0
    completion = add(number(usage.get("total_output_tokens")), thoughts)
    total = number(usage.get("total_tokens"))
    return whole(
        prompt, gemini.output(prompt, completion, total), total, cached=number(usage.get("total_cached_tokens")), reasoning=thoughts
    )


def _read(interaction: _Interaction, seen: Seen, *, final: bool) -> None:
    if seen.model is None and isinstance(interaction.model, str) and interaction.model:
        seen.model = interaction.model
    failed = 502 if interaction.status == "failed" else None
    seen.failure = first_status(error_status(interaction.error), failed, seen.failure)
    if usage := mapping(interaction.usage):
        seen.report(usage, final=final)


FORMAT = Format(
    name="gemini_interactions",
    read_event=read_event,
    read_answer=read_answer,
    counts=counts,
    error_body=gemini.error_body,
    error_event=gemini.error_event,
)
