"""Passwords: argon2id, at least 12 characters and none of the well-known, equal time for unknown users, one-time links to set one."""

import contextlib
import hashlib
import secrets
import threading
import unicodedata
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy.engine import Connection

from byok.accounts import common_passwords, delays
from byok.accounts.database import Database
from byok.accounts.errors import LinkInvalid, PasswordTooWeak, UserUnknown
from byok.accounts.tables import password_hashes, password_links, sessions, users
from byok.accounts.users import User, from_row, is_email, is_there, normal_email
from byok.errors import TooManyRequests

SHORTEST = 12
LONGEST = 1000
LINK_TTL_S = 86_400
# 19 MiB, two passes, one lane (OWASP's first choice): about 70 ms. Two at once, so that many sign-ins cannot eat the memory.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_TWO_AT_ONCE = threading.BoundedSemaphore(2)
_LONGEST_WAIT_S = 10


def set_password(db: Database, user_id: str, password: str, *, now: datetime) -> None:
    """Set the password and end what the old one opened: sessions, API tokens, links. Raises `PasswordTooWeak`, `UserUnknown`."""
    with db.reading() as connection:
        email = connection.execute(sa.select(users.c.email).where(users.c.id == user_id)).scalar()
    if email is None:
        raise UserUnknown
    hashed = _hash(_checked(password, email))
    with db.writing() as connection:
        if not connection.execute(sa.select(users.c.id).where(users.c.id == user_id).with_for_update()).first():
            raise UserUnknown
        _replace(connection, user_id, email, hashed, now)


def check(db: Database, email: str, password: str, *, now: datetime, address: str = "") -> User | None:
    """Return the user if e-mail and password fit, else None; an unknown e-mail takes as long. Disabled users do not pass.

    Raises `TooManyRequests` with `retry_after_s` while a delay runs after failures with this e-mail or from this client `address`.
    """
    known_as = normal_email(email)[:300]
    delays.begin(db, known_as, address, now)
    row = None
    if is_email(known_as):
        with db.reading() as connection:
            joined = sa.select(*users.c, password_hashes.c.hash).join_from(users, password_hashes)
            row = connection.execute(joined.where(users.c.email == known_as)).first()
    fits = _fits(_hash_of_nobody() if row is None else row.hash, password)
    if row is None or not fits or row.disabled:
        return None
    delays.succeed(db, known_as, address)
    if _HASHER.check_needs_rehash(row.hash):
        hashed = _hash(_normal(password))
        with db.writing() as connection:
            # Only if it is still the hash that was checked: a change made meanwhile wins.
            same = (password_hashes.c.user_id == row.id) & (password_hashes.c.hash == row.hash)
            connection.execute(sa.update(password_hashes).where(same).values(hash=hashed))
    return from_row(row)


def has_password(db: Database, user_id: str) -> bool:
    """Whether the user has one."""
    with db.reading() as connection:
        return connection.execute(sa.select(password_hashes.c.user_id).where(password_hashes.c.user_id == user_id)).first() is not None


def set_link(db: Database, user_id: str, *, now: datetime, ttl_s: float = LINK_TTL_S) -> str:
    """Return the one-time secret for /auth/set-password?token=…; the user's earlier links become void. Raises `UserUnknown`."""
    secret = secrets.token_urlsafe(32)
    row = {"secret_hash": link_hash(secret), "user_id": user_id, "created_at": now, "expires_at": now + timedelta(seconds=ttl_s)}
    with db.writing() as connection:
        if not connection.execute(is_there(user_id)).first():
            raise UserUnknown
        connection.execute(sa.delete(password_links).where((password_links.c.user_id == user_id) | (password_links.c.expires_at <= now)))
        connection.execute(sa.insert(password_links).values(**row))
    return secret


def redeem(db: Database, token: str, password: str, *, now: datetime) -> User:
    """Set the password by a link's secret and return the user. A password that is refused does not use the link up.

    Raises `LinkInvalid` (used, expired, unknown, or the user is disabled) or `PasswordTooWeak`.
    """
    with db.reading() as connection:
        owner = link_owner(connection, link_hash(token), now)
    if owner is None:
        raise LinkInvalid
    hashed = _hash(_checked(password, owner.email))
    with db.writing() as connection:
        # Looked up once more, and locked: of two that redeem at the same moment one wins.
        owner = link_owner(connection, link_hash(token), now, lock=True)
        if owner is None:
            raise LinkInvalid
        _replace(connection, owner.id, owner.email, hashed, now)
    return owner


def link_hash(secret: str) -> str:
    """What is kept of a link's secret."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def link_owner(connection: Connection, hashed: str, now: datetime, *, lock: bool = False) -> User | None:
    """Whose link this is, if it is good: not used, not late, its user not disabled."""
    mine = password_links.c
    joined = sa.select(*users.c).join_from(password_links, users)
    found = joined.where(mine.secret_hash == hashed, mine.expires_at > now, ~users.c.disabled)
    row = connection.execute(found.with_for_update() if lock else found).first()
    return None if row is None else from_row(row)


def _replace(connection: Connection, user_id: str, email: str, hashed: str, now: datetime) -> None:
    mine = password_hashes.c.user_id == user_id
    values = {"hash": hashed, "changed_at": now}
    if connection.execute(sa.update(password_hashes).where(mine).values(**values)).rowcount:
        # A first password opens nothing new, so it voids nothing; a new one may be the answer to a theft.
        connection.execute(sa.update(users).where(users.c.id == user_id).values(tokens_since=now))
    else:
        connection.execute(sa.insert(password_hashes).values(user_id=user_id, **values))
    for table in (sessions, password_links):
        connection.execute(sa.delete(table).where(table.c.user_id == user_id))
    delays.forget(connection, delays.of_email(connection, email))


def _checked(password: str, email: str) -> str:
    normal = _normal(password)
    if len(normal) < SHORTEST:
        raise PasswordTooWeak(f"it has {len(normal)} characters, {SHORTEST} is the least")
    if len(normal) > LONGEST:
        raise PasswordTooWeak(f"it has more than {LONGEST} characters")
    if common_passwords.is_common(normal, email):
        raise PasswordTooWeak("it is one of those that are tried first")
    return normal


def _normal(password: str) -> str:
    # The same text typed on two keyboards can differ in code points.
    return unicodedata.normalize("NFKC", password)


def _fits(hashed: str, password: str) -> bool:
    if len(password) > LONGEST:
        return False
    with _turn():
        try:
            return _HASHER.verify(hashed, _encoded(_normal(password)))
        except (VerificationError, InvalidHashError):
            return False


def _hash(normal: str) -> str:
    with _turn():
        return _HASHER.hash(_encoded(normal))


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


@contextlib.contextmanager
def _turn() -> Iterator[None]:
    if not _TWO_AT_ONCE.acquire(timeout=_LONGEST_WAIT_S):
        raise TooManyRequests("Too many people sign in at this moment.", remedy="Try again in a few seconds.", retry_after_s=5)
    try:
        yield
    finally:
        _TWO_AT_ONCE.release()


@cache
def _hash_of_nobody() -> str:
    return _hash(secrets.token_urlsafe(32))
