"""The upstream client of the hot path: HTTP/1.1 over pooled connections, on asyncio's transports and httptools' parser.

It does what relaying needs and nothing else: no redirects, cookies, proxies, decompression or repeats; raw header bytes both ways.
A general client costs several times as much per call (docs/decisions.md).
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence

import certifi
import httptools

from byok.gateway.acknowledged import OPENING, bytes_acknowledged
from byok.gateway.targets import Origin, Target, request_head, target_of
from byok.gateway.upstream import Answer, Broken, Outgoing, Silent, Unreachable

CONNECT_S = 10.0
IDLE_S = 15.0  # shorter than servers keep an idle connection, so that a reused one is rarely stale
MAX_HEAD_BYTES = 64 * 1024
HELD_BYTES = 256 * 1024  # more than this is not taken from a vendor before the client took what is there
_TARGETS_KEPT = 512
_REPEATABLE = ("GET", "HEAD")
_RESTED_S = 1.0


class _Unheard(Unreachable):
    """A used connection ended instead of an answer, and the request may be sent again."""


class Http1Upstream:
    """Sends no request twice that a vendor may have got: a POST that met a dying connection may have been processed, and billed.

    A vendor may close a connection at the moment at which it is used again. Then the request goes once over a new one if nothing was
    answered, and it is GET or HEAD, or the vendor closed before any of it had arrived: its end of the stream confirms all that had.
    `silence_s` is the longest time without a byte in either direction.
    """

    def __init__(self, *, silence_s: float, connect_s: float = CONNECT_S) -> None:
        self._silence_s, self._connect_s = silence_s, connect_s
        self._idle: dict[Origin, deque[_Connection]] = {}
        self._targets: dict[str, Target] = {}
        self._trusted: ssl.SSLContext | None = None
        self._closed = False

    async def send(self, request: Outgoing) -> Answer:
        target = self._target(request.url)
        head = request_head(request, target)
        if (used := self._reusable(target.origin)) is not None:
            try:
                return await _exchanged(used, head, request)
            except _Unheard:
                pass
        return await _exchanged(await self._connect(target.origin), head, request)

    async def close(self) -> None:
        self._closed = True
        for waiting in self._idle.values():
            while waiting:
                waiting.pop().abort()

    def take_back(self, connection: "_Connection") -> None:
        """A connection whose exchange ended cleanly waits for the next one."""
        if self._closed:
            connection.abort()
        else:
            self._idle.setdefault(connection.origin, deque()).append(connection)

    def forget(self, connection: "_Connection") -> None:
        waiting = self._idle.get(connection.origin)
        if waiting and connection in waiting:
            waiting.remove(connection)

    def _reusable(self, origin: Origin) -> "_Connection | None":
        """The connection used last is the one least likely to be stale."""
        waiting = self._idle.get(origin)
        while waiting:
            connection = waiting.pop()
            if connection.fresh():
                return connection
            connection.abort()
        return None

    async def _connect(self, origin: Origin) -> "_Connection":
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_s):
                _, connection = await loop.create_connection(
                    lambda: _Connection(self, origin, self._silence_s),
                    origin.host,
                    origin.port,
                    ssl=self._trust() if origin.secure else None,
                    server_hostname=origin.host if origin.secure else None,
                )
        except (OSError, TimeoutError, ssl.SSLError, UnicodeError):
            raise Unreachable from None
        return connection

    def _trust(self) -> ssl.SSLContext:
        if self._trusted is None:
            self._trusted = ssl.create_default_context()
            self._trusted.load_verify_locations(certifi.where())  # some machines have no store of their own
            self._trusted.set_alpn_protocols(["http/1.1"])
        return self._trusted

    def _target(self, url: str) -> Target:
        target = self._targets.get(url)
        if target is None:
            if len(self._targets) >= _TARGETS_KEPT:
                self._targets.clear()  # paths with ids in them are seen once
            target = self._targets[url] = target_of(url)
        return target


async def _exchanged(connection: "_Connection", head: bytes, request: Outgoing) -> "_Http1Answer":
    try:
        await connection.exchange(head, request.body, request.method)
    except BaseException:
        connection.abort()
        raise
    return _Http1Answer(connection)


class _Http1Answer:
    def __init__(self, connection: "_Connection") -> None:
        self._connection = connection
        self.status = connection.status
        self.headers: Sequence[tuple[bytes, bytes]] = connection.headers
        self.trailers: Sequence[tuple[bytes, bytes]] = connection.trailers

    async def read(self) -> bytes:
        return await self._connection.read()

    def close(self) -> None:
        self._connection.release()


class _Connection(asyncio.Protocol):
    """One connection to an origin, one exchange at a time. Its timer looks now and then; nothing is armed per request."""

    def __init__(self, pool: Http1Upstream, origin: Origin, silence_s: float) -> None:
        self.origin = origin
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.trailers: list[tuple[bytes, bytes]] = []
        self._pool, self._silence_s = pool, silence_s
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._parts: list[bytes] = []
        self._held = self._head_bytes = self._unsent = self._written = 0
        self._active = self._loop.time()
        self._confirmed: int | None = None  # of what was written, before this exchange
        self._busy = self._head_done = self._complete = self._reusable = False
        self._paused = self._bodiless = self._lost = self._unheard = False
        self._fault: type[Exception] | None = None

    # -- for the pool --

    def fresh(self) -> bool:
        return not self._lost and self._loop.time() - self._active < IDLE_S

    def abort(self) -> None:
        self._lost = True
        if self._transport is not None:
            self._transport.abort()

    async def exchange(self, head: bytes, body: bytes, method: str) -> None:
        """Send, and wait for the head of the answer. Raises `Unreachable` or `Silent`."""
        self.status, self.headers, self.trailers, self._parts = 0, [], [], []
        self._held = self._head_bytes = 0
        self._head_done = self._complete = self._reusable = False
        self._bodiless, self._busy, self._fault = method == "HEAD", True, None
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        if self._timer is None:
            self._look_in(min(self._silence_s, IDLE_S))
        if self._transport is None or self._lost:
            raise Unreachable
        now = self._loop.time()
        if not self.origin.secure:
            self._confirmed = self._written + OPENING
            self._written += len(head) + len(body)
        else:  # what encryption makes of it is not known here, and asking costs too much while calls follow each other
            self._confirmed = bytes_acknowledged(self._transport) if now - self._active > _RESTED_S else None
        self._active = now
        if body:
            self._transport.writelines((head, body))
        else:
            self._transport.write(head)
        while not self._head_done:
            if self._fault is not None:
                raise self._no_answer(method)
            await self._wait()
        broke_at_once = self._fault is not None and not self._parts and not self._complete
        if broke_at_once or not 200 <= self.status <= 599:  # nothing of it can be relayed, so it can still be said to be none
            raise Unreachable

    def _no_answer(self, method: str) -> Exception:
        if self._fault is Silent:
            return Silent()
        may_repeat = self._unheard or (method in _REPEATABLE and not self._head_bytes)
        return _Unheard() if may_repeat else Unreachable()

    async def read(self) -> bytes:
        """What has come of the body, b"" at its clean end. Raises `Silent` or `Broken`."""
        while not self._parts:
            if self._complete:
                return b""
            if self._fault is not None:
                raise self._fault
            await self._wait()
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts, self._held = [], 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return data

    def release(self) -> None:
        """End the exchange: the connection is used again if the answer was complete, and closed if not, which tells the vendor to stop."""
        if not self._busy:
            return
        self._busy = False
        transport = self._transport
        if self._reusable and not self._lost and transport is not None and not transport.get_write_buffer_size():
            if self._paused:
                self._paused = False
                transport.resume_reading()
            if self._bodiless:
                self._parser = None  # it may still wait for the body that the head spoke of
            self._active = self._loop.time()
            self._pool.take_back(self)
        else:
            self.abort()

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- for the transport --

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._active = self._loop.time()
        if not self._busy or self._parser is None or self._complete:
            self._pool.forget(self)  # an answer nobody asked for: this connection cannot be trusted any more
            self.abort()
            return
        if not self._head_done:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(Broken)
        except httptools.HttpParserError:
            self._fail(Broken)
        if not self._head_done and self._head_bytes > MAX_HEAD_BYTES:
            self._fail(Broken)
        if self._held > HELD_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        if self._busy and not self._head_bytes and self._transport is not None and self._confirmed is not None:
            self._unheard = bytes_acknowledged(self._transport) == self._confirmed
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._busy:
            self._pool.forget(self)
        elif self._fault is None and not self._complete:
            if error is None and self._head_done and self._ends_with_connection():
                self._complete = True
            else:
                self._fault = Broken
        self._wake()

    def _ends_with_connection(self) -> bool:
        """Neither a length nor chunks: only the close tells that the body is whole."""
        return not any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in self.headers)

    def _fail(self, fault: type[Exception]) -> None:
        self._fault = fault
        self.abort()

    def _look_in(self, seconds: float) -> None:
        self._timer = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        """Has the vendor been silent for too long, or has nobody needed this connection for a while?"""
        self._timer = None
        unsent = self._transport.get_write_buffer_size() if self._transport is not None else 0
        if unsent != self._unsent:  # a large body is still going out
            self._unsent, self._active = unsent, self._loop.time()
        quiet = self._loop.time() - self._active
        limit = self._silence_s if self._busy else IDLE_S
        if self._paused or quiet < limit:
            self._look_in(max(min(limit - quiet, IDLE_S), 0.01) if not self._paused else IDLE_S)
            return
        if self._busy:
            self._fault = Silent
            self._wake()
        else:
            self._pool.forget(self)
        self.abort()

    # -- for the parser --

    def on_message_begin(self) -> None:
        if self._complete:  # a second answer behind the first: nobody asked for it
            self._reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._head_done:
            self.headers.append((name, value))
            return
        self.trailers.append((name, value))
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._fail(Broken)

    def on_headers_complete(self) -> None:
        if self._head_done or self._parser is None:
            return
        self.status = self._parser.get_status_code()
        if self.status < 200 and self.status != 101:  # 100 and 103 only announce the answer
            self.headers = []
        elif self._head_bytes > MAX_HEAD_BYTES and sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES:
            self._fail(Broken)
        else:
            self._head_done = True
            self._complete = self._bodiless

    def on_body(self, data: bytes) -> None:
        if not self._complete:
            self._parts.append(data)
            self._held += len(data)

    def on_message_complete(self) -> None:
        if self._head_done and not self._complete and self._parser is not None:
            self._complete = True
            self._reusable = self._parser.should_keep_alive()
