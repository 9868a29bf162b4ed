"""Ollama's own API: /api/chat, /api/generate, /api/embed. Reference: https://docs.ollama.com/api

Streams, which are the default, are lines of JSON, of which the last one (`done`) has the counts. A count of 0 is left out, as is that of
a prompt that was still in memory in older versions: what is absent is not known.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from byok.errors import ByokError
from byok.gateway.formats.failure import error_status
from byok.gateway.formats.shape import Format, Seen, mapping, number, numbers, whole
from byok.usage import TokenCounts


class _Message(msgspec.Struct):
    content: Any = None
    thinking: Any = None
    tool_calls: Any = None


class _Answer(msgspec.Struct):
    """What a whole answer says stands in other members, and is skipped."""

    model: Any = None
    done: Any = None
    prompt_eval_count: Any = None
    eval_count: Any = None
    error: Any = None


class _Line(_Answer):
    message: _Message | None = None
    response: Any = None  # of /api/generate
    thinking: Any = None
    image: Any = None


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode


def read_event(data: bytes, seen: Seen) -> None:
    """Update `seen` by one line of a stream."""
    try:
        line = _decode_line(data)
    except msgspec.ValidationError:  # a message of another make
        line = _Line(**msgspec.structs.asdict(_decode_answer(data)))
    message = line.message or _Message()
    if text := message.content or message.thinking or line.response or line.thinking or line.image:
        seen.count(text if line.image is None else None)
    for call in message.tool_calls or ():
        seen.count(mapping(mapping(call).get("function")).get("name"))
    _read(line, seen, ended=line.done is True)


def read_answer(body: bytes, seen: Seen) -> None:
    """Update `seen` by a whole answer."""
    _read(_decode_answer(body), seen, ended=True)


def counts(usage: Mapping[str, Any]) -> TokenCounts:
    """Return the counts of the last line.

    >>> counts({"prompt_eval_count": 26, "eval_count": 8})
    TokenCounts(prompt_tokens=26, completion_tokens=8, total_tokens=34, cached_tokens=None, cache_write_tokens=None, reasoning_tokens=None)
    """
    return whole(number(usage.get("prompt_eval_count")), number(usage.get("eval_count")))


def embedding_counts(usage: Mapping[str, Any]) -> TokenCounts:
    """Return the counts of an embedding, which has no output."""
    prompt = number(usage.get("prompt_eval_count"))
    return whole(prompt, None if prompt is None else 0)


def error_body(error: ByokError) -> bytes:
    """Return an error of ours as Ollama words it: its SDKs show the text `error` with the HTTP status."""
    return msgspec.json.encode({"error": f"{error.message} {error.remedy}", "code": error.code, "remedy": error.remedy})


def error_line(error: ByokError) -> bytes:
    """The same inside a stream."""
    return error_body(error) + b"\n"


def _read(answer: _Answer, seen: Seen, *, ended: bool) -> None:
    if seen.model is None and isinstance(answer.model, str) and answer.model:
        seen.model = answer.model
    seen.failure = error_status(answer.error) or seen.failure
    if not ended:
        return
    seen.finish()
    seen.ended = True
    if usage := numbers({"prompt_eval_count": answer.prompt_eval_count, "eval_count": answer.eval_count}):
        seen.report(usage, final=True)


FORMAT = Format(
    name="ollama",
    read_event=read_event,
    read_answer=read_answer,
    counts=counts,
    error_body=error_body,
    error_event=error_line,
    in_lines=True,
)
EMBEDDINGS = replace(FORMAT, name="ollama_embeddings", counts=embedding_counts)
