"""The server's side of a client's connection: HTTP/1.1 on httptools' parser, for uvicorn's server, with limits on headers and slowness.

uvicorn's own protocol costs three times as much per call and knows none of these limits (docs/decisions.md).
"""

import asyncio
import contextlib
import secrets
from collections import deque
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.server import ServerState

from byok.gateway.exchange import EXCHANGE, Exchange
from byok.gateway.headers import Headers
from byok.gateway.sent import SENT, Sent

MAX_HEADER_BYTES = 64 * 1024
PATIENCE_S = 30.0
TICK_S = 10.0
LEAST_BYTES_PER_TICK = 10_000
LINGER_S = 5.0
REFUSED_S = 1.0
UNREAD_S = 300.0

_ASGI = {"version": "3.0", "spec_version": "2.3"}
_EXTENSIONS: dict[str, Any] = {"http.response.trailers": {}}
_REFUSAL = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\nx-byok-request-id: %b\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
_TOO_LARGE = b'{"error": {"code": "headers_too_large", "message": "The headers are too large.", "remedy": "Send less than 64 KB of them."}}'
_NOT_HTTP = b'{"error": {"code": "bad_request", "message": "This is no HTTP request.", "remedy": "Send HTTP/1.1 with one length."}}'


class _TooLarge(ValueError):
    """All at once, so that they were whole before anybody could count them."""


class Connection(asyncio.Protocol):
    """One client's connection. A timer looks at it now and then; nothing is armed per request.

    It is closed when headers exceed `MAX_HEADER_BYTES`, when a request is still incomplete after `PATIENCE_S` and trickles, when a
    refused request's body goes on for `LINGER_S`, when the client reads nothing of its answer for `UNREAD_S`, and when nothing was
    asked for as long as the server's configuration says.
    """

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any], _loop: Any = None) -> None:
        self.loop: asyncio.AbstractEventLoop = _loop or asyncio.get_running_loop()
        self._app = config.loaded_app
        self._keep_alive_s = config.timeout_keep_alive
        self._state = server_state
        self._app_state = app_state
        self._parser = _parser(self)
        self._transport: asyncio.Transport | None = None
        self._scope_of_all: dict[str, Any] = {}
        self._arriving: Exchange | None = None  # whose body is being read
        self._current: Exchange | None = None  # which is being answered
        self._waiting: deque[Exchange] = deque()  # asked before the current one was answered
        self._url = b""
        self._headers: Headers = []
        self._lengths: Headers = []
        self._sent = Sent([])
        self._expects_continue = self._last = self._refused = False
        self._body_alone = b""  # the head of a request that has the body of one that asks for an upgrade
        self._reading_paused = False
        self.clogged: asyncio.Future[None] | None = None
        self._in_head = True
        self._piece_bytes = self._head_bytes = self._received = self._unsent = 0
        self._incomplete_since: float | None = self.loop.time()  # a connection that says nothing counts, too
        self._unread_since: float | None = None
        self._idle_since = self.loop.time()
        self._tick: asyncio.TimerHandle | None = None

    # -- for the transport --

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._state.connections.add(self)  # type: ignore[arg-type]
        server, client = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        self._scope_of_all = {
            "type": "http",
            "asgi": _ASGI,
            "scheme": "http",
            "root_path": "",
            "state": self._app_state,
            "extensions": _EXTENSIONS,
            "server": server[:2] if server else None,
            "client": client[:2] if client else None,
        }
        self._tick = self.loop.call_later(TICK_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why is all the same
        if self._tick is not None:
            self._tick.cancel()
        self._state.connections.discard(self)
        self._transport = None
        for exchange in (self._current, *self._waiting):
            if exchange is not None and not exchange.complete:
                exchange.leave()
        self._waiting.clear()
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        if self._refused or self._last or self._transport is None or self._transport.is_closing():
            return
        self._piece_bytes = len(data)
        self._received += len(data)
        if self._in_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._go_on_with(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, _TooLarge):
                self._refuse_headers()
            else:
                self._refuse(_NOT_HTTP, b"400 Bad Request")
        if self._in_head and self._head_bytes > MAX_HEADER_BYTES and not self._refused:
            self._refuse_headers()

    def _go_on_with(self, rest: bytes) -> None:
        """Answer a request for an upgrade as the plain request it is (RFC 9110, 7.8); nothing else is spoken here.

        Java's client and `curl --http2` ask for one with every first request. The parser takes what follows for another protocol.
        """
        if not self._body_alone:
            self._last = True
            return
        self._parser = _parser(_BodyAlone(self))
        head, self._body_alone = self._body_alone, b""
        try:
            self._parser.feed_data(head + rest)
        except httptools.HttpParserError:
            self._refuse(_NOT_HTTP, b"400 Bad Request")

    def pause_writing(self) -> None:
        if self.clogged is None:
            self.clogged = self.loop.create_future()

    def resume_writing(self) -> None:
        if self.clogged is not None:
            self.clogged.set_result(None)
            self.clogged = None

    # -- for the exchange --

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def writelines(self, pieces: list[bytes]) -> None:
        if self._transport is not None:
            self._transport.writelines(pieces)

    def hold_back(self) -> None:
        if not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()

    def read_on(self) -> None:
        if self._reading_paused and self._transport is not None and not self._waiting:
            self._reading_paused = False
            self._transport.resume_reading()

    def answered(self, exchange: Exchange) -> None:
        """The last byte of an answer is on its way: the next request may have its turn."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if not exchange.keep_alive and (exchange.whole or self._refused):
            transport.close()
        elif not exchange.whole:
            # Refused before its end, as a call too many or a body that is too large. Read on for a moment: closing now would reset the
            # answer away. If the end comes, the connection goes on: the answer did not say that it will close.
            if exchange.is_waited_for:  # whoever waits to be told to go on may send the body or leave it out: nobody can tell
                exchange.keep_alive = False
            self._reading_paused = False
            transport.resume_reading()
            self.loop.call_later(LINGER_S, self._end_of_patience, exchange)
        else:
            self._next()

    def _next(self) -> None:
        self._idle_since = self.loop.time()
        if self._waiting:
            self._begin(self._waiting.popleft())
        else:
            self._current = None
            self.read_on()

    def _begin(self, exchange: Exchange) -> None:
        self._current = exchange
        self._state.tasks.add(self.loop.create_task(self._run(exchange)))

    async def _run(self, exchange: Exchange) -> None:
        try:
            await self._app(exchange.scope, exchange.receive, exchange.send)
        finally:
            self._state.tasks.discard(asyncio.current_task(self.loop))
            exchange.scope = {}  # it holds the exchange: left alone, only the garbage collector would find the two
            if not exchange.complete:  # broken off: without its end nobody takes the answer for whole
                self._close()

    # -- for the server --

    def shutdown(self) -> None:
        """Let the calls that are open end, and take no more."""
        if self._current is None:
            self._close()
        else:
            for exchange in (self._current, *self._waiting):
                exchange.keep_alive = False

    # -- for the parser --

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers, self._lengths = [], []
        self._expects_continue = False
        self._in_head = True
        self._head_bytes = 0
        self._incomplete_since = self.loop.time()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer; none of ours means anything, so none goes on
        name = name.lower()
        if name == b"content-length":
            self._lengths.append((name, value))
            return
        self._headers.append((name, value))
        if name == b"expect" and value.lower() == b"100-continue":
            self._expects_continue = True

    def on_headers_complete(self) -> None:
        self._in_head = False
        version = self._parser.get_http_version()
        if self._sent.pairs != self._headers:
            self._sent = Sent(self._headers)
        if not _is_clear(version, self._sent):
            raise ValueError("not one host, or a coding that nobody knows")  # becomes a 400
        if self._piece_bytes + self._head_bytes > MAX_HEADER_BYTES and _size(self._headers) > MAX_HEADER_BYTES:
            raise _TooLarge
        scope = self._scope(version)
        upgrades = self._parser.should_upgrade()
        if upgrades and (self._sent.codings or (self._lengths and int(self._lengths[0][1]))):
            framing = b"%b: %b" % self._lengths[0] if self._lengths else b"transfer-encoding: chunked"
            self._body_alone = b"POST / HTTP/1.1\r\nconnection: close\r\n%b\r\n\r\n" % framing
        exchange = Exchange(
            self,
            scope,
            keep_alive=version != "1.0" and not upgrades and self._parser.should_keep_alive(),
            expects_continue=self._expects_continue,
        )
        scope[EXCHANGE] = self._arriving = exchange
        if self._current is None:
            self._begin(exchange)
        else:
            self._waiting.append(exchange)
            self.hold_back()

    def _scope(self, version: str) -> dict[str, Any]:
        url = self._url
        if url.startswith(b"/"):
            path, _, query = url.partition(b"?")
        else:  # a whole address
            parts = httptools.parse_url(url)
            path, query = parts.path or b"/", parts.query or b""
        query = query.partition(b"#")[0]
        text = path.decode("ascii")
        scope = self._scope_of_all.copy()
        scope["http_version"] = version
        scope["method"] = self._parser.get_method().decode("ascii")
        scope["path"] = unquote(text) if "%" in text else text
        scope["raw_path"] = path
        scope["query_string"] = query
        scope["headers"] = self._lengths + self._headers
        scope[SENT] = self._sent
        return scope

    def on_body(self, body: bytes) -> None:
        exchange = self._arriving
        if exchange is not None and not exchange.complete:
            exchange.take(body)

    def on_message_complete(self) -> None:
        if self._body_alone:
            return  # so the parser says, but a body follows
        self._incomplete_since = None
        exchange, self._arriving = self._arriving, None
        if exchange is None:
            return
        if not exchange.keep_alive:
            self._last = True
        exchange.take_end()
        if exchange.complete:  # its answer was out before its end came
            self._next() if exchange.keep_alive else self._close()

    # -- limits --

    def _refuse_headers(self) -> None:
        self._refuse(_TOO_LARGE, b"431 Request Header Fields Too Large")

    def _refuse(self, body: bytes, status: bytes) -> None:
        """What is no HTTP at all, or too much of it; told without a word of what came."""
        self._refused = True
        transport, exchange = self._transport, self._current
        if transport is None:
            return
        if exchange is not None and not exchange.complete:
            begun = exchange.started
            exchange.leave()
            if begun:  # nothing can be said in the middle of an answer
                transport.close()
                return
        request_id = b"req_" + secrets.token_hex(12).encode()
        transport.write(_REFUSAL % (status, request_id, len(body), body))
        transport.write_eof()
        self.loop.call_later(REFUSED_S, self._close)  # closing at once would reset the words away from a client that still sends

    def _end_of_patience(self, exchange: Exchange) -> None:
        if not exchange.whole:
            self._close()

    def _close(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()

    def _look(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._tick = self.loop.call_later(TICK_S, self._look)
        now, received, self._received = self.loop.time(), self._received, 0
        since = self._incomplete_since
        if since is None:
            overdue = self._current is None and now - self._idle_since > self._keep_alive_s
        else:
            overdue = now - since > PATIENCE_S and received < LEAST_BYTES_PER_TICK and not self._reading_paused
        if overdue:
            transport.close()
        elif self._reads_nothing(transport, now):
            transport.abort()

    def _reads_nothing(self, transport: asyncio.Transport, now: float) -> bool:
        unsent = transport.get_write_buffer_size()
        if not unsent or unsent != self._unsent:
            self._unsent, self._unread_since = unsent, now
            return False
        return self._unread_since is not None and now - self._unread_since > UNREAD_S


class _BodyAlone:
    """What a parser tells of a body whose head is known already."""

    def __init__(self, connection: Connection) -> None:
        self.on_body, self.on_message_complete = connection.on_body, connection.on_message_complete


def _parser(told: Connection | _BodyAlone) -> httptools.HttpRequestParser:
    parser = httptools.HttpRequestParser(told)
    with contextlib.suppress(AttributeError):  # what follows a last request is nobody's fault
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


def _is_clear(version: str, sent: Sent) -> bool:
    """Whether everybody on the way takes this for the same request (RFC 9112, 3.2 and 6.1)."""
    if version == "1.1":
        return sent.hosts == 1 and sent.codings in ([], [b"chunked"])
    return version == "1.0" and sent.hosts <= 1 and not sent.codings


def _size(headers: Headers) -> int:
    return sum(len(name) + len(value) for name, value in headers)
