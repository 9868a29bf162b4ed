"""Deletes what a plan stops keeping, and what somebody wants gone: physically, from every file, with a receipt.

A deletion that was killed is finished by `finish`: what is still to be done is written down in the accounts before anything is removed.
"""

import json
import secrets
import shutil
import string
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import structlog

from byok.accounts import jobs, plans, receipts, tombstones, users
from byok.accounts.database import Database, scrub
from byok.accounts.jobs import ERASE_USAGE_PENDING as _ERASE_USAGE
from byok.accounts.jobs import ERASE_USERS_PENDING as _ERASE_USERS
from byok.accounts.jobs import PURGE_PENDING as _PURGE
from byok.errors import ByokError
from byok.recording import journal
from byok.recording.files import TableFile
from byok.recording.publisher import by_month, publish
from byok.recording.reader import Reader
from byok.recording.rewriting import Past, count_past, rewrite, users_in
from byok.recording.table import Table

SEALED_WITHIN_S = 30.0  # gateways seal their segment every 5 s
CLOCK_SLACK = timedelta(days=2)
_ALL = datetime.max.replace(tzinfo=UTC)

Receipt = dict[str, Any]
log = structlog.get_logger("byok.retention")


class ClockSuspicious(ByokError):
    """The clock seems to have jumped, and a purge would take most of the store with it."""

    status, code = 409, "clock_suspicious"

    def __init__(self, rows: int, total: int) -> None:
        super().__init__(
            f"The clock stands more than two days after the newest record, and {rows:,} of {total:,} rows would go: it may have jumped.",
            remedy="Check the clock. If it is right, run: byok purge --force",
        )


class StillWritten(ByokError):
    """A gateway did not let go of its journal segment in time."""

    status, code = 409, "journal_busy"

    def __init__(self) -> None:
        super().__init__(
            "A gateway still writes to a journal segment that holds these records.",
            remedy="The keeper finishes the deletion by itself; or stop the gateway and run the same command again.",
        )


class Retention:
    """Deletions on one data directory. Each returns a receipt {"receipt", "kind", "dry_run", "rows", "files", "seconds", "at"}."""

    def __init__(self, db: Database, usage_dir: Path, journal_dir: Path, exports_dir: Path) -> None:
        self._db = db
        self._table = Table(usage_dir)
        self._journal_dir, self._exports_dir, self._usage_dir = journal_dir, exports_dir, usage_dir

    def purge(self, *, now: datetime, dry_run: bool = False, force: bool = False) -> Receipt:
        """Delete all rows past their user's retention. Adds "users": [{"user_id", "rows", "before"}]. Raises `ClockSuspicious`."""
        started = time.monotonic()
        limits = {user_id: plans.keep_after(days, now) for user_id, days in users.retention(self._db).items()}
        if not dry_run:
            publish(self._table, self._journal_dir, self._erased)
        past = self._past(limits, with_tail=dry_run)
        if not force:
            self._check_clock(sum(found.rows for found in past), now)
        touched = len({found.path for found in past if found.path})
        if not dry_run and past:
            jobs.put(self._db, _PURGE, now.isoformat())
            touched = self._remove(limits)
            self._clear_exports()
            jobs.drop(self._db, _PURGE)
        rows = _per_user(past)
        receipt = _receipt("purge", sum(rows.values()), touched, started, now, dry_run=dry_run)
        if not dry_run and past:
            receipts.keep(self._db, receipt)
        listed = [{"user_id": user_id, "rows": count, "before": limits[user_id].isoformat()} for user_id, count in sorted(rows.items())]
        return receipt | {"users": listed}

    def erase_user(self, user_id: str, *, now: datetime) -> Receipt:
        """Delete a user, all keys, tokens, sessions and records. Afterwards no byte of id or e-mail is left. Raises `StillWritten`."""
        started = time.monotonic()
        jobs.put(self._db, _ERASE_USERS, now.isoformat())
        users.remove(self._db, user_id)
        return self._finish_users(started, now)

    def erase_usage(self, user_id: str, *, now: datetime, before: datetime | None = None) -> Receipt:
        """Delete a user's records older than `before` (default: all up to now); the user stays. Raises `StillWritten`."""
        started = time.monotonic()
        moment = min(before, now) if before else now
        jobs.put(self._db, _ERASE_USAGE + user_id, moment.isoformat())
        return self._finish_usage(user_id, moment, started, now)

    def preview(self, user_id: str, *, now: datetime, before: datetime | None = None) -> int:
        """How many rows `erase_usage` with the same words would remove now."""
        return sum(found.rows for found in self._past({user_id: min(before, now) if before else now}, with_tail=True))

    def finish(self, *, now: datetime) -> list[Receipt]:
        """Finish every deletion that was begun and not ended; the receipts of those. Cheap when there is none."""
        done = []
        if jobs.get(self._db, _ERASE_USERS):
            done.append(self._finish_users(time.monotonic(), now))
        for name, moment in jobs.named(self._db, _ERASE_USAGE).items():
            done.append(self._finish_usage(name.removeprefix(_ERASE_USAGE), datetime.fromisoformat(moment), time.monotonic(), now))
        if jobs.get(self._db, _PURGE):
            done.append(self.purge(now=now))
            jobs.drop(self._db, _PURGE)
        return done

    def sweep(self, *, older_than_s: float = 0) -> int:
        """Delete files that no version names any more; those younger than `older_than_s` may still be read and stay."""
        with self._table.writing():
            return self._sweep(time.time() - older_than_s)

    # -- steps --

    def _finish_users(self, started: float, now: datetime) -> Receipt:
        dropped = self._publish_until(lambda: not self._erased(self._journal_users(journal.segments(self._journal_dir))))
        files = self._table.snapshot().files
        limits = dict.fromkeys(self._erased(users_in(files)), _ALL)
        past = self._past(limits) if limits else []
        touched = self._remove(limits)
        self._clear_exports()
        shutil.rmtree(self._journal_dir / journal.QUARANTINE, ignore_errors=True)  # damaged lines cannot be told apart by user
        for user_id in limits:
            jobs.drop(self._db, _ERASE_USAGE + user_id)
        receipt = _receipt("erase", dropped + sum(found.rows for found in past), touched, started, now)
        receipts.keep(self._db, receipt)
        scrub(self._db)
        jobs.drop(self._db, _ERASE_USERS)
        return receipt

    def _finish_usage(self, user_id: str, moment: datetime, started: float, now: datetime) -> Receipt:
        there = set(journal.segments(self._journal_dir))
        self._publish_until(lambda: user_id not in self._journal_users(there.intersection(journal.segments(self._journal_dir))))
        past = self._past({user_id: moment})
        touched = self._remove({user_id: moment})
        self._clear_exports()
        shutil.rmtree(self._journal_dir / journal.QUARANTINE, ignore_errors=True)
        receipt = _receipt("erase", sum(found.rows for found in past), touched, started, now)
        receipts.keep(self._db, receipt)
        jobs.drop(self._db, _ERASE_USAGE + user_id)
        return receipt

    def _publish_until(self, clean: Callable[[], bool]) -> int:
        """Publish sealed segments until the journal is `clean`; how many rows of erased users were dropped on the way."""
        dropped, end = 0, time.monotonic() + SEALED_WITHIN_S
        while True:
            dropped += publish(self._table, self._journal_dir, self._erased).dropped
            if clean():
                return dropped
            if time.monotonic() > end:
                raise StillWritten
            time.sleep(0.2)

    def _journal_users(self, segments: Iterable[journal.Segment]) -> set[str]:
        found: set[str] = set()
        for segment in segments:
            try:
                lines = journal.read_lines(segment.path)
            except FileNotFoundError:
                continue
            found.update(json.loads(line)["user_id"] for line in lines.good)
        return found

    def _past(self, limits: Mapping[str, datetime], *, with_tail: bool = False) -> list[Past]:
        """Rows before their user's moment; only files that begin before the latest moment are opened."""
        if not limits:
            return []
        latest = max(limits.values())
        tail = Reader(self._usage_dir, self._journal_dir).view().tail if with_tail else None
        return count_past([file for file in self._table.snapshot().files if file.first_ts < latest], limits, tail=tail)

    def _remove(self, limits: Mapping[str, datetime]) -> int:
        """Rewrite the files that hold rows before their user's moment, month by month; how many files went. Leaves nothing behind."""
        gone = 0
        with self._table.writing():
            holding = {found.path for found in self._past(limits)}
            files = [file for file in self._table.snapshot().files if file.path in holding]
            for month, some in sorted(by_month(files).items()):
                gone += self._rewrite(month, some, limits)
            self._sweep(time.time() + 1)
        return gone

    def _rewrite(self, month: str, files: list[TableFile], limits: Mapping[str, datetime]) -> int:
        new = rewrite(self._table.directory, month, files, keep_after=limits)
        self._table.commit([new] if new else [], remove=files)
        return len(files)

    def _sweep(self, before: float) -> int:
        """Within `writing()` nobody else has unfinished files here."""
        count = 0
        for path in self._table.unreferenced():
            if path.stat().st_ctime <= before:
                path.unlink(missing_ok=True)
                count += 1
        return count

    def _clear_exports(self) -> None:
        for path in self._exports_dir.glob("*"):
            path.unlink(missing_ok=True) if path.is_file() else shutil.rmtree(path, ignore_errors=True)

    def _erased(self, user_ids: Iterable[str]) -> set[str]:
        return tombstones.is_erased(self._db, user_ids)

    def _check_clock(self, rows: int, now: datetime) -> None:
        files = self._table.snapshot().files
        total = sum(file.rows for file in files)
        if not total or rows * 2 <= total:
            return
        written = [datetime.fromtimestamp(Path(file.path).stat().st_mtime, UTC) for file in files if Path(file.path).exists()]
        if now - max([file.last_ts for file in files] + written) > CLOCK_SLACK:
            raise ClockSuspicious(rows, total)


def _per_user(past: list[Past]) -> Counter[str]:
    rows: Counter[str] = Counter()
    for found in past:
        rows[found.user_id] += found.rows
    return rows


def _receipt(kind: Literal["erase", "purge"], rows: int, files: int, started: float, now: datetime, *, dry_run: bool = False) -> Receipt:
    number = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(16))
    receipt: Receipt = {
        "receipt": f"rcp_{number}",
        "kind": kind,
        "dry_run": dry_run,
        "rows": rows,
        "files": files,
        "seconds": round(time.monotonic() - started, 3),
        "at": now.isoformat().replace("+00:00", "Z"),
    }
    if rows and not dry_run:
        log.info("deleted", kind=kind, receipt=receipt["receipt"], rows=rows, files=files)
    return receipt
