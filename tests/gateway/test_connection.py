"""The server's side of HTTP/1.1: how requests may arrive, how answers are framed, and what becomes of a connection."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from byok.gateway import connection
from byok.gateway.run import server
from byok.gateway.sent import SENT

Serve = Callable[[Any], Any]
ASK = b"POST /a?b=c HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi"
END = b"0\r\n\r\n"


class App:
    """Answers every request as the test says, and keeps what it was told."""

    def __init__(self, answer: Callable[..., Awaitable[None]]) -> None:
        self.answer = answer
        self.scopes: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.ends: list[str] = []

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": message["type"] + ".complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        self.scopes.append(scope)
        await self.answer(self, receive, send)

    async def body(self, receive: Any) -> bytes:
        pieces = []
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.ends.append("gone")
                return b"".join(pieces)
            pieces.append(message["body"])
            if not message["more_body"]:
                self.bodies.append(b"".join(pieces))
                return self.bodies[-1]


async def say(send: Any, *pieces: bytes, status: int = 200, headers: Any = (), more: bool = False) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    for number, piece in enumerate(pieces, 1):
        await send({"type": "http.response.body", "body": piece, "more_body": more or number < len(pieces)})


async def echo(app: App, receive: Any, send: Any) -> None:
    body = await app.body(receive)
    await say(send, body, headers=[(b"content-length", b"%d" % len(body))])


@contextlib.contextmanager
def serving(answer: Callable[..., Awaitable[None]]) -> Iterator[tuple[App, Callable[[], socket.socket], Any]]:
    app = App(answer)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    uvicorn = server(app, grace_s=3)
    thread = threading.Thread(target=lambda: uvicorn.run(sockets=[listener]))
    thread.start()
    try:
        yield app, lambda: socket.create_connection(listener.getsockname(), timeout=10), uvicorn
    finally:
        uvicorn.should_exit = True
        thread.join(10)


def until(line: socket.socket, mark: bytes) -> bytes:
    """What comes up to `mark`, or to the end of the connection."""
    found = bytearray()
    while not found.endswith(mark):
        if not (piece := line.recv(65536)):
            return bytes(found) + b"<closed>"
        found += piece
    return bytes(found)


def to_the_end(line: socket.socket) -> bytes:
    return until(line, b"<never>")


def test_a_request_is_told_as_asgi_wants_it() -> None:
    with serving(echo) as (app, connect, _), connect() as line:
        line.sendall(b"POST /a%20b?c=%20d HTTP/1.1\r\nHost: x\r\nX-Two: 1\r\nx-two: 2\r\ncontent-length: 2\r\n\r\nhi")
        assert until(line, b"hi") == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
    (scope,) = app.scopes
    assert (scope["method"], scope["path"], scope["raw_path"], scope["query_string"]) == ("POST", "/a b", b"/a%20b", b"c=%20d")
    assert [pair for pair in scope["headers"] if pair[0] == b"x-two"] == [(b"x-two", b"1"), (b"x-two", b"2")]
    assert scope["client"][0] == "127.0.0.1" and scope["http_version"] == "1.1"


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nHost: y\r\n",
        b"POST /\r\nHost: x\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n",
        b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n",
    ],
)
def test_what_two_servers_could_take_for_two_requests_is_refused(head: bytes) -> None:
    body = b"content-length: 2\r\n\r\nhi" if b"Encoding" not in head else b"\r\n2\r\nhi\r\n0\r\n\r\n"
    with serving(echo) as (app, connect, _), connect() as line:
        line.sendall(head + body)
        assert to_the_end(line).startswith(b"HTTP/1.1 400 ")
    assert not app.scopes


@pytest.mark.parametrize(("size", "pieces"), [(65_600, 1), (200_000, 5)])
def test_headers_that_are_too_large_are_called_so(size: int, pieces: int) -> None:
    head = b"GET / HTTP/1.1\r\nhost: x\r\nx-large: " + b"a" * size + b"\r\n\r\n"
    each = -(-len(head) // pieces)
    with serving(echo) as (app, connect, _), connect() as line:
        for at in range(0, len(head), each):
            with contextlib.suppress(ConnectionError):  # it may have heard enough
                line.sendall(head[at : at + each])
            time.sleep(0.05)
        answer = to_the_end(line)
    assert answer.startswith(b"HTTP/1.1 431 ") and b"headers_too_large" in answer
    assert not app.scopes


def test_headers_that_repeat_are_read_once_and_others_anew() -> None:
    with serving(echo) as (app, connect, _), connect() as line:
        for body, token in ((b"hi", b"a"), (b"hello", b"a"), (b"hello", b"b"), (b"hi", b"a")):
            line.sendall(b"POST / HTTP/1.1\r\nhost: x\r\nauthorization: %b\r\ncontent-length: %d\r\n\r\n%b" % (token, len(body), body))
            until(line, body)
    first, longer, other, again = (scope[SENT] for scope in app.scopes)
    assert first is longer and other is not first and again is not other
    assert [dict(scope[SENT].pairs)[b"authorization"] for scope in app.scopes] == [b"a", b"a", b"b", b"a"]
    assert [dict(scope["headers"])[b"content-length"] for scope in app.scopes] == [b"2", b"5", b"5", b"2"]


def test_a_whole_address_is_a_path() -> None:
    with serving(echo) as (app, connect, _), connect() as line:
        line.sendall(b"POST http://x/a/b?c HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi")
        until(line, b"hi")
    assert (app.scopes[0]["raw_path"], app.scopes[0]["query_string"]) == (b"/a/b", b"c")


def test_requests_in_one_piece_are_answered_one_after_the_other() -> None:
    running: list[int] = []

    async def slowly(app: App, receive: Any, send: Any) -> None:
        running.append(1)
        assert len(running) == 1, "one at a time"
        body = await app.body(receive)
        await asyncio.sleep(0.02)
        running.clear()
        await say(send, body, headers=[(b"content-length", b"%d" % len(body))])

    with serving(slowly) as (app, connect, _), connect() as line:
        line.sendall(b"".join(ASK[:-2] + b"%02d" % number for number in range(20)))
        assert until(line, b"19").count(b"HTTP/1.1 200 OK") == 20
    assert app.bodies == [b"%02d" % number for number in range(20)]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_request_may_come_in_pieces_and_in_chunks(size: int) -> None:
    whole = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nx-sum: 7\r\n\r\n"
    with serving(echo) as (app, connect, _), connect() as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(whole), size):
            line.sendall(whole[at : at + size])
            time.sleep(0.001)
        assert until(line, b"hello world").startswith(b"HTTP/1.1 200")
    assert not any(name == b"x-sum" for name, _ in app.scopes[0]["headers"])


def test_100_continue_is_said_when_the_body_is_wanted() -> None:
    with serving(echo) as (_, connect, _), connect() as line:
        line.sendall(b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        assert until(line, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        line.sendall(b"hi")
        assert until(line, b"hi").startswith(b"HTTP/1.1 200 OK")


def test_a_large_body_waits_in_the_kernel_until_it_is_wanted() -> None:
    async def late(app: App, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.3)
        await say(send, b"%d" % len(await app.body(receive)), headers=[])

    with serving(late) as (_, connect, _), connect() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        line.setblocking(False)
        line.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 50000000\r\n\r\n")
        sent, deadline = 0, time.monotonic() + 0.2
        while time.monotonic() < deadline:
            with contextlib.suppress(BlockingIOError):
                sent += line.send(b"x" * 65536)
        assert sent < 20_000_000, "the server read on though nobody wanted it"
        line.setblocking(True)
        line.sendall(b"x" * (50_000_000 - sent))
        assert b"50000000" in until(line, END)


def test_a_stream_is_chunked_and_its_head_does_not_wait_for_it() -> None:
    go = threading.Event()

    async def stream(app: App, receive: Any, send: Any) -> None:
        await app.body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        while not go.is_set():
            await asyncio.sleep(0.01)
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    with serving(stream) as (_, connect, _), connect() as line:
        line.sendall(ASK)
        assert until(line, b"\r\n\r\n") == b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n"
        go.set()
        assert until(line, END) == b"3\r\none\r\n" + END


def test_trailers_follow_the_body() -> None:
    async def stream(app: App, receive: Any, send: Any) -> None:
        await app.body(receive)
        await say(send, b"one", more=True)
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"7")]})

    with serving(stream) as (_, connect, _), connect() as line:
        line.sendall(ASK * 2)
        assert until(line, b"x-sum: 7\r\n\r\n").endswith(b"3\r\none\r\n0\r\nx-sum: 7\r\n\r\n")


def test_http_1_0_gets_no_chunks_and_the_end_of_the_connection() -> None:
    async def stream(app: App, receive: Any, send: Any) -> None:
        await app.body(receive)
        await say(send, b"one", b"two")

    with serving(stream) as (_, connect, _), connect() as line:
        line.sendall(ASK.replace(b"1.1", b"1.0"))
        assert to_the_end(line) == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nonetwo<closed>"


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", 200), (b"POST", 204), (b"POST", 304)])
def test_answers_without_a_body_have_none(method: bytes, status: int) -> None:
    async def answer(app: App, receive: Any, send: Any) -> None:
        await app.body(receive)
        await say(send, b"nothing of this", status=status, headers=[(b"content-length", b"15")] if status == 200 else [])

    with serving(answer) as (_, connect, _), connect() as line:
        line.sendall(ASK.replace(b"POST", method))
        assert until(line, b"\r\n\r\n").startswith(b"HTTP/1.1 %d " % status)
        line.sendall(ASK.replace(b"POST", method))
        assert until(line, b"\r\n\r\n").startswith(b"HTTP/1.1 %d " % status), "nothing came between, and the connection serves on"


def test_a_client_that_says_close_gets_it() -> None:
    with serving(echo) as (_, connect, _), connect() as line:
        line.sendall(ASK.replace(b"host: x", b"host: x\r\nconnection: close"))
        assert to_the_end(line) == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi<closed>"


@pytest.mark.parametrize("promised", [5, 1])
def test_a_length_that_does_not_hold_ends_the_connection(promised: int) -> None:
    async def lie(app: App, receive: Any, send: Any) -> None:
        await app.body(receive)
        await say(send, b"two", headers=[(b"content-length", b"%d" % promised)])

    with serving(lie) as (_, connect, _), connect() as line:
        line.sendall(ASK)
        assert to_the_end(line).endswith(b"<closed>")


def test_an_answer_without_its_end_is_broken_off() -> None:
    async def half(app: App, receive: Any, send: Any) -> None:
        await app.body(receive)
        await say(send, b"one", more=True)

    with serving(half) as (_, connect, _), connect() as line:
        line.sendall(ASK)
        assert to_the_end(line).endswith(b"3\r\none\r\n<closed>")


def test_a_line_break_in_a_header_is_never_written() -> None:
    async def split(app: App, receive: Any, send: Any) -> None:
        await app.body(receive)
        with pytest.raises(ValueError, match="line break"):
            await say(send, b"one", headers=[(b"x-a", b"1\r\nx-b: 2")])
        app.ends.append("refused")

    with serving(split) as (app, connect, _), connect() as line:
        line.sendall(ASK)
        assert to_the_end(line) == b"<closed>"
    assert app.ends == ["refused"]


def test_a_client_that_leaves_is_noticed() -> None:
    left = threading.Event()

    async def wait(app: App, receive: Any, send: Any) -> None:
        await app.body(receive)
        assert (await receive())["type"] == "http.disconnect"
        await say(send, b"into the void")
        left.set()

    with serving(wait) as (_, connect, _):
        with connect() as line:
            line.sendall(ASK)
            time.sleep(0.05)
        assert left.wait(5)


def test_a_client_that_reads_nothing_holds_the_app_back() -> None:
    sent = [0]

    async def pour(app: App, receive: Any, send: Any) -> None:
        await app.body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            sent[0] += 65536
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    with serving(pour) as (_, connect, _), connect() as line:
        line.sendall(ASK)
        time.sleep(0.5)
        assert sent[0] < 20_000_000
        assert until(line, END).count(b"x") >= 65_536_000


def test_nothing_is_spoken_but_http() -> None:
    with serving(echo) as (app, connect, _):
        with connect() as line:
            line.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n")
            assert until(line, b"\r\n\r\n").startswith(b"HTTP/1.1 200")
        with connect() as line:
            line.sendall(b"\x16\x03\x01 hello\r\n\r\n")
            assert to_the_end(line).startswith(b"HTTP/1.1 400")
    assert len(app.scopes) == 1


UPGRADE = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMA\r\n"


@pytest.mark.parametrize(("size", "after"), [(1, b""), (7, b""), (999, b""), (999, ASK), (999, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")])
@pytest.mark.parametrize(
    "body",
    [
        b"content-length: 5\r\n\r\nhello",
        b"transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        b"content-length: 0\r\n\r\n",
        b"\r\n",
    ],
)
def test_a_request_that_asks_for_another_protocol_is_answered_with_its_body(size: int, body: bytes, after: bytes) -> None:
    with serving(echo) as (app, connect, _), connect() as line:
        asked = UPGRADE + body + after
        for at in range(0, len(asked), size):
            line.sendall(asked[at : at + size])
        answer = to_the_end(line)
    said = b"hello" if b"he" in body else b""
    assert answer == b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b<closed>" % (len(said), said)
    assert app.bodies == [said]


def test_a_body_behind_an_upgrade_that_is_none_is_refused() -> None:
    with serving(echo) as (app, connect, _), connect() as line:
        line.sendall(UPGRADE + b"transfer-encoding: chunked\r\n\r\nxyz\r\n")
        assert to_the_end(line).startswith(b"HTTP/1.1 400 ")
    assert app.bodies == []


def test_an_idle_connection_is_closed_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "TICK_S", 0.05)
    monkeypatch.setattr("byok.gateway.run.KEEP_ALIVE_S", 0.2)
    with serving(echo) as (_, connect, _), connect() as line:
        line.sendall(ASK)
        until(line, b"hi")
        started = time.monotonic()
        assert to_the_end(line) == b"<closed>"
        assert time.monotonic() - started > 0.1


def test_a_stop_lets_the_open_call_end_and_takes_no_other() -> None:
    async def slowly(app: App, receive: Any, send: Any) -> None:
        body = await app.body(receive)
        await asyncio.sleep(0.5)
        await say(send, body, headers=[(b"content-length", b"%d" % len(body))])

    with serving(slowly) as (_, connect, uvicorn), connect() as line, connect() as idle:
        idle.sendall(b"")
        line.sendall(ASK)
        time.sleep(0.1)
        uvicorn.should_exit = True
        assert to_the_end(idle) == b"<closed>"
        assert to_the_end(line) == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi<closed>"
