"""Growing delays after failed sign-ins, by e-mail and by client address: slow for a guesser, never a lock for the victim.

Kept in the database, so that a restart forgives nothing; as keyed hashes, so that no address and no unknown e-mail is stored.
"""

import contextlib
import hashlib
import hmac
import ipaddress
import math
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from byok.accounts import jobs
from byok.accounts.database import Database
from byok.accounts.errors import AccountsUnavailable
from byok.accounts.tables import sign_in_delays as table
from byok.errors import TooManyRequests

_SALT = "sign-in-salt"
_TRIES = 5
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
    for _ in range(_TRIES):
        # Of several first attempts at the same moment one makes the row; then the others have one to count on.
        with contextlib.suppress(IntegrityError):
            return _begin(db, email, address, now)
    raise AccountsUnavailable("too many sign in at once")


def succeed(db: Database, email: str, address: str) -> None:
    """The attempt was good: forget the e-mail's failures and take this attempt off the address's."""
    with db.writing() as connection:
        subjects = _subjects(connection, email, address)
        _locked(connection, subjects)
        forget(connection, of_email(connection, email))
        others = table.c.subject.in_(subjects) & (table.c.failures > 0)
        connection.execute(sa.update(table).where(others).values(failures=table.c.failures - 1, wait_until=table.c.failed_at))


def forget(connection: Connection, subject: str) -> None:
    """Drop the failures of one name (see `of_email`)."""
    connection.execute(sa.delete(table).where(table.c.subject == subject))


def of_email(connection: Connection, email: str) -> str:
    """The name under which an e-mail's failures are kept."""
    return _subject(connection, "email", email)


def _begin(db: Database, email: str, address: str, now: datetime) -> None:
    with db.writing() as connection:
        subjects = _subjects(connection, email, address)
        rows = _locked(connection, subjects)
        _refuse_early([row.wait_until for row in rows.values()], now)
        for subject, limit in subjects.items():
            _count(connection, subject, limit, rows.get(subject), now)


def _locked(connection: Connection, subjects: Iterable[str]) -> dict[str, Any]:
    mine = sa.select(table).where(table.c.subject.in_(list(subjects)))
    # Always in the same order, so that two never wait for each other.
    return {row.subject: row for row in connection.execute(mine.order_by(table.c.subject).with_for_update())}


def _subjects(connection: Connection, email: str, address: str) -> dict[str, Limit]:
    subjects = {of_email(connection, email): BY_EMAIL}
    if address:
        subjects[_subject(connection, "address", _household(address))] = BY_ADDRESS
    return subjects


def _household(address: str) -> str:
    """What is slowed down as one: an IPv4 address, or the /64 that one line or machine has of IPv6, with addresses beyond count.

    >>> _household("2001:db8::7:1"), _household("::ffff:192.0.2.1")
    ('2001:db8::/64', '192.0.2.1')
    """
    try:
        known = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    return str(known.ipv4_mapped or ipaddress.IPv6Network((int(known), 64), strict=False))


def _refuse_early(waits: list[datetime], now: datetime) -> None:
    latest = max(waits, default=now)
    # A clock that was set back must not lock anyone out for longer than the longest delay.
    if now < latest <= now + timedelta(seconds=BY_ADDRESS.longest_s):
        seconds = math.ceil((latest - now).total_seconds())
        raise TooManyRequests(
            "There were too many failed sign-ins.",
            remedy=f"Wait {seconds} s and try again; an admin can send a link to set a new password.",
            retry_after_s=seconds,
        )


def _count(connection: Connection, subject: str, limit: Limit, row: Any, now: datetime) -> None:
    recent = row is not None and now - row.failed_at < _FORGOTTEN_AFTER
    failures = (row.failures if row is not None and recent else 0) + 1
    values = {"failures": failures, "failed_at": now, "wait_until": now + limit.delay(failures)}
    if row is None:
        connection.execute(sa.delete(table).where(table.c.failed_at < now - _FORGOTTEN_AFTER))
        connection.execute(sa.insert(table).values(subject=subject, **values))
    else:
        connection.execute(sa.update(table).where(table.c.subject == subject).values(**values))


def _subject(connection: Connection, kind: str, text: str) -> str:
    salt = jobs.ensure(connection, _SALT, secrets.token_hex(32))
    return hmac.new(bytes.fromhex(salt), f"{kind}:{text}".encode(errors="surrogatepass"), hashlib.sha256).hexdigest()
