"""Takes the extra chunk of `stream_options.include_usage` out of a stream whose client did not ask for it.

Every other byte passes unchanged and in order; only what may be the beginning of that chunk waits for its end.
"""

import re

from byok.gateway.events import data_of
from byok.gateway.formats.openai_chat import is_usage_chunk

_MAX_HELD_BYTES = 65536  # no usage is that long
_LOOK_AGAIN_BYTES = 64
_EVENT_END = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LINE_END = re.compile(rb"(?>\r\n|\n|\r)\Z")
_USAGE = re.compile(rb'"usage"\s*:\s*\{')
_HAS_CHOICE = re.compile(rb'"choices"\s*:\s*\[\s*[^\]\s]')
_LEAD = re.compile(rb"[\r\n]*(?::[^\r\n]*(?:\r\n|\n|\r(?!\Z)))*")
_BEGINNINGS = (b"data: {", b"data:{", b"event:", b"id:", b"retry:", b":")


class UsageChunkRemover:
    """Passes a stream on without its usage chunk."""

    def __init__(self) -> None:
        self._held = b""
        self._more: list[bytes] = []  # what came since without an end of an event in it
        self._size = 0  # of both
        self._look_at = 0  # how large they may grow before they are looked at again: tiny pieces must not cost a look each
        self._passing = False  # the current event's beginning is on its way already
        self._line_end = b""  # and so is this line end, which may be half of the blank line
        self._drop_lf = False  # the chunk ended with CR; an LF after it belongs to it

    def feed(self, data: bytes) -> bytes:
        """Return what may be passed on: `data` itself whenever nothing has to wait or go."""
        if not self._held and not self._passing and not self._drop_lf and data.endswith(b"\n\n") and _USAGE.search(data) is None:
            return data
        if self._held and self._may_wait(data):
            return b""
        if self._more:
            data = b"".join((*self._more, data))
            self._more = []
        if self._drop_lf and data:
            self._drop_lf = False
            data = data.removeprefix(b"\n")
        buffer = (self._line_end if self._passing else self._held) + data
        kept, at = [], len(self._line_end) if self._passing else 0
        for end in _EVENT_END.finditer(buffer):
            event = buffer[at : end.end()]
            at = end.end()
            lead = _lead(event)
            if self._passing or not _is_usage(event[len(lead) :]):
                kept.append(event)
            else:
                kept.append(lead)
                self._drop_lf = event.endswith(b"\r") and at == len(buffer)
            self._passing = False
        rest = buffer[at:]
        if not self._passing:
            kept.append(lead := _lead(rest))
            rest = rest[len(lead) :]
        if self._passing or not _may_be_usage(rest):
            kept.append(rest)
            self._passing = self._passing or bool(rest)
            self._line_end = ended[0] if (ended := _LINE_END.search(buffer)) else b""
            rest = b""
        self._held = rest
        self._size, self._look_at = len(rest), len(rest) + max(_LOOK_AGAIN_BYTES, len(rest) // 4)
        passed = b"".join(kept)
        return data if passed == data else passed

    def finish(self) -> bytes:
        """Return what still waits; an unfinished event goes as it is."""
        held, self._held = b"".join((self._held, *self._more)), b""
        self._more = []
        return held

    def _may_wait(self, data: bytes) -> bool:
        """Whether an event that may be the chunk goes on for a while: then `data` is put beside."""
        last = (self._more[-1] if self._more else self._held)[-1:]
        self._size += len(data)
        if self._size >= self._look_at or _EVENT_END.search(last + data) is not None:
            return False
        if data:
            self._more.append(data)
        return True


def _lead(event: bytes) -> bytes:
    """What stands before an event's own lines: the rest of the line end before it, blank lines, comments."""
    found = _LEAD.match(event)
    return found[0] if found else b""


def _is_usage(event: bytes) -> bool:
    if _USAGE.search(event) is None or not _may_be_usage(event):
        return False
    lines = event.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return is_usage_chunk(data_of(lines.strip(b"\n")))


def _may_be_usage(rest: bytes) -> bool:
    if not rest or len(rest) > _MAX_HELD_BYTES or _HAS_CHOICE.search(rest):
        return False
    return any(rest.startswith(beginning[: len(rest)]) for beginning in _BEGINNINGS)
