"""Facts that jobs leave for the next run: pending erasures, import rounds, the last purge. A name and a text.

A name may hold a user's id (it goes with the user), a text never.
"""

import re

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from byok.accounts.database import Database
from byok.accounts.tables import jobs

PURGE_PENDING, ERASE_USERS_PENDING = "purge_pending", "erase_users_pending"
PURGED_AT = "purged_at"  # when a purge last ended well, whatever it found
ERASE_USAGE_PENDING = "erase_usage:"  # followed by the user's id
ERASE_CUT_PENDING = "erase_cut:"  # followed by the user's id, a colon and a word of its own


def deletion_pending(db: Database) -> bool:
    """Whether a deletion was begun and not finished, by whatever was killed: see `byok.retention`."""
    whole = get(db, PURGE_PENDING) or get(db, ERASE_USERS_PENDING)
    return bool(whole or named(db, ERASE_USAGE_PENDING) or named(db, ERASE_CUT_PENDING))


def get(db: Database, name: str) -> str | None:
    """The fact of that name; None if there is none."""
    with db.reading() as connection:
        return read(connection, name)


def put(db: Database, name: str, value: str) -> None:
    """Set the fact, whether or not it is there."""
    with db.writing() as connection:
        write(connection, name, value)


def drop(db: Database, name: str) -> None:
    """Forget the fact; nothing happens if there is none."""
    with db.writing() as connection:
        connection.execute(sa.delete(jobs).where(jobs.c.name == name))


def named(db: Database, prefix: str) -> dict[str, str]:
    """All facts whose name begins so, by name."""
    with db.reading() as connection:
        match = jobs.c.name.startswith(prefix, autoescape=True)
        rows = connection.execute(sa.select(jobs.c.name, jobs.c.value).where(match).order_by(jobs.c.name))
        # LIKE does not tell upper from lower case everywhere.
        return {row.name: row.value for row in rows if row.name.startswith(prefix)}


def read(connection: Connection, name: str) -> str | None:
    """As `get`, inside a transaction that is already open."""
    value: str | None = connection.execute(sa.select(jobs.c.value).where(jobs.c.name == name)).scalar()
    return value


def write(connection: Connection, name: str, value: str) -> None:
    """As `put`, inside a transaction that is already open."""
    change = sa.update(jobs).where(jobs.c.name == name).values(value=value)
    if not connection.execute(change).rowcount and ensure(connection, name, value) != value:
        connection.execute(change)


def ensure(connection: Connection, name: str, value: str) -> str:
    """Return the fact, which becomes `value` if there is none: whoever comes first decides for all."""
    kept = read(connection, name)
    if kept is not None:
        return kept
    try:
        with connection.begin_nested():
            connection.execute(sa.insert(jobs).values(name=name, value=value))
    except IntegrityError:  # another process put it at this moment
        return read(connection, name) or value
    return value


def forget(connection: Connection, user_id: str) -> None:
    """Drop the facts whose names hold this user's id."""
    names = connection.execute(sa.select(jobs.c.name).where(jobs.c.name.contains(user_id, autoescape=True))).scalars()
    # LIKE does not tell upper from lower case everywhere, and one id can be the beginning of another.
    gone = [name for name in names if re.search(rf"(?<![A-Za-z0-9_]){re.escape(user_id)}(?![A-Za-z0-9_])", name)]
    connection.execute(sa.delete(jobs).where(jobs.c.name.in_(gone)))
