"""The files of the journal: what a segment is called and how its lines are written, and what can be read of them.

A writer appends to one open segment `<writer>-<number>.jsonl` on which it holds a lock. A lock-free segment is sealed: its writer went on
to the next one, or died. A line is one JSON object of the record's fields with `crc`, the CRC-32 of all that stands before it.
"""

import contextlib
import fcntl
import os
import re
import time
import zlib
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import msgspec

from byok.usage import UsageRecord

LEFT_OVER_S = 60
QUARANTINE = "quarantine"  # the folder for damaged lines, beside the segments
SET_ASIDE = ".bad"  # the ending of its files; their lines are as they were found
HIDDEN = ".new"  # the ending of a segment that is not locked yet

_NAME = re.compile(r"^(w[0-9a-f]{12})-(\d{8})\.jsonl$")
_CRC = b',"crc":"'
_encode = msgspec.json.Encoder().encode


class Segment(NamedTuple):
    """One file of the journal. Segments of a writer are filled in the order of their numbers."""

    writer: str
    number: int
    path: Path


class Lines(NamedTuple):
    """What a stretch of a segment holds: the JSON of its good records, its bad lines, and the offset after its last whole line."""

    good: list[bytes]
    bad: list[bytes]
    end: int


def name(writer: str, number: int) -> str:
    """What a writer's segment of this number is called."""
    return f"{writer}-{number:08}.jsonl"


def encode_line(record: UsageRecord) -> bytes:
    """One journal line, newline included."""
    body = _encode(record)[:-1]
    return b'%b%b%08x"}\n' % (body, _CRC, zlib.crc32(body))


def checked(line: bytes) -> bytes | None:
    """The record's JSON in one line (without its newline), or None if the line is not as it was written."""
    cut = line.rfind(_CRC)
    if cut < 0 or line[cut + len(_CRC) :] != b'%08x"}' % zlib.crc32(line[:cut]):
        return None
    return line[:cut] + b"}"


def listed(directory: Path) -> list[Segment]:
    """All segments, by writer and number; an absent directory has none."""
    try:
        there = [entry.name for entry in os.scandir(directory)]
    except FileNotFoundError:
        return []
    return sorted(segment for entry in there if (segment := _segment(directory, entry)))


@lru_cache(maxsize=16_384)  # looked at anew for every question, also while thousands wait for a keeper
def _segment(directory: Path, entry: str) -> Segment | None:
    match = _NAME.match(entry)
    return Segment(match[1], int(match[2]), directory / entry) if match else None


def waiting_bytes(directory: Path) -> int:
    """How many bytes wait to be published."""
    found = 0
    for segment in listed(directory):
        with contextlib.suppress(FileNotFoundError):
            found += segment.path.stat().st_size
    return found


def quarantined_lines(directory: Path) -> int:
    """How many damaged lines the publication put aside. Raises OSError for a file that cannot be read."""
    found = 0
    for path in (directory / QUARANTINE).glob(f"*{SET_ASIDE}"):
        with contextlib.suppress(FileNotFoundError):
            found += path.read_bytes().count(b"\n")
    return found


def read_lines(path: Path, offset: int = 0) -> Lines:
    """Read whole lines from `offset` on; a torn last line is left for later. Raises FileNotFoundError when it was published meanwhile."""
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    end = data.rfind(b"\n") + 1
    good, bad = [], []
    if checked(data[end:-1]) is not None:  # a whole line whose last byte, the newline, was damaged
        data, end = data[:-1] + b"\n", len(data)
    for line in data[:end].split(b"\n"):
        if not line:
            continue
        record = checked(line)
        if record is None:
            bad.append(line)
        else:
            good.append(record)
    return Lines(good, bad, offset + end)


def sweep(directory: Path) -> None:
    """Delete the empty files of writers that were killed while they opened a segment."""
    for path in directory.glob(f"*{HIDDEN}"):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < time.time() - LEFT_OVER_S:
                path.unlink()


def is_sealed(path: Path) -> bool:
    """Whether nobody writes this segment any more."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def sealed(directory: Path) -> list[Segment]:
    """The segments that wait to be published."""
    found = []
    for segment in listed(directory):
        with contextlib.suppress(FileNotFoundError):
            if is_sealed(segment.path):
                found.append(segment)
    return found
