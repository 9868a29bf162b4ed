"""What a hostile vendor or client sends costs time in proportion to its size, however it is cut: nothing here is quadratic."""

import gzip
import time
from collections.abc import Callable

import pytest

from byok.errors import BadRequest
from byok.gateway.decoding import decoder
from byok.gateway.formats import anthropic, gemini, openai_chat
from byok.gateway.formats.shape import Format
from byok.gateway.reading import Reading
from byok.gateway.requests import add_include_usage, multipart_model, read_request, strip_vendor_prefix

TIMES = 4
MOST = 9.0  # times the effort for four times the size: 16 would be quadratic
FLOOR_S = 0.05  # below which nothing can be told apart from noise


def effort(work: Callable[[bytes], object], body: bytes) -> float:
    """CPU seconds; the least of two tries."""
    spent = []
    for _ in range(2):
        began = time.process_time()
        work(body)
        spent.append(time.process_time() - began)
    return min(spent)


def assert_in_proportion(work: Callable[[bytes], object], small: bytes, large: bytes) -> None:
    assert effort(work, large) < MOST * effort(work, small) + FLOOR_S


def reader(fmt: Format, kind: str, step: int, *, strip: bool = False) -> Callable[[bytes], object]:
    def read(body: bytes) -> object:
        reading = Reading(fmt, streamed=True, content_type=kind, content_encoding="", strip_usage_chunk=strip)
        for at in range(0, len(body), step):
            reading.feed(body[at : at + step])
        reading.finish()
        return reading.outcome()

    return read


STREAMS: dict[str, tuple[bytes, bytes]] = {
    "a usage that never ends": (b'data: {"usage": {', b'"a":1,'),
    "choices that never begin": (b'data: {"choices":[', b" "),
    "an event of fields": (b"", b"id: 1\n"),
    "an event of data": (b"", b"data: x\n"),
    "comments": (b"", b": x\n"),
    "blank lines": (b"", b"\n"),
    "carriage returns": (b"", b"\r"),
    "a text of escapes": (b'data: "', b'\\"'),
    "brackets": (b"data: ", b"["),
    "error events": (b"", b"event: error\ndata: {}\n\n"),
}


@pytest.mark.parametrize("strip", [False, True], ids=["", "stripped"])
@pytest.mark.parametrize("step", [1, 65536])
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_costs_in_proportion_to_its_length(name: str, step: int, strip: bool):
    begin, again = STREAMS[name]
    many = 8_000 // len(again)
    assert_in_proportion(
        reader(openai_chat.FORMAT, "text/event-stream", step, strip=strip), begin + again * many, begin + again * many * TIMES
    )


ARRAYS = {
    "elements": (b"[", b'{"a":1},'),
    "a text": (b'[{"a":"', b"x"),
    "escapes": (b'[{"a":"', b"\\\\"),
    "opening": (b"", b"["),
    "closing": (b"[{}", b"]"),
    "quotes": (b"[", b'"'),
}


@pytest.mark.parametrize("step", [1, 7, 65536])
@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_costs_in_proportion_to_its_length(name: str, step: int):
    begin, again = ARRAYS[name]
    many = 12_000 // len(again)
    assert_in_proportion(reader(gemini.FORMAT, "application/json", step), begin + again * many, begin + again * many * TIMES)


def test_an_event_that_grows_beyond_the_cap_is_not_joined_again_and_again():
    assert_in_proportion(reader(anthropic.FORMAT, "text/event-stream", 50), b"data: " + b"x" * 1_500_000, b"data: " + b"x" * 6_000_000)


def test_gzip_of_empty_members():
    def unpack(body: bytes) -> None:
        unpacking = decoder("gzip")
        assert unpacking is not None
        for at in range(0, len(body), 65536):
            for _ in unpacking.feed(body[at : at + 65536]):
                pass

    empty = gzip.compress(b"")
    assert_in_proportion(unpack, empty * 3_000, empty * 3_000 * TIMES)


def read_or_refuse(body: bytes) -> None:
    try:
        read_request(body)
        strip_vendor_prefix(body, "openai")
        add_include_usage(body)
    except BadRequest:
        return


REQUESTS = {
    "escaped names": lambda n: b'{"model":"x",' + b",".join(b'"\\u006d%d":1' % number for number in range(n)) + b"}",
    "models inside": lambda n: b'{"model":"x","tools":[' + b",".join([b'{"model":1}'] * n) + b"]}",
    "brackets": lambda n: b'{"model":"x","m":[{"model":1}' + b",[]" * n + b"]}",
    "texts": lambda n: b'{"model":"x","m":["model"' + b',"\\"model\\""' * n + b"]}",
    "opened and not closed": lambda n: b'{"model":"x","m":' + b'{"model":' * n,
    "stream_options inside": lambda n: b'{"model":"x","m":[' + b",".join([b'{"stream_options":{}}'] * n) + b"]}",
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_costs_in_proportion_to_its_length(name: str):
    assert_in_proportion(read_or_refuse, REQUESTS[name](20_000), REQUESTS[name](20_000 * TIMES))


@pytest.mark.parametrize("line", [b'name="model\n', b'name="model"\r\n', b"name=model\r\nx\r\n", b'name="model"; a\r\n\r\n' + b"y" * 300])
def test_a_form_full_of_what_looks_like_its_field_costs_in_proportion_and_is_read(line: bytes):
    assert_in_proportion(multipart_model, line * 20_000, line * 20_000 * TIMES)
    form = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--x\r\n' + line * 20_000
    assert multipart_model(form) == "whisper-1"


def test_a_request_of_too_many_members_is_refused_only_where_they_must_be_searched():
    many = b",".join(b'"a%d":1' % number for number in range(2_000))
    assert read_request(b'{"model":"gpt-4o",' + many + b"}").model == "gpt-4o"
    with pytest.raises(BadRequest) as refused:
        read_request(b'{"model":"gpt-4o","m\\u006fdel2":1,' + many + b"}")
    assert refused.value.code == "body_too_complex"
