"""Worse disks: syncs that fail twice, bytes that flip, directories that answer nothing."""

import errno
import os
import random
import shutil
import subprocess
import time
from pathlib import Path

import msgspec
import pytest

from byok.recording import journal, segments
from byok.recording.journal import Journal
from byok.recording.publisher import publish
from byok.recording.reader import Reader
from byok.recording.table import Table
from byok.usage import UsageRecord
from tests.samples import usage_record


class SyncFails(journal.RealDisk):
    """The next `times` syncs fail."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.synced: list[int] = []

    def sync(self, fd: int) -> None:
        if self.times:
            self.times -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.synced.append(os.fstat(fd).st_ino)
        super().sync(fd)


class FullDisk(journal.RealDisk):
    """While `full`, no byte can be written."""

    full = False

    def write(self, fd: int, data: bytes) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(fd, data)


def stored(directory: Path) -> list[int]:
    lines = [line for segment in segments.listed(directory) for line in segments.read_lines(segment.path).good]
    return sorted((msgspec.json.decode(line, type=UsageRecord).prompt_tokens or 0) - 100 for line in lines)


def wait_until(condition, seconds: float = 5):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()


@pytest.mark.parametrize("times", [1, 2, 5])
def test_lines_move_on_until_a_sync_is_believed(tmp_path, times):
    disk = SyncFails(times)
    log = Journal(tmp_path, disk=disk)
    assert all(log.append(usage_record(number)) for number in range(10))
    wait_until(lambda: log.sync_errors == times and disk.synced)
    assert log.append(usage_record(10))
    log.close()
    assert stored(tmp_path) == list(range(11)), "each exactly once"
    holding = {os.stat(segment.path).st_ino for segment in segments.listed(tmp_path) if segment.path.stat().st_size}
    assert holding <= set(disk.synced), "a segment whose sync failed once is never believed again"
    assert (log.written, log.lost) == (11, 0)


def test_a_failed_sync_is_an_alarm_until_it_is_mended(tmp_path):
    log = Journal(tmp_path, disk=SyncFails(3))
    log.append(usage_record(0))
    wait_until(lambda: log.fault is not None)
    wait_until(lambda: log.fault is None)
    assert log.sync_errors == 3
    log.close()


def test_close_syncs_also_what_had_to_move(tmp_path):
    log = Journal(tmp_path, disk=SyncFails(0))
    log._disk.times = 2
    log.append(usage_record(0))
    log.close()
    assert stored(tmp_path) == [0]
    assert all(segments.is_sealed(segment.path) for segment in segments.listed(tmp_path))


def test_as_long_as_no_sync_works_records_are_kept_and_it_can_be_closed(tmp_path):
    """They stand in the page cache: a kill does not lose them, and no segment is made in vain again and again."""
    log = Journal(tmp_path, disk=SyncFails(1_000_000))
    written = [number for number in range(20) if log.append(usage_record(number))]
    wait_until(lambda: log.sync_errors >= 4)
    assert log.fault, "an append that is written does not say that it is safe"
    assert len(segments.listed(tmp_path)) <= 2
    log.close()
    assert stored(tmp_path) == written == list(range(20))
    assert all(segments.is_sealed(segment.path) for segment in segments.listed(tmp_path))
    assert (log.written, log.lost) == (20, 0)


def test_a_record_that_must_be_synced_does_not_cut_away_what_is_just_being_synced(tmp_path):
    """With `always` an append may find that syncs work again while the thread still holds the lines of one that failed."""
    log = Journal(tmp_path, fsync="always", disk=SyncFails(0))
    log._stop.set()
    log._thread.join()
    log._disk.times = 2  # the sync, and the one that would prove another segment
    assert not log.append(usage_record(0))
    segment = log._segment
    lines, segment.unsynced = segment.unsynced, []  # what the thread does before it syncs, without the lock
    assert log.append(usage_record(1))
    with pytest.raises(OSError):
        log._sync(segment)
    with log._lock:
        segment.unsynced = lines + segment.unsynced
        assert log._rescue(segment, OSError(errno.EIO, "the thread's"))
    log.close()
    assert stored(tmp_path) == [0, 1]


def test_a_disk_that_answers_nothing_stops_no_thread(tmp_path, monkeypatch):
    log = Journal(tmp_path, seal_every_s=0.2)
    with monkeypatch.context() as patch:

        def no_answer(_path):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        patch.setattr(Path, "exists", no_answer)
        wait_until(lambda: log.fault is not None)
    log.append(usage_record(0))
    wait_until(lambda: any(segments.is_sealed(segment.path) for segment in segments.listed(tmp_path)))
    assert log.fault is None
    log.close()


def test_a_line_whose_end_was_damaged_is_still_a_line(tmp_path):
    lines = [segments.encode_line(usage_record(number)) for number in range(3)]
    path = tmp_path / "w000000000000-00000000.jsonl"
    path.write_bytes(b"".join(lines)[:-1] + b"\x8a")
    found = segments.read_lines(path)
    assert (len(found.good), found.bad, found.end) == (3, [], path.stat().st_size)


def test_flipped_bits_cost_only_the_lines_they_hit_and_are_counted(tmp_path):
    """One flip per kilobyte, seeded: what is not hit is published, what is hit is set aside, nothing is wrong."""
    rng = random.Random(20261122)
    log = Journal(tmp_path / "journal")
    for number in range(200):
        log.append(usage_record(number))
    log.close()
    (segment,) = segments.listed(tmp_path / "journal")
    data = bytearray(segment.path.read_bytes())
    for start in range(0, len(data), 1024):
        data[rng.randrange(start, min(start + 1024, len(data)))] ^= 1 << rng.randrange(8)
    segment.path.write_bytes(data)
    table = Table(tmp_path / "usage")
    done = publish(table, tmp_path / "journal", lambda _: {})
    aside = sum(path.read_bytes().count(b"\n") for path in (tmp_path / "journal" / "quarantine").iterdir())
    assert done.rows < 200 and done.bad_lines == aside > 0
    view = Reader(table.directory, tmp_path / "journal").view()
    assert sum(file.rows for file in view.files) == done.rows
    damaged = len(data) // 1024 + 1
    assert 200 - done.rows <= 2 * damaged, "a flip in a line's end costs two lines at most"


def test_what_a_killed_writer_left_unnamed_is_cleared_away(tmp_path):
    (tmp_path / "w000000000000-00000003.new").touch()
    (tmp_path / "w000000000001-00000000.new").touch()
    os.utime(tmp_path / "w000000000000-00000003.new", (0, 0))
    segments.sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["w000000000001-00000000.new"], "a young one is being opened"


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 2 MB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip("mounting a file system needs more rights")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_really_full_disk_loses_what_it_says_it_lost_and_nothing_else(small_disk):
    log = Journal(small_disk / "journal", seal_every_s=0.2)
    filler = small_disk / "filler"
    written = [number for number in range(100) if log.append(usage_record(number))]
    with filler.open("wb") as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"x" * 65536)
            file.flush()
    written += [number for number in range(100, 300) if log.append(usage_record(number))]
    assert log.lost > 0 and log.fault
    with pytest.raises(OSError, match="No space"):
        publish(Table(small_disk / "usage"), small_disk / "journal", lambda _: {})
    filler.unlink()
    wait_until(lambda: log.fault is None)  # without a call: nobody may call as long as /readyz says 503
    assert log.append(usage_record(300))
    log.close()
    assert stored(small_disk / "journal") == [*written, 300], "no torn record, none doubled"
    shutil.rmtree(small_disk / "usage", ignore_errors=True)
    assert publish(Table(small_disk / "usage"), small_disk / "journal", lambda _: {}).rows == len(written) + 1


@pytest.fixture
def by_hand(tmp_path):
    """A journal whose disk is full, after one record, and that does what is to be done every 100 ms only when it is told."""
    log = Journal(tmp_path, seal_every_s=0, disk=FullDisk())
    log._stop.set()
    log._thread.join()
    assert log.append(usage_record(0))
    log._disk.full = True
    assert not log.append(usage_record(1))
    yield log
    log.close()


def test_a_segment_that_ends_as_the_disk_is_well_again_costs_no_record(by_hand):
    """The probe that found it well has just been made, so the next is not due: a new segment must not wait for it."""
    by_hand._disk.full = False
    by_hand._tend_once()
    assert by_hand.fault is None
    assert by_hand.append(usage_record(2))
    assert by_hand.lost == 1


def test_a_new_segment_on_a_full_disk_does_not_say_that_it_is_well(by_hand):
    """An empty file can be made where no byte can be written."""
    by_hand._tend_once()
    assert len(segments.listed(by_hand.directory)) == 2
    assert by_hand.fault
    by_hand._disk.full = False
    assert by_hand.append(usage_record(2)), "and each record tries for itself"
    assert by_hand.fault is None


def test_while_no_new_segment_can_be_made_the_old_one_serves(by_hand, monkeypatch):
    by_hand._disk.full = False
    with monkeypatch.context() as patch:
        patch.setattr(by_hand, "_open", lambda: (_ for _ in ()).throw(OSError(errno.EMFILE, os.strerror(errno.EMFILE))))
        by_hand._tend_once()
        assert by_hand.append(usage_record(2))
    by_hand._open_at = 0
    by_hand._tend_once()
    assert by_hand.append(usage_record(3))
    assert stored(by_hand.directory) == [0, 2, 3] and len(segments.listed(by_hand.directory)) == 2


def test_a_line_that_moves_while_a_reader_looks_is_not_missed(tmp_path, monkeypatch):
    """A failed sync moves it into a new segment after the reader listed the segments and before it reads the old one."""
    log = Journal(tmp_path / "journal", disk=SyncFails(0))
    log._stop.set()
    log._thread.join()  # so that only this test syncs
    assert log.append(usage_record(0))
    reader = Reader(tmp_path / "usage", tmp_path / "journal")
    listed, moves = segments.listed, [lambda: log._sync_segment(log._segment)]

    def list_then_move(directory):
        found = listed(directory)
        if moves:
            log._disk.times = 1
            moves.pop()()
        return found

    monkeypatch.setattr("byok.recording.segments.listed", list_then_move)
    assert reader.view().tail.num_rows == 1
    log.close()
    assert log.sync_errors == 1 and reader.view().tail.num_rows == 1


def test_beyond_its_bound_the_journal_takes_nothing_until_something_was_published(tmp_path):
    journal_ = Journal(tmp_path, seal_every_s=0.05, most_bytes=2000)
    try:
        wait_until(lambda: not journal_.append(usage_record()), 60)
        assert "full" in (journal_.fault or "")
        assert journal_.lost >= 1
        assert segments.waiting_bytes(tmp_path) >= 2000
        wait_until(lambda: all(segments.is_sealed(segment.path) for segment in segments.listed(tmp_path)[:-1]), 60)
        table = Table(tmp_path / "usage")
        wait_until(lambda: publish(table, tmp_path, lambda _: {}) and journal_.fault is None, 60)
        assert journal_.append(usage_record())
    finally:
        journal_.close()
