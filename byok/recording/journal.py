"""The journal's writer: one line per call, appended by the gateway, safe against kill -9 (the files: `segments`)."""

import errno
import fcntl
import os
import secrets
import threading
import time
from pathlib import Path
from typing import Literal, Protocol

import structlog

from byok.disk import sync
from byok.recording import segments
from byok.usage import UsageRecord

SYNC_EVERY_S = 0.1
SEAL_AFTER_BYTES = 16 << 20
RETRY_S = 0.5
PROBE = b" " * 8192  # more than fits into a block that is already ours; without a newline readers take it for a torn line

log = structlog.get_logger("byok.journal")


class Disk(Protocol):
    """The system calls that a disk can fail; tests inject faults here."""

    def write(self, fd: int, data: bytes) -> int: ...
    def sync(self, fd: int) -> None: ...


class RealDisk:
    def write(self, fd: int, data: bytes) -> int:
        return os.write(fd, data)

    def sync(self, fd: int) -> None:
        os.fdatasync(fd) if hasattr(os, "fdatasync") else os.fsync(fd)


class _OpenSegment:
    """The segment being written: its size, how much of it is surely on disk, and the lines that are not yet."""

    def __init__(self, fd: int, path: Path) -> None:
        self.fd, self.path = fd, path
        self.size = self.synced = 0
        self.doubtful = False
        self.unsynced: list[bytes] = []
        self.opened = time.monotonic()


class Journal:
    """Appends records; thread-safe; never raises after construction.

    With `fsync="batch"` a thread syncs every 100 ms (kill -9 loses nothing, power loss at most that); `"always"` syncs each record.
    A record that cannot be written is counted in `lost`; `fault` says why, until writing works again. So is one beyond `most_bytes` of
    segments that wait to be published (0: the disk is the bound).
    """

    def __init__(
        self,
        directory: Path,
        *,
        fsync: Literal["batch", "always"] = "batch",
        seal_every_s: float = 5.0,
        disk: Disk | None = None,
        most_bytes: int = 0,
    ) -> None:
        self.directory, self._most_bytes, self._full = directory, most_bytes, False
        self.written = self.lost = self.sync_errors = 0
        self.fault: str | None = None
        self._always = fsync == "always"
        self._seal_every_s = seal_every_s
        self._disk = disk or RealDisk()
        self._writer = "w" + secrets.token_hex(6)
        self._number = 0
        self._segment: _OpenSegment | None = None
        self._retired: list[_OpenSegment] = []
        self._open_at = self._probe_at = self._prove_at = 0.0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        with self._lock:
            self._ready()
        self._thread = threading.Thread(target=self._tend, name="journal", daemon=True)
        self._thread.start()

    def append(self, record: UsageRecord) -> bool:
        """Write one record; True when a kill -9 from now on cannot lose it."""
        line = segments.encode_line(record)
        with self._lock:
            done = not self._full and (self._segment is not None or self._ready()) and self._write(line)
            if done and self._always:
                done = self._sync_now()
            if done:
                self.written += 1
            else:
                self.lost += 1
            return done

    def close(self) -> None:
        """Sync and seal; what is appended afterwards is lost and counted."""
        self._stop.set()
        self._thread.join()
        with self._lock:
            while self._segment is not None or self._retired:  # a failed sync may have moved lines into one more segment
                self._end_retired()
                self._seal()
            self._open_at = float("inf")
            self.fault = "the journal is closed"

    # -- below: all under the lock, but for the sync itself --

    def _ready(self) -> bool:
        if self._segment is not None:
            return True
        if time.monotonic() < self._open_at:
            return False
        try:
            self._segment = self._open()
        except OSError as error:
            self._fail(error)
            self._open_at = time.monotonic() + RETRY_S
            return False
        return True

    def _open(self) -> _OpenSegment:
        """Lock the new segment before it can be seen: one without a lock would count as sealed."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.directory / segments.name(self._writer, self._number)
        hidden = path.with_suffix(segments.HIDDEN)
        fd = os.open(hidden, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            hidden.rename(path)
            sync(self.directory)
        except OSError:
            os.close(fd)
            raise
        self._number += 1
        return _OpenSegment(fd, path)

    def _write(self, line: bytes) -> bool:
        segment = self._segment
        assert segment is not None  # noqa: S101 - _ready() said so
        try:
            self._write_whole(segment, line)
        except OSError as error:
            self._fail(error)
            self._cut_back(segment)
            return False
        segment.size += len(line)
        segment.unsynced.append(line)
        if not segment.doubtful:
            self.fault = None
        return True

    def _write_whole(self, segment: _OpenSegment, data: bytes) -> None:
        done = self._disk.write(segment.fd, data)
        while done < len(data):  # a full disk writes short without an error
            count = self._disk.write(segment.fd, data[done:])
            if count == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            done += count

    def _probe(self, segment: _OpenSegment) -> None:
        """Try whether writing works again, with blanks that are cut off again: as long as we say that we cannot, perhaps nobody calls."""
        if segment.doubtful or time.monotonic() < self._probe_at:
            return
        self._probe_at = time.monotonic() + RETRY_S
        try:
            self._write_whole(segment, PROBE)
        except OSError as error:
            self._fail(error)
        else:
            self.fault = None
        self._cut_back(segment)

    def _cut_back(self, segment: _OpenSegment) -> None:
        """Remove a half-written line; if even that fails, leave the segment for good: readers drop a torn last line."""
        try:
            os.ftruncate(segment.fd, segment.size)
        except OSError:
            self._retired.append(segment)  # the thread may be syncing it just now, so the thread closes it
            self._segment = None

    def _seal(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            self._end(segment)

    def _end_retired(self) -> None:
        while self._retired:
            self._end(self._retired.pop())

    def _end(self, segment: _OpenSegment) -> None:
        if segment.unsynced:
            self._sync_segment(segment)
        os.close(segment.fd)

    def _sync_now(self) -> bool:
        segment = self._segment
        return segment is not None and self._sync_segment(segment)

    def _sync_segment(self, segment: _OpenSegment) -> bool:
        try:
            self._sync(segment)
        except OSError as error:
            return self._rescue(segment, error)
        segment.synced, segment.unsynced = segment.size, []
        return True

    def _sync(self, segment: _OpenSegment) -> None:
        """Once a sync of a segment failed, none of it is believed again: the kernel may have dropped the pages."""
        if segment.doubtful:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        try:
            self._disk.sync(segment.fd)
        except OSError:
            segment.doubtful = True
            self.sync_errors += 1
            raise

    def _rescue(self, segment: _OpenSegment, error: OSError) -> bool:
        """Go on in a new segment, and write there anew what the failed sync leaves at risk.

        Until a sync is seen to work the lines stay where they are: a kill does not lose them, a power cut may.
        """
        self._fail(error)
        if time.monotonic() < self._prove_at and not self._always:
            return False
        before = self._segment
        try:
            fresh = self._proven(segment)
            if before is not None and before is not fresh:
                self._retired.append(before)  # the thread may be syncing it just now, so the thread closes it
            self._segment = fresh
            return self._move(segment, fresh)
        except OSError as again:
            self._fail(again)
            self._prove_at = time.monotonic() + RETRY_S
            return False

    def _proven(self, failed: _OpenSegment) -> _OpenSegment:
        """Another segment than the failed one, after a sync of some blanks in it succeeded."""
        ours = self._segment
        there = ours if ours is not failed and ours is not None and not ours.doubtful else None
        found = there or self._open()
        try:
            self._write_whole(found, PROBE)
            self._sync(found)
        except OSError:
            if there is None:
                os.close(found.fd)
                found.path.unlink(missing_ok=True)
            else:
                self._cut_back(found)
            raise
        os.ftruncate(found.fd, found.size)
        return found

    def _move(self, old: _OpenSegment, fresh: _OpenSegment) -> bool:
        os.ftruncate(old.fd, old.synced)
        lines, old.unsynced = old.unsynced, []
        try:
            self._write_whole(fresh, b"".join(lines))
        except OSError as error:
            self._fail(error)
            self._cut_back(fresh)
            if not self._always:  # there append() counts its one record itself
                self.lost += len(lines)
                self.written -= len(lines)
            return False
        fresh.size += sum(map(len, lines))
        fresh.unsynced = lines + fresh.unsynced
        self._sync(fresh)
        fresh.synced, fresh.unsynced = fresh.size, []
        self.fault = None
        return True

    def _tend(self) -> None:
        while not self._stop.wait(SYNC_EVERY_S):
            try:
                self._tend_once()
            except OSError as error:  # a disk that answers nothing any more; it may come back
                with self._lock:
                    self._fail(error)

    def _tend_once(self) -> None:
        """Every 100 ms: sync what was written, seal what is old, open what could not be opened."""
        full = 0 < self._most_bytes <= segments.waiting_bytes(self.directory)
        with self._lock:
            self._mind_bound(full)
            self._end_retired()
            segment = self._segment
            if segment is None:
                self._ready()
                return
            if not segment.path.exists():
                self._abandon(segment)
                return
            if self.fault is not None and not self._full:
                self._probe(segment)
            if self._segment is None or not segment.size:
                return
            aged = time.monotonic() - segment.opened >= self._seal_every_s
            sealing = aged or segment.size >= SEAL_AFTER_BYTES
            if sealing:
                self._segment = None
                if not self._ready():  # as long as no new one can be made, the old one serves
                    self._segment, sealing = segment, False
            upto, lines = segment.size, segment.unsynced
            segment.unsynced = []
        if lines:
            self._sync_in_background(segment, upto, lines)
        if sealing:
            os.close(segment.fd)  # lets go of the lock: from now on it is sealed

    def _mind_bound(self, full: bool) -> None:
        """Stop at the bound until publication has made room: a disk that is full hurts more than this journal."""
        if full != self._full:
            self._full = full
            self.fault = "the journal is full: nothing was published for long" if full else None
            if full:
                log.error("journal_full", bytes=self._most_bytes)

    def _sync_in_background(self, segment: _OpenSegment, upto: int, lines: list[bytes]) -> None:
        """Appends go on meanwhile; only this thread and close() end a segment, so its descriptor stays valid."""
        try:
            self._sync(segment)
        except OSError as error:
            with self._lock:
                segment.unsynced = lines + segment.unsynced
                self._rescue(segment, error)
            return
        segment.synced = upto

    def _abandon(self, segment: _OpenSegment) -> None:
        """Somebody removed the directory under us: start anew."""
        self.lost += len(segment.unsynced)
        self.written -= len(segment.unsynced)
        os.close(segment.fd)
        self._segment = None
        self._ready()

    def _fail(self, error: OSError) -> None:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        if self.fault is None:
            log.error("journal_cannot_write", reason=reason)
        self.fault = f"the journal cannot be written: {reason}"
