"""The server's side of a client's connection: uvicorn's HTTP protocol with the limits it lacks on headers and slowness."""

import asyncio
import secrets
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEADER_BYTES = 64 * 1024
PATIENCE_S = 30.0
TICK_S = 10.0
LEAST_BYTES_PER_TICK = 10_000
LINGER_S = 5.0
REFUSED_S = 1.0
UNREAD_S = 300.0

_REFUSAL = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\nx-byok-request-id: %b\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
_TOO_LARGE = b'{"error": {"code": "headers_too_large", "message": "The headers are too large.", "remedy": "Send less than 64 KB of them."}}'
_NOT_HTTP = b'{"error": {"code": "bad_request", "message": "This is no HTTP request.", "remedy": "Send HTTP/1.1 with one length."}}'


class Connection(HttpToolsProtocol):
    """One client's connection. A timer looks at it now and then; nothing is armed per request.

    It is closed when headers exceed `MAX_HEADER_BYTES`, when a request is still incomplete after `PATIENCE_S` and trickles, when a
    refused request's body goes on for `LINGER_S`, and when the client reads nothing of its answer for `UNREAD_S`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._in_head = True
        self._refused = False
        self._incomplete_since: float | None = self.loop.time()  # a connection that says nothing counts, too
        self._received = 0
        self._unsent = 0
        self._unread_since: float | None = None
        self._tick: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._tick = self.loop.call_later(TICK_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._tick is not None:
            self._tick.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused or self.transport.is_closing():
            return
        self._received += len(data)
        if self._in_head:
            self._head_bytes += len(data)
            super().data_received(data)
            if self._in_head and self._head_bytes > MAX_HEADER_BYTES and not self._refused:
                self._refuse(_TOO_LARGE, b"431 Request Header Fields Too Large")
            return
        super().data_received(data)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words for it
        """What is no HTTP at all; told without a word of what came."""
        self._refuse(_NOT_HTTP, b"400 Bad Request")

    def _refuse(self, body: bytes, status: bytes) -> None:
        cycle = self.cycle
        self._refused = True
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:  # nothing can be said in the middle of an answer
                self.transport.close()
                return
        request_id = b"req_" + secrets.token_hex(12).encode()
        self.transport.write(_REFUSAL % (status, request_id, len(body), body))
        self.transport.write_eof()
        self.loop.call_later(REFUSED_S, self.transport.close)  # closing at once would reset the words away from a client that still sends

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0
        self._incomplete_since = self.loop.time()

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self.parser.get_http_version() == "1.0" and any(name == b"transfer-encoding" for name, _ in self.headers):
            raise ValueError("HTTP/1.0 knows no transfer-encoding")  # becomes a 400
        if sum(len(name) + len(value) for name, value in self.headers) > MAX_HEADER_BYTES:
            raise ValueError("the headers are too large")
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._incomplete_since = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._incomplete_since is not None and not self.transport.is_closing():
            # Refused before its end, as a body that is too large. Read on for a moment: closing now would reset the answer away.
            self.loop.call_later(LINGER_S, self._close_if_still_incomplete, self.cycle)

    def _close_if_still_incomplete(self, cycle: object) -> None:
        if self.cycle is cycle and self._incomplete_since is not None and not self.transport.is_closing():
            self.transport.close()

    def _look(self) -> None:
        if self.transport.is_closing():
            return
        self._tick = self.loop.call_later(TICK_S, self._look)
        now, received, self._received = self.loop.time(), self._received, 0
        since = self._incomplete_since
        if since is not None and now - since > PATIENCE_S and received < LEAST_BYTES_PER_TICK and not self.flow.read_paused:
            self.transport.close()
        elif self._reads_nothing(now):
            self.transport.abort()

    def _reads_nothing(self, now: float) -> bool:
        unsent = self.transport.get_write_buffer_size()
        if not unsent or unsent != self._unsent:
            self._unsent, self._unread_since = unsent, now
            return False
        return self._unread_since is not None and now - self._unread_since > UNREAD_S
