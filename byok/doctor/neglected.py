"""What nobody sees to: what should have happened by itself and did not, and records of nobody. For `byok doctor`; reads only."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from byok import in_words
from byok.accounts import database, jobs, users
from byok.accounts.database import Database
from byok.notify import outbox, schedules
from byok.recording.reader import View
from byok.recording.rewriting import FilesUnreadable, users_in
from byok.retention import PURGED_WITHIN, Retention
from byok.settings import Settings

LATE = timedelta(minutes=10)
_SHORTEST_WAIT = timedelta(hours=1)
_START = "Start the keeper: byok keeper (or byok up); if it runs, its log says what stops it."
_PURGE = (
    "A keeper that runs takes them with its next purge; else start one: byok keeper (or byok up). "
    "Where its log says clock_suspicious and the clock is right: byok purge --force"
)


class Late(NamedTuple):
    """What is late, and what to do; with `well` it only waits its turn."""

    said: str
    remedy: str = _START
    well: bool = False


def late(settings: Settings, db: Database, *, now: datetime) -> Iterator[Late]:
    """Records past their plan, deletions, reports and messages that somebody waits for."""
    if rows := Retention.of(settings, db).purge(now=now - PURGED_WITHIN, dry_run=True, force=True)["rows"]:
        # An import or a shorter plan puts them here in one moment, long before the next purge.
        said = f"{in_words.plural(rows, 'record')} here more than a day past the plan, hidden since then"
        yield Late(said, _PURGE, well=_purged_lately(settings, db, now))
    if jobs.deletion_pending(db):
        yield Late("a deletion was begun and is not finished")
    if reports := [one.next_at for one in schedules.everyones(db) if one.next_at < now - LATE]:
        yield Late(f"{in_words.plural(len(reports), 'report')} due since {min(reports):%Y-%m-%d %H:%M}Z")
    if waiting := [one.next_try_at for one in outbox.due(db, now=now - LATE, most=1000)]:
        yield Late(f"messages to {in_words.plural(len(waiting), 'receiver')} wait since {min(waiting):%Y-%m-%d %H:%M}Z")


def _purged_lately(settings: Settings, db: Database, now: datetime) -> bool:
    """Whether purges run as often as they should. In accounts that are younger than that none can be late."""
    purged = jobs.get(db, jobs.PURGED_AT)
    last = datetime.fromisoformat(purged) if purged else min((user.created_at for user in users.all_users(db)), default=now)
    return timedelta(0) <= now - last <= min(PURGED_WITHIN, max(_SHORTEST_WAIT, 3 * timedelta(seconds=settings.purge_every_s)))


def strangers(settings: Settings, view: View) -> int:
    """How many users have records and no account, as after an older backup of the accounts was put beside newer records."""
    file = settings.accounts_file
    known: set[str] = set()
    if file is None or file.exists():
        with database.open_database(settings.accounts_database) as db:
            known = set(users.retention(db))
    try:
        return len((users_in(view.files) | set(view.tail["user_id"].unique().to_pylist())) - known)
    except FilesUnreadable:  # named by the look at the table
        return 0
