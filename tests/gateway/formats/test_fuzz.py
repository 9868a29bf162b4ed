"""Some cases of `python -m tests.fuzz`, and the proof that it finds what is wrong. BYOK_TEST_SEED chooses others."""

import os
from collections.abc import Callable

import pytest

from byok.gateway import events, reading
from byok.gateway.formats import shape
from tests import fuzz

pytestmark = pytest.mark.slow
SEED = int(os.environ.get("BYOK_TEST_SEED", "20261123"))


def test_no_broken_answer_is_read_wrongly(capsys: pytest.CaptureFixture[str]):
    tally = fuzz.run(SEED, cases=1_000)
    with capsys.disabled():
        print(f"\n  fuzz: {tally.cases:,} cases, {tally.readings:,} readings, seed {SEED}", end="")
    assert tally.findings == [], "see one with: python -m tests.fuzz --replay CASE"
    assert len(tally.kinds) > 15, "too few kinds of answers were tried"


BROKEN: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "a CRLF cut in two": lambda patch: patch.setattr(
        events.EventSplitter, "_with_plain_line_ends", lambda self, data: data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    ),
    "the rest is forgotten": lambda patch: patch.setattr(events.EventSplitter, "rest", lambda self: b""),
    "a reader that raises": lambda patch: patch.setattr(reading, "_counts", lambda fmt, seen: 1 / (len(seen.usage or {}) % 7)),
    "parts larger than the whole": lambda patch: patch.setattr(shape, "min", lambda one, other: one, raising=False),
    "bytes are changed": lambda patch: patch.setattr(reading.Reading, "feed", lambda self, data: bytes(bytearray(data))),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_fault_in_the_readers_is_found(fault: str, monkeypatch: pytest.MonkeyPatch):
    BROKEN[fault](monkeypatch)
    for seed in range(40):
        if fuzz.run(seed, cases=100, say=lambda _: None).findings:
            return
    pytest.fail("it was not found in 4,000 cases")
