"""What is read beside the relay: bounded, never in the way, and honest about how much it knows."""

import gzip
import json
import time
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from byok.gateway import decoding
from byok.gateway.blobs import LOOK_BYTES, without_blobs
from byok.gateway.events import MAX_EVENT_BYTES
from byok.gateway.formats import anthropic, embeddings, gemini, gemini_interactions, openai_chat, openai_responses
from byok.gateway.formats.shape import Format
from byok.gateway.headers import of_answer
from byok.gateway.reading import MAX_ANSWER_BYTES, Outcome, Reading
from byok.usage import TokenCounts
from tests.wire_samples import reading_of, wire_samples

ALL = [anthropic.FORMAT, embeddings.FORMAT, gemini.FORMAT, openai_chat.FORMAT, openai_responses.FORMAT]
STREAM = "text/event-stream"


def read(body: bytes, fmt: Format = openai_chat.FORMAT, *, content_type: str = STREAM, encoding: str = "", step: int = 65536) -> Outcome:
    reading = Reading(fmt, streamed=True, content_type=content_type, content_encoding=encoding)
    for at in range(0, len(body), step):
        piece = body[at : at + step]
        assert reading.feed(piece) is piece
    assert reading.finish() == b""
    return reading.outcome()


def event(**members: object) -> bytes:
    return b"data: " + json.dumps(members).encode() + b"\n\n"


def said(text: str) -> bytes:
    return event(model="m-1", choices=[{"index": 0, "delta": {"content": text}, "finish_reason": None}])


USAGE = event(model="m-1", choices=[], usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5})


# -- how much is known, at any time --


def test_nothing_read_is_nothing_known():
    reading = Reading(openai_chat.FORMAT, streamed=True, content_type=STREAM, content_encoding="")
    assert reading.outcome() == Outcome(TokenCounts(), "none", None, None, False, False, False)
    assert reading.finish() == b""


def test_the_client_leaves_before_the_usage():
    reading = Reading(openai_chat.FORMAT, streamed=True, content_type=STREAM, content_encoding="")
    for _ in range(5):
        reading.feed(said("word"))
    outcome = reading.outcome()
    assert (outcome.usage_source, outcome.counts) == ("estimated", TokenCounts(completion_tokens=5))
    assert not outcome.saw_final_usage
    reading.feed(USAGE)
    assert reading.outcome().counts == TokenCounts(3, 2, 5)
    assert reading.outcome().saw_final_usage
    assert not reading.complete
    reading.feed(b"data: [DONE]\n\n")
    assert reading.complete


def test_an_estimate_is_a_quarter_of_the_bytes_or_one_per_piece():
    assert read(said("x" * 401)).counts == TokenCounts(completion_tokens=101)
    assert read(said("x") * 9).counts == TokenCounts(completion_tokens=9)
    assert read(said("茶" * 100)).counts == TokenCounts(completion_tokens=75)


@pytest.mark.parametrize("delta", [{"function_call": {"arguments": "x" * 8}}, {"audio": {"data": "QUJD" * 9, "transcript": "hi"}}])
def test_older_calls_of_functions_and_sounds_are_content(delta: dict):
    outcome = read(event(choices=[{"delta": delta}]) * 2)
    assert (outcome.usage_source, outcome.saw_content) == ("estimated", True)
    assert outcome.counts.completion_tokens in (2, 4)


def test_keep_alive_and_role_are_no_content():
    reading = Reading(openai_chat.FORMAT, streamed=True, content_type=STREAM, content_encoding="")
    for piece in (b": keep-alive\n\n", said(""), event(model="m-1", choices=[{"delta": {"role": "assistant"}}])):
        reading.feed(piece)
        assert not reading.saw_content
    reading.feed(said("a"))
    assert reading.saw_content


def test_blank_lines_before_an_answer_are_no_content():
    reading = Reading(openai_chat.FORMAT, streamed=False, content_type="application/json", content_encoding="")
    reading.feed(b"\n\n")
    assert not reading.saw_content
    reading.feed(b'{"usage"')
    assert reading.saw_content


def test_a_whole_answer_is_known_before_its_end_is():
    reading = Reading(openai_chat.FORMAT, streamed=False, content_type="application/json", content_encoding="")
    body = b'{"model":"m-1","usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}'
    reading.feed(body[:30])
    assert reading.outcome().usage_source == "none"
    reading.feed(body[30:])
    assert reading.outcome().counts == TokenCounts(3, 2, 5)
    reading.feed(b"\n")
    assert reading.finish() == b""
    assert reading.outcome().counts == TokenCounts(3, 2, 5)


@pytest.mark.parametrize("content_type", ["", "application/json", "text/plain"])
def test_a_stream_is_known_by_its_first_byte(content_type: str):
    assert read(b"\n" + said("a") + USAGE, content_type=content_type).counts == TokenCounts(3, 2, 5)


def test_the_usage_is_kept_when_the_stream_breaks_afterwards():
    assert read(said("a") + USAGE + b'data: {"model": "m-1", "cho').usage_source == "vendor"


# -- which usage is the last word --

TOTALS = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
GOOGLE = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}


def chose(text: str = "", finish: str | None = None, **more: object) -> bytes:
    return event(model="m-1", choices=[{"index": 0, "delta": {"content": text}, "finish_reason": finish}], **more)


def offered(text: str = "", finish: str | None = None, **more: object) -> bytes:
    return event(candidates=[{"content": {"parts": [{"text": text}]}, **({"finishReason": finish} if finish else {})}], **more)


LAST_WORDS = {
    "after the finish, with a choice": (openai_chat.FORMAT, [chose("a"), chose(finish="stop"), chose(usage=TOTALS)]),
    "before the finish": (openai_chat.FORMAT, [chose("a"), chose(usage=TOTALS), chose(finish="stop", usage=None)]),
    "with the last piece, before the finish": (openai_chat.FORMAT, [chose("a", usage=TOTALS), chose(finish="stop")]),
    "alone after the finish": (gemini.FORMAT, [offered("a", "STOP", usageMetadata=GOOGLE), event(usageMetadata=GOOGLE)]),
    "after the finish, with a candidate": (gemini.FORMAT, [offered("a", "STOP", usageMetadata=GOOGLE), offered(usageMetadata=GOOGLE)]),
    "before the finish of Google": (gemini.FORMAT, [offered("a", usageMetadata=GOOGLE), offered(finish="STOP")]),
    "only after the finish": (gemini.FORMAT, [offered("a", "STOP"), event(usageMetadata=GOOGLE)]),
    "without a finish": (openai_chat.FORMAT, [chose("a"), USAGE]),
}


@pytest.mark.parametrize("name", LAST_WORDS)
def test_a_usage_that_covers_a_finished_answer_is_the_last_word(name: str):
    fmt, pieces = LAST_WORDS[name]
    outcome = read(b"".join(pieces), fmt)
    assert (outcome.counts, outcome.usage_source, outcome.complete) == (TokenCounts(3, 2, 5), "vendor", False)


@pytest.mark.parametrize(
    ("fmt", "pieces"),
    [
        (openai_chat.FORMAT, [chose("a", usage=TOTALS), chose("b", finish="stop")]),
        (openai_chat.FORMAT, [USAGE, chose("a"), chose("b"), chose("c")]),
        (openai_chat.FORMAT, [chose("a", finish="stop", usage=TOTALS), chose("the other choice goes on")]),
        (gemini.FORMAT, [offered("a", usageMetadata=GOOGLE), offered("b", finish="STOP")]),
        (
            anthropic.FORMAT,
            [event(type="message_delta", usage={"input_tokens": 3}), event(type="content_block_delta", delta={"text": "a"})],
        ),
    ],
)
def test_a_usage_that_leaves_later_pieces_out_is_not(fmt: Format, pieces: list[bytes]):
    assert read(b"".join(pieces), fmt).usage_source == "partial"


@pytest.mark.parametrize("end", [b"", event(choices=[], usage=None) + b"data: [DONE]\n\n"])
def test_zeros_beside_the_pieces_are_not_yet_a_count(end: bytes):
    """MiniMax writes zeros beside each piece until it has counted: what breaks off before is estimated, and no count is 0."""
    outcome = read(chose("x" * 40, usage={"total_tokens": 0, "total_characters": 0}) * 3 + end)
    assert (outcome.usage_source, outcome.counts) == ("estimated", TokenCounts(completion_tokens=30))


THINKS = event(
    candidates=[{"content": {"parts": [{"text": "x" * 40, "thought": True}]}}],
    usageMetadata={"promptTokenCount": 44, "totalTokenCount": 44},
)
NAMES_ITS_TRAFFIC = event(
    candidates=[{"content": {"parts": [{"functionCall": {"name": "f"}}]}}], usageMetadata={"trafficType": "PROVISIONED_THROUGHPUT"}
)


@pytest.mark.parametrize(
    ("fmt", "body", "source", "counts"),
    [
        (gemini.FORMAT, THINKS * 2, "partial", TokenCounts(44, 20, 64)),
        (gemini.FORMAT, NAMES_ITS_TRAFFIC * 3, "estimated", TokenCounts(completion_tokens=3)),
        (gemini.FORMAT, THINKS + NAMES_ITS_TRAFFIC, "partial", TokenCounts(44, 10, 54)),
        (
            openai_chat.FORMAT,
            chose("x" * 40, usage={**TOTALS, "completion_tokens": 0, "total_tokens": 3}),
            "partial",
            TokenCounts(3, 10, 13),
        ),
        (
            anthropic.FORMAT,
            event(type="message_start", message={"usage": {"input_tokens": 3, "output_tokens": 1}})
            + event(type="content_block_delta", delta={"text": "x" * 40})
            + event(type="message_delta", usage={"input_tokens": 4})
            + event(type="message_stop"),
            "partial",
            TokenCounts(4, 10, 14),
        ),
    ],
)
def test_a_usage_that_tells_of_no_output_covers_no_pieces(fmt: Format, body: bytes, source: str, counts: TokenCounts):
    outcome = read(body, fmt)
    assert (outcome.usage_source, outcome.counts) == (source, counts)


def test_input_and_output_told_in_two_chunks_are_one_usage():
    first = chose("a", usage={"prompt_tokens": 3, "completion_tokens": None, "prompt_tokens_details": {"cached_tokens": 1}})
    outcome = read(first + chose("b", "stop", usage={"prompt_tokens": None, "completion_tokens": 2}) + b"data: [DONE]\n\n")
    assert (outcome.usage_source, outcome.counts) == ("vendor", TokenCounts(3, 2, 5, 1))


def test_mere_zeros_do_not_stand_for_what_was_counted():
    zeros = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "prompt_tokens_details": {"cached_tokens": 0}}
    outcome = read(chose("a", finish="stop", usage=TOTALS) + event(model="m-1", choices=[], usage=zeros) + b"data: [DONE]\n\n")
    assert (outcome.counts, outcome.usage_source) == (TokenCounts(3, 2, 5), "vendor")
    assert read(event(model="m-1", choices=[], usage=zeros)).counts == TokenCounts(0, 0, 0, 0)


@pytest.mark.parametrize(
    ("start", "delta", "written"),
    [
        (
            {"cache_creation_input_tokens": 100, "cache_creation": {"ephemeral_5m_input_tokens": 100}},
            {"cache_creation_input_tokens": 40},
            40,
        ),
        (
            {"cache_creation_input_tokens": 100, "cache_creation": {"ephemeral_5m_input_tokens": 100}},
            {"cache_creation_input_tokens": 100},
            100,
        ),
        ({"cache_creation_input_tokens": 0, "cache_creation": {"ephemeral_5m_input_tokens": 100}}, {"cache_creation_input_tokens": 0}, 100),
        ({"cache_creation_input_tokens": 100}, {"cache_creation": {"ephemeral_1h_input_tokens": 40}}, 40),
        ({"cache_creation_input_tokens": 100}, {"cache_creation_input_tokens": None, "cache_creation": None}, 100),
    ],
)
def test_a_delta_corrects_the_cache_writes(start: dict, delta: dict, written: int):
    body = event(type="message_start", message={"usage": {"input_tokens": 5, "output_tokens": 1, **start}})
    outcome = read(body + event(type="message_delta", usage={"output_tokens": 9, **delta}), anthropic.FORMAT)
    assert outcome.counts == TokenCounts(5 + written, 9, 14 + written, None, written)


def test_an_embedding_with_its_only_count_at_the_top():
    body = b'{"vectors":[[0.1,0.2]],"total_tokens":12,"base_resp":{"status_code":0}}'
    outcome = read(body, embeddings.FORMAT, content_type="application/json")
    assert (outcome.counts, outcome.usage_source, outcome.failure_status) == (TokenCounts(12, 0, 12), "vendor", None)


# -- failures inside a 200 --


@pytest.mark.parametrize(
    ("fmt", "body", "status"),
    [
        (anthropic.FORMAT, b'{"code":500,"msg":"404 NOT_FOUND","success":false}', 502),
        (anthropic.FORMAT, b'{"code":401,"msg":"token expired or incorrect","success":false}', 401),
        (openai_responses.FORMAT, b'{"code":401,"msg":"token expired or incorrect","success":false}', 401),
        (openai_responses.FORMAT, b'{"object":"error","code":429}', 429),
        (openai_responses.FORMAT, b'data: {"base_resp":{"status_code":1008}}\n\n', 402),
        (openai_responses.FORMAT, event(type="error", code=None, message="Rate limit reached"), 429),
        (
            openai_responses.FORMAT,
            event(type="error", code="rate_limit_exceeded") + event(type="response.failed", response={"status": "failed"}),
            429,
        ),
        (openai_chat.FORMAT, event(model="m", choices=[], x_groq={"id": "r", "error": "Rate limit reached"}) + b"data: [DONE]\n\n", 429),
        (openai_chat.FORMAT, b'{"code":"InvalidApiKey","message":"No such key.","request_id":"r"}', 401),
        (openai_chat.FORMAT, b'id:1\nevent:error\n:HTTP_STATUS/429\ndata:{"code":"Throttling.RateQuota","message":"slow down"}\n\n', 429),
        (openai_chat.FORMAT, b'id:1\nevent: error\ndata: {"detail":"Rate limit reached"}\n\n', 429),
        (openai_chat.FORMAT, b'data: {"detail":"?"}\nevent: error\n\n', 502),
        (openai_chat.FORMAT, b'error: {"code":503,"message":"Loading model","type":"unavailable_error"}\n\n', 529),
        (openai_chat.FORMAT, b'error:{"detail":"?","error":{"message":"failed to decode"}}\n\n', 502),
        (openai_chat.FORMAT, b"event:error\ndata:the engine is overloaded\n\n", 529),
        (anthropic.FORMAT, b"event: error\ndata: {}\n\n", 502),
        (anthropic.FORMAT, b'event: error\n{"type":"error","error":{"type":"overloaded_error"}}\n\n', 529),
        (openai_chat.FORMAT, b"event: error_free\ndata: {}\n\n", None),
        (openai_chat.FORMAT, event(model="m", choices=[], x_groq={"id": "r"}), None),
        (anthropic.FORMAT, event(type="message_start", message={"model": "m", "usage": {"input_tokens": 3}}), None),
    ],
)
def test_a_failure_inside_a_200_has_its_class(fmt: Format, body: bytes, status: int | None):
    assert read(body, fmt).failure_status == status


# -- what a vendor may send --


@given(st.sampled_from(ALL), st.lists(st.binary(max_size=200), max_size=8), st.sampled_from(["", "gzip", "deflate", "br", "zstd", "x"]))
@settings(deadline=None)
def test_no_bytes_stop_the_relay(fmt: Format, pieces: list[bytes], encoding: str):
    reading = Reading(fmt, streamed=True, content_type=STREAM, content_encoding=encoding)
    for piece in pieces:
        assert reading.feed(piece) is piece
    assert reading.finish() == b""
    reading.outcome()


NAMES = st.sampled_from(
    (
        "usage",
        "model",
        "choices",
        "delta",
        "content",
        "message",
        "type",
        "error",
        "response",
        "usageMetadata",
        "promptTokenCount",
        "prompt_tokens",
        "total_tokens",
        "candidates",
        "parts",
        "text",
        "iterations",
        "cache_creation",
        "x_groq",
        "base_resp",
        "status_code",
        "code",
        "tool_calls",
        "function",
        "arguments",
        "item",
        "promptFeedback",
    )
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["error", "message_start", "text"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=8,
)


@given(st.sampled_from(ALL), st.lists(st.dictionaries(NAMES, JSON, max_size=6), max_size=6), st.booleans())
@settings(deadline=None, max_examples=60)
def test_no_json_stops_the_relay(fmt: Format, told: list[dict], streamed: bool):
    text = [json.dumps(one).encode() for one in told]
    body = b"".join(b"data: " + one + b"\n\n" for one in text) if streamed else b"".join(text[:1])
    counts = read(body, fmt).counts
    for name in TokenCounts.__struct_fields__:
        value = getattr(counts, name)
        assert value is None or (type(value) is int and 0 <= value < 2**55)


def test_invalid_utf8_in_one_event_does_not_hide_the_next():
    assert read(b'data: {"model":"m\xff\xfe","choices":[{"delta":{"content":"\xff"}}]}\n\n' + USAGE).counts == TokenCounts(3, 2, 5)


ODD = {
    "half of a surrogate pair": rb'{"said":"ok \ud83d",',
    "no number": b'{"said":[-Infinity, NaN],',
    "a raw control character": b'{"said":"a\x08\tb",',
    "bytes that are not UTF-8": b'{"model":"m-\xff","said":"\xed\xa0\xbd",',
    "no half of a pair": rb'{"said":"\\ud83d \ud83d\ude00 \\\ud83d",',
}
TOLD = {
    anthropic.FORMAT: b'"type":"message_delta","usage":{"input_tokens":3,"output_tokens":2}}',
    gemini.FORMAT: b'"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2}}',
    openai_chat.FORMAT: b'"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}',
    openai_responses.FORMAT: b'"type":"response.completed","response":{"usage":{"input_tokens":3,"output_tokens":2}}}',
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("fmt", TOLD, ids=lambda fmt: fmt.name)
def test_what_a_strict_reader_refuses_hides_no_usage(fmt: Format, odd: str):
    body = ODD[odd] + TOLD[fmt]
    outcome = read(b"data: " + body + b"\n\n", fmt)
    assert (outcome.counts, outcome.usage_source) == (TokenCounts(3, 2, 5), "vendor")
    if fmt is not openai_responses.FORMAT:
        outcome = read(body, fmt, content_type="application/json", step=7)
        assert (outcome.counts, outcome.usage_source) == (TokenCounts(3, 2, 5), "vendor")


@pytest.mark.parametrize("behind", [b"\0", b"\0\0\n", b'\n\n{"x":1}', b" ]}", b"data: [DONE]"])
def test_what_stands_behind_an_answer_hides_no_usage(behind: bytes):
    body = b'{"model":"m-1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}' + behind
    for content in (body, b"data: " + body + b"\n\n"):
        outcome = read(content)
        assert (outcome.counts, outcome.usage_source, outcome.model) == (TokenCounts(3, 2, 5), "vendor", "m-1")


@pytest.mark.parametrize(
    "body", [b"[" * 2_000_000, b'{"a":[' + b"{}," * 500_000 + b"NaN", b'{"a":{}} ' + b"{}" * 2_000_000, b'"' * 999_999]
)
def test_what_cannot_be_mended_is_given_up_soon(body: bytes):
    begin = time.process_time()
    assert read(b"data: " + body + b"\n\n" + USAGE, step=10_000_000).counts == TokenCounts(3, 2, 5)
    assert time.process_time() - begin < 2


@pytest.mark.parametrize("step", [1, 30, 1000])
def test_events_without_blank_lines_between_them(step: int):
    body = (said("a") + said("b") + USAGE + b"data: [DONE]\n\n").replace(b"\n\n", b"\n")
    outcome = read(body, step=step)
    assert (outcome.counts, outcome.usage_source, outcome.complete) == (TokenCounts(3, 2, 5), "vendor", True)


def test_candidates_of_another_make_hide_no_usage():
    odd = event(candidates=["?"], usageMetadata={"promptTokenCount": 3, "candidatesTokenCount": 2}, modelVersion="m-1")
    assert read(odd, gemini.FORMAT).counts == TokenCounts(3, 2, 5)


def test_many_comments_before_an_answer_cost_little():
    begin = time.process_time()
    assert read(b":\n" * 500_000 + USAGE, step=1_000_000).counts == TokenCounts(3, 2, 5)
    assert read((b": " + b"x" * 100 + b"\r\n") * 200 + USAGE, step=3).counts == TokenCounts(3, 2, 5)
    assert time.process_time() - begin < 5


def test_deep_nesting_is_not_read_and_does_no_harm():
    deep = b"[" * 100_000 + b"]" * 100_000
    assert read(b"data: " + deep + b"\n\n" + USAGE).counts == TokenCounts(3, 2, 5)
    assert read(b'{"a":' + deep + b',"usage":{"prompt_tokens":1}}').usage_source == "none"


def test_an_unknown_encoding_leaves_the_counts_unknown():
    outcome = read(USAGE, encoding="rot13")
    assert (outcome.counts, outcome.usage_source) == (TokenCounts(), "none")


def test_a_body_that_is_not_in_its_encoding_leaves_the_counts_unknown():
    assert read(USAGE, encoding="br").usage_source == "none"
    for encoding in ("gzip", "zstd", "gzip, br"):
        assert read(PACKERS[encoding[:4]](USAGE)[:-9] + b"\xff" * 9, encoding=encoding).usage_source == "none"


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "gzip, gzip"])
@pytest.mark.parametrize("step", [1, 1000])
def test_a_plain_body_below_the_header_of_an_encoding_is_read(encoding: str, step: int):
    assert read(said("a") + USAGE, encoding=encoding, step=step).counts == TokenCounts(3, 2, 5)


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_one_encoding_in_another(step: int):
    body = said("a") * 50 + USAGE
    assert read(gzip.compress(gzip.compress(body)), encoding="gzip, gzip", step=step).counts == TokenCounts(3, 2, 5)
    assert read(gzip.compress(brotli.compress(body)), encoding="br, identity, gzip", step=step).counts == TokenCounts(3, 2, 5)
    assert read(gzip.compress(body), encoding="gzip, gzip", step=step).counts == TokenCounts(3, 2, 5)


def test_encodings_on_two_lines_are_those_of_one():
    head = of_answer([(b"Content-Encoding", b"gzip"), (b"Content-Type", b"application/json"), (b"content-encoding", b"br")], b"req_1")
    assert head.encoding == b"gzip, br"


def test_what_lies_between_two_encodings_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(decoding, "MAX_BETWEEN_BYTES", 100_000)
    reading = Reading(openai_chat.FORMAT, streamed=True, content_type=STREAM, content_encoding="gzip, gzip")
    reading.feed(gzip.compress(gzip.compress(USAGE) + bytes(90_000)))
    assert not reading._blind
    reading.feed(gzip.compress(bytes(20_000)))  # zeros between two members say nothing, so only this bound sees them
    assert reading._blind
    assert reading.outcome().counts == TokenCounts(3, 2, 5)


def test_deflate_comes_with_and_without_its_frame():
    bare = zlib.compressobj(wbits=-15)
    for body in (zlib.compress(USAGE), bare.compress(USAGE) + bare.flush()):
        assert read(body, encoding="deflate", step=1).counts == TokenCounts(3, 2, 5)


def test_gzip_in_several_members():
    body = gzip.compress(said("a")) + gzip.compress(USAGE) + b"\0\0"
    assert read(body, encoding="gzip", step=3).counts == TokenCounts(3, 2, 5)


PACKERS = {
    "gzip": gzip.compress,
    "deflate": lambda body: (packer := zlib.compressobj(wbits=-15)).compress(body) + packer.flush(),
    "br": lambda body: brotli.compress(body, quality=4),
    "zstd": zstandard.compress,
}


@pytest.mark.parametrize("step", [1000, 5000, 1_000_000])
@pytest.mark.parametrize("words", [200, 3_000, 40_000])
@pytest.mark.parametrize("encoding", PACKERS)
def test_what_unpacks_to_far_more_than_it_is_is_read_to_its_end(encoding: str, words: int, step: int):
    body = b"".join(said(f"word {number % 97}") for number in range(words)) + USAGE
    assert read(PACKERS[encoding](body), encoding=encoding, step=step).counts == TokenCounts(3, 2, 5)
    exact = said("x") * (65536 * 3 // len(said("x"))) + b": " + b"y" * 65536
    for more in range(0, 300, 37):  # the end beside a limit of the pieces
        assert read(PACKERS[encoding](exact[: 65536 * 3 - more] + b"\n\n" + USAGE), encoding=encoding).counts == TokenCounts(3, 2, 5)


def test_names_of_encodings_are_read_as_written_in_the_wild():
    assert read(gzip.compress(USAGE), encoding=" GZIP ").usage_source == "vendor"
    assert read(USAGE, encoding="identity").usage_source == "vendor"


# -- bounds --


def test_an_event_beyond_the_cap_is_skipped_and_later_ones_count():
    reading = Reading(openai_chat.FORMAT, streamed=True, content_type=STREAM, content_encoding="")
    piece = b"x " * 32768
    reading.feed(said("a") + b'data: {"usage":{"prompt_tokens":9,"completion_tokens":9},"a":"')
    for _ in range(MAX_EVENT_BYTES // len(piece) + 2):
        assert reading.feed(piece) is piece
    reading.feed(b'"}\n\n')
    assert reading.outcome().usage_source == "estimated"
    reading.feed(USAGE)
    assert reading.outcome().counts == TokenCounts(3, 2, 5)


def image(mebibytes: int, escaped: str = "") -> str:
    return escaped + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGk/" * (mebibytes * 2**20 // 48)


@pytest.mark.parametrize("step", [1_000, 65_536])
def test_images_larger_than_any_event_may_be_are_left_out(step: int):
    drawn = {"output": [{"type": "image_generation_call", "result": image(6)}], "usage": {"input_tokens": 3, "output_tokens": 2}}
    body = event(type="response.completed", response={"status": "completed", "model": "m-1", **drawn})
    outcome = read(body, openai_responses.FORMAT, step=step)
    assert (outcome.counts, outcome.usage_source, outcome.model, outcome.complete) == (TokenCounts(3, 2, 5), "vendor", "m-1", True)
    part = {"inlineData": {"mimeType": "image/png", "data": image(6)}}
    chunk = {"candidates": [{"content": {"parts": [part, {"text": "\\"}, part]}, "finishReason": "STOP"}], "usageMetadata": GOOGLE}
    for text in (b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n", json.dumps([chunk, {"modelVersion": "m-1"}]).encode()):
        outcome = read(text, gemini.FORMAT, step=step)
        assert (outcome.counts, outcome.usage_source) == (TokenCounts(3, 2, 5), "vendor")


def test_an_image_of_an_interaction_is_content_and_hides_no_usage():
    reading = Reading(gemini_interactions.FORMAT, streamed=True, content_type=STREAM, content_encoding="")
    reading.feed(event(event_type="step.delta", delta={"type": "image", "data": image(5)}))
    assert reading.saw_content
    assert reading.outcome().counts == TokenCounts(completion_tokens=1)
    told = {"total_input_tokens": 3, "total_output_tokens": 2, "total_tokens": 5}
    reading.feed(event(event_type="interaction.completed", interaction={"model": "m-1", "usage": told}))
    assert (reading.outcome().counts, reading.outcome().usage_source) == (TokenCounts(3, 2, 5), "vendor")


def test_an_image_of_any_size_in_an_answer_is_left_out():
    reading = Reading(openai_chat.FORMAT, streamed=False, content_type="application/json", content_encoding="")
    reading.feed(b'{"data":[{"b64_json":"')
    for _ in range(40):
        reading.feed(image(1).encode())
        assert reading._size < 2 * LOOK_BYTES
    reading.feed(b'"}],"usage":{"input_tokens":3,"output_tokens":2}}')
    assert reading.finish() == b""
    assert (reading.outcome().counts, reading.outcome().usage_source) == (TokenCounts(3, 2, 5), "vendor")


MARKS = st.sampled_from(['"', "\\", " ", "{", "é", ","])


@given(st.lists(st.tuples(MARKS, st.integers(0, 13_000)), max_size=5), st.booleans())
@settings(deadline=None, max_examples=40)
def test_without_its_blobs_json_says_the_same(parts: list[tuple[str, int]], plain: bool):
    text = "".join(mark + "A" * length for mark, length in parts)
    told = {"a": text, "usage": {"prompt_tokens": 3}, "b": [text, 1.5]}
    written = json.dumps(told, ensure_ascii=plain).encode()
    short = without_blobs(written)
    assert len(short) <= len(written)
    again = json.loads(short)
    assert again["usage"] == told["usage"]
    assert [mark for mark in again["a"] if mark != "A"] == [mark for mark in text if mark != "A"]


def test_a_line_that_never_ends_costs_no_memory_and_counts_nothing():
    reading = Reading(openai_chat.FORMAT, streamed=True, content_type=STREAM, content_encoding="")
    piece = b"x " * 500_000
    reading.feed(b"data: ")
    for _ in range(50):
        reading.feed(piece)
    assert len(reading._events._held) <= MAX_EVENT_BYTES  # type: ignore[union-attr]
    reading.finish()
    assert (reading.outcome().counts, reading.outcome().usage_source) == (TokenCounts(), "none")


def test_an_answer_beyond_the_cap_is_relayed_and_not_counted():
    reading = Reading(openai_chat.FORMAT, streamed=False, content_type="application/json", content_encoding="")
    piece = b" " * 1_000_000
    reading.feed(b'{"usage":{"prompt_tokens":9,"completion_tokens":9},"a":"')
    for _ in range(MAX_ANSWER_BYTES // len(piece) + 2):
        assert reading.feed(piece) is piece
    reading.feed(b'"}')
    reading.finish()
    assert (reading.outcome().counts, reading.outcome().usage_source) == (TokenCounts(), "none")
    assert reading._body == []


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("br", lambda b: brotli.compress(b, quality=1)), ("zstd", zstandard.compress)]
)
def test_a_bomb_is_given_up(encoding: str, pack):
    bomb = pack(b'{"usage":{"prompt_tokens":9},"a":"' + b"x" * 80_000_000)
    assert len(bomb) < 1_000_000
    outcome = read(bomb, content_type="application/json", encoding=encoding)
    assert (outcome.counts, outcome.usage_source) == (TokenCounts(), "none")


def test_an_element_of_an_array_beyond_the_cap_is_skipped():
    chunk = b'{"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":1},"a":"%b"},'
    last = b'{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2}}]'
    body = b"[" + chunk % (b"x" * (MAX_EVENT_BYTES + 9)) + last
    assert read(body, gemini.FORMAT, content_type="application/json").counts == TokenCounts(3, 2, 5)


@pytest.mark.parametrize("step", [1, 2, 3, 50])
def test_an_array_is_cut_only_outside_of_texts(step: int):
    odd = {"text": 'a "quoted" \\ ] } , { [ \u20ac \\" end\\'}
    chunks = [{"candidates": [{"content": {"parts": [odd]}}], "usageMetadata": {"promptTokenCount": n}} for n in (1, 2)]
    body = json.dumps(chunks).encode()
    outcome = read(body, gemini.FORMAT, content_type="application/json", step=step)
    assert (outcome.counts.prompt_tokens, outcome.complete) == (2, True)


# -- the added usage chunk goes again --

CHAT_STREAMS = [sample for sample in wire_samples("openai_chat") if sample.streamed]


def relayed(body: bytes, step: int) -> bytes:
    reading = Reading(openai_chat.FORMAT, streamed=True, content_type=STREAM, content_encoding="", strip_usage_chunk=True)
    return b"".join(reading.feed(body[at : at + step]) for at in range(0, len(body), step)) + reading.finish()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("step", [1, 2, 3, 5, 17, 100_000])
def test_only_the_usage_chunk_is_missing(step: int, end: str):
    def ended(body: bytes) -> bytes:
        return body.replace(b"\n", end.encode())

    before = ended(b": hello\n\n" + said("a") + said('"usage": {"x"') + b":\n\n" + b"\n")
    after = ended(b"data: [DONE]\n\n")
    assert relayed(before + ended(USAGE) + after, step) == before + after
    assert relayed(before + ended(b": note\n" + USAGE) + after, step) == before + ended(b": note\n") + after
    assert relayed(before + ended(USAGE.replace(b"data: ", b"data:")) + after, step) == before + after


@pytest.mark.parametrize("sample", CHAT_STREAMS, ids=str)
def test_stripping_changes_no_count_and_no_other_byte(sample):
    for step in (1, 7, 100_000):
        reading = reading_of(sample, strip=True)
        body = sample.body
        out = b"".join(reading.feed(body[at : at + step]) for at in range(0, len(body), step)) + reading.finish()
        sample.check(reading.outcome())
        assert out == relayed(body, 1)
        assert len(out) <= len(body)
        assert out.count(b'"content"') == body.count(b'"content"')


@given(st.lists(st.sampled_from([said("a"), said("b"), USAGE, b": c\n\n", b"data: [DONE]\n\n", b"\n"]), max_size=8), st.data())
@settings(deadline=None)
def test_stripping_however_it_is_cut(events: list[bytes], data: st.DataObject):
    body = b"".join(events)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(body)), max_size=20)))
    reading = Reading(openai_chat.FORMAT, streamed=True, content_type=STREAM, content_encoding="", strip_usage_chunk=True)
    out = b"".join(reading.feed(body[a:b]) for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)) + reading.finish()
    assert out == b"".join(one for one in events if one != USAGE)


@given(st.lists(st.binary(max_size=60), max_size=6))
@settings(deadline=None)
def test_stripping_passes_on_what_is_no_stream(pieces: list[bytes]):
    reading = Reading(openai_chat.FORMAT, streamed=True, content_type=STREAM, content_encoding="", strip_usage_chunk=True)
    assert b"".join(reading.feed(piece) for piece in pieces) + reading.finish() == b"".join(pieces)


def test_content_never_waits_for_the_rest_of_its_event():
    reading = Reading(openai_chat.FORMAT, streamed=True, content_type=STREAM, content_encoding="", strip_usage_chunk=True)
    half = b'data: {"model":"m-1","choices":[{"delta":{"content":"a'
    assert reading.feed(half) is half
    rest = b'bc"}}]}\n\n'
    assert reading.feed(rest) is rest
    whole = said("d")
    assert reading.feed(whole) is whole


def test_usage_with_the_last_content_stays():
    body = event(model="m-1", choices=[{"delta": {}, "finish_reason": "stop"}], usage={"prompt_tokens": 3, "completion_tokens": 2})
    assert relayed(body, 4) == body
