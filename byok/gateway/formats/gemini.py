"""Gemini generateContent and streamGenerateContent. Reference: https://ai.google.dev/api/generate-content#UsageMetadata

Streams are server-sent events (`alt=sse`) or one JSON array. `usageMetadata` comes with every chunk as a running total: the last one
stands. Thoughts are output beside the candidates, the prompt of tool use is input beside the prompt; cached content is inside it.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from byok.errors import ByokError
from byok.gateway.formats.failure import error_status
from byok.gateway.formats.shape import Format, Seen, add, first, mapping, number, whole
from byok.usage import TokenCounts

_STATUSES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 413: "INVALID_ARGUMENT"}
_STATUSES |= {429: "RESOURCE_EXHAUSTED", 502: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED"}


class _Skipped(msgspec.Struct):
    """An object of which only that it is there counts: an image may have megabytes."""


class _Part(msgspec.Struct, rename="camel"):
    text: Any = None
    function_call: Any = None
    inline_data: _Skipped | None = None
    executable_code: _Skipped | None = None
    code_execution_result: _Skipped | None = None


class _Content(msgspec.Struct):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: Any = None


class _Answer(msgspec.Struct, rename="camel"):
    """What a whole answer says stands in other members, and is skipped."""

    usage_metadata: Any = None
    model_version: Any = None
    prompt_feedback: Any = None
    error: Any = None


class _Chunk(_Answer, rename="camel"):
    candidates: list[_Candidate] | None = None


_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode


def read_event(data: bytes, seen: Seen) -> None:
    """Update `seen` by one chunk of a stream."""
    try:
        chunk = _decode_chunk(data)
    except msgspec.ValidationError:  # candidates of another make
        chunk = _Chunk(**msgspec.structs.asdict(_decode_answer(data)))
    finished = False
    for candidate in chunk.candidates or ():
        finished = finished or bool(candidate.finish_reason)
        for part in (candidate.content and candidate.content.parts) or ():
            if part.text or part.function_call or part.inline_data or part.executable_code or part.code_execution_result:
                seen.count(part.text)
    _read(chunk, seen, finished=finished)


def read_answer(body: bytes, seen: Seen) -> None:
    """Update `seen` by a whole answer."""
    seen.ended = True
    _read(_decode_answer(body), seen, finished=True)


def counts(usage: Mapping[str, Any]) -> TokenCounts:
    """Return the counts of one `usageMetadata`.

    >>> counts({"promptTokenCount": 9, "candidatesTokenCount": 23, "thoughtsTokenCount": 302, "totalTokenCount": 334})
    TokenCounts(prompt_tokens=9, completion_tokens=325, total_tokens=334, cached_tokens=None, cache_write_tokens=None, reasoning_tokens=302)
    """
    thoughts = number(usage.get("thoughtsTokenCount"))
    prompt = number(usage.get("promptTokenCount"))
    if prompt is not None:  # of a part alone the whole is not known
        prompt += number(usage.get("toolUsePromptTokenCount")) or 0
    completion = add(number(usage.get("candidatesTokenCount")), thoughts)
    total = number(usage.get("totalTokenCount"))
    return whole(prompt, output(prompt, completion, total), total, cached=number(usage.get("cachedContentTokenCount")), reasoning=thoughts)


def output(prompt: int | None, completion: int | None, total: int | None) -> int | None:
    """Return the completion, with what only the total tells."""
    if prompt is None or completion is None or total is None:
        return completion
    return max(completion, total - prompt)


def embedding_counts(usage: Mapping[str, Any]) -> TokenCounts:
    """Return the counts of an embedding, which has no output."""
    prompt = first(number(usage.get("promptTokenCount")), number(usage.get("totalTokenCount")))
    return whole(prompt, None if prompt is None else 0)


def error_body(error: ByokError) -> bytes:
    """Return an error of ours as Google words it: the SDK raises ClientError for 4xx and ServerError for 5xx, with this message."""
    reason = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": error.code,
        "domain": "byok",
        "metadata": {"remedy": error.remedy},
    }
    told = {
        "code": error.status,
        "message": f"{error.message} {error.remedy}",
        "status": _STATUSES.get(error.status, "INTERNAL"),
        "details": [reason],
    }
    return msgspec.json.encode({"error": told})


def error_event(error: ByokError) -> bytes:
    """The same inside a stream of events."""
    return b"data: " + error_body(error) + b"\r\n\r\n"


def _read(chunk: _Answer, seen: Seen, *, finished: bool) -> None:
    if seen.model is None and isinstance(chunk.model_version, str) and chunk.model_version:
        seen.model = chunk.model_version
    blocked = bool(mapping(chunk.prompt_feedback).get("blockReason"))  # a refused prompt gets a 200 without candidates
    if chunk.error or blocked:
        seen.failure = error_status(chunk.error) or 400
    if finished or blocked:
        seen.finish()
    usage = mapping(chunk.usage_metadata)
    if any(map(number, usage.values())):  # some chunks name no more than the kind of traffic
        # While it thinks aloud, a model's totals are those of the prompt alone.
        seen.report(usage, final=seen.finished, covers=bool(usage.get("candidatesTokenCount") or usage.get("thoughtsTokenCount")))


FORMAT = Format(
    name="gemini",
    read_event=read_event,
    read_answer=read_answer,
    counts=counts,
    error_body=error_body,
    error_event=error_event,
    in_arrays=True,
)
EMBEDDINGS = replace(FORMAT, name="gemini_embeddings", counts=embedding_counts, in_arrays=False)
