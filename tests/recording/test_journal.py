"""The journal loses nothing that it acknowledged, whatever the disk does."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from byok.recording import journal, segments
from byok.recording.journal import Journal
from byok.usage import COLUMN_NAMES, UsageRecord
from tests.samples import usage_record


class FaultyDisk(journal.RealDisk):
    """A disk whose writes and syncs fail on demand."""

    def __init__(self):
        self.write_fault = self.sync_fault = None
        self.room = None

    def write(self, fd, data):
        if self.write_fault:
            raise OSError(self.write_fault, os.strerror(self.write_fault))
        if self.room is not None:
            data = data[: self.room]
            self.room -= len(data)
            if not data:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(fd, data)

    def sync(self, fd):
        if self.sync_fault:
            fault, self.sync_fault = self.sync_fault, None
            raise OSError(fault, os.strerror(fault))
        super().sync(fd)


@pytest.fixture
def disk():
    return FaultyDisk()


def stored(directory: Path) -> list[UsageRecord]:
    lines = [line for segment in segments.listed(directory) for line in segments.read_lines(segment.path).good]
    return [msgspec.json.decode(line, type=UsageRecord) for line in lines]


def bad_lines(directory: Path) -> int:
    return sum(len(segments.read_lines(segment.path).bad) for segment in segments.listed(directory))


def wait_until(condition, seconds: float = 5):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()


def test_a_record_comes_back_as_it_was_written(tmp_path):
    log = Journal(tmp_path)
    records = [usage_record(n) for n in range(50)]
    assert all(log.append(record) for record in records)
    log.close()
    assert stored(tmp_path) == records
    assert (log.written, log.lost) == (50, 0)


def test_a_line_holds_the_columns_and_its_checksum_and_nothing_else():
    line = msgspec.json.decode(segments.encode_line(usage_record()))
    assert list(line) == [*COLUMN_NAMES, "crc"]


def test_an_open_segment_is_not_sealed_and_a_closed_one_is(tmp_path):
    log = Journal(tmp_path)
    log.append(usage_record())
    (segment,) = segments.listed(tmp_path)
    assert not segments.is_sealed(segment.path)
    log.close()
    assert segments.is_sealed(segment.path)


def test_an_idle_journal_seals_what_it_has(tmp_path):
    log = Journal(tmp_path, seal_every_s=0.2)
    log.append(usage_record())
    first = segments.listed(tmp_path)[0].path
    wait_until(lambda: segments.is_sealed(first))
    assert not segments.is_sealed(segments.listed(tmp_path)[1].path), "the next segment must already be open"
    log.close()


def test_every_flipped_bit_of_a_line_is_noticed():
    line = segments.encode_line(usage_record())[:-1]
    assert segments.checked(line) is not None
    for place in range(len(line)):
        for bit in range(8):
            damaged = bytearray(line)
            damaged[place] ^= 1 << bit
            assert segments.checked(bytes(damaged)) is None


def test_a_segment_cut_at_any_byte_yields_its_whole_lines(tmp_path):
    lines = [segments.encode_line(usage_record(n)) for n in range(3)]
    path = tmp_path / "cut.jsonl"
    for cut in range(sum(map(len, lines)) + 1):
        path.write_bytes(b"".join(lines)[:cut])
        found = segments.read_lines(path)
        whole = sum(cut >= len(b"".join(lines[: n + 1])) for n in range(3))
        assert (len(found.good), found.bad) == (whole, [])
        assert found.end == len(b"".join(lines[:whole]))


def test_a_bad_line_in_the_middle_costs_only_itself(tmp_path):
    path = tmp_path / "bad.jsonl"
    lines = [segments.encode_line(usage_record(n)) for n in range(3)]
    path.write_bytes(lines[0] + b'{"ts":"not what was written"}\n\x00\xff\n' + lines[2])
    found = segments.read_lines(path)
    assert (len(found.good), len(found.bad)) == (2, 2)


def test_a_full_disk_is_counted_and_recovers_without_a_torn_line(tmp_path, disk):
    log = Journal(tmp_path, disk=disk)
    assert log.append(usage_record(0))
    disk.room = 100  # less than a line: the write comes back short
    assert not log.append(usage_record(1))
    assert "No space left" in (log.fault or "")
    disk.room = None
    assert log.append(usage_record(2))
    assert log.fault is None
    log.close()
    assert stored(tmp_path) == [usage_record(0), usage_record(2)]
    assert (log.written, log.lost, bad_lines(tmp_path)) == (2, 1, 0)


def test_a_failed_sync_moves_the_lines_at_risk_into_a_new_segment(tmp_path, disk):
    log = Journal(tmp_path, disk=disk)
    disk.sync_fault = errno.EIO
    for number in range(10):
        log.append(usage_record(number))
    wait_until(lambda: log.sync_errors == 1)
    log.append(usage_record(10))
    log.close()
    assert sorted(record.ts for record in stored(tmp_path)) == [usage_record(n).ts for n in range(11)], "each exactly once"
    assert len(segments.listed(tmp_path)) == 2


def test_always_reports_a_record_only_when_it_is_synced(tmp_path, disk):
    log = Journal(tmp_path, fsync="always", disk=disk)
    disk.sync_fault = errno.EIO
    assert log.append(usage_record(0)), "the second segment took it"
    log.close()
    assert stored(tmp_path) == [usage_record(0)]


def test_a_directory_that_cannot_be_made_is_a_fault_and_heals(tmp_path):
    blocked = tmp_path / "journal"
    blocked.write_text("a file where the directory should be")
    log = Journal(blocked)
    assert not log.append(usage_record(0))
    assert log.fault
    blocked.unlink()
    wait_until(lambda: log.fault is None)
    assert log.append(usage_record(1))
    log.close()
    assert (log.written, log.lost) == (1, 1)


def test_a_directory_that_is_removed_is_made_again(tmp_path):
    directory = tmp_path / "journal"
    log = Journal(directory)
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()
    wait_until(lambda: segments.listed(directory))
    assert log.append(usage_record(0))
    log.close()
    assert stored(directory) == [usage_record(0)]


def test_a_closed_journal_counts_what_comes_too_late(tmp_path):
    log = Journal(tmp_path)
    log.close()
    assert not log.append(usage_record())
    assert log.lost == 1


WRITER = """
import sys
from pathlib import Path
from byok.recording.journal import Journal
from tests.samples import usage_record
log = Journal(Path(sys.argv[1]), seal_every_s=0.15)
number = int(sys.argv[2])
print("ready", flush=True)
while True:
    assert log.append(usage_record(number))
    sys.stdout.write(f"{number}\\n"); sys.stdout.flush()
    number += 1
"""


@pytest.mark.slow
def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path):
    acknowledged: set[int] = set()
    for kill in range(20):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(kill * 1_000_000)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
        time.sleep(0.1 + kill * 0.02)
        writer.kill()
        acknowledged.update(int(line) for line in writer.stdout.read().split("\n")[:-1])
        writer.wait()
    found = [record.prompt_tokens - 100 for record in stored(tmp_path) if record.prompt_tokens is not None]
    assert len(acknowledged) > 1000, "too little was written for this test to prove anything"
    assert acknowledged - set(found) == set()
    assert len(found) == len(set(found))
    assert len(set(found) - acknowledged) <= 20, "at most the one record that was under way at each kill"
