"""The upstream client: every way in which an answer can be framed, broken off or abused, and what the relay is told of it."""

import asyncio
import contextlib
import socket
import struct
import sys
import time

import pytest

from byok.gateway.http1 import Http1Upstream
from byok.gateway.upstream import Broken, Outgoing, Silent, Unreachable
from tests.vendor import LoopbackVendor, Reply


def outgoing(url, body=b'{"model":"m"}', method="POST", headers=((b"x-one", b"1"),), query=b""):
    return Outgoing(method=method, url=url, query=query, headers=list(headers), body=body)


async def exchange(client, request):
    """Status, headers, body, and how it ended: None or the exception's type."""
    answer = await client.send(request)
    parts = []
    try:
        while data := await answer.read():
            parts.append(data)
        return answer.status, dict(answer.headers), b"".join(parts), None
    except (Broken, Silent) as fault:
        return answer.status, dict(answer.headers), b"".join(parts), type(fault)
    finally:
        answer.close()


def run(script, *requests, silence_s=5.0, **options):
    """Send requests one after the other; their outcomes and the vendor."""

    async def all_of_them(vendor):
        client = Http1Upstream(silence_s=silence_s, **options)
        try:
            return [
                await exchange(client, request if isinstance(request, Outgoing) else outgoing(vendor.url + request)) for request in requests
            ]
        finally:
            await client.close()

    with LoopbackVendor(script) as vendor:
        return asyncio.run(all_of_them(vendor)), vendor


def raw(text: bytes, **options) -> Reply:
    return Reply(raw=text, **options)


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_every_framing_gives_the_same_body(framing):
    body = bytes(range(256)) * 500
    ((status, _, got, fault),), _ = run(Reply(body=body, framing=framing, length=len(body) if framing == "length" else None), "/v1/x")
    assert (status, got, fault) == (200, body, None)


def test_the_request_arrives_as_it_was_given():
    request_headers = [(b"x-one", b"1"), (b"x-one", b"2"), (b"x-bytes", b"\xff\xfe caf\xc3\xa9")]

    async def send(vendor):
        client = Http1Upstream(silence_s=5)
        request = outgoing(vendor.url + "/v1/a%2Fb", body=b"\x00\x01 body", headers=request_headers, query=b"alt=sse&x=%20")
        await exchange(client, request)
        await client.close()

    with LoopbackVendor(Reply()) as vendor:
        asyncio.run(send(vendor))
    (seen,) = vendor.seen
    assert (seen.method, seen.target, seen.body) == ("POST", "/v1/a%2Fb?alt=sse&x=%20", b"\x00\x01 body")
    assert [(n, v) for n, v in seen.headers if n.startswith("x-")] == [(n.decode(), v.decode("latin-1")) for n, v in request_headers]
    assert seen.header("host") == vendor.url.removeprefix("http://")
    assert seen.header("content-length") == "7"


def test_connections_are_used_again():
    outcomes, vendor = run(Reply(body=b"{}"), *["/v1/x"] * 5)
    assert [outcome[3] for outcome in outcomes] == [None] * 5
    assert vendor.connections == 1


def test_a_connection_that_says_close_is_not_used_again():
    _, vendor = run(Reply(body=b"{}", headers=(("connection", "close"),)), "/a", "/b")
    assert vendor.connections == 2


def test_trailers_are_no_headers():
    text = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n"
    ((_, headers, body, fault),), _ = run(raw(text), "/x")
    assert (body, fault) == (b"ok", None)
    assert b"x-sum" not in headers


def test_trailers_are_told_apart():
    text = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n"

    async def send(vendor):
        client = Http1Upstream(silence_s=5)
        answer = await client.send(outgoing(vendor.url))
        while await answer.read():
            pass
        answer.close()
        await client.close()
        return list(answer.trailers)

    with LoopbackVendor(raw(text)) as vendor:
        assert asyncio.run(send(vendor)) == [(b"x-sum", b"7")]


def test_endless_trailers_break_the_answer_off():
    text = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n" + b"x-sum: 7\r\n" * 20_000
    ((_, _, body, fault),), _ = run(raw(text), "/x")
    assert (body, fault) == (b"ok", Broken)


def test_an_announcement_before_the_answer_is_passed_over():
    text = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nok"
    ((status, headers, body, fault),), _ = run(raw(text), "/x")
    assert (status, body, fault) == (201, b"ok", None)
    assert b"link" not in headers


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body_end_at_once(status):
    ((got, _, body, fault),), _ = run(raw(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % status), "/x")
    assert (got, body, fault) == (status, b"", None)


def test_the_answer_to_head_has_a_length_and_no_body():
    async def send(vendor):
        client = Http1Upstream(silence_s=2)
        outcome = await exchange(client, outgoing(vendor.url + "/x", body=b"", method="HEAD"))
        await client.close()
        return outcome

    with LoopbackVendor(Reply(body=b"", framing="length", length=500, then="hang")) as vendor:
        assert asyncio.run(send(vendor))[2:] == (b"", None)


@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        b"HTTP/1.1 99 Low\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 700 High\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x-long: " + b"y" * 70_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x00\xa5\x01\x00\x00",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nno size\r\n",
    ],
    ids=["length and chunks", "two lengths", "99", "700", "101", "ssh", "long head", "tls", "no chunk"],
)
def test_what_is_no_proper_answer_is_no_answer(text):
    with pytest.raises(Unreachable):
        run(raw(text), "/x")


@pytest.mark.parametrize("then", ["reset", "close"])
def test_an_answer_that_breaks_off_gives_its_bytes_first(then):
    ((status, _, body, fault),), _ = run(Reply(body=b"half of it", framing="length", length=100, then=then), "/x")
    assert (status, body, fault) == (200, b"half of it", Broken)


def test_a_bad_chunk_breaks_the_answer_off():
    text = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n"
    ((_, _, body, fault),), _ = run(raw(text), "/x")
    assert (body, fault) == (b"ok", Broken)


def test_nobody_there_is_unreachable():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(Unreachable):
        run(Reply(), outgoing(f"http://127.0.0.1:{port}/x"))


def test_a_vendor_that_hangs_up_before_its_answer_is_unreachable_and_not_asked_again():
    with LoopbackVendor(Reply(raw=b"", then="close")) as vendor, pytest.raises(Unreachable):
        asyncio.run(exchange(Http1Upstream(silence_s=5), outgoing(vendor.url + "/x")))
    assert len(vendor.seen) == 1, "it may have been processed, and billed"


def reset(end):
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()


@contextlib.contextmanager
def used_connection():
    """A client that has had one answer, the vendor's end of its connection, and where the vendor listens: all in this one thread, so that
    the client sees what the vendor does only when it waits for something."""
    with socket.create_server(("127.0.0.1", 0)) as listening, contextlib.ExitStack() as stack:
        listening.setblocking(False)
        client = Http1Upstream(silence_s=5)

        async def open_one():
            asking = asyncio.create_task(exchange(client, outgoing(url)))
            ended = stack.enter_context((await loop.sock_accept(listening))[0])
            await answer_one(ended)
            assert (await asking)[0] == 200
            return ended

        url = f"http://127.0.0.1:{listening.getsockname()[1]}/x"
        loop = stack.enter_context(contextlib.closing(asyncio.new_event_loop()))
        yield loop, client, url, loop.run_until_complete(open_one()), listening


async def answer_one(connection):
    loop, got = asyncio.get_running_loop(), b""
    while not got.endswith((b'{"model":"m"}', b"\r\n\r\n")) or got.count(b"\r\n\r\n") == 0:
        got += await loop.sock_recv(connection, 65536)
    await loop.sock_sendall(connection, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells how much has arrived")
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_vendor_that_closed_before_a_request_came_gets_it_over_a_new_connection(method):
    with used_connection() as (loop, client, url, vendor_end, listening):

        async def again():
            vendor_end.close()  # the client cannot know of it yet
            asking = asyncio.create_task(exchange(client, outgoing(url, method=method)))
            with (await asyncio.wait_for(loop.sock_accept(listening), 5))[0] as fresh:
                await answer_one(fresh)
                return await asking

        assert loop.run_until_complete(again())[0] == 200


@pytest.mark.parametrize("ending", [socket.socket.close, lambda end: end.shutdown(socket.SHUT_WR), reset])
def test_a_post_that_arrived_is_not_sent_again(ending):
    with used_connection() as (loop, client, url, vendor_end, listening):

        async def again():
            asking = asyncio.create_task(exchange(client, outgoing(url)))
            await loop.sock_recv(vendor_end, 65536)
            ending(vendor_end)
            with pytest.raises(Unreachable):
                await asking
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(loop.sock_accept(listening), 0.1)

        loop.run_until_complete(again())


def test_what_only_reads_is_asked_for_again():
    with used_connection() as (loop, client, url, vendor_end, listening):

        async def again():
            asking = asyncio.create_task(exchange(client, outgoing(url, method="GET", body=b"")))
            await loop.sock_recv(vendor_end, 65536)
            reset(vendor_end)
            with (await asyncio.wait_for(loop.sock_accept(listening), 5))[0] as fresh:
                await answer_one(fresh)
                return await asking

        assert loop.run_until_complete(again())[0] == 200


def test_silence_before_the_answer_and_within_it():
    started = time.monotonic()
    with pytest.raises(Silent):
        run(Reply(delay_s=30), "/x", silence_s=0.3)
    ((_, _, body, fault),), _ = run(Reply(body=b"half", framing="length", length=100, then="hang"), "/x", silence_s=0.3)
    assert (body, fault) == (b"half", Silent)
    assert time.monotonic() - started < 5


def test_pieces_arrive_as_they_come():
    async def moments(vendor):
        client = Http1Upstream(silence_s=5)
        answer = await client.send(outgoing(vendor.url + "/x"))
        found = []
        while data := await answer.read():
            found.append((data, time.monotonic()))
        answer.close()
        await client.close()
        return found

    with LoopbackVendor(Reply(body=[b"one", b"two", b"three"], between_s=0.2, framing="chunked")) as vendor:
        found = asyncio.run(moments(vendor))
    assert [data for data, _ in found] == [b"one", b"two", b"three"]
    assert found[-1][1] - found[0][1] > 0.3


def test_leaving_tells_the_vendor_at_once():
    async def leave(vendor):
        client = Http1Upstream(silence_s=60)
        answer = await client.send(outgoing(vendor.url + "/x"))
        await answer.read()
        answer.close()
        left = time.monotonic()
        while not vendor.seen[0].gone:
            assert time.monotonic() - left < 1
            await asyncio.sleep(0.01)
        await client.close()

    with LoopbackVendor(Reply(body=[b"x"] * 1000, between_s=0.02, framing="chunked")) as vendor:
        asyncio.run(leave(vendor))


def test_a_cancelled_call_tells_the_vendor_at_once():
    async def cancel(vendor):
        client = Http1Upstream(silence_s=60)
        task = asyncio.create_task(client.send(outgoing(vendor.url + "/x")))
        while not vendor.seen:
            await asyncio.sleep(0.01)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        left = time.monotonic()
        while not vendor.seen[0].gone:
            assert time.monotonic() - left < 1
            await asyncio.sleep(0.01)
        await client.close()

    with LoopbackVendor(Reply(delay_s=30)) as vendor:
        asyncio.run(cancel(vendor))


def test_a_client_that_does_not_read_holds_the_vendor_back():
    """64 MB wait on the vendor's side, not in our memory."""

    async def hold(vendor):
        client = Http1Upstream(silence_s=60)
        answer = await client.send(outgoing(vendor.url + "/x"))
        await asyncio.sleep(0.5)
        first = await answer.read()
        total = len(first)
        while data := await answer.read():
            total += len(data)
        answer.close()
        await client.close()
        return len(first), total

    body = b"x" * (64 << 20)
    with LoopbackVendor(Reply(body=body, framing="length", length=len(body))) as vendor:
        first, total = asyncio.run(hold(vendor))
    assert total == len(body)
    assert first < 2 << 20


def test_a_large_body_goes_out_whole():
    body = bytes(range(256)) * (20 << 12)

    async def send(vendor):
        client = Http1Upstream(silence_s=5)
        outcome = await exchange(client, outgoing(vendor.url + "/x", body=body))
        await client.close()
        return outcome

    with LoopbackVendor(Reply()) as vendor:
        assert asyncio.run(send(vendor))[0] == 200
    assert vendor.seen[0].body == body


def test_bytes_that_nobody_asked_for_end_the_connection():
    reply = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nstolen")
    outcomes, _ = run(reply, "/a", "/b")
    assert [outcome[2] for outcome in outcomes] == [b"ok", b"ok"]


def test_an_idle_connection_does_not_outlive_its_time(monkeypatch):
    monkeypatch.setattr("byok.gateway.http1.IDLE_S", 0.2)

    async def twice(vendor):
        client = Http1Upstream(silence_s=5)
        await exchange(client, outgoing(vendor.url + "/a"))
        await asyncio.sleep(0.5)
        await exchange(client, outgoing(vendor.url + "/b"))
        await client.close()

    with LoopbackVendor(Reply()) as vendor:
        asyncio.run(twice(vendor))
    assert vendor.connections == 2
