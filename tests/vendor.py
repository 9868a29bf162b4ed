"""A vendor on loopback whose every byte a test decides: status, headers, pieces, pauses, resets. It keeps a ledger.

    with LoopbackVendor(Reply(body=b'{"ok": true}')) as vendor:
        ...                       # send calls to vendor.url
        vendor.seen[0].header("authorization")

It runs in a thread of its own, so tests may block.
"""

import asyncio
import contextlib
import json
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

JSON = ("content-type", "application/json")
SSE = ("content-type", "text/event-stream")


@dataclass
class Seen:
    """One request as it arrived. Header names in lower case, in order."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    at: float = field(default_factory=time.monotonic)
    ended: float | None = None  # when the exchange was over, for whatever reason
    gone: bool = False  # the other side left before the end

    def header(self, name: str) -> str | None:
        return next((value for found, value in self.headers if found == name), None)


@dataclass(frozen=True)
class Reply:
    """What a request gets. `body` in pieces is sent piece by piece, `between_s` apart; then the exchange ends as `then` says.

    `framing`: how the end is told; `length` replaces the true content-length. `raw` replaces status line, headers and body.
    `ledger` is written down, with fsync, before the last piece leaves.
    """

    status: int = 200
    headers: Sequence[tuple[str, str]] = (JSON,)
    body: bytes | Sequence[bytes] = b"{}"
    delay_s: float = 0.0
    between_s: float = 0.0
    framing: Literal["auto", "length", "chunked", "close"] = "auto"
    length: int | None = None
    then: Literal["end", "reset", "hang", "close"] = "end"
    raw: bytes | None = None
    ledger: dict[str, Any] | None = None

    @property
    def pieces(self) -> list[bytes]:
        return [self.body] if isinstance(self.body, bytes) else list(self.body)


class LoopbackVendor:
    """Answers each request with the reply that `script` makes of it; a plain `Reply` serves all. `seen`: the requests, oldest first."""

    def __init__(self, script: Reply | Callable[[Seen], Reply], *, ledger: Path | None = None) -> None:
        self.script = script
        self.seen: list[Seen] = []
        self.connections = 0
        self._ledger = os.open(ledger, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600) if ledger is not None else None
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._loop = asyncio.new_event_loop()
        self._running = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vendor", daemon=True)

    def __enter__(self) -> "LoopbackVendor":
        self._thread.start()
        self._running.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        if self._ledger is not None:
            os.close(self._ledger)

    def wait_until(self, holds: Callable[["LoopbackVendor"], bool], timeout_s: float = 60.0) -> bool:
        """Whether it comes true in time."""
        deadline = time.monotonic() + timeout_s
        while not holds(self):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, sock=self._socket, limit=2**20))
        self._loop.call_soon(self._running.set)
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, _Over):
            while True:
                seen = await _read_request(reader)
                self.seen.append(seen)
                reply = self.script(seen) if callable(self.script) else self.script
                try:
                    await self._answer(reply, reader, writer)
                except (ConnectionError, _Over):
                    seen.gone = reader.at_eof()
                    raise
                finally:
                    seen.ended = time.monotonic()
        writer.close()

    async def _answer(self, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _pause(reply.delay_s, reader)
        if reply.raw is not None:
            self._note(reply)
            writer.write(reply.raw)
            raise _Over
        pieces = reply.pieces
        framing = reply.framing if reply.framing != "auto" else ("length" if len(pieces) == 1 and reply.then == "end" else "chunked")
        head = [f"HTTP/1.1 {reply.status} X", *(f"{name}: {value}" for name, value in reply.headers)]
        if framing == "chunked":
            head.append("transfer-encoding: chunked")
        elif framing == "length":
            head.append(f"content-length: {sum(map(len, pieces)) if reply.length is None else reply.length}")
        writer.write("\r\n".join([*head, "", ""]).encode("latin-1"))
        for number, piece in enumerate(pieces):
            await _pause(reply.between_s, reader)
            if number == len(pieces) - 1:
                self._note(reply)
            if piece:
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if framing == "chunked" else piece)
                await writer.drain()
        await self._end(reply, framing, reader, writer)

    async def _end(self, reply: Reply, framing: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if reply.then == "hang":
            await _pause(3600, reader)
        if reply.then == "reset":
            await writer.drain()
            await asyncio.sleep(0.02)  # what was sent arrives before the reset overtakes it
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            raise _Over
        if reply.then == "close" or framing == "close":
            raise _Over
        if framing == "chunked":
            writer.write(b"0\r\n\r\n")
        await writer.drain()

    def _note(self, reply: Reply) -> None:
        if self._ledger is not None and reply.ledger is not None:
            os.write(self._ledger, json.dumps(reply.ledger).encode() + b"\n")
            os.fsync(self._ledger)


class _Over(Exception):
    """This connection is done with."""


async def _pause(seconds: float, reader: asyncio.StreamReader) -> None:
    """Wait, but no longer than the other side is there."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if reader.at_eof() or reader.exception() is not None:
            raise _Over
        await asyncio.sleep(min(left, 0.005))


async def _read_request(reader: asyncio.StreamReader) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ", 2)
    headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in head[1:] if line)]
    seen = Seen(method, target, headers, b"")
    if "chunked" in (seen.header("transfer-encoding") or ""):
        pieces = []
        while size := int((await reader.readline()).split(b";")[0], 16):
            pieces.append(await reader.readexactly(size))
            await reader.readline()
        await reader.readline()
        seen.body = b"".join(pieces)
    elif length := int(seen.header("content-length") or 0):
        seen.body = await reader.readexactly(length)
    return seen
