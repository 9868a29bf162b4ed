"""Twenty seconds of `python -m tests.fuzz`, and the proof that it finds what is wrong."""

import random
from collections.abc import Callable

import pytest

from byok.gateway import decoding, events, reading
from byok.gateway.formats import shape
from tests import fuzz


@pytest.mark.slow
def test_no_broken_answer_is_read_wrongly(capsys: pytest.CaptureFixture[str]):
    seed = random.SystemRandom().randrange(10**6)
    tally = fuzz.run(20, seed)
    with capsys.disabled():
        print(f"\n  fuzz: {tally.cases:,} cases, {tally.readings:,} readings, seed {seed}", end="")
    assert tally.findings == [], "see one with: python -m tests.fuzz --replay CASE"
    assert tally.cases > 500
    assert len(tally.kinds) > 15, "too few kinds of answers were tried"


BROKEN: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "a CRLF cut in two": lambda patch: patch.setattr(
        events.EventSplitter, "_with_plain_line_ends", lambda self, data: data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    ),
    "the rest is forgotten": lambda patch: patch.setattr(events.EventSplitter, "rest", lambda self: b""),
    "a reader that raises": lambda patch: patch.setattr(reading, "_counts", lambda fmt, seen: 1 / (len(seen.usage or {}) % 7)),
    "parts larger than the whole": lambda patch: patch.setattr(shape, "min", lambda one, other: one, raising=False),
    "an unpacker that stops early": lambda patch: patch.setattr(
        decoding._Brotli, "feed", lambda self, data: iter([self._decompressor.process(data, output_buffer_limit=decoding.PIECE_BYTES)])
    ),
    "bytes are changed": lambda patch: patch.setattr(reading.Reading, "feed", lambda self, data: bytes(bytearray(data))),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_fault_in_the_readers_is_found(fault: str, monkeypatch: pytest.MonkeyPatch):
    BROKEN[fault](monkeypatch)
    for attempt in range(40):
        if fuzz.run(0.5, attempt, say=lambda _: None).findings:
            return
    pytest.fail("it was not found in twenty seconds")
