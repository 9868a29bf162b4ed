"""The client towards vendors: what it refuses, what it never does, what becomes of the bytes."""

import asyncio
import ipaddress
import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from byok.gateway.http1 import Http1Upstream
from byok.gateway.upstream import Broken, Outgoing, Unreachable
from tests.vendor import LoopbackVendor, Reply


def request(url: str, body: bytes = b"{}", headers: list[tuple[bytes, bytes]] | None = None) -> Outgoing:
    return Outgoing("POST", url, b"", headers or [], body)


async def whole(upstream: Http1Upstream, outgoing: Outgoing) -> tuple[int, bytes]:
    try:
        answer = await upstream.send(outgoing)
        found = b""
        while piece := await answer.read():
            found += piece
        answer.close()
        return answer.status, found
    finally:
        await upstream.close()


def test_nothing_is_added_to_a_request() -> None:
    with LoopbackVendor(Reply()) as vendor:
        headers = [(b"x-a", b"1"), (b"x-a", b"2"), (b"x-utf8", "ä".encode())]
        asyncio.run(whole(Http1Upstream(silence_s=5), Outgoing("POST", vendor.url + "/v1/x%20y", b"a=%2F&b", headers, b"{}")))
        [seen] = vendor.seen
    assert seen.target == "/v1/x%20y?a=%2F&b"
    sent = [pair for pair in seen.headers if pair[0] != "host"]
    assert sent == [("x-a", "1"), ("x-a", "2"), ("x-utf8", "ä".encode().decode("latin-1")), ("content-length", "2")]


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 3_000_000])
def test_a_body_of_any_size_arrives_with_its_length(size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    with LoopbackVendor(Reply()) as vendor:
        asyncio.run(whole(Http1Upstream(silence_s=5), request(vendor.url, body)))
        [seen] = vendor.seen
    assert seen.body == body
    assert seen.header("content-length") == str(size)
    assert seen.header("transfer-encoding") is None


def test_a_new_line_in_a_header_is_never_sent() -> None:
    with LoopbackVendor(Reply()) as vendor:
        with pytest.raises(Unreachable):
            asyncio.run(whole(Http1Upstream(silence_s=5), request(vendor.url, headers=[(b"x", b"a\r\nx-injected: 1")])))
        assert vendor.seen == []


@pytest.mark.parametrize(
    "raw", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 999 X\r\ncontent-length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n"]
)
def test_what_is_no_answer_is_unreachable(raw: bytes) -> None:
    with LoopbackVendor(Reply(raw=raw)) as vendor:
        with pytest.raises(Unreachable):
            asyncio.run(whole(Http1Upstream(silence_s=5), request(vendor.url)))
        assert len(vendor.seen) == 1


def test_a_connection_that_takes_too_long_is_unreachable() -> None:
    began = time.monotonic()
    with pytest.raises(Unreachable):
        asyncio.run(whole(Http1Upstream(silence_s=60, connect_s=0.3), request("http://192.0.2.1:9/")))
    assert time.monotonic() - began < 3


def test_what_arrived_before_a_reset_is_not_lost() -> None:
    async def story(url: str) -> bytes:
        upstream = Http1Upstream(silence_s=5)
        answer = await upstream.send(request(url))
        await asyncio.sleep(0.3)  # the bytes and the reset are both here before the first read
        found = b""
        try:
            while piece := await answer.read():
                found += piece
        except Broken:
            pass
        answer.close()
        await upstream.close()
        return found

    with LoopbackVendor(Reply(body=[b"one", b"two"], then="reset")) as vendor:
        assert asyncio.run(story(vendor.url)) == b"onetwo"


def test_connections_are_kept_and_cookies_are_not() -> None:
    async def story(url: str) -> None:
        upstream = Http1Upstream(silence_s=5)
        for _ in range(3):
            answer = await upstream.send(request(url))
            while await answer.read():
                pass
            answer.close()
        await upstream.close()

    with LoopbackVendor(Reply(headers=[("set-cookie", "a=b; Path=/")])) as vendor:
        asyncio.run(story(vendor.url))
        assert vendor.connections == 1
        assert [seen.header("cookie") for seen in vendor.seen] == [None] * 3


@pytest.mark.parametrize("name", ["expired", "of another host", "of an unknown maker"])
def test_a_certificate_that_is_not_right_gets_nothing(tmp_path: Path, name: str) -> None:
    """And no second try without encryption."""
    context = _certificate(tmp_path, expired=name == "expired", host="example.org" if name == "of another host" else "127.0.0.1")
    got = []

    async def story() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            got.append(await reader.read(100))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        upstream = Http1Upstream(silence_s=5)
        if name != "of an unknown maker":
            upstream._trust().load_verify_locations(tmp_path / "cert.pem")
        with pytest.raises(Unreachable):
            await whole(upstream, request(f"https://127.0.0.1:{port}/", headers=[(b"authorization", b"Bearer sk-secret")]))
        server.close()

    asyncio.run(story())
    assert got == []


def _certificate(directory: Path, *, expired: bool, host: str) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vendor")])
    began = datetime.now(UTC) - timedelta(days=10)
    alternative: x509.GeneralName = x509.DNSName(host) if host[0].isalpha() else x509.IPAddress(ipaddress.ip_address(host))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(began)
        .not_valid_after(began + timedelta(days=1 if expired else 100))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (directory / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (directory / "key.pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    return context
