"""OpenAI chat completions, legacy completions, and what speaks like them.

Reference: https://platform.openai.com/docs/api-reference/chat/create, …/chat/streaming. In streams the usage comes in an extra chunk with
`choices: []` before `[DONE]` (OpenAI, Qwen, MiniMax, xAI), in the last content chunk (DeepSeek, Mistral), inside `choices[0]` (Moonshot),
in `x_groq` (Groq), or in every chunk as a running total; the last one counts. MiniMax sends no `[DONE]`.
"""

import re
from dataclasses import replace
from typing import Any

import msgspec

from byok.errors import ByokError
from byok.gateway.formats import openai_usage
from byok.gateway.formats.failure import base_resp_status, error_status, first_status
from byok.gateway.formats.shape import Format, Seen, mapping

_DONE = b"[DONE]"
_FINISHED = re.compile(rb'"finish_reason"\s*:\s*"[a-z]')
_TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "invalid_request_error"}
_TYPES |= {413: "invalid_request_error", 429: "rate_limit_error"}


class _Chunk(msgspec.Struct):
    model: Any = None
    usage: Any = None
    choices: msgspec.Raw = msgspec.Raw(b"[]")
    x_groq: Any = None
    base_resp: Any = None
    error: Any = None
    object: Any = None
    code: Any = None
    type: Any = None


class _Choice(msgspec.Struct):
    usage: Any = None
    error: Any = None


_decode = msgspec.json.Decoder(_Chunk).decode
_decode_choices = msgspec.json.Decoder(list[_Choice]).decode


def read_event(data: bytes, seen: Seen) -> None:
    """Update `seen` by one event's data."""
    if data.startswith(_DONE):
        seen.ended = True
        seen.final = seen.usage is not None
        return
    chunk = _decode(data)
    choices = bytes(chunk.choices)
    usage = _read_rest(chunk, choices, seen)
    if usage is not None:
        # With choices still to come a usage is a running total; without, or with the last one, it is final.
        seen.report(usage, final=not _has_choices(choices) or _FINISHED.search(choices) is not None)


def read_answer(body: bytes, seen: Seen) -> None:
    """Update `seen` by a whole answer."""
    chunk = _decode(body)
    usage = _read_rest(chunk, bytes(chunk.choices), seen)
    seen.ended = True
    if usage is not None:
        seen.report(usage, final=True)


def is_usage_chunk(data: bytes) -> bool:
    """Whether this event is the extra chunk of `include_usage`: a usage and no choices."""
    try:
        chunk = _decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return isinstance(chunk.usage, dict) and not chunk.error and not _has_choices(bytes(chunk.choices))


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


def _read_rest(chunk: _Chunk, choices: bytes, seen: Seen) -> dict[str, Any] | None:
    """Take over model and failure; return the usage, wherever it stands, or None."""
    if seen.model is None and isinstance(chunk.model, str) and chunk.model:
        seen.model = chunk.model
    usage = chunk.usage or mapping(chunk.x_groq).get("usage")
    error = chunk.error
    if b'"usage"' in choices or b'"error"' in choices:
        for choice in _choices(choices):
            usage = usage or choice.usage
            error = error or choice.error
    if not error and (chunk.object == "error" or chunk.type == "error"):
        error = {"code": chunk.code, "type": chunk.type}
    failure = first_status(error_status(error), base_resp_status(chunk.base_resp))
    seen.failure = failure or seen.failure
    return usage if isinstance(usage, dict) and usage else None


def _choices(choices: bytes) -> list[_Choice]:
    try:
        return _decode_choices(choices)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return []


def _has_choices(choices: bytes) -> bool:
    return choices.strip(b" \t\r\n[]") not in (b"", b"null")


FORMAT = Format(
    name="openai_chat",
    read_event=read_event,
    read_answer=read_answer,
    counts=openai_usage.counts,
    marks=re.compile(
        rb'"usage"\s*:\s*\{|"error"\s*:\s*[^n\s]|"object"\s*:\s*"error"|"type"\s*:\s*"error"|"status_code"\s*:\s*[1-9]|\[DONE\]'
    ),
    content=re.compile(rb'"(?:content|reasoning_content|reasoning|arguments|refusal)"\s*:\s*"((?:[^"\\]|\\.)+)"'),
    error_body=error_body,
    error_event=error_event,
)
# Legacy completions differ only in where the text stands.
COMPLETIONS = replace(FORMAT, name="openai_completions", content=re.compile(rb'"text"\s*:\s*"((?:[^"\\]|\\.)+)"'))
