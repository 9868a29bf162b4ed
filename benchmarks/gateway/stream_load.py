"""Our own load for streams: opens them, and notes when each event came and how much later than it was due."""

import asyncio
import json
import re
import time
from dataclasses import dataclass
from typing import cast

import httptools

from benchmarks.gateway.target import PATH, Endpoint, stream_body

_EVENT = re.compile(rb'"content": ?" (\d+)"')


@dataclass(frozen=True)
class Plan:
    """What the mock vendor is asked for."""

    events: int
    apart_ms: int

    @property
    def nominal_s(self) -> float:
        """From the first event to the last one."""
        return (self.events - 1) * self.apart_ms / 1000


@dataclass
class Stream:
    """What was seen of one stream, in seconds after its request left."""

    events: int = 0
    first_s: float | None = None
    late_s: float = 0.0  # of its latest event
    ended: bool = False


class Connection(asyncio.Protocol):
    """One connection, one stream after the other."""

    def __init__(self, endpoint: Endpoint, plan: Plan) -> None:
        body = json.dumps(stream_body(endpoint, plan.events, plan.apart_ms)).encode()
        headers = {"host": "localhost", "content-type": "application/json", "content-length": str(len(body)), **endpoint.headers}
        lines = [f"POST {PATH} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        self._request = "\r\n".join(lines).encode() + body
        self._apart_s = plan.apart_ms / 1000
        self._transport: asyncio.Transport | None = None
        self._over: asyncio.Future[None] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self.stream = Stream()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self) -> "asyncio.Future[None]":
        """Ask for one stream; done when it has ended, however it did."""
        assert self._transport
        self.stream, self._rest = Stream(), b""
        self._over = over = asyncio.get_running_loop().create_future()
        self._sent = time.monotonic()
        self._transport.write(self._request)
        return over

    def is_closed(self) -> bool:
        return not self._transport or self._transport.is_closing()

    def close(self) -> None:
        if self._transport:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._now = time.monotonic()
        self._parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        whole, _, self._rest = (self._rest + data).rpartition(b"\n")
        since = self._now - self._sent
        stream = self.stream
        for found in _EVENT.finditer(whole):
            if stream.first_s is None:
                stream.first_s = since
            stream.events += 1
            stream.late_s = max(stream.late_s, since - int(found[1]) * self._apart_s)

    def on_message_complete(self) -> None:
        self.stream.ended = True
        self._finish()

    def connection_lost(self, _: Exception | None) -> None:
        self._finish()

    def _finish(self) -> None:
        if self._over and not self._over.done():
            self._over.set_result(None)


async def connect(endpoint: Endpoint, plan: Plan) -> Connection:
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: Connection(endpoint, plan), "127.0.0.1", endpoint.port)
    return connection


async def open_at_once(endpoint: Endpoint, plan: Plan, count: int, within_s: float) -> list[Stream]:
    """`count` streams, all opened as fast as we can; those not at their end after `within_s` are cut."""
    connections: list[Connection] = []

    async def one() -> None:
        connection = await connect(endpoint, plan)
        connections.append(connection)
        await connection.send()

    tasks = [asyncio.create_task(one()) for _ in range(count)]
    await asyncio.wait(tasks, timeout=within_s)
    for task in tasks:
        task.cancel()
    for connection in connections:
        connection.close()
    await asyncio.gather(*tasks, return_exceptions=True)
    seen = [connection.stream for connection in connections]
    return seen + [Stream() for _ in range(count - len(seen))]
