"""Anthropic Messages. Reference: https://docs.anthropic.com/en/api/messages, …/api/messages-streaming

Streams report in `message_start` and again, cumulatively, in `message_delta`: each field's last value that is not null stands. Some
compatible vendors send input and cache counts only in `message_delta`.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from byok.errors import ByokError
from byok.gateway.formats.failure import failure_in
from byok.gateway.formats.shape import Format, Seen, add, largest, mapping, number, whole, written_by_age
from byok.usage import TokenCounts

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
}


class _Delta(msgspec.Struct):
    text: Any = None
    thinking: Any = None
    partial_json: Any = None


class _Block(msgspec.Struct):
    type: Any = None
    to: Any = None  # of a `fallback`: who goes on, as the first model declined


class _Event(msgspec.Struct):
    type: Any = None
    model: Any = None
    usage: Any = None
    delta: _Delta | None = None
    content_block: _Block | None = None
    error: Any = None
    base_resp: Any = None
    message: Any = None  # an object in message_start; vendors' errors put a text there


_FINE = ("message_start", "message_delta", "message_stop", "content_block_start", "content_block_stop", "ping", "message")
_WITH_TOTALS = ("message_delta", "message_stop")
_WRITTEN, _BY_AGE = "cache_creation_input_tokens", "cache_creation"
_INPUT = ("input_tokens", "cache_read_input_tokens", _WRITTEN)
_TOOLS = ("tool_use", "server_tool_use")
_decode = msgspec.json.Decoder(_Event).decode


def read_event(data: bytes, seen: Seen) -> None:
    """Update `seen` by one event's data."""
    event = _decode(data)
    if event.type == "content_block_delta":
        delta = event.delta
        if delta is not None and (text := delta.text or delta.thinking or delta.partial_json):
            seen.count(text)
        return
    message = mapping(event.message)
    _read_model(event.model or message.get("model"), seen)
    if (block := event.content_block) is not None:
        if block.type in _TOOLS:
            seen.count(None)
        elif block.type == "fallback":
            _go_on_as(mapping(block.to).get("model"), seen)
    if event.type not in _FINE or event.error or event.base_resp:
        seen.failure = failure_in(data) or seen.failure
    seen.ended = seen.ended or event.type in ("message_stop", "error")
    usage = mapping(event.usage or message.get("usage"))
    if usage:
        told = number(usage.get("output_tokens")) is not None  # without it, the output is still the guess of the beginning
        seen.report(_merged(seen.usage or {}, usage), final=seen.final or (told and event.type in _WITH_TOTALS), covers=told)
        for step in _iterations(usage, "fallback_message"):
            _go_on_as(step.get("model"), seen)


def read_answer(body: bytes, seen: Seen) -> None:
    """Update `seen` by a whole answer."""
    answer = _decode(body)
    _read_model(answer.model, seen)
    if answer.type not in _FINE or answer.error or answer.base_resp:
        seen.failure = failure_in(body) or seen.failure
    seen.ended = True
    if usage := mapping(answer.usage):
        seen.report(usage, final=True)


def counts(usage: Mapping[str, Any]) -> TokenCounts:
    """Return the counts: `input_tokens` leaves cached input out, so the whole is the sum of three.

    The top level of a compacted answer leaves the compaction out, which `iterations` names and which is billed at this model's rate;
    an advisor's iterations are another model's and stay out.

    >>> counts({"input_tokens": 5, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 5, "output_tokens": 7})
    TokenCounts(prompt_tokens=100, completion_tokens=7, total_tokens=107, cached_tokens=90, cache_write_tokens=5, reasoning_tokens=None)
    """
    read, written = number(usage.get("cache_read_input_tokens")), _written(usage)
    uncached, completion = number(usage.get("input_tokens")), number(usage.get("output_tokens"))
    for iteration in _iterations(usage, "compaction"):
        read = add(read, number(iteration.get("cache_read_input_tokens")))
        written = add(written, _written(iteration))
        uncached = add(uncached, number(iteration.get("input_tokens")))
        completion = add(completion, number(iteration.get("output_tokens")))
    is_known = uncached is not None or ("input_tokens" not in usage and (read or written))  # a zero may be left out, a null is none
    prompt = add(uncached, read, written) if is_known else None
    reasoning = number(mapping(usage.get("output_tokens_details")).get("thinking_tokens"))
    return whole(prompt, completion, cached=read, cache_write=written, reasoning=reasoning)


def error_body(error: ByokError) -> bytes:
    """Return an error of ours as Anthropic words it; the SDK picks the exception class by the HTTP status, as OpenAI's does."""
    told = {
        "type": _TYPES.get(error.status, "api_error"),
        "message": f"{error.message} {error.remedy}",
        "code": error.code,
        "remedy": error.remedy,
    }
    return msgspec.json.encode({"type": "error", "error": told})


def error_event(error: ByokError) -> bytes:
    """The same inside a stream; the SDK raises APIStatusError when it meets the event."""
    return b"event: error\ndata: " + error_body(error) + b"\n\n"


def _read_model(model: object, seen: Seen) -> None:
    if seen.model is None and isinstance(model, str) and model:
        seen.model = model


def _go_on_as(model: object, seen: Seen) -> None:
    """Another model answers than the one that the stream began with."""
    if isinstance(model, str) and model:
        seen.model = model


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> Mapping[str, Any]:
    known = {name: value for name, value in new.items() if value is not None}
    if not any(known.get(name) for name in _INPUT):  # zeros alone say that there is nothing new, not that there was no input
        known = {name: value for name, value in known.items() if name not in _INPUT or not old.get(name)}
    if _WRITTEN in known and known[_WRITTEN] != (old.get(_WRITTEN) or 0):
        old = {**old, _BY_AGE: None}  # which told of the older total
    elif _BY_AGE in known and _WRITTEN not in known and known[_BY_AGE] != old.get(_BY_AGE):
        old = {**old, _WRITTEN: None}
    return {**new, **old, **known}


def _written(usage: Mapping[str, Any]) -> int | None:
    return largest(number(usage.get(_WRITTEN)), written_by_age(usage.get(_BY_AGE)))


def _iterations(usage: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    iterations = usage.get("iterations")
    if not isinstance(iterations, list):
        return []
    return [step for step in map(mapping, iterations[:1000]) if step.get("type") == kind]


FORMAT = Format(
    name="anthropic",
    read_event=read_event,
    read_answer=read_answer,
    counts=counts,
    error_body=error_body,
    error_event=error_event,
)
