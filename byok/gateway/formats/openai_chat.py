"""OpenAI chat completions, legacy completions, and what speaks like them.

Reference: https://platform.openai.com/docs/api-reference/chat/create, …/chat/streaming. In streams the usage comes in an extra chunk with
`choices: []` before `[DONE]` (OpenAI, Qwen, MiniMax, xAI), in the last content chunk (DeepSeek, Mistral), inside `choices[0]` (Moonshot),
in `x_groq` (Groq), or in every chunk as a running total; the last one counts. MiniMax sends no `[DONE]`.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from byok.errors import ByokError
from byok.gateway.formats import openai_usage
from byok.gateway.formats.failure import error_status, failure_in
from byok.gateway.formats.shape import Format, Seen, mapping, number

_TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "invalid_request_error"}
_TYPES |= {413: "invalid_request_error", 429: "rate_limit_error"}


class _Skipped(msgspec.Struct):
    """An object of which only that it is there counts: a sound may be long."""


class _Delta(msgspec.Struct):
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None  # what tools were called first, and still are by some hosts
    audio: _Skipped | None = None


class _Choice(msgspec.Struct):
    """What a whole answer says stands in other members, and is skipped."""

    delta: _Delta | None = None
    text: Any = None  # legacy completions
    finish_reason: Any = None
    usage: Any = None
    error: Any = None


class _Top(msgspec.Struct):
    model: Any = None
    usage: Any = None
    x_groq: Any = None
    base_resp: Any = None
    error: Any = None


class _Chunk(_Top):
    choices: list[_Choice] | None = None
    type: Any = None  # of the events of transcriptions and speech
    delta: Any = None
    text: Any = None  # of a speaker


_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_decode_top = msgspec.json.Decoder(_Top).decode


def read_event(data: bytes, seen: Seen) -> None:
    """Update `seen` by one event's data."""
    if data.startswith(b"[DONE]"):
        seen.ended = True
        seen.final = seen.usage is not None
        return
    chunk = _decode(data)
    choices = chunk.choices or ()
    finished = False
    if chunk.type is not None and str(chunk.type).endswith((".text.delta", ".audio.delta", ".text.segment")):
        seen.count(chunk.delta or chunk.text)
    for choice in choices:
        _count(choice, seen)
        finished = finished or bool(choice.finish_reason)
    if finished:
        seen.finish()
    if usage := _read(chunk, data, seen):
        # With choices still to come a usage is a running total, or not counted yet; without any, with the last or after it, it is final.
        final = not choices or seen.finished
        if final or any(map(number, usage.values())):
            covers = final or bool(usage.get("completion_tokens") or usage.get("output_tokens"))
            seen.report(_with_earlier(seen.usage, usage), final=final, covers=covers)


def read_answer(body: bytes, seen: Seen) -> None:
    """Update `seen` by a whole answer."""
    usage = _read(_decode(body), body, seen)
    seen.ended = True
    if usage:
        seen.report(usage, final=True)


def is_usage_chunk(data: bytes) -> bool:
    """Whether this event is the extra chunk of `include_usage`: a usage and no choices."""
    try:
        chunk = _decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return isinstance(chunk.usage, dict) and not chunk.error and not chunk.choices


def error_body(error: ByokError) -> bytes:
    """Return an error of ours as OpenAI words it: the SDK picks the exception class by the HTTP status and shows the message.

    400 BadRequestError, 401 AuthenticationError, 403 PermissionDeniedError, 404 NotFoundError, 429 RateLimitError, 5xx InternalServerError.
    """
    told = {
        "message": f"{error.message} {error.remedy}",
        "type": _TYPES.get(error.status, "server_error"),
        "param": None,
        "code": error.code,
        "remedy": error.remedy,
    }
    return msgspec.json.encode({"error": told})


def error_event(error: ByokError) -> bytes:
    """The same inside a stream; the SDK raises APIError when it meets an `error` member."""
    return b"data: " + error_body(error) + b"\n\n"


def _decode(data: bytes) -> _Chunk:
    try:
        return _decode_chunk(data)
    except msgspec.ValidationError:  # choices of another make
        top = _decode_top(data)
        return _Chunk(**{name: getattr(top, name) for name in top.__struct_fields__})


def _count(choice: _Choice, seen: Seen) -> None:
    delta = choice.delta
    if delta is None:
        text = choice.text
    else:
        text = delta.content or delta.reasoning_content or delta.reasoning or delta.refusal
        if delta.tool_calls:
            for call in delta.tool_calls:
                seen.count(mapping(mapping(call).get("function")).get("arguments"))
        if delta.function_call:
            seen.count(mapping(delta.function_call).get("arguments"))
        elif delta.audio is not None:
            seen.count(None)
    if text:
        seen.count(text)


def _read(chunk: _Chunk, data: bytes, seen: Seen) -> dict[str, Any] | None:
    """Take over model and failure; return the usage, wherever it stands, or None."""
    if seen.model is None and isinstance(chunk.model, str) and chunk.model:
        seen.model = chunk.model
    usage, error = chunk.usage, chunk.error
    for choice in chunk.choices or ():
        usage = usage or choice.usage
        error = error or choice.error
    if not usage and chunk.x_groq:
        usage = mapping(chunk.x_groq).get("usage")
    if error or chunk.base_resp or chunk.x_groq or not (chunk.choices or usage):
        seen.failure = failure_in(data) or error_status(error) or seen.failure
    return usage if isinstance(usage, dict) else None


def _with_earlier(earlier: Mapping[str, Any] | None, usage: dict[str, Any]) -> Mapping[str, Any]:
    """The usage, with the half that some hosts tell in an earlier chunk: the input with the first, the output with the last."""
    if earlier is None or (usage.get("prompt_tokens") is not None and usage.get("completion_tokens") is not None):
        return usage
    return {**earlier, **{name: value for name, value in usage.items() if value is not None}}


FORMAT = Format(
    name="openai_chat",
    read_event=read_event,
    read_answer=read_answer,
    counts=openai_usage.counts,
    error_body=error_body,
    error_event=error_event,
)
