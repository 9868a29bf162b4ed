"""Deletes what a plan stops keeping, and what somebody wants gone: physically, from every file, with a receipt.

A deletion that was killed is finished by `finish`: what is still to be done is written down in the accounts before anything is removed.
"""

import secrets
import shutil
import string
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import structlog

from byok import erasures
from byok.accounts import budgets, jobs, plans, receipts, tombstones, users
from byok.accounts.database import Database, scrub
from byok.accounts.jobs import ERASE_USAGE_PENDING as _ERASE_USAGE
from byok.accounts.jobs import ERASE_USERS_PENDING as _ERASE_USERS
from byok.accounts.jobs import PURGE_PENDING as _PURGE
from byok.erasures import ALL
from byok.errors import ByokError
from byok.notify import outbox
from byok.recording import segments
from byok.recording.cut import Cut
from byok.recording.files import records_of
from byok.recording.reader import Reader
from byok.recording.removal import Removal
from byok.recording.rewriting import Limits, Past
from byok.recording.table import Table
from byok.settings import RemoteStore, Settings
from byok.store import spill

SEALED_WITHIN_S = 30.0  # gateways seal their segment every 5 s
CLOCK_SLACK = timedelta(days=2)
PURGED_WITHIN = timedelta(days=1)  # of the moment from which a plan no longer keeps a row
_FORCED = " forced"

Receipt = dict[str, Any]
log = structlog.get_logger("byok.retention")


class ClockSuspicious(ByokError):
    """The clock seems to have jumped, and a purge would take most of the store with it."""

    status, code = 409, "clock_suspicious"

    def __init__(self, rows: int, total: int, *, leapt: bool = False) -> None:
        how = "leapt more than two days ahead while the keeper ran" if leapt else "stands more than two days after the newest record"
        super().__init__(
            f"The clock {how}, and {rows:,} of {total:,} rows would go: it may {'be wrong' if leapt else 'have jumped'}.",
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

    def __init__(self, db: Database, usage_dir: Path | RemoteStore, journal_dir: Path, exports_dir: Path) -> None:
        self._db = db
        self._table = Table(usage_dir)
        self._removal = Removal(self._table)
        self._journal_dir, self._exports_dir, self._usage_dir = journal_dir, exports_dir, usage_dir

    @classmethod
    def of(cls, settings: Settings, db: Database) -> "Retention":
        return cls(db, settings.usage_dir, settings.journal_dir, settings.exports_dir)

    @property
    def fence(self) -> Callable[[], int]:
        """See `Table.fence`."""
        return self._table.fence

    @fence.setter
    def fence(self, number: Callable[[], int]) -> None:
        self._table.fence = number

    def purge(
        self, *, now: datetime, dry_run: bool = False, force: bool = False, overdue: timedelta = timedelta(0), leapt: bool = False
    ) -> Receipt:
        """Delete all rows past their user's retention. Adds "users": [{"user_id", "rows", "before"}]. Raises `ClockSuspicious`.

        With `overdue` a file is left alone until one of its rows is so long past: it is rewritten seldom then. A file that cannot be
        read is left alone, too. `leapt`: the clock did, so that a newest record of now does not speak for it.
        """
        started = time.monotonic()
        limits = {user_id: plans.keep_after(days, now) for user_id, days in users.retention(self._db).items()}

        def begin(past: list[Past]) -> None:
            if not force:
                self._check_clock(sum(found.rows for found in past), now, leapt)
            if past and not dry_run:
                jobs.put(self._db, _PURGE, f"{now.isoformat()}{_FORCED if force else ''}")

        if dry_run:
            past = self._past(limits)
            begin(past)
            touched = len({found.path for found in past if found.path})
        else:
            self._publish()
            past, touched = self._removal.remove(limits, begin, overdue=overdue)
        if past and not dry_run:
            self._clear_exports()
        rows = _per_user(past)
        receipt = _receipt("purge", sum(rows.values()), touched, started, now, dry_run=dry_run)
        if past and not dry_run:
            receipts.keep(self._db, receipt)
            jobs.drop(self._db, _PURGE)
        if not dry_run:
            jobs.put(self._db, jobs.PURGED_AT, now.isoformat())
        listed = [{"user_id": user_id, "rows": count, "before": _instant(limits[user_id])} for user_id, count in sorted(rows.items())]
        return receipt | {"users": listed}

    def erase_user(self, user_id: str, *, now: datetime) -> Receipt:
        """Delete a user, all keys, tokens, sessions and records. Afterwards no byte of id or e-mail is left. Raises `StillWritten`."""
        started = time.monotonic()
        jobs.put(self._db, _ERASE_USERS, now.isoformat())
        users.remove(self._db, user_id, now=now)
        return self._finish_users(started, now)

    def erase_usage(self, user_id: str, *, now: datetime, before: datetime | None = None) -> Receipt:
        """Delete a user's records older than `before` (default: all up to now); the user stays. Raises `StillWritten`."""
        started = time.monotonic()
        moment = min(before, now) if before else now
        budgets.carry(self._db, user_id)
        jobs.put(self._db, _ERASE_USAGE + user_id, moment.isoformat())
        return self._finish_usage(user_id, moment, started, now)

    def erase_cut(self, cut: Cut, *, now: datetime) -> Receipt:
        """Delete some of a user's records, up to now; the user and all others stay. Raises `StillWritten`."""
        started = time.monotonic()
        cut = replace(cut, until=min(cut.until, now))
        budgets.carry(self._db, cut.user_id)
        return self._finish_cut(erasures.begin_cut(self._db, cut), cut, started, now)

    def preview_cut(self, cut: Cut, *, now: datetime) -> int:
        """How many rows `erase_cut` would remove now."""
        return sum(found.rows for found in self._past(replace(cut, until=min(cut.until, now))))

    def preview(self, user_id: str, *, now: datetime, before: datetime | None = None) -> int:
        """How many rows `erase_usage` with the same words would remove now."""
        return sum(found.rows for found in self._past({user_id: min(before, now) if before else now}))

    def finish(self, *, now: datetime) -> list[Receipt]:
        """Finish every deletion that was begun and not ended; the receipts of those. Cheap when there is none."""
        done = []
        if jobs.get(self._db, _ERASE_USERS):
            done.append(self._finish_users(time.monotonic(), now))
        for name, moment in jobs.named(self._db, _ERASE_USAGE).items():
            done.append(self._finish_usage(name.removeprefix(_ERASE_USAGE), datetime.fromisoformat(moment), time.monotonic(), now))
        for name, cut in erasures.pending_cuts(self._db).items():
            done.append(self._finish_cut(name, cut, time.monotonic(), now))
        if begun := jobs.get(self._db, _PURGE):
            done.append(self.purge(now=now, force=begun.endswith(_FORCED)))
            jobs.drop(self._db, _PURGE)
        erasures.forget_old(self._db, now=now)
        return done

    def sweep(self, *, older_than_s: float = 0) -> int:
        """Delete files that no version names any more; those younger than `older_than_s` may still be read and stay."""
        with self._table.writing():
            return self._table.sweep(older_than_s=older_than_s)

    # -- steps --

    def _finish_users(self, started: float, now: datetime) -> Receipt:
        dropped = self._publish_until(lambda: not self._erased(self._journal_users(segments.listed(self._journal_dir))))
        self._begin_erasure()
        limits = dict.fromkeys(self._erased(self._removal.users()), ALL)
        past, touched = self._removal.remove(limits, whatever_it_takes=True)
        self._clear_exports()
        shutil.rmtree(self._journal_dir / segments.QUARANTINE, ignore_errors=True)  # damaged lines cannot be told apart by user
        erasures.forget_pending(self._db, limits)
        receipt = _receipt("erase", dropped + sum(found.rows for found in past), touched, started, now)
        receipts.keep(self._db, receipt)
        scrub(self._db)
        jobs.drop(self._db, _ERASE_USERS)
        return receipt

    def _finish_usage(self, user_id: str, moment: datetime, started: float, now: datetime) -> Receipt:
        self._publish_all_of(user_id)
        erasures.remember_before(self._db, user_id, moment)
        self._forget_told(user_id, before=moment)
        receipt = self._erase({user_id: moment}, started, now)
        jobs.drop(self._db, _ERASE_USAGE + user_id)
        return receipt

    def _finish_cut(self, name: str, cut: Cut, started: float, now: datetime) -> Receipt:
        self._publish_all_of(cut.user_id)
        erasures.remember_cut(self._db, name, cut, now=now)
        self._forget_told(cut.user_id, since=cut.since, before=cut.until)
        receipt = self._erase(cut, started, now)
        erasures.end_cut(self._db, name)
        return receipt

    def _forget_told(self, user_id: str, **between: datetime) -> None:
        if outbox.forget_about(self._db, user_id, **between):
            scrub(self._db)

    def _erase(self, limits: Limits, started: float, now: datetime) -> Receipt:
        self._begin_erasure()
        past, touched = self._removal.remove(limits, whatever_it_takes=True)
        self._clear_exports()
        shutil.rmtree(self._journal_dir / segments.QUARANTINE, ignore_errors=True)
        receipt = _receipt("erase", sum(found.rows for found in past), touched, started, now)
        receipts.keep(self._db, receipt)
        return receipt

    def _begin_erasure(self) -> None:
        """From here on other machines publish none of these rows, as the accounts tell them; what they did publish is seen below."""
        if self._table.place.shared:
            with self._table.writing():
                self._table.begin_erasure()

    def _publish_all_of(self, user_id: str) -> None:
        """Publish every segment that there is now and that holds rows of the user."""
        there = set(segments.listed(self._journal_dir))
        self._publish_until(lambda: user_id not in self._journal_users(there.intersection(segments.listed(self._journal_dir))))

    def _publish(self) -> int:
        """How many rows of what was erased were dropped on the way."""
        return erasures.publish(self._table, self._journal_dir, self._db).dropped

    def _publish_until(self, clean: Callable[[], bool]) -> int:
        """Publish sealed segments until the journal is `clean`; how many rows of erased users were dropped on the way."""
        dropped, end = 0, time.monotonic() + SEALED_WITHIN_S
        while True:
            dropped += self._publish()
            if clean():
                return dropped
            if time.monotonic() > end:
                raise StillWritten
            time.sleep(0.2)

    def _journal_users(self, waiting: Iterable[segments.Segment]) -> set[str]:
        found: set[str] = set()
        for segment in waiting:
            try:
                lines = segments.read_lines(segment.path)
            except FileNotFoundError:
                continue
            found.update(records_of(lines.good)[0]["user_id"].unique().to_pylist())
        return found

    def _past(self, limits: Limits) -> list[Past]:
        """Rows that go, published or not."""
        return self._removal.past(limits, tail=Reader(self._usage_dir, self._journal_dir).view().tail)

    def _clear_exports(self) -> None:
        for path in self._exports_dir.glob("*"):
            path.unlink(missing_ok=True) if path.is_file() else shutil.rmtree(path, ignore_errors=True)
        spill.clear(self._exports_dir.with_name("spill"))  # what killed questions left on disk

    def _erased(self, user_ids: Iterable[str]) -> set[str]:
        return tombstones.is_erased(self._db, user_ids)

    def _check_clock(self, rows: int, now: datetime, leapt: bool) -> None:
        files = self._table.snapshot().files
        total = sum(file.rows for file in files)
        if not total or rows * 2 <= total:
            return
        written = [datetime.fromtimestamp(moment, UTC) for file in files if (moment := self._table.place.added_at(file)) is not None]
        if leapt or now - max([file.last_ts for file in files] + written) > CLOCK_SLACK:
            raise ClockSuspicious(rows, total, leapt=leapt)


def _per_user(past: list[Past]) -> Counter[str]:
    rows: Counter[str] = Counter()
    for found in past:
        rows[found.user_id] += found.rows
    return rows


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _receipt(kind: Literal["erase", "purge"], rows: int, files: int, started: float, now: datetime, *, dry_run: bool = False) -> Receipt:
    number = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(16))
    receipt: Receipt = {
        "receipt": f"rcp_{number}",
        "kind": kind,
        "dry_run": dry_run,
        "rows": rows,
        "files": files,
        "seconds": round(time.monotonic() - started, 3),
        "at": _instant(now),
    }
    if rows and not dry_run:
        log.info("deleted", kind=kind, receipt=receipt["receipt"], rows=rows, files=files)
    return receipt
