"""The built-in vendor: answers locally in OpenAI's chat format, with counts that follow from the request. For trying out and for tests.

The reply repeats the last message's words, from its beginning again where `max_tokens` asks for more. One word is one token.
"""

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from byok.gateway.headers import first
from byok.gateway.upstream import Outgoing

DELAY = b"x-byok-echo-delay-ms"
MODEL = "echo-1"
MOST_TOKENS = 1_000_000
MOST_DELAY_MS = 60_000
_SILENCE = ["(nothing", "was", "said)"]
_CREATED = 1_780_000_000  # the same request gets the same bytes
_ID = "chatcmpl-echo"
_encode = msgspec.json.encode


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Message(msgspec.Struct):
    content: Any = None


class _Chat(msgspec.Struct):
    messages: list[_Message] = []
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None


_decode = msgspec.json.Decoder(_Chat).decode


class _Reply(NamedTuple):
    """What one request gets: the prompt's size and the words of the answer."""

    prompt_tokens: int
    words: list[str]
    finish: str

    def usage(self) -> dict[str, int]:
        said = len(self.words)
        return {"prompt_tokens": self.prompt_tokens, "completion_tokens": said, "total_tokens": self.prompt_tokens + said}


class EchoUpstream:
    """An `Upstream` without a network. The header `x-byok-echo-delay-ms` puts a pause between events, or before a whole answer."""

    async def send(self, request: Outgoing) -> "EchoAnswer":
        delay_s = _delay_s(request)
        if request.url.endswith("/models"):
            return EchoAnswer(200, b"application/json", iter((_models(),)), 0)
        if not request.url.endswith("/chat/completions"):
            return _refusal("echo answers /v1/chat/completions only.", status=404)
        try:
            chat = _decode(request.body)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            return _refusal("The body is not a chat completion request.")
        limit = chat.max_tokens if chat.max_tokens is not None else chat.max_completion_tokens
        if limit is not None and not 0 <= limit <= MOST_TOKENS:
            return _refusal(f"max_tokens must be between 0 and {MOST_TOKENS}.")
        reply = _reply(chat, limit)
        if not chat.stream:
            await asyncio.sleep(delay_s)
            return EchoAnswer(200, b"application/json", iter((_whole(reply),)), 0)
        with_usage = chat.stream_options is not None and bool(chat.stream_options.include_usage)
        return EchoAnswer(200, b"text/event-stream", _events(reply, with_usage=with_usage), delay_s)

    async def close(self) -> None:
        return None


class EchoAnswer:
    """An answer made while it is read: `pieces` are its events, `delay_s` the pause between them."""

    trailers: Sequence[tuple[bytes, bytes]] = ()

    def __init__(self, status: int, content_type: bytes, pieces: Iterator[bytes], delay_s: float) -> None:
        self.status = status
        self.headers: Sequence[tuple[bytes, bytes]] = ((b"content-type", content_type),)
        self._pieces = pieces
        self._next = next(pieces, b"")
        self._delay_s, self._begun = delay_s, False

    async def read(self) -> bytes:
        if self._next and self._begun:
            await asyncio.sleep(self._delay_s)
        self._begun = True
        piece, self._next = self._next, next(self._pieces, b"")
        return piece

    def close(self) -> None:
        self._pieces, self._next = iter(()), b""


def _reply(chat: _Chat, limit: int | None) -> _Reply:
    said = [_words(message.content) for message in chat.messages]
    source = said[-1] if said and said[-1] else _SILENCE
    words = source if limit is None else list(itertools.islice(itertools.cycle(source), limit))
    return _Reply(sum(map(len, said)), words, "stop" if limit is None else "length")


def _words(content: object) -> list[str]:
    """The words of a message: a string, or the text of its parts."""
    if isinstance(content, str):
        return content.split()
    if not isinstance(content, list):
        return []
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return [word for text in texts if isinstance(text, str) for word in text.split()]


def _whole(reply: _Reply) -> bytes:
    message = {"role": "assistant", "content": " ".join(reply.words)}
    choice = {"index": 0, "message": message, "finish_reason": reply.finish}
    return _encode(_frame("chat.completion", [choice]) | {"usage": reply.usage()})


def _events(reply: _Reply, *, with_usage: bool) -> Iterator[bytes]:
    """One event per word, then the end, then the usage if it was asked for."""
    for number, word in enumerate(reply.words):
        delta = {"content": word if number == 0 else f" {word}"} | ({"role": "assistant"} if number == 0 else {})
        yield _event([{"index": 0, "delta": delta, "finish_reason": None}])
    yield _event([{"index": 0, "delta": {}, "finish_reason": reply.finish}])
    if with_usage:
        yield b"data: %b\n\n" % _encode(_frame("chat.completion.chunk", []) | {"usage": reply.usage()})
    yield b"data: [DONE]\n\n"


def _event(choices: list[dict[str, Any]]) -> bytes:
    return b"data: %b\n\n" % _encode(_frame("chat.completion.chunk", choices))


def _frame(kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": _ID, "object": kind, "created": _CREATED, "model": MODEL, "choices": choices}


def _models() -> bytes:
    return _encode({"object": "list", "data": [{"id": MODEL, "object": "model", "created": _CREATED, "owned_by": "echo"}]})


def _refusal(message: str, *, status: int = 400) -> EchoAnswer:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": "invalid_request"}
    return EchoAnswer(status, b"application/json", iter((_encode({"error": error}),)), 0)


def _delay_s(request: Outgoing) -> float:
    asked = first(request.headers, DELAY) or b""
    return min(int(asked), MOST_DELAY_MS) / 1000 if asked.isdigit() and len(asked) < 8 else 0.0
