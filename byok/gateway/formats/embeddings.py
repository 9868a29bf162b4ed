"""OpenAI embeddings and what speaks like them: input only. Reference: https://platform.openai.com/docs/api-reference/embeddings/create"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from byok.gateway.formats import openai_chat, openai_usage
from byok.gateway.formats.shape import Seen, first, number, whole
from byok.usage import TokenCounts


class _Top(msgspec.Struct):
    total_tokens: Any = None


_decode_top = msgspec.json.Decoder(_Top).decode


def counts(usage: Mapping[str, Any]) -> TokenCounts:
    """Return the counts; an embedding has no output, so completion is 0 once the input is known.

    >>> counts({"prompt_tokens": 8, "total_tokens": 8})
    TokenCounts(prompt_tokens=8, completion_tokens=0, total_tokens=8, cached_tokens=None, cache_write_tokens=None, reasoning_tokens=None)
    """
    told = openai_usage.counts({**usage, "completion_tokens": None, "output_tokens": None})
    prompt = first(told.prompt_tokens, told.total_tokens)
    return whole(prompt, None if prompt is None else 0, cached=told.cached_tokens)


def read_answer(body: bytes, seen: Seen) -> None:
    """Update `seen` by a whole answer; MiniMax's own has its only count at the top."""
    openai_chat.read_answer(body, seen)
    if seen.usage is None and (total := number(_decode_top(body).total_tokens)):
        seen.report({"total_tokens": total}, final=True)


FORMAT = replace(openai_chat.FORMAT, name="embeddings", counts=counts, read_answer=read_answer)
