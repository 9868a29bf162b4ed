"""A stream cut into its events: server-sent events, or the elements of a JSON array. Cut anywhere, ended by LF, CRLF or CR.

Reference: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

import re

from byok.gateway.blobs import LOOK_BYTES, shorten

MAX_EVENT_BYTES = 4 * 2**20  # of one event, images left out; larger ones are skipped

_STRUCTURE = re.compile(rb'["\[\]{}]')
_BARE = re.compile(rb"^(?:error:)?[ \t]*([{\[])", re.MULTILINE)
_ERROR_FIRST = (b"event: error\n", b"event:error\n")
_NAMED_ERROR = re.compile(rb"^event: ?error$", re.MULTILINE)
_IN_STRING = re.compile(rb'(?:[^"\\]|\\.)*+', re.DOTALL)


class EventSplitter:
    """Cuts server-sent events. `feed` returns whole events, as their lines between LFs."""

    def __init__(self) -> None:
        self._held = bytearray()  # of the event that is not complete yet
        self._look_at = LOOK_BYTES
        self._after_cr = False
        self._skipping = False

    @property
    def between(self) -> bool:
        """Whether what comes next begins an event."""
        return not self._held and not self._after_cr

    def feed(self, data: bytes) -> list[bytes]:
        if self._after_cr or b"\r" in data:
            data = self._with_plain_line_ends(data)
        if not self._held:
            *events, rest = data.split(b"\n\n")
        else:
            events, rest = self._with_held(data)
        if rest:
            self._keep(rest)
        return events

    def _with_held(self, data: bytes) -> tuple[list[bytes], bytes]:
        """The same where an event has begun, perhaps with the first LF of the blank line that ends it."""
        if data[:1] == b"\n" and self._held.endswith(b"\n"):
            first = [self._take(b"")]
            *events, rest = data[1:].split(b"\n\n")
            return first + events, rest
        *events, rest = data.split(b"\n\n")
        if events:
            events[0] = self._take(events[0])
        return events, rest

    def rest(self) -> bytes:
        """What came after the last whole event; a stream may end without its last blank line."""
        return self._take(b"")

    def _with_plain_line_ends(self, data: bytes) -> bytes:
        if self._after_cr and data[:1] == b"\n":
            data = data[1:]
            if not data:
                self._after_cr = False
                return data
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _take(self, last: bytes) -> bytes:
        event = b"" if self._skipping else bytes(self._held) + last
        self._held.clear()
        self._look_at = LOOK_BYTES
        self._skipping = False
        return event

    def _keep(self, piece: bytes) -> None:
        self._held += piece
        if len(self._held) >= self._look_at:
            self._look_at = shorten(self._held, MAX_EVENT_BYTES)
        if self._skipping or len(self._held) > MAX_EVENT_BYTES:
            self._skipping = True
            del self._held[:-1]  # the last is enough to see the blank line that ends it


class ArraySplitter:
    """Cuts a JSON array into its elements, which are objects. `feed` returns whole elements."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._at = 0
        self._look_at = LOOK_BYTES
        self._depth = 0
        self._in_string = False
        self._skipping = False
        self.ended = False

    def feed(self, data: bytes) -> list[bytes]:
        self._held += data
        held, elements, begin = self._held, [], 0
        while self._at < len(held):
            if self._in_string:
                if not self._leave_string():
                    break
                continue
            found = _STRUCTURE.search(held, self._at)
            if found is None:
                self._at = len(held)
                break
            mark, self._at = held[found.start()], found.end()
            if mark == 0x22:  # a quotation mark
                self._in_string = True
            elif mark in b"{[":
                self._depth += 1
                if self._depth == 2:
                    begin = found.start()
            else:
                self._depth -= 1
                if self._depth == 1 and not self._skipping:
                    elements.append(bytes(held[begin : self._at]))
                if self._depth <= 1:
                    self._skipping, begin = False, self._at
                self.ended = self.ended or self._depth <= 0
        self._forget(begin)
        return elements

    def _leave_string(self) -> bool:
        found = _IN_STRING.match(self._held, self._at)
        self._at = found.end() if found else self._at
        if self._at < len(self._held) and self._held[self._at] == 0x22:
            self._in_string = False
            self._at += 1
            return True
        return False  # the string, or an escape in it, goes on in the next piece

    def _forget(self, begin: int) -> None:
        if self._depth <= 1 and not self._in_string:
            begin, self._look_at = self._at, LOOK_BYTES
        del self._held[:begin]
        ahead = len(self._held) - (self._at - begin)
        if len(self._held) >= self._look_at:
            self._look_at = shorten(self._held, MAX_EVENT_BYTES)
        if len(self._held) - ahead > MAX_EVENT_BYTES:
            self._skipping = True
            del self._held[: len(self._held) - ahead]
        self._at = len(self._held) - ahead


def data_of(event: bytes) -> bytes:
    """Return the data of one event: its `data:` lines without the field name, joined by LF; empty if it has none.

    Of an event without such a line the JSON that stands there bare, or behind `error:`: Google and llama.cpp write an error so into a
    stream that has begun.
    """
    last = event.rfind(b"\n") + 1
    if event.startswith(b"data: ", last) and (last == 0 or event.find(b"data:", 0, last) < 0):
        return event[last + 6 :]
    lines = [line[5:] for line in event.split(b"\n") if line.startswith(b"data:")]
    if not lines and (bare := _BARE.search(event)):
        return event[bare.start(1) :]
    return b"\n".join(line[1:] if line.startswith(b" ") else line for line in lines)


def is_named_error(event: bytes) -> bool:
    """Whether the event has the name `error`, on whichever of its lines, or a field `error` in place of data."""
    if event.startswith(b"event:"):
        return event.startswith(_ERROR_FIRST)
    if event.startswith(b"error:"):
        return True
    return b"\nevent:" in event and _NAMED_ERROR.search(event) is not None
