"""OpenAI Responses. Reference: https://platform.openai.com/docs/api-reference/responses/object, …/responses-streaming

Nothing has to be asked: the usage stands in the response that `response.completed`, `response.incomplete` or `response.failed` carries.
"""

from typing import Any

import msgspec

from byok.errors import ByokError
from byok.gateway.formats import openai_chat, openai_usage
from byok.gateway.formats.failure import Told, failure_in, failure_of, first_status
from byok.gateway.formats.shape import Format, Seen, mapping

_LAST = ("response.completed", "response.incomplete", "response.failed", "response.cancelled", "response.done", "error")


class _Response(Told):
    model: Any = None
    usage: Any = None


class _Item(msgspec.Struct):
    type: Any = None


class _Event(msgspec.Struct):
    type: Any = None
    delta: Any = None
    item: _Item | None = None
    response: _Response | None = None
    error: Any = None


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_answer = msgspec.json.Decoder(_Response).decode


def read_event(data: bytes, seen: Seen) -> None:
    """Update `seen` by one event's data."""
    if data.startswith(b"[DONE]"):
        seen.ended = True
        return
    event = _decode_event(data)
    if event.delta:
        seen.count(event.delta)
        return
    if event.item is not None and event.type == "response.output_item.done" and str(event.item.type).endswith("_call"):
        seen.count(None)
    last = event.type in _LAST
    seen.ended = seen.ended or last
    if event.error or (event.response is None and (last or not str(event.type).startswith("response."))):
        seen.failure = failure_in(data) or seen.failure
    if event.response is not None:
        _read(event.response, seen, final=last)


def read_answer(body: bytes, seen: Seen) -> None:
    """Update `seen` by a whole answer."""
    seen.ended = True
    _read(_decode_answer(body), seen, final=True)


def error_event(error: ByokError) -> bytes:
    """Return an error of ours inside a stream; the SDK hands it on as a ResponseErrorEvent."""
    told = {"type": "error", "code": error.code, "message": f"{error.message} {error.remedy}", "param": None}
    return b"event: error\ndata: " + msgspec.json.encode(told) + b"\n\n"


def _read(response: _Response, seen: Seen, *, final: bool) -> None:
    if seen.model is None and isinstance(response.model, str) and response.model:
        seen.model = response.model
    failed = 502 if response.status == "failed" else None
    seen.failure = first_status(failure_of(response), seen.failure, failed)
    if usage := mapping(response.usage):
        seen.report(usage, final=final)


FORMAT = Format(
    name="openai_responses",
    read_event=read_event,
    read_answer=read_answer,
    counts=openai_usage.counts,
    error_body=openai_chat.error_body,
    error_event=error_event,
)
