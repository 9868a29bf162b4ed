"""Throws broken answers at the readers of usage: `python -m tests.fuzz --minutes 30 --seed 7`. A shorter run is part of the tests.

Every case is a sample answer, changed at random: in its JSON, in its framing, in its bytes, or joined with another. It is read whole, cut
anywhere, packed and stripped. A finding is printed with what `--replay` needs to see it again.
"""

import argparse
import copy
import gzip
import json
import math
import random
import re
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import brotli
import zstandard

from byok.gateway.formats.shape import Format
from byok.gateway.paths import ANTHROPIC, GEMINI, OLLAMA, OPENAI
from byok.gateway.reading import Outcome, Reading
from tests.wire_samples import wire_samples

REPORT_EVERY_S = 60.0
FORMATS: dict[str, Format] = {kind.format.name: kind.format for family in (OPENAI, ANTHROPIC, GEMINI, OLLAMA) for kind in family.kinds}
SEEDS = [(sample.format.name, sample.body) for sample in wire_samples()]
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "br": lambda body: brotli.compress(body, quality=1),
    "zstd": zstandard.ZstdCompressor(level=1).compress,
}
NAMES = sorted({name.decode() for _, body in SEEDS for name in re.findall(rb'"([A-Za-z_]+)"\s*:', body)})
ODD: list[Any] = [None, True, False, 0, 1, 7, -1, 1.5, 3.0, 2**53, 2**63, 2**64, 10**400, 1e308]
ODD += ["", "7", "error", "\ud800", "é" * 9, [], {}, [[]], [{}], {"a": 1}]
TOKENS = [b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"data:", b"data: ", b"data", b"event: error\n", b"event:", b"id: 1\n", b":", b": \n"]
TOKENS += [b"[DONE]", b"{", b"}", b"[", b"]", b",", b'"', b"\\", b"\\u00", b"\\ud800", b"null", b"1e999", b"-1", b"NaN", b" ", b"[" * 600]
TOKENS += [b"\xff", b"\xef\xbb\xbf", b"\0"]
TOKENS += [f'"{name}":'.encode() for name in NAMES]
CPU_S_PER_MB = 3.0  # far above what any case takes, far below what a quadratic one would
FINDINGS_SHOWN = 10


class Wrong(AssertionError):
    """One of the properties does not hold."""


@dataclass
class Tally:
    """What a run did."""

    cases: int = 0
    readings: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)


def case(seed: str) -> tuple[Format, bytes, random.Random]:
    """The case of this seed: always the same."""
    chance = random.Random(seed)
    name, body = chance.choice(SEEDS)
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        body = chance.choice((_change_json, _change_json, _change_bytes, _change_bytes, _change_lines, _join))(body, chance)
    if chance.random() < 0.04:
        body = _grow(body, chance)
    if chance.random() < 0.1:
        name = chance.choice(list(FORMATS))
    return FORMATS[name], body[:300_000], chance


def try_case(seed: str, tally: Tally) -> None:
    """Read one case in every way; raises `Wrong`, or whatever a reader raised."""
    fmt, body, chance = case(seed)
    kind, streamed = chance.choice((("text/event-stream", True), ("application/json", False), ("application/x-ndjson", True), ("", True)))
    started = time.process_time()
    whole, _ = _read(fmt, kind, streamed, [body], "")
    spent = time.process_time() - started
    if spent > 0.2 + CPU_S_PER_MB * len(body) / 2**20:
        raise Wrong(f"{len(body)} bytes took {spent:.2f} s")
    _hold_together(whole)
    tally.kinds[f"{fmt.name} {whole.usage_source}"] += 1
    pieces = _cut(body, chance)
    if (again := _read(fmt, kind, streamed, pieces, "")[0]) != whole:
        raise Wrong(f"whole: {whole}, cut: {again}")
    if body.lstrip(b" \t\r\n\xef\xbb\xbf")[:1] not in (b"", b"{", b"["):
        ended = _read(fmt, kind, streamed, [*pieces, b"\n\n"], "")[0]
        if ended != whole:
            raise Wrong(f"without the last blank line: {whole}, with it: {ended}")
    encoding = chance.choice(list(PACKED))
    packed = PACKED[encoding](body)
    if (again := _read(fmt, kind, streamed, chance.choice(([packed], _cut(packed, chance))), encoding)[0]) != whole:
        raise Wrong(f"plain: {whole}, {encoding}: {again}")
    stripped, out = _read(fmt, kind, streamed, [body], "", strip=True)
    cut_stripped, cut_out = _read(fmt, kind, streamed, pieces, "", strip=True)
    if stripped != whole or cut_stripped != whole:
        raise Wrong(f"stripping changes the counts: {whole}, {stripped}, {cut_stripped}")
    if out != cut_out:
        raise Wrong(f"stripping depends on the cutting: {_difference(out, cut_out)}")
    if len(out) > len(body) or (b'"usage"' not in body and out != body):
        raise Wrong(f"stripping takes what is no usage: {_difference(body, out)}")
    tally.readings += 5


def _read(fmt: Format, kind: str, streamed: bool, pieces: list[bytes], encoding: str, *, strip: bool = False) -> tuple[Outcome, bytes]:
    """As the relay reads; bytes that are not to be stripped must come back as they are."""
    reading = Reading(fmt, streamed=streamed, content_type=kind, content_encoding=encoding, strip_usage_chunk=strip)
    out = []
    for piece in pieces:
        out.append(reading.feed(piece))
        if not strip and out[-1] is not piece:
            raise Wrong(f"bytes were changed: {piece!r} to {out[-1]!r}")
        _ = reading.saw_content, reading.complete
    rest = reading.finish()
    if not strip and rest:
        raise Wrong(f"bytes were added: {rest!r}")
    return reading.outcome(), b"".join(out) + rest


def _hold_together(outcome: Outcome) -> None:
    counts = outcome.counts
    prompt, completion, total = counts.prompt_tokens, counts.completion_tokens, counts.total_tokens
    known = [getattr(counts, name) for name in type(counts).__slots__ if getattr(counts, name) is not None]
    if any(type(value) is not int or not 0 <= value < 2**56 for value in known):
        raise Wrong(f"no counts: {counts}")
    if prompt is not None and completion is not None and total != prompt + completion:
        raise Wrong(f"the total is not the sum: {counts}")
    if prompt is not None and max(counts.cached_tokens or 0, counts.cache_write_tokens or 0) > prompt:
        raise Wrong(f"more cached than prompt: {counts}")
    if completion is not None and (counts.reasoning_tokens or 0) > completion:
        raise Wrong(f"more reasoning than completion: {counts}")
    if bool(known) == (outcome.usage_source == "none"):
        raise Wrong(f"{outcome.usage_source} with {counts}")
    if not (outcome.model is None or isinstance(outcome.model, str)):
        raise Wrong(f"no model: {outcome.model!r}")
    if outcome.failure_status is not None and not 400 <= outcome.failure_status < 600:
        raise Wrong(f"no status: {outcome.failure_status}")


def _difference(one: bytes, other: bytes) -> str:
    at = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return f"at {at} of {len(one)} and {len(other)}: {one[max(0, at - 40) : at + 80]!r} / {other[max(0, at - 40) : at + 80]!r}"


# -- changes --


def _change_json(body: bytes, chance: random.Random) -> bytes:
    """Another value, name or member somewhere in one of the JSON texts of the body."""
    found = list(re.finditer(rb"\{.*\}", body))
    if not found:
        return _change_bytes(body, chance)
    spot = chance.choice(found)
    try:
        told = json.loads(spot[0])
    except (ValueError, RecursionError):
        return _change_bytes(body, chance)
    for _ in range(chance.choice((1, 1, 1, 3))):
        _change_member(told, chance)
    separators = chance.choice(((",", ":"), (", ", ": "), (" ,\t", " :  ")))
    try:
        text = json.dumps(told, separators=separators, ensure_ascii=chance.random() < 0.8).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return body
    return body[: spot.start()] + text + body[spot.end() :]


def _change_member(told: Any, chance: random.Random) -> None:
    places: list[tuple[Any, Any]] = []

    left = [told]
    while left and len(places) < 500:
        value = left.pop()
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            places.append((value, key))
            if isinstance(inner, dict | list):
                left.append(inner)
    if not places:
        return
    holder, key = chance.choice(places)
    deed = chance.randrange(5)
    if deed == 0:
        del holder[key]
    elif deed == 1:
        holder[key] = chance.choice(ODD)
    elif deed == 2:
        holder[key] = chance.randrange(chance.choice((10, 1000, 2**40)))
    elif deed == 3:
        holder[key] = {chance.choice(NAMES): holder[key], chance.choice(NAMES): chance.choice(ODD)}
    elif isinstance(holder, dict):
        holder[chance.choice(NAMES)] = copy.copy(holder[key])


def _change_bytes(body: bytes, chance: random.Random) -> bytes:
    changed = bytearray(body)
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(len(changed) + 1)
        deed = chance.randrange(5)
        if deed == 0:
            changed[at:at] = chance.choice(TOKENS)
        elif deed == 1:
            del changed[at : at + chance.choice((1, 1, 2, 9, 200))]
        elif deed == 2:
            changed[at : at + 1] = bytes([chance.randrange(256)])
        elif deed == 3:
            end = at + chance.choice((1, 20, 300))
            changed[at:at] = changed[at:end] * chance.choice((1, 2))
        else:
            del changed[at : len(changed) if chance.random() < 0.2 else at + 1]
    return bytes(changed)


def _change_lines(body: bytes, chance: random.Random) -> bytes:
    """Data over more lines, other line ends, or lines in another order, twice, or not at all."""
    if chance.random() < 0.3:
        body = re.sub(rb'(?m)^(data: ?\{.*?),"', rb'\1,\ndata: "', body)
    if chance.random() < 0.5:
        return re.sub(rb"\r\n|\n|\r", lambda _: chance.choice((b"\n", b"\r\n", b"\r", b"\n")), body)
    lines = body.split(b"\n")
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    if chance.random() < 0.5:
        lines.insert(other, lines[one])
    return b"\n".join(lines)


def _join(body: bytes, chance: random.Random) -> bytes:
    """Two answers behind one another, or one inside the other."""
    _, other = chance.choice(SEEDS)
    at = chance.choice((0, len(body), chance.randrange(len(body) + 1)))
    return body[:at] + other[: chance.choice((len(other), chance.randrange(len(other))))] + body[at:]


def _grow(body: bytes, chance: random.Random) -> bytes:
    """A part of it so often that it goes beyond the pieces in which compressed bodies are unpacked."""
    begin = body.find(b"\n\n", chance.randrange(len(body) + 1)) + 2
    end = body.find(b"\n\n", begin) + 2 or len(body)
    part = body[begin:end] or b": \n\n"
    return body[:end] + part * (chance.randrange(70_000, 250_000) // len(part)) + body[end:]


def _cut(body: bytes, chance: random.Random) -> list[bytes]:
    """Pieces as reads from a socket give them, none of them empty."""
    if chance.random() < 0.2 and len(body) < 3000:
        size = chance.choice((1, 2, 3))
        return [body[at : at + size] for at in range(0, len(body), size)]
    ends = sorted({chance.randrange(len(body) + 1) for _ in range(chance.choice((1, 5, 40)))} | {len(body)})
    return [body[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True) if end > begin]


# -- a run --


def run(seed: int, *, seconds: float = math.inf, cases: float = math.inf, say: Callable[[str], Any] = print) -> Tally:
    """Try cases until the time is over, or so many have been tried."""
    tally, started = Tally(), time.monotonic()
    reported = started
    while (now := time.monotonic()) - started < seconds and tally.cases < cases:
        name = f"{seed}-{tally.cases}"
        try:
            try_case(name, tally)
        except Exception as error:
            tally.findings.append(name)
            if len(tally.findings) <= FINDINGS_SHOWN:
                told = str(error) if isinstance(error, Wrong) else "".join(traceback.format_exception(error))
                say(f"FINDING {name}: {told}")
        tally.cases += 1
        if now - reported > REPORT_EVERY_S:
            reported = now
            say(f"{now - started:6.0f} s  {tally.cases:,} cases  {tally.readings:,} readings  {len(tally.findings)} findings")
    return tally


def main() -> int:
    told = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("--minutes", type=float, default=1.0)
    told.add_argument("--seed", type=int, default=1)
    told.add_argument("--replay", metavar="CASE", help="one case of an earlier run, such as 7-1234")
    asked = told.parse_args()
    if asked.replay:
        fmt, body, _ = case(asked.replay)
        print(fmt.name, body)
        try_case(asked.replay, Tally())
        return 0
    tally = run(asked.seed, seconds=asked.minutes * 60)
    print(f"{tally.cases:,} cases, {tally.readings:,} readings, {len(tally.findings)} findings, seed {asked.seed}")
    for kind, count in sorted(tally.kinds.items()):
        print(f"  {count:9,} {kind}")
    return 1 if tally.findings else 0


if __name__ == "__main__":
    sys.exit(main())
