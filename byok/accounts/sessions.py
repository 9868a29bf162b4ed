"""Sessions of signed-in people: a random secret in a cookie, of which only a hash is kept. Checked in the database every time."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from byok.accounts.database import Database
from byok.accounts.errors import UserUnknown
from byok.accounts.ids import is_id, new_id
from byok.accounts.tables import sessions, users
from byok.accounts.users import User, from_row, is_there

COOKIE = "byok_session"
IDLE = timedelta(hours=8)
ABSOLUTE = timedelta(days=30)
TOUCH_EVERY = timedelta(minutes=1)
_LONGEST_SECRET = 100


@dataclass(frozen=True, slots=True)
class Session:
    """What can be shown of a session."""

    id: str
    user_id: str
    created_at: datetime
    seen_at: datetime


def start(db: Database, user_id: str, *, now: datetime) -> str:
    """Return the secret of a new session (256 random bits), for the cookie. Raises `UserUnknown`, also for a disabled user."""
    secret = secrets.token_urlsafe(32)
    with db.writing() as connection:
        if not connection.execute(is_there(user_id).where(~users.c.disabled)).first():
            raise UserUnknown
        connection.execute(sa.delete(sessions).where(_is_over(now)))
        row = {"id": new_id("ses_"), "secret_hash": _hash(secret), "user_id": user_id, "created_at": now, "seen_at": now}
        connection.execute(sa.insert(sessions).values(**row))
    return secret


def find(db: Database, secret: str, *, now: datetime, visit: bool = True) -> User | None:
    """Return whose session this is, or None if it is unknown, ended, idle for 8 h or 30 days old.

    `visit`: whether a person asks. A page that renews itself keeps no session alive.
    """
    if not secret or len(secret) > _LONGEST_SECRET:
        return None
    mine = sessions.c
    with db.reading() as connection:
        joined = sa.select(*users.c, mine.id.label("session_id"), mine.seen_at).join_from(sessions, users)
        row = connection.execute(joined.where(mine.secret_hash == _hash(secret), ~_is_over(now), ~users.c.disabled)).first()
    if row is None:
        return None
    if visit and now - row.seen_at >= TOUCH_EVERY:
        db.note(sa.update(sessions).where(mine.id == row.session_id).values(seen_at=now))
    return from_row(row)


def end(db: Database, secret: str) -> None:
    """End the session with this secret; nothing happens if there is none."""
    with db.writing() as connection:
        connection.execute(sa.delete(sessions).where(sessions.c.secret_hash == _hash(secret)))


def end_others(db: Database, user_id: str, kept_id: str | None) -> None:
    """End all sessions of the user but the one with this id."""
    with db.writing() as connection:
        connection.execute(sa.delete(sessions).where(sessions.c.user_id == user_id, sessions.c.id != (kept_id or "")))


def id_of(db: Database, secret: str) -> str | None:
    """The id under which `of_user` shows the session with this secret."""
    with db.reading() as connection:
        found: str | None = connection.execute(sa.select(sessions.c.id).where(sessions.c.secret_hash == _hash(secret))).scalar()
        return found


def of_user(db: Database, user_id: str, *, now: datetime) -> list[Session]:
    """The user's living sessions, newest first."""
    mine = sessions.c
    with db.reading() as connection:
        shown = sa.select(mine.id, mine.user_id, mine.created_at, mine.seen_at).where(mine.user_id == user_id, ~_is_over(now))
        return [Session(*row) for row in connection.execute(shown.order_by(mine.created_at.desc(), mine.id))]


def revoke(db: Database, user_id: str, session_id: str) -> bool:
    """End one session by the id that `of_user` shows, if it is this user's; returns whether it was."""
    if not is_id(session_id):
        return False
    with db.writing() as connection:
        mine = (sessions.c.id == session_id) & (sessions.c.user_id == user_id)
        return connection.execute(sa.delete(sessions).where(mine)).rowcount == 1


def _is_over(now: datetime) -> sa.ColumnElement[bool]:
    return (sessions.c.seen_at <= now - IDLE) | (sessions.c.created_at <= now - ABSOLUTE)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()
