"""What was asked to be erased, written down in the accounts: what is still to be finished, and what late calls must not undo.

A call that began before an erasure may end, and be booked, after it. So an erasure is remembered as long as a call may last; where several
machines share the accounts, as long as one of them may be away with a journal that it has not published.
"""

import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from byok.accounts import jobs, tombstones
from byok.accounts.database import Database
from byok.accounts.jobs import ERASE_CUT_PENDING, ERASE_USAGE_PENDING
from byok.recording import publisher
from byok.recording.cut import Cut
from byok.recording.publisher import Published
from byok.recording.table import Table

LONGEST_CALL = timedelta(days=1)
LONGEST_ABSENCE = timedelta(days=90)
ALL = datetime.max.replace(tzinfo=UTC)
_ERASED_BEFORE = "erased_before:"  # followed by the user's id
_ERASED_CUT = "erased_cut:"  # followed by the user's id, a colon and a word of its own


def kept_after(db: Database, user_ids: Iterable[str]) -> dict[str, datetime]:
    """For those of the users who erased records: the first moment whose rows stay. A call that was open meanwhile is booked late."""
    erased_before = jobs.named(db, _ERASED_BEFORE)
    wanted = list(user_ids)
    found = {user_id: datetime.fromisoformat(moment) for user_id in wanted if (moment := erased_before.get(_ERASED_BEFORE + user_id))}
    return found | dict.fromkeys(tombstones.is_erased(db, wanted), ALL)


def cuts(db: Database, user_ids: Iterable[str]) -> list[Cut]:
    """For those of the users: the cuts that were made of late."""
    wanted = set(user_ids)
    return [Cut.parse(_owner(name), text) for name, text in jobs.named(db, _ERASED_CUT).items() if _owner(name) in wanted]


def publish(table: Table, journal_dir: Path, db: Database) -> Published:
    """As `publisher.publish`, without what was erased."""
    return publisher.publish(table, journal_dir, partial(kept_after, db), cuts=partial(cuts, db))


def begin_cut(db: Database, cut: Cut) -> str:
    """Write a cut down; from now on it will be made, whatever is killed. Returns the name under which it stands."""
    name = f"{ERASE_CUT_PENDING}{cut.user_id}:{secrets.token_hex(8)}"
    jobs.put(db, name, cut.text())
    return name


def pending_cuts(db: Database) -> dict[str, Cut]:
    """The cuts that were begun and not ended, by name."""
    return {name: Cut.parse(_owner(name), text) for name, text in jobs.named(db, ERASE_CUT_PENDING).items()}


def end_cut(db: Database, name: str) -> None:
    """The cut was made: it is pending no more."""
    jobs.drop(db, name)


def remember_cut(db: Database, name: str, cut: Cut, *, now: datetime) -> None:
    """So that a call that began within the cut and ends after it leaves no row."""
    if cut.until > now - _remembered_for(db):
        jobs.put(db, name.replace(ERASE_CUT_PENDING, _ERASED_CUT), cut.text())


def remember_before(db: Database, user_id: str, moment: datetime) -> None:
    """The same for an erasure of everything before a moment."""
    name = _ERASED_BEFORE + user_id
    jobs.put(db, name, max(moment.isoformat(), jobs.get(db, name) or ""))


def forget_old(db: Database, *, now: datetime) -> None:
    """Drop what no call can be open for any more."""
    moments: Sequence[tuple[str, datetime]] = [
        *((name, datetime.fromisoformat(moment)) for name, moment in jobs.named(db, _ERASED_BEFORE).items()),
        *((name, Cut.parse(_owner(name), text).until) for name, text in jobs.named(db, _ERASED_CUT).items()),
    ]
    for name, moment in moments:
        if moment < now - _remembered_for(db):
            jobs.drop(db, name)


def forget_pending(db: Database, user_ids: Iterable[str]) -> None:
    """Drop what is still to be erased of users of whom everything is erased."""
    gone = set(user_ids)
    for user_id in gone:
        jobs.drop(db, ERASE_USAGE_PENDING + user_id)
    for name in jobs.named(db, ERASE_CUT_PENDING):
        if _owner(name) in gone:
            jobs.drop(db, name)


def _remembered_for(db: Database) -> timedelta:
    return LONGEST_CALL if db.is_sqlite else LONGEST_ABSENCE


def _owner(name: str) -> str:
    return name.split(":")[1]
