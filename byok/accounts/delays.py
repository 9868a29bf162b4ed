"""Growing delays after failed sign-ins, by e-mail and by client address: slow for a guesser, never a lock for the victim.

Kept in the database, so that a restart forgives nothing; as keyed hashes, so that no address and no unknown e-mail is stored.
"""

import hashlib
import hmac
import math
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from byok.accounts import jobs
from byok.accounts.database import Database
from byok.accounts.tables import sign_in_delays as table
from byok.errors import TooManyRequests

_SALT = "sign-in-salt"
_FORGOTTEN_AFTER = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Limit:
    """`free` failures cost nothing, the next 1 s, then 2, 4, 8 … up to `longest_s`."""

    free: int
    longest_s: int

    def delay(self, failures: int) -> timedelta:
        over = failures - self.free
        return timedelta(seconds=min(2 ** min(over - 1, 30), self.longest_s) if over > 0 else 0)


BY_EMAIL = Limit(free=4, longest_s=60)  # short: whoever knows an e-mail must not be able to lock its owner out
BY_ADDRESS = Limit(free=50, longest_s=900)  # many people may share one address


def begin(db: Database, email: str, address: str, now: datetime) -> None:
    """Count an attempt as failed before it is checked, so that parallel guesses gain nothing. `succeed` takes it back.

    Raises `TooManyRequests`, with the seconds to wait, while a delay runs.
    """
    try:
        _begin(db, email, address, now)
    except IntegrityError:  # two first attempts at the same moment; now there is a row to count on
        _begin(db, email, address, now)


def succeed(db: Database, email: str, address: str) -> None:
    """The attempt was good: forget the e-mail's failures and take this attempt off the address's."""
    with db.writing() as connection:
        forget(connection, of_email(connection, email))
        mine = table.c.subject == _subject(connection, "address", address)
        connection.execute(
            sa.update(table).where(mine, table.c.failures > 0).values(failures=table.c.failures - 1, wait_until=table.c.failed_at)
        )


def forget(connection: Connection, subject: str) -> None:
    connection.execute(sa.delete(table).where(table.c.subject == subject))


def of_email(connection: Connection, email: str) -> str:
    """The name under which an e-mail's failures are kept."""
    return _subject(connection, "email", email)


def _begin(db: Database, email: str, address: str, now: datetime) -> None:
    with db.writing() as connection:
        subjects = _subjects(connection, email, address)
        _refuse_early(connection, list(subjects), now)
        for subject, limit in subjects.items():
            _count(connection, subject, limit, now)


def _subjects(connection: Connection, email: str, address: str) -> dict[str, Limit]:
    subjects = {of_email(connection, email): BY_EMAIL}
    if address:
        subjects[_subject(connection, "address", address)] = BY_ADDRESS
    return subjects


def _refuse_early(connection: Connection, subjects: list[str], now: datetime) -> None:
    latest = connection.execute(
        sa.select(table.c.wait_until).where(table.c.subject.in_(subjects)).order_by(table.c.wait_until.desc())
    ).scalar()
    # A clock that was set back must not lock anyone out for longer than the longest delay.
    if latest is not None and now < latest <= now + timedelta(seconds=BY_ADDRESS.longest_s):
        seconds = math.ceil((latest - now).total_seconds())
        raise TooManyRequests(
            "There were too many failed sign-ins.",
            remedy=f"Wait {seconds} s and try again; an admin can send a link to set a new password.",
            retry_after_s=seconds,
        )


def _count(connection: Connection, subject: str, limit: Limit, now: datetime) -> None:
    row = connection.execute(sa.select(table).where(table.c.subject == subject).with_for_update()).first()
    recent = row is not None and now - row.failed_at < _FORGOTTEN_AFTER
    failures = (row.failures if row is not None and recent else 0) + 1
    values = {"failures": failures, "failed_at": now, "wait_until": now + limit.delay(failures)}
    if row is None:
        connection.execute(sa.delete(table).where(table.c.failed_at < now - _FORGOTTEN_AFTER))
        connection.execute(sa.insert(table).values(subject=subject, **values))
    else:
        connection.execute(sa.update(table).where(table.c.subject == subject).values(**values))


def _subject(connection: Connection, kind: str, text: str) -> str:
    salt = jobs.read(connection, _SALT)
    if salt is None:
        salt = secrets.token_hex(32)
        jobs.write(connection, _SALT, salt)
    return hmac.new(bytes.fromhex(salt), f"{kind}:{text}".encode(errors="surrogatepass"), hashlib.sha256).hexdigest()
