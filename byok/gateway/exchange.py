"""One request on a client's connection and the answer to it: ASGI's `receive` and `send`, written as HTTP/1.1."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Protocol

from byok.gateway.headers import Headers

EXCHANGE = "byok.exchange"  # where an ASGI scope holds it
MOST_UNREAD_BYTES = 64 * 1024  # of a request; more is left to the kernel until the app has taken what is here

_STATUS = {status.value: b"HTTP/1.1 %d %b" % (status.value, status.phrase.encode()) for status in HTTPStatus}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE = (b"connection", b"close")
_LINE = b": ".join
_BODILESS = frozenset((204, 304))


class Line(Protocol):
    """What an exchange needs of its connection."""

    loop: asyncio.AbstractEventLoop
    clogged: asyncio.Future[None] | None  # done when the client has taken enough of what was written

    def write(self, data: bytes) -> None: ...
    def writelines(self, pieces: list[bytes]) -> None: ...
    def read_on(self) -> None: ...
    def hold_back(self) -> None: ...
    def answered(self, exchange: "Exchange") -> None: ...


class Exchange:
    """`receive` and `send` of one request. The answer's head waits for the first piece of its body, at most until the loop's next turn.

    Trailers need no announcement: whether a vendor sends some is known only at its answer's end.
    """

    __slots__ = (
        "_bodiless",
        "_chunked",
        "_expects_continue",
        "_head",
        "_held",
        "_line",
        "_old",
        "_pieces",
        "_remaining",
        "_told_all",
        "_waiter",
        "complete",
        "gone",
        "keep_alive",
        "scope",
        "started",
        "when_left",
        "whole",
    )

    def __init__(self, line: Line, scope: dict[str, Any], *, keep_alive: bool, expects_continue: bool) -> None:
        self.scope = scope
        self.keep_alive = keep_alive
        self.whole = False  # the request's last byte came
        self.started = False  # the answer's head is on its way
        self.complete = False  # so is its last byte
        self.gone = False  # the client is
        self.when_left: Callable[[], None] | None = None  # called when it is, unless the answer was complete by then
        self._line = line
        self._old = scope["http_version"] == "1.0"
        self._expects_continue = expects_continue
        self._pieces: list[bytes] = []
        self._held = 0
        self._told_all = False
        self._waiter: asyncio.Future[None] | None = None
        self._head: bytes | None = None
        self._chunked = self._bodiless = False
        self._remaining: int | None = None

    # -- for the connection --

    def take(self, body: bytes) -> None:
        self._pieces.append(body)
        self._held += len(body)
        if self._held > MOST_UNREAD_BYTES:
            self._line.hold_back()
        self._wake()

    def take_end(self) -> None:
        self.whole = True
        self._wake()

    def leave(self) -> None:
        """The client is gone; what is sent from now on goes nowhere."""
        self.gone = True
        self._head = None
        self._wake()
        if self.when_left is not None:
            self.when_left()

    @property
    def is_waited_for(self) -> bool:
        """Whether the client still waits for the word to send its body."""
        return self._expects_continue

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- for the app --

    async def receive(self) -> dict[str, Any]:
        if self._expects_continue and not self.started and not self.gone:
            self._expects_continue = False
            self._line.write(_CONTINUE)
        while not (self.gone or self.complete or self._pieces or (self.whole and not self._told_all)):
            self._line.read_on()
            self._waiter = self._line.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self.gone or self.complete:
            return {"type": "http.disconnect"}
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces, self._held = [], 0
        self._told_all = self.whole
        return {"type": "http.request", "body": body, "more_body": not self.whole}

    async def send(self, message: dict[str, Any]) -> None:
        while self._line.clogged is not None:
            await asyncio.shield(self._line.clogged)
        if self.gone or self.complete:
            return
        kind = message["type"]
        if kind == "http.response.body":
            self._send_body(message.get("body", b""), more=message.get("more_body", False))
        elif kind == "http.response.start":
            self._start(message["status"], message["headers"])
        elif kind == "http.response.trailers":
            self._send_trailers(message["headers"])

    def _start(self, status: int, headers: Headers) -> None:
        if self.started:
            raise RuntimeError("the answer has begun")
        self.started = True
        self._bodiless = status in _BODILESS or self.scope["method"] == "HEAD"
        lines = [_STATUS.get(status) or b"HTTP/1.1 %d " % status]
        for pair in headers:
            if pair[0] == b"content-length":
                self._remaining = int(pair[1])
            elif pair == _CLOSE:
                self.keep_alive = False
                continue
            lines.append(_LINE(pair))
        if self._remaining is None and not self._bodiless:
            if self._old:
                self.keep_alive = False  # only the end of the connection tells the end of the body
            else:
                self._chunked = True
                lines.append(b"transfer-encoding: chunked")
        if not self.keep_alive:
            lines.append(_LINE(_CLOSE))
        lines.append(b"\r\n")
        head = b"\r\n".join(lines)
        if head.count(b"\n") != len(lines):
            raise ValueError("a line break in a header would begin a header of its own")
        self._head = head
        self._line.loop.call_soon(self._send_head)

    def _send_head(self) -> None:
        if self._head is not None:
            self._line.write(self._head)
            self._head = None

    def _send_body(self, body: bytes, *, more: bool) -> None:
        pieces = []
        if self._head is not None:
            pieces.append(self._head)
            self._head = None
        if body and not self._bodiless:
            if self._chunked:
                pieces += (b"%x\r\n" % len(body), body, b"\r\n")
            else:
                self._count(len(body))
                pieces.append(body)
        if not more and self._chunked:
            pieces.append(b"0\r\n\r\n")
        if len(pieces) == 1:
            self._line.write(pieces[0])
        elif pieces:
            self._line.writelines(pieces)
        if not more:
            self._end()

    def _send_trailers(self, headers: Headers) -> None:
        """They may stand for the last piece of any chunked body; where none is chunked, they are left out."""
        self._send_head()
        if self._chunked:
            self._line.write(b"0\r\n" + b"".join(b"%b: %b\r\n" % pair for pair in headers) + b"\r\n")
        self._end()

    def _count(self, size: int) -> None:
        if self._remaining is not None:
            self._remaining -= size
            if self._remaining < 0:
                raise ValueError("more body than the content-length says")

    def _end(self) -> None:
        self.complete = True
        if self._remaining and not self._bodiless:
            self.keep_alive = False  # less than promised: only the close tells
        self._wake()
        self._line.answered(self)
