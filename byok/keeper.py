"""What runs by itself: journal to Parquet, merging, purge, deletions, budgets, alerts, reports. One keeper per data directory."""

import contextlib
import fcntl
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import structlog
from apscheduler.schedulers.background import BackgroundScheduler

from byok import erasures, logs
from byok.accounts import hosts
from byok.accounts.database import Database, open_database
from byok.accounts.errors import AccountsTooNew, AccountsUnavailable
from byok.budgets.counting import EVERY_S as COUNT_EVERY_S
from byok.budgets.counting import Counting
from byok.errors import ByokError
from byok.leading import Leading
from byok.leaps import Leaps
from byok.notify import keeping
from byok.notify.keeping import Job, Notifications
from byok.recording import segments
from byok.recording.publisher import merge, merge_hot
from byok.recording.table import Table
from byok.recurrence import Recurrence
from byok.retention import PURGED_WITHIN, Retention
from byok.settings import Settings

MERGE_EVERY_S = 60
SWEEP_AFTER_S = 900  # longest time that a reader may still want a file that was merged away
FINISH_EVERY_S = 20
EVERYWHERE = frozenset(("publish", "tidy"))  # what each machine does for itself; all else is done by one
LOOK_AGAIN_S = 1.0
PURGES_PER_REWRITE = 12  # rows past retention are hidden at once; a month's file need not be rewritten every hour for the newest of them
CLOCK_SLACK = timedelta(seconds=2)
T = TypeVar("T")
log = structlog.get_logger("byok.keeper")


def run(settings: Settings) -> None:
    """Work until SIGTERM. A second keeper stands by until the first one ends; faults are logged and tried again."""
    logs.setup(settings, "keeper")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with _only_one(settings.keeper_lock, stop) as mine:
        if mine:
            _work(settings, stop)
    log.info("stopped")


def once(settings: Settings, db: Database) -> None:
    """Finish killed deletions, publish and merge, now: what `byok compact` does. Other writers are waited for, never fought."""
    table = Table(settings.usage_dir)
    Retention.of(settings, db).finish(now=datetime.now(UTC))
    erasures.publish(table, settings.journal_dir, db)
    merge(table, files_per_month=1)


def _work(settings: Settings, stop: threading.Event) -> None:
    db = _as_soon_as(lambda: open_database(settings.accounts_database), stop, Exception)
    # They open the accounts for themselves, which may have gone away since.
    notifications = _as_soon_as(lambda: Notifications(settings), stop, AccountsUnavailable)
    if db is None or notifications is None:
        return
    table = Table(settings.usage_dir)
    retention = Retention.of(settings, db)
    host = "" if db.is_sqlite else hosts.name_of(settings.data)
    leading = Leading(db, host)
    table.fence = retention.fence = lambda: leading.number

    def publishing(*, stopped: bool = False) -> None:
        try:
            erasures.publish(table, settings.journal_dir, db)
        finally:
            if not db.is_sqlite:
                hosts.report(db, host, now=datetime.now(UTC), segments=len(segments.sealed(settings.journal_dir)), stopped=stopped)

    counting = Counting(db, lambda: notifications.services.engine)
    scheduler = _scheduled(
        {
            "default": [("publish", settings.publish_every_s, publishing), *_upkeep(settings, table, retention)],
            "counting": [("budgets", COUNT_EVERY_S, lambda: counting.count(now=datetime.now(UTC)))],
            "notify": notifications.jobs,
        },
        leading,
    )
    scheduler.start()
    log.info("started", data=str(settings.data))
    wait(scheduler, stop)
    scheduler.shutdown(wait=True)
    _guarded("notifications", notifications.close)()
    _guarded("publish", lambda: publishing(stopped=True))()  # what gateways sealed while stopping
    leading.close()
    db.close()


def _upkeep(settings: Settings, table: Table, retention: Retention) -> list[Job]:
    """What is done to the table beside publishing."""
    overdue, leaps = longest_rest(timedelta(seconds=settings.purge_every_s)), Leaps()
    return [
        ("tidy", MERGE_EVERY_S, lambda: table.tidy(older_than_s=SWEEP_AFTER_S)),
        ("merge", MERGE_EVERY_S, lambda: merge_hot(table, now=datetime.now(UTC))),
        ("sweep", MERGE_EVERY_S, lambda: retention.sweep(older_than_s=SWEEP_AFTER_S)),
        ("finish", FINISH_EVERY_S, lambda: retention.finish(now=datetime.now(UTC))),
        ("purge", settings.purge_every_s, lambda: retention.purge(now=datetime.now(UTC), overdue=overdue, leapt=leaps.doubtful())),
    ]


def wait(scheduler: BackgroundScheduler, stop: threading.Event) -> None:
    """Until the stop comes. When the clock is set back, the jobs do not wait until it is again where it was."""
    while not stop.wait(LOOK_AGAIN_S):
        now = datetime.now(UTC)
        for job in scheduler.get_jobs():
            if job.next_run_time is not None and job.next_run_time > now + job.trigger.interval + CLOCK_SLACK:
                log.warning("clock_set_back", job=job.id)
                job.modify(next_run_time=now)


def longest_rest(every: timedelta) -> timedelta:
    """How long a row past retention, hidden already, may lie in its file, which is rewritten seldom then; it goes within a day anyway."""
    return max(timedelta(0), min(PURGES_PER_REWRITE * every, PURGED_WITHIN - 2 * every))


def _scheduled(jobs: Mapping[str, Sequence[Job]], leading: Leading) -> BackgroundScheduler:
    """A scheduler, not yet started, of the jobs by the executor that runs them."""
    # One thread: the jobs take turns anyway, at the table's writer lock. What is told to people has its own, and so has
    # what the gateways wait for.
    scheduler = BackgroundScheduler(
        timezone=UTC,
        executors={
            "default": {"type": "threadpool", "max_workers": 1},
            "counting": {"type": "threadpool", "max_workers": 1},
            "notify": {"type": "threadpool", "max_workers": keeping.THREADS},
        },
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )
    for executor, some in jobs.items():
        for name, every_s, job in some:
            begin = {"next_run_time": datetime.now(UTC), "id": name, "executor": executor}
            scheduler.add_job(_guarded(name, job), "interval", seconds=every_s, **begin)
    for found in scheduler.get_jobs():
        if found.id not in EVERYWHERE:
            found.modify(func=leading.only(found.func))
    return scheduler


def _guarded(name: str, job: Callable[[], object]) -> Callable[[], None]:
    """A fault (a full disk, a suspicious clock) ends this run of the job, not the keeper. While it lasts it is told now and then."""
    faults = Recurrence()

    def run_once() -> None:
        try:
            job()
        except ByokError as error:
            if count := faults.again(error):
                log.warning("job_refused", job=name, code=error.code, reason=error.message, count=count)
        except Exception as error:
            if count := faults.again(error):
                log.error("job_failed", job=name, exc_info=error, count=count)
        else:
            if count := faults.over():
                log.info("job_works_again", job=name, count=count)

    return run_once


def _as_soon_as(opened: Callable[[], T], stop: threading.Event, away: type[Exception]) -> T | None:
    """What is on the accounts database, as soon as that can be used; None when the stop came first. Raises `AccountsTooNew`."""
    faults = Recurrence()
    while not stop.is_set():
        try:
            return opened()
        except AccountsTooNew:
            raise
        except away as error:
            if count := faults.again(error):
                log.error("accounts_unavailable", exc_info=error, count=count)
            stop.wait(LOOK_AGAIN_S)
    return None


@contextlib.contextmanager
def _only_one(lock: Path, stop: threading.Event) -> Iterator[bool]:
    """Hold the keeper's lock of this data directory; waits for it, yields False when the stop came first."""
    fd: int | None = None
    waited = False
    try:
        while not stop.is_set():
            try:
                if fd is None:
                    lock.parent.mkdir(parents=True, exist_ok=True)
                    fd = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if not waited:
                    held = isinstance(error, BlockingIOError)
                    log.warning("standing_by", reason="another keeper works" if held else os.strerror(error.errno or 0))
                waited = True
                stop.wait(LOOK_AGAIN_S)
                continue
            yield True
            return
        yield False
    finally:
        if fd is not None:
            os.close(fd)
