"""What every wire format offers, and what is remembered of one answer while it passes by: counts, never text."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from byok.errors import ByokError
from byok.usage import TokenCounts

_MOST = 2**53  # larger is no count of tokens, and would not survive a JSON reader
_DIGITS = re.compile(r"[0-9]{1,16}")
_ODD = (float, str)  # types that hold a count now and then


@dataclass(slots=True)
class Seen:
    """What one answer has told so far."""

    usage: Mapping[str, Any] | None = None  # the vendor's own usage object, as last reported
    model: str | None = None  # the vendor's word for what answers
    failure: int | None = None  # an error inside a 200: its real class
    final: bool = False  # `usage` is the vendor's last word
    finished: bool = False  # the vendor said why the answer ends
    ended: bool = False  # the format's last event came
    content: bool = False  # something of the answer itself came
    pieces: int = 0  # of content since `usage` was last reported
    text_bytes: int = 0  # their text, about as many as in UTF-8, since then

    def count(self, text: object) -> None:
        """Take note of one piece of content; text is measured, not kept."""
        self.content = True
        self.pieces += 1
        if isinstance(text, str):
            self.text_bytes += len(text) if text.isascii() else len(text.encode("utf-8", "replace"))

    def finish(self) -> None:
        """Take note that the answer is whole: a usage told since its last piece of content, or from now on, is the last word."""
        self.finished = True
        self.final = self.final or (self.usage is not None and not self.pieces)

    def report(self, usage: Mapping[str, Any], *, final: bool, covers: bool = True) -> None:
        """Take over a newer usage object: totals run on, so the last one stands for all before it; mere zeros replace no last word.

        `covers` says whether it tells of the output, so that the pieces up to now are counted in it.
        """
        if self.final and 0 in usage.values() and not any(map(number, usage.values())):
            return
        self.usage = usage
        self.final = final
        if covers:
            self.pieces = 0
            self.text_bytes = 0


@dataclass(frozen=True, slots=True)
class Format:
    """A wire format. The functions get JSON bytes, update `Seen`, and never raise on what a vendor may send."""

    name: str
    read_event: Callable[[bytes, Seen], None]  # one event of a stream
    read_answer: Callable[[bytes, Seen], None]  # a whole JSON answer
    counts: Callable[[Mapping[str, Any]], TokenCounts]  # from the usage object in `Seen`
    error_body: Callable[[ByokError], bytes]
    error_event: Callable[[ByokError], bytes]  # the same inside a stream that has begun
    in_arrays: bool = False  # streams may come as one JSON array
    in_lines: bool = False  # or as lines of JSON


def number(value: object) -> int | None:
    """Return a vendor's count, or None if it is none: absent, negative, a fraction, a flag or beyond reason.

    Digits in a text are a count, too: JSON made of protocol buffers writes a number of 64 bits so.

    >>> number(12), number(12.0), number("12"), number(12.5), number("12 tokens")
    (12, 12, 12, None, None)
    """
    if type(value) is int:
        return value if 0 <= value < _MOST else None
    if type(value) is float:
        return number(int(value)) if value.is_integer() else None
    return number(int(value)) if type(value) is str and _DIGITS.fullmatch(value) else None


def numbers(value: object) -> dict[str, int]:
    """Return an object's members that are counts (see `number`); of what is no object, none."""
    if not isinstance(value, dict):
        return {}
    found = {name: count for name, count in value.items() if type(count) is int and 0 <= count < _MOST}
    if len(found) < len(value):
        found |= {name: count for name, told in value.items() if type(told) in _ODD and (count := number(told)) is not None}
    return found


def first(*values: int | None) -> int | None:
    """Return the first that is known."""
    return next((value for value in values if value is not None), None)


def largest(*values: int | None) -> int | None:
    """Return the largest that is known: a vendor that spells a count twice leaves one of them 0."""
    found = None
    for value in values:
        if value is not None and (found is None or value > found):
            found = value
    return found


def add(*values: int | None) -> int | None:
    """Return the sum of what is known, None if nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def mapping(value: object) -> Mapping[str, Any]:
    """Return the object, or an empty one: vendors send null and other things where an object belongs."""
    return value if isinstance(value, dict) else {}


def written_by_age(by_age: object) -> int | None:
    """Return the cache writes that a `cache_creation` tells by how long they are kept, None if it does not."""
    if not isinstance(by_age, dict):
        return None
    return add(number(by_age.get("ephemeral_5m_input_tokens")), number(by_age.get("ephemeral_1h_input_tokens")))


def whole(
    prompt: int | None,
    completion: int | None,
    total: int | None = None,
    *,
    cached: int | None = None,
    cache_write: int | None = None,
    reasoning: int | None = None,
) -> TokenCounts:
    """Return counts that hold together: parts inside their whole, prompt + completion = total whenever both are known.

    A part that a vendor reports larger than its whole is cut down to it. Cached and written input may overlap: a call can write what it
    then reads, and be billed for both.
    """
    if prompt is not None and completion is not None:
        total = prompt + completion
    elif total is not None and prompt is not None and total >= prompt:
        completion = total - prompt
    elif total is not None and completion is not None and total >= completion:
        prompt = total - completion
    if prompt is not None:
        cached = None if cached is None else min(cached, prompt)
        cache_write = None if cache_write is None else min(cache_write, prompt)
    if completion is not None and reasoning is not None:
        reasoning = min(reasoning, completion)
    if total is not None and (prompt or 0) + (completion or 0) > total:
        total = None  # contradicts the one part that is known
    return TokenCounts(prompt, completion, total, cached, cache_write, reasoning)
