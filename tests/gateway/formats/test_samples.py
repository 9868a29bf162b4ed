"""Every sample answer says the same however it is cut, ended or packed."""

import gzip
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire_samples import FORMATS, WireSample, reading_of, wire_samples

SAMPLES = wire_samples()
PACKED = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


def test_every_sample_file_is_described():
    from tests.wire_samples import _FOLDER

    files = {f"{name}/{file.name}" for name in FORMATS for file in (_FOLDER / name).iterdir() if file.name != "expected.json"}
    assert files == {str(sample) for sample in SAMPLES}
    assert len(files) > 60


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
@pytest.mark.parametrize("step", [1, 2, 3, 64, 1_000_000])
def test_usage_is_read_from_pieces_of_any_size(sample: WireSample, step: int):
    reading = reading_of(sample)
    for at in range(0, len(sample.body), step):
        piece = sample.body[at : at + step]
        assert reading.feed(piece) is piece
    assert reading.finish() == b""
    sample.check(reading.outcome())


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_cut_in_two_at_every_byte(sample: WireSample):
    for at in range(1, len(sample.body)):
        reading = reading_of(sample)
        reading.feed(sample.body[:at])
        reading.feed(sample.body[at:])
        reading.finish()
        sample.check(reading.outcome())


@pytest.mark.parametrize("encoding", PACKED)
@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_usage_is_read_from_packed_answers(sample: WireSample, encoding: str):
    packed = PACKED[encoding](sample.body)
    for step in (1, 5, 1_000_000):
        reading = reading_of(sample, encoding=encoding)
        for at in range(0, len(packed), step):
            piece = packed[at : at + step]
            assert reading.feed(piece) is piece
        reading.finish()
        sample.check(reading.outcome())


@pytest.mark.parametrize("end", ["\r\n", "\r"])
@pytest.mark.parametrize("sample", [sample for sample in SAMPLES if sample.streamed and b"\r" not in sample.body], ids=str)
def test_other_line_ends_say_the_same(sample: WireSample, end: str):
    body = sample.body.replace(b"\n", end.encode())
    for step in (1, 2, 100_000):
        reading = reading_of(sample)
        for at in range(0, len(body), step):
            reading.feed(body[at : at + step])
        reading.finish()
        sample.check(reading.outcome())


@settings(deadline=None)
@given(st.data())
def test_usage_is_read_wherever_the_pieces_are_cut(data: st.DataObject):
    sample = data.draw(st.sampled_from(SAMPLES))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(sample.body) - 1), max_size=40)))
    reading = reading_of(sample)
    for begin, end in zip([0, *cuts], [*cuts, len(sample.body)], strict=True):
        reading.feed(sample.body[begin:end])
    reading.finish()
    sample.check(reading.outcome())


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_counts_hold_together(sample: WireSample):
    counts = sample.counts
    if counts.prompt_tokens is not None and counts.completion_tokens is not None:
        assert counts.total_tokens == counts.prompt_tokens + counts.completion_tokens
    assert (counts.cached_tokens or 0) + (counts.cache_write_tokens or 0) <= (counts.prompt_tokens or 0)
    assert (counts.reasoning_tokens or 0) <= (counts.completion_tokens or 0)
