"""What goes through goes through unchanged, as it comes, and leaves exactly one record, whatever happens."""

import json
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from byok.accounts import key_vault
from byok.gateway import models
from tests.vendor import JSON, SSE, LoopbackVendor, Reply

CHAT = "/v1/chat/completions"
USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
ANSWER = json.dumps({"id": "x", "model": "gpt-4o-mini", "choices": [{"message": {"content": "häi"}}], "usage": USAGE}).encode()
QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


def event(content: str | None = None, *, usage: Any = None) -> bytes:
    choices = [] if content is None else [{"index": 0, "delta": {"content": content}, "finish_reason": None}]
    return b"data: " + json.dumps({"id": "x", "model": "gpt-4o-mini", "choices": choices, "usage": usage}).encode() + b"\n\n"


EVENTS = [event("one"), event(" two"), event(" three"), event(usage=USAGE), b"data: [DONE]\n\n"]


def counts(record: Any) -> tuple[Any, ...]:
    return record.status, record.usage_source, record.prompt_tokens, record.completion_tokens, record.total_tokens


@contextmanager
def raw_call(house: Any, body: dict[str, Any], path: str = CHAT) -> Iterator[socket.socket]:
    """A call over a socket of our own, so that a test can leave in the middle."""
    host, port = house.url.removeprefix("http://").split(":")
    content = json.dumps(body).encode()
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {house.token}\r\ncontent-length: {len(content)}\r\n\r\n"
        connection.sendall(head.encode() + content)
        yield connection


def read_until(connection: socket.socket, mark: bytes) -> bytes:
    found = b""
    while mark not in found:
        piece = connection.recv(65536)
        if not piece:
            break
        found += piece
    return found


def test_an_answer_arrives_byte_for_byte_and_is_booked(house: Any, client: httpx.Client, vendor: LoopbackVendor) -> None:
    vendor.script = Reply(body=ANSWER, headers=[JSON, ("x-ratelimit-remaining", "7"), ("openai-version", "2020-10-01")])
    answer = client.post(CHAT, json=QUESTION)
    assert (answer.status_code, answer.content) == (200, ANSWER)
    assert answer.headers["x-ratelimit-remaining"] == "7"
    assert answer.headers["x-byok-request-id"].startswith("req_")
    [record] = house.records()
    assert counts(record) == (200, "vendor", 12, 3, 15)
    assert (record.vendor, record.model, record.endpoint, record.key_id) == ("openai", "gpt-4o-mini", "chat", house.key_ids["openai"])
    assert 0 <= record.ttft_ms <= record.latency_ms


def test_the_client_s_bytes_go_out_unchanged(client: httpx.Client, vendor: LoopbackVendor) -> None:
    body = b'{ "model":"gpt-4o-mini",\n "temperature": NaN0, "x": "\xc3\xa4\\u0041" }'.replace(b"NaN0", b"1e-1")
    client.post(
        CHAT, content=body, headers={"content-type": "application/json; charset=utf-8", "openai-project": "p", "user-agent": "mine/1"}
    )
    [seen] = vendor.seen
    assert (seen.method, seen.target, seen.body) == ("POST", CHAT, body)
    assert seen.header("content-type") == "application/json; charset=utf-8"
    assert (seen.header("openai-project"), seen.header("user-agent")) == ("p", "mine/1")


def test_only_the_prefix_is_taken_off_a_model_named_with_its_vendor(house: Any, client: httpx.Client, vendor: LoopbackVendor) -> None:
    client.post(CHAT, content=b'{"messages": [],  "model" : "openai/gpt-4o-mini"}')
    assert vendor.seen[0].body == b'{"messages": [],  "model" : "gpt-4o-mini"}'
    assert house.records()[0].model == "gpt-4o-mini"


def test_a_stream_arrives_chunk_by_chunk(house: Any, vendor: LoopbackVendor) -> None:
    vendor.script = Reply(body=EVENTS, headers=[SSE], between_s=0.15)
    asked = QUESTION | {"stream": True, "stream_options": {"include_usage": True}}
    with httpx.stream("POST", house.url + CHAT, json=asked, headers=house.bearer) as answer:
        pieces = [(time.monotonic(), piece) for piece in answer.iter_raw()]
    assert b"".join(piece for _, piece in pieces) == b"".join(EVENTS)
    assert pieces[-1][0] - pieces[0][0] > 0.4, "it came all at once"
    [record] = house.records()
    assert counts(record) == (200, "vendor", 12, 3, 15)
    assert record.ttft_ms < record.latency_ms - 400


def test_a_stream_of_lines_is_booked_by_its_last_one(house: Any, client: httpx.Client, vendor: LoopbackVendor) -> None:
    lines = [json.dumps({"model": "gemma3:1b", "message": {"content": word}, "done": False}).encode() + b"\n" for word in ("one", " two")]
    lines.append(b'{"model":"gemma3:1b","message":{"content":""},"done":true,"prompt_eval_count":12,"eval_count":3}\n')
    vendor.script = Reply(body=lines, headers=[("content-type", "application/x-ndjson")], between_s=0.2)
    asked = {"model": "gemma3:1b", "messages": QUESTION["messages"]}  # a stream unless it asks for none
    answer = client.post("/ollama/api/chat", json=asked)
    assert answer.content == b"".join(lines)
    [record] = house.records()
    assert (record.vendor, record.endpoint, record.model, *counts(record)) == ("ollama", "chat", "gemma3:1b", 200, "vendor", 12, 3, 15)
    assert record.ttft_ms < record.latency_ms - 150
    refused = client.post("/ollama/api/pull", json=asked)
    assert refused.status_code == 404 and isinstance(refused.json()["error"], str), "as Ollama's own SDKs show it"
    assert refused.json()["code"] == "path_not_allowed"


def test_the_usage_chunk_is_asked_for_and_taken_out_again(house: Any, client: httpx.Client, vendor: LoopbackVendor) -> None:
    vendor.script = Reply(body=EVENTS, headers=[SSE])
    answer = client.post(CHAT, json=QUESTION | {"stream": True})
    assert json.loads(vendor.seen[0].body)["stream_options"] == {"include_usage": True}
    assert vendor.seen[0].header("accept-encoding") == "identity"
    assert answer.content == b"".join(EVENTS[:3] + EVENTS[4:])
    assert counts(house.records()[0]) == (200, "vendor", 12, 3, 15)


def test_a_vendor_s_error_is_relayed_as_it_is(house: Any, client: httpx.Client, vendor: LoopbackVendor) -> None:
    vendor.script = Reply(429, [JSON, ("retry-after", "9")], b'{"error": {"message": "slow down"}}')
    answer = client.post(CHAT, json=QUESTION)
    assert (answer.status_code, answer.headers["retry-after"], answer.content) == (429, "9", b'{"error": {"message": "slow down"}}')
    assert counts(house.records()[0]) == (429, "none", None, None, None)


def test_a_redirect_is_relayed_and_not_followed(house: Any, client: httpx.Client, vendor: LoopbackVendor) -> None:
    with LoopbackVendor(Reply(body=ANSWER)) as elsewhere:
        vendor.script = Reply(302, [("location", f"{elsewhere.url}/v1/chat/completions")], b"")
        answer = client.post(CHAT, json=QUESTION)
        assert (answer.status_code, answer.headers["location"]) == (302, f"{elsewhere.url}/v1/chat/completions")
        assert elsewhere.seen == []
    assert house.records()[0].status == 302


def test_no_vendor_learns_who_called(client: httpx.Client, vendor: LoopbackVendor) -> None:
    """A proxy in front of us, such as the nginx of deploy/, says so to us."""
    names = [
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "Forwarded",
        "Via",
        "X-Real-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
    ]
    client.post(CHAT, json=QUESTION, headers=dict.fromkeys(names, "203.0.113.9") | {"x-request-id": "mine"})
    sent = dict(vendor.seen[0].headers)
    assert "203.0.113.9" not in sent.values()
    assert sent["x-request-id"] == "mine"


def test_hop_by_hop_headers_and_cookies_stay_here_both_ways(client: httpx.Client, vendor: LoopbackVendor) -> None:
    returned = [JSON, ("set-cookie", "a=b"), ("keep-alive", "timeout=5"), ("connection", "x-inner"), ("x-inner", "1"), ("x-byok-fake", "1")]
    vendor.script = Reply(headers=returned, body=ANSWER)
    sent = {"connection": "keep-alive, x-secret-hop", "x-secret-hop": "1", "cookie": "a=b", "te": "trailers", "x-byok-anything": "1"}
    sent |= {"x-http-method-override": "DELETE", "x-method-override": "DELETE"}
    answer = client.post(CHAT, json=QUESTION, headers=sent | {"proxy-authorization": "x", "upgrade": "h2c", "x-api-key": "sk-other"})
    names = {name for name, _ in vendor.seen[0].headers}
    assert not names & {"x-secret-hop", "cookie", "te", "x-byok-anything", "proxy-authorization", "upgrade", "x-api-key", "connection"}
    assert not names & {"x-http-method-override", "x-method-override"}
    assert not set(answer.headers) & {"set-cookie", "keep-alive", "x-inner", "x-byok-fake"}


def test_an_unreachable_vendor_is_a_502_in_the_caller_s_format(house: Any, client: httpx.Client, vendor: LoopbackVendor) -> None:
    vendor.script = Reply(raw=b"")  # takes the request and hangs up
    for path, body in ((CHAT, QUESTION), ("/v1/messages", {"model": "claude-sonnet-4-5", "max_tokens": 1, "messages": []})):
        answer = client.post(path, json=body)
        assert answer.status_code == 502
        assert answer.json()["error"]["code"] == "vendor_unreachable"
    assert [counts(record) for record in house.records()] == [(502, "none", None, None, None)] * 2
    assert len(vendor.seen) == 2, "a call that may have been billed was sent again"


def test_a_silent_vendor_is_a_504(house: Any, client: httpx.Client, vendor: LoopbackVendor) -> None:
    vendor.script = Reply(delay_s=30)
    answer = client.post(CHAT, json=QUESTION)
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "vendor_timeout")
    assert counts(house.records()[0]) == (504, "none", None, None, None)


def test_a_reset_in_mid_stream_breaks_the_answer_off(house: Any, vendor: LoopbackVendor) -> None:
    vendor.script = Reply(body=EVENTS[:2], headers=[SSE], then="reset")
    got = b""
    with (
        pytest.raises(httpx.RemoteProtocolError),
        httpx.stream("POST", house.url + CHAT, json=QUESTION | {"stream": True}, headers=house.bearer) as answer,
    ):
        for piece in answer.iter_raw():
            got += piece
    assert got == b"".join(EVENTS[:2])
    [record] = house.records()
    assert (record.status, record.usage_source, record.completion_tokens) == (502, "estimated", 2)


MESSAGES = [
    b'event: message_start\ndata: {"type":"message_start","message":{"model":"claude-sonnet-4-5","usage":{"input_tokens":12}}}\n\n',
    b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"hi"}}\n\n',
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":3}}\n\n',
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
]


@pytest.mark.parametrize(
    ("path", "model", "pieces", "then"),
    [
        (CHAT, "gpt-4o-mini", EVENTS, "reset"),
        (CHAT, "gpt-4o-mini", EVENTS, "close"),
        (CHAT, "gpt-4o-mini", [b"".join(EVENTS)], "close"),
        ("/v1/messages", "claude-sonnet-4-5", MESSAGES, "close"),
        ("/v1/messages", "claude-sonnet-4-5", MESSAGES, "hang"),
    ],
    ids=["reset", "close", "all at once", "anthropic", "hang"],
)
def test_a_vendor_that_breaks_off_behind_its_last_event_has_answered(
    house: Any, vendor: LoopbackVendor, path: str, model: str, pieces: list[bytes], then: Any
) -> None:
    vendor.script = Reply(body=pieces, headers=[SSE], framing="chunked", then=then, between_s=0.02)
    got = b""
    asked = {"model": model, "stream": True, "stream_options": {"include_usage": True}, "messages": []}
    with (
        pytest.raises(httpx.RemoteProtocolError),  # what the vendor did not end looks ended to nobody
        httpx.stream("POST", house.url + path, json=asked, headers=house.bearer, timeout=20) as answer,
    ):
        for piece in answer.iter_raw():
            got += piece
    assert got == b"".join(pieces)
    [record] = house.records()
    assert counts(record) == (200, "vendor", 12, 3, 15)
    assert 'status="5xx"' not in httpx.get(f"{house.url}/metrics").text


def test_silence_in_mid_stream_ends_with_an_error_event_and_a_broken_answer(house: Any, vendor: LoopbackVendor) -> None:
    vendor.script = Reply(body=EVENTS[:2], headers=[SSE], then="hang")
    got = b""
    with (
        pytest.raises(httpx.RemoteProtocolError),
        httpx.stream("POST", house.url + CHAT, json=QUESTION | {"stream": True}, headers=house.bearer) as answer,
    ):
        for piece in answer.iter_raw():
            got += piece
    told = got.removeprefix(b"".join(EVENTS[:2]))
    assert json.loads(told.removeprefix(b"data: "))["error"]["code"] == "vendor_timeout"
    assert house.records()[0].status == 504


@pytest.mark.parametrize("length", [len(ANSWER) + 10, len(ANSWER) - 10])
def test_a_lying_length_never_looks_like_success(house: Any, client: httpx.Client, vendor: LoopbackVendor, length: int) -> None:
    vendor.script = Reply(body=ANSWER, framing="length", length=length, then="close")
    try:
        answer = client.post(CHAT, json=QUESTION)
    except httpx.RemoteProtocolError:
        assert length > len(ANSWER)
        assert house.records()[0].status == 502
    else:
        assert answer.status_code == 502 or not answer.content.endswith(b"}")
    vendor.script = Reply(body=ANSWER)
    assert client.post(CHAT, json=QUESTION).content == ANSWER, "the next call met the left-over of the last"
    assert len(house.records()) == 2


def test_a_client_that_leaves_a_stream_stops_the_vendor_within_a_second(house: Any, vendor: LoopbackVendor) -> None:
    vendor.script = Reply(body=[event(f" {n}") for n in range(500)], headers=[SSE], between_s=0.05)
    with raw_call(house, QUESTION | {"stream": True}) as connection:
        read_until(connection, b" 3")
        left = time.monotonic()
    assert vendor.wait_until(lambda v: v.seen[0].ended is not None)
    assert vendor.seen[0].ended - left < 1
    [record] = house.wait_for_records(1)
    assert (record.status, record.usage_source) == (499, "estimated")
    assert record.completion_tokens >= 4


def test_a_client_that_leaves_while_an_answer_is_awaited_gets_its_row(house: Any, vendor: LoopbackVendor) -> None:
    vendor.script = Reply(delay_s=20)
    with raw_call(house, QUESTION) as connection:
        assert vendor.wait_until(lambda v: bool(v.seen))
        # A reset, not a polite goodbye.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        left = time.monotonic()
    assert vendor.wait_until(lambda v: v.seen[0].ended is not None)
    assert vendor.seen[0].ended - left < 1
    [record] = house.wait_for_records(1)
    assert counts(record) == (499, "none", None, None, None)


@pytest.mark.parametrize("last", [4, 5], ids=["after the usage", "after the last event"])
def test_a_client_that_leaves_after_the_usage_has_a_whole_row(house: Any, vendor: LoopbackVendor, last: int) -> None:
    vendor.script = Reply(body=EVENTS[:last], headers=[SSE], then="hang")
    with raw_call(house, QUESTION | {"stream": True, "stream_options": {"include_usage": True}}) as connection:
        read_until(connection, b"[DONE]" if last == 5 else b"total_tokens")
    [record] = house.wait_for_records(1)
    assert counts(record) == (200, "vendor", 12, 3, 15)
    time.sleep(0.1)
    assert len(house.records()) == 1


def test_the_record_is_there_before_the_last_byte(house: Any, vendor: LoopbackVendor) -> None:
    vendor.script = Reply(body=EVENTS, headers=[SSE], then="hang")
    with raw_call(house, QUESTION | {"stream": True}) as connection:
        read_until(connection, b"[DONE]")
        assert len(house.records()) == 1


def test_a_body_that_goes_on_behind_its_last_event_is_read_to_its_end(house: Any, client: httpx.Client, vendor: LoopbackVendor) -> None:
    more = event(usage={"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25})
    vendor.script = Reply(body=[*EVENTS, more, EVENTS[-1]], headers=[SSE], between_s=0.02)
    answer = client.post(CHAT, json=QUESTION | {"stream": True, "stream_options": {"include_usage": True}})
    assert answer.content == b"".join([*EVENTS, more, EVENTS[-1]])
    [record] = house.wait_for_records(1)
    assert counts(record) == (200, "vendor", 20, 5, 25)


def test_trailers_come_through(house: Any, vendor: LoopbackVendor) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n"
    trailers = b"x-sum: 7\r\nset-cookie: a=b\r\ncontent-type: text/html\r\nx-byok-request-id: theirs\r\n"
    vendor.script = Reply(raw=head + b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(ANSWER), ANSWER, trailers))
    with raw_call(house, QUESTION) as connection:
        answer = read_until(connection, b"x-sum: 7\r\n\r\n")
    assert answer.endswith(ANSWER + b"\r\n0\r\nx-sum: 7\r\n\r\n"), "without what would speak to our own connection"
    [record] = house.wait_for_records(1)
    assert counts(record) == (200, "vendor", 12, 3, 15)


def test_an_error_inside_a_200_is_booked_as_what_it_is(house: Any, client: httpx.Client, vendor: LoopbackVendor) -> None:
    body = b'{"base_resp": {"status_code": 1002, "status_msg": "rate limit"}, "choices": null}'
    vendor.script = Reply(body=body)
    answer = client.post(CHAT, json=QUESTION | {"model": "minimax/MiniMax-M2"})
    assert (answer.status_code, answer.content) == (200, body)
    assert house.records()[0].status == 429


def test_recording_never_spoils_an_answer(house: Any, client: httpx.Client, vendor: LoopbackVendor) -> None:
    vendor.script = Reply(body=ANSWER)
    house.gateway._journal.close()
    assert client.post(CHAT, json=QUESTION).content == ANSWER
    page = client.get("/metrics").text
    assert "byok_records_lost_total 1.0" in page
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert "journal" in ready.text


def test_losses_are_counted_in_sight_while_the_journal_cannot_even_be_looked_at(
    house: Any, client: httpx.Client, vendor: LoopbackVendor
) -> None:
    vendor.script = Reply(body=ANSWER)
    house.gateway._journal.close()
    journal_dir = house.gateway.settings.journal_dir
    journal_dir.rename(journal_dir.with_name("away"))
    journal_dir.write_text("a file where the directory was")
    assert client.post(CHAT, json=QUESTION).content == ANSWER
    page = client.get("/metrics")
    assert page.status_code == 200
    assert "byok_records_lost_total 1.0" in page.text


def test_a_fault_of_our_own_bookkeeping_never_spoils_an_answer(
    house: Any, client: httpx.Client, vendor: LoopbackVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor.script = Reply(body=EVENTS, headers=[SSE])
    monkeypatch.setattr(models, "booked_model", lambda *_: 1 / 0)
    answer = client.post(CHAT, json=QUESTION | {"stream": True, "stream_options": {"include_usage": True}})
    assert answer.content == b"".join(EVENTS)
    assert "byok_records_lost_total 1.0" in client.get("/metrics").text


def test_what_is_not_a_call_is_passed_on_and_not_booked(house: Any, client: httpx.Client, vendor: LoopbackVendor) -> None:
    vendor.script = Reply(body=b'{"data": []}')
    assert client.get("/openai/v1/models").content == b'{"data": []}'
    assert client.post("/anthropic/v1/messages/count_tokens", content=b"not even JSON").status_code == 200
    assert client.post("/v1/messages/count_tokens?beta=true", json={"model": "claude-sonnet-4-5", "messages": []}).status_code == 200
    assert [seen.target for seen in vendor.seen] == ["/v1/models", "/v1/messages/count_tokens", "/v1/messages/count_tokens?beta=true"]
    assert house.records() == []


def test_a_stream_that_outlasts_the_stop_is_cut_and_still_recorded(
    tmp_path: Path, vendor: LoopbackVendor, make_house: Any, serve_house: Any
) -> None:
    vendor.script = Reply(body=[event(f" {n}") for n in range(500)], headers=[SSE], between_s=0.05)
    with make_house(tmp_path, BYOK_OPENAI_BASE_URL=f"{vendor.url}/v1") as house, serve_house(house, grace_s=1):
        with raw_call(house, QUESTION | {"stream": True}) as connection:
            read_until(connection, b" 3")
            house.stop()
            assert not read_until(connection, b"never").endswith(b"0\r\n\r\n"), "it looks whole"
    [record] = house.records()
    assert (record.status, record.usage_source) == (502, "estimated")


def test_a_vendor_that_bills_the_whole_answer_is_heard_out(tmp_path: Path, make_house: Any, serve_house: Any) -> None:
    config = tmp_path / "byok.toml"
    events = [event(f" {n}") for n in range(20)] + EVENTS[3:]
    with LoopbackVendor(Reply(body=events, headers=[SSE], between_s=0.05)) as vendor:
        config.write_text(f'[vendors.whole]\nbase_url = "{vendor.url}/v1"\nleave = "drain"\nstream_usage = true\n')
        with make_house(tmp_path, config=config) as house, serve_house(house):
            key_vault.add(house.services.db, house.services.master, house.user.id, "whole", "sk-whole-000000", now=house.user.created_at)
            with raw_call(house, {"model": "whole/m-1", "stream": True}) as connection:
                read_until(connection, b" 3")
            [record] = house.wait_for_records(1)
            assert counts(record) == (499, "vendor", 12, 3, 15)
        assert not vendor.seen[0].gone
