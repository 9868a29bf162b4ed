"""The mock vendor for streams: `python -m benchmarks.gateway.stream_vendor PORT`.

What is streamed stands in the prompt ("50 events, 100 ms apart"), so that it passes every gateway; each event carries its number as text,
so that whoever receives it knows when it was due. The first event leaves at once, each event in a write of its own.
"""

import asyncio
import json
import re
import sys
from typing import cast

import uvloop

_ASKED = re.compile(rb"(\d+) events, (\d+) ms apart")
_LENGTH = re.compile(rb"content-length: *(\d+)", re.I)
_USAGE = re.compile(rb'"include_usage": *true')
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_END = b"data: [DONE]\n\n"
_SAME = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini-2024-07-18"}


def prompt(events: int, apart_ms: int) -> str:
    return f"{events} events, {apart_ms} ms apart"


class Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, ended, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if ended and len(body) >= (int(length[1]) if length else 0):
            self._received = b""
            asked = _ASKED.search(body)
            if asked:
                self._stream(int(asked[1]), int(asked[2]) / 1000, usage=bool(_USAGE.search(body)))
            else:
                self._transport.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")

    def _stream(self, events: int, apart_s: float, *, usage: bool) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._transport.write(_HEAD)

        def send(number: int) -> None:
            if self._transport.is_closing():
                return
            self._transport.write(_chunk(_EVENT % number))
            if number + 1 < events:
                loop.call_at(began + (number + 1) * apart_s, send, number + 1)
            else:
                self._transport.write(_chunk(_last(events, usage=usage)) + _chunk(_END) + b"0\r\n\r\n")

        send(0)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _data(**fields: object) -> bytes:
    return b"data: " + json.dumps({**_SAME, **fields}, separators=(",", ":")).encode() + b"\n\n"


def _last(events: int, *, usage: bool) -> bytes:
    finish = _data(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
    counts = {"prompt_tokens": 9, "completion_tokens": events, "total_tokens": 9 + events}
    return finish + (_data(choices=[], usage=counts) if usage else b"")


_EVENT = _data(choices=[{"index": 0, "delta": {"content": " %d"}, "finish_reason": None}])


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
