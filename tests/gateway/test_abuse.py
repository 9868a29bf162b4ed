"""The abuse list of HTTP, as far as it reaches the gateway: raw bytes in, a hostile vendor behind. Then a good call still works.

Ids are those of the recorded list (`security/http_abuse.json`), which the last test compares with, so that none is forgotten.
"""

import gzip
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.corpus import corpus
from tests.vendor import JSON, SSE, LoopbackVendor, Reply

CHAT = "/v1/chat/completions"
QUESTION = {"model": "gpt-4o-mini", "messages": []}
GOOD = json.dumps(QUESTION)
ELSEWHERE = {  # a test of another file, or why it is none of the gateway's
    "up-tls": "test_upstream.py::test_a_certificate_that_is_not_right_gets_nothing",
    "client-gone-before": "test_relay.py::test_a_client_that_leaves_while_an_answer_is_awaited_gets_its_row",
    "rst": "test_relay.py::test_a_client_that_leaves_while_an_answer_is_awaited_gets_its_row",
    "up-hang-mid": "test_relay.py::test_silence_in_mid_stream_ends_with_an_error_event_and_a_broken_answer",
    "up-partial-sse": "formats/test_samples.py::test_cut_in_two_at_every_byte",
    "up-redirect": "test_relay.py::test_a_redirect_is_relayed_and_not_followed",
    "up-cl-mismatch": "test_relay.py::test_a_lying_length_never_looks_like_success",
    "path-host": "test_routing.py::test_no_path_leads_elsewhere",
    "both-keys": "test_routing.py::test_two_credentials_that_contradict_are_refused",
    "vendor-cross": "test_routing.py::test_a_key_that_is_not_the_caller_s_for_this_vendor_is_never_sent",
    "auth-sqli": "test_routing.py::test_who_is_not_known_gets_one_and_the_same_401",
    "custom-vendor-url": "no user can save an address: vendors are the operator's, in byok.toml",
    "webhook-url": "alerts, not the gateway",
    "alert-flood": "alerts, not the gateway",
}


@pytest.fixture(autouse=True)
def the_service_lives(house: Any, vendor: LoopbackVendor) -> Iterator[None]:
    yield
    vendor.script = Reply(body=b'{"model": "gpt-4o-mini", "usage": {"prompt_tokens": 1, "completion_tokens": 1}}')
    before, booked = len(vendor.seen), len(house.records())
    assert httpx.post(house.url + CHAT, json=QUESTION, headers=house.bearer).status_code == 200
    assert (len(vendor.seen), len(house.wait_for_records(booked + 1))) == (before + 1, booked + 1)


class Raw:
    """A connection of our own to the gateway."""

    def __init__(self, house: Any) -> None:
        host, port = house.url.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=15)
        self.token = house.token

    def send(self, *lines: str, body: bytes = b"", end: str = "\r\n", signed: bool = True) -> None:
        signature = (f"authorization: Bearer {self.token}",) if signed else ()
        head = end.join((*lines, "host: x", *signature, "", ""))
        self.socket.sendall(head.encode("latin-1") + body)

    def read(self) -> bytes:
        """Everything until the other side closes, or nothing comes for a second after something came."""
        found = b""
        self.socket.settimeout(3)
        try:
            while piece := self.socket.recv(65536):
                found += piece
                self.socket.settimeout(0.5)
        except (TimeoutError, ConnectionError):
            pass
        return found

    def status(self) -> int:
        found = self.read()
        return int(found.split(b" ", 2)[1]) if found else 0


@pytest.fixture
def raw(house: Any) -> Iterator[Raw]:
    connection = Raw(house)
    yield connection
    connection.socket.close()


HIDDEN = b"0\r\n\r\nPOST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"


def test_te_cl(raw: Raw, vendor: LoopbackVendor) -> None:
    raw.send(f"POST {CHAT} HTTP/1.1", "transfer-encoding: chunked", "content-length: 4", body=HIDDEN)
    answer = raw.read()
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"x-byok-request-id") == 1
    assert vendor.seen == []


def test_two_lengths(raw: Raw, vendor: LoopbackVendor) -> None:
    raw.send(f"POST {CHAT} HTTP/1.1", "content-length: 4", f"content-length: {len(GOOD)}", body=GOOD.encode())
    assert raw.status() == 400
    assert vendor.seen == []


def test_te_xchunked(raw: Raw, vendor: LoopbackVendor) -> None:
    raw.send(f"POST {CHAT} HTTP/1.1", "transfer-encoding: xchunked", body=HIDDEN)
    assert raw.status() in (400, 501)
    assert vendor.seen == []


def test_te_10(raw: Raw, vendor: LoopbackVendor) -> None:
    raw.send(f"POST {CHAT} HTTP/1.0", "transfer-encoding: chunked", body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(GOOD), GOOD.encode()))
    assert raw.status() == 400
    assert vendor.seen == []


def test_chunk_size_overflow(raw: Raw, vendor: LoopbackVendor) -> None:
    raw.send(f"POST {CHAT} HTTP/1.1", "transfer-encoding: chunked", body=b"FFFFFFFFFFFFFFFF0\r\nx")
    assert raw.status() == 400
    assert vendor.seen == []


def test_bare_lf(raw: Raw, vendor: LoopbackVendor) -> None:
    raw.send(f"POST {CHAT} HTTP/1.1", f"content-length: {len(GOOD)}", end="\n", body=GOOD.encode())
    assert raw.status() in (200, 400)
    assert len(vendor.seen) <= 1


def test_cr_in_header(raw: Raw, vendor: LoopbackVendor) -> None:
    raw.send(f"POST {CHAT} HTTP/1.1", f"content-length: {len(GOOD)}", "x-a: b\rx-injected: 1", body=GOOD.encode())
    assert raw.status() == 400
    assert vendor.seen == []


def test_upgrade_h2c(raw: Raw, vendor: LoopbackVendor) -> None:
    upgrade = ("connection: upgrade, http2-settings", "upgrade: h2c", "http2-settings: AAMAAABk")
    raw.send(f"POST {CHAT} HTTP/1.1", *upgrade, f"content-length: {len(GOOD)}", body=GOOD.encode())
    assert raw.status() == 200, "Java's client and curl --http2 ask so, too"
    assert [seen.body for seen in vendor.seen] == [GOOD.encode()]
    assert not [name for seen in vendor.seen for name, _ in seen.headers if name in ("upgrade", "http2-settings", "connection")]


def test_huge_header(raw: Raw, vendor: LoopbackVendor) -> None:
    before = _memory_mb()
    raw.send(f"POST {CHAT} HTTP/1.1", "x-huge: " + "a" * 2**20, f"content-length: {len(GOOD)}")
    assert raw.status() in (400, 431)
    assert _memory_mb() - before < 8
    assert vendor.seen == []


def test_body_100mb(raw: Raw, vendor: LoopbackVendor) -> None:
    before = _memory_mb()
    raw.send(f"POST {CHAT} HTTP/1.1", f"content-length: {100 * 2**20}")
    piece = b" " * 2**20
    for _ in range(100):
        raw.socket.sendall(piece)  # to the end, as clients do: the answer must still reach them
    answer = raw.read()
    assert answer.split(b" ", 2)[1] == b"413"
    assert b"body_too_large" in answer
    assert _memory_mb() - before < 32
    assert vendor.seen == []


def test_body_that_does_not_say_its_length(house: Any, vendor: LoopbackVendor) -> None:
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        while sent < 200:
            sent += 1
            yield b" " * 2**20

    try:
        answer = httpx.post(house.url + CHAT, content=pieces(), headers=house.bearer, timeout=20)
    except (httpx.WriteError, httpx.ReadError):
        assert sent < 200
    else:
        assert answer.status_code == 413
    assert vendor.seen == []


def test_body_expect(raw: Raw, vendor: LoopbackVendor) -> None:
    raw.send(f"POST {CHAT} HTTP/1.1", "expect: 100-continue", "content-length: 10", "authorization: Bearer wrong", signed=False)
    answer = raw.read()
    assert answer.startswith(b"HTTP/1.1 401")
    assert b"100 Continue" not in answer


@pytest.mark.slow
def test_slow_body(raw: Raw, vendor: LoopbackVendor, monkeypatch: pytest.MonkeyPatch, house: Any) -> None:
    from byok.gateway import connection

    monkeypatch.setattr(connection, "PATIENCE_S", 1.0)
    monkeypatch.setattr(connection, "TICK_S", 0.5)
    slow = Raw(house)
    slow.send(f"POST {CHAT} HTTP/1.1", "content-length: 1000")
    began = time.monotonic()
    with pytest.raises(ConnectionError):
        while time.monotonic() - began < 10:
            slow.socket.sendall(b" ")
            time.sleep(0.2)
    assert time.monotonic() - began < 5
    assert vendor.seen == []
    assert house.records() == []


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_json_deep(house: Any, vendor: LoopbackVendor, opening: bytes) -> None:
    depth = 100_000
    body = b'{"model": "gpt-4o-mini", "x": ' + opening * depth
    began = time.process_time()
    answer = httpx.post(house.url + CHAT, content=body, headers=house.bearer)
    assert answer.status_code in (200, 400)
    assert time.process_time() - began < 0.5


def test_json_nan(house: Any, vendor: LoopbackVendor) -> None:
    body = b'{"model": "gpt-4o-mini", "temperature": NaN}'
    answer = httpx.post(house.url + CHAT, content=body, headers=house.bearer)
    assert answer.status_code == 400 or vendor.seen[0].body == body


def test_not_json(house: Any, vendor: LoopbackVendor) -> None:
    file = {"file": ("CANARY.txt", b"CANARY-TEXT" * 100)}
    assert httpx.post(house.url + "/openai/v1/files", files=file, headers=house.bearer).status_code == 200
    assert b"CANARY-TEXT" in vendor.seen[0].body
    assert house.records() == []
    assert httpx.post(house.url + CHAT, files=file, headers=house.bearer).status_code == 400
    assert b"CANARY" not in _everything_written(house)


def test_model_secret(house: Any, vendor: LoopbackVendor) -> None:
    for model in ("sk-live-CANARY0123456789", "openai/sk-live-CANARY0123456789"):
        body = {"model": model}
        vendor.script = Reply(body=json.dumps({"model": "sk-live-CANARY0123456789", "usage": {"prompt_tokens": 1}}).encode())
        httpx.post(house.url + CHAT, json=body, headers=house.bearer)
    assert [record.model for record in house.records()] == ["other"]
    assert b"CANARY" not in _everything_written(house)
    assert "CANARY" not in httpx.get(house.url + "/metrics").text


def test_model_prom(house: Any) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    for number in range(30):
        httpx.post(house.url + CHAT, json={"model": f'gpt-4o-mini"}}\n{{{number}'}, headers=house.bearer)
    page = httpx.get(house.url + "/metrics").text
    labels = {tuple(sample.labels.items()) for family in text_string_to_metric_families(page) for sample in family.samples}
    assert len(labels) < 60


def test_up_bad_utf8(house: Any, vendor: LoopbackVendor) -> None:
    for headers, body in (([JSON], b'{"choices": "\xff\xfe\x00", "usage'), ([SSE], b"data: \xff\xfe\n\ndata: {\xc3\x28}\n\n")):
        vendor.script = Reply(headers=headers, body=body)
        answer = httpx.post(house.url + CHAT, json=QUESTION, headers=house.bearer)
        assert (answer.status_code, answer.content) == (200, body)
    assert [record.usage_source for record in house.records()] == ["none", "none"]


def test_up_br_zstd(house: Any, vendor: LoopbackVendor) -> None:
    body = os.urandom(2000)
    for encoding in ("br", "zstd", "gzip", "rot13"):
        vendor.script = Reply(headers=[JSON, ("content-encoding", encoding)], body=body)
        with httpx.stream("POST", house.url + CHAT, json=QUESTION, headers=house.bearer) as answer:
            assert answer.headers["content-encoding"] == encoding
            assert b"".join(answer.iter_raw()) == body
    assert {(record.status, record.usage_source, record.total_tokens) for record in house.records()} == {(200, "none", None)}


def test_a_gzip_bomb_of_a_vendor(house: Any, vendor: LoopbackVendor) -> None:
    bomb = gzip.compress(b" " * 20 * 2**20) * 15
    before = _memory_mb()
    vendor.script = Reply(headers=[JSON, ("content-encoding", "gzip")], body=bomb)
    with httpx.stream("POST", house.url + CHAT, json=QUESTION, headers=house.bearer) as answer:
        assert b"".join(answer.iter_raw()) == bomb
    assert _memory_mb() - before < 64
    assert house.records()[0].usage_source == "none"


@pytest.mark.slow
def test_an_endless_line_of_a_vendor(house: Any, vendor: LoopbackVendor) -> None:
    vendor.script = Reply(headers=[SSE], body=[b"data: "] + [b"x" * 2**20] * 100)
    before, size = _memory_mb(), 0
    with httpx.stream("POST", house.url + CHAT, json=QUESTION, headers=house.bearer, timeout=30) as answer:
        for piece in answer.iter_raw():
            size += len(piece)
    assert size == 6 + 100 * 2**20
    assert _memory_mb() - before < 64
    assert house.records()[0].prompt_tokens is None


def test_path_secret(house: Any, vendor: LoopbackVendor) -> None:
    httpx.get(house.url + "/openai/v1/files/file-CANARY?x=CANARY", headers=house.bearer)
    assert vendor.seen[0].target == "/v1/files/file-CANARY?x=CANARY"
    assert b"CANARY" not in _everything_written(house)


@pytest.mark.slow
def test_key_brute(house: Any, vendor: LoopbackVendor) -> None:
    """Nonsense never reaches the database; what has a token's form does, and stays cheap."""
    with httpx.Client(base_url=house.url) as client:
        for form in ("Bearer nonsense-{}", "Bearer byok_{:08}_" + "x" * 43):
            client.post(CHAT, headers={"authorization": form.format(0)})
            began = time.monotonic()
            for number in range(200):
                assert client.post(CHAT, headers={"authorization": form.format(number)}).status_code == 401
            assert (time.monotonic() - began) / 200 < 0.05
    assert vendor.seen == []


def test_no_attack_of_the_list_is_forgotten() -> None:
    listed = {attack["id"] for attack in json.loads(corpus("security").joinpath("http_abuse.json").read_text())["attacks"]}
    here = {name.removeprefix("test_").replace("_", "-") for name in globals() if name.startswith("test_")}
    assert listed - here - set(ELSEWHERE) == set()
    for place in ELSEWHERE.values():
        file, _, test = place.partition("::")
        assert not test or f"\ndef {test}(" in (Path(__file__).parent / file).read_text(), place


def _memory_mb() -> float:
    """Of this process, where the gateway runs too; what was freed does not count."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _everything_written(house: Any) -> bytes:
    return b"".join(path.read_bytes() for path in house.settings.data.rglob("*") if path.is_file())
