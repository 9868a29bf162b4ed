"""Who a person is at a sign-in service (OpenID Connect): issuer and subject, tied to a user once. An e-mail never ties them."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from byok.accounts import passwords
from byok.accounts.database import Database
from byok.accounts.errors import EmailTaken, IdentityTaken, LinkInvalid, UserUnknown
from byok.accounts.ids import new_id
from byok.accounts.tables import identities, password_links, sessions, sign_on_flows, users
from byok.accounts.users import User, add_within, from_row, is_there

FLOW_TTL = timedelta(minutes=10)
_NO_ADDRESS = "oidc.invalid"  # a domain that can receive nothing


@dataclass(frozen=True, slots=True)
class Identity:
    """A person at a sign-in service; `subject` is the service's own id, unique below `issuer`."""

    issuer: str
    subject: str


@dataclass(frozen=True, slots=True)
class Flow:
    """A sign-in that went to the service and has come back.

    `user_id` alone: that user connects an identity. With `link_hash`: by a one-time link. Neither: whoever it is.
    """

    user_id: str | None
    link_hash: str | None


@dataclass(frozen=True, slots=True)
class Connected:
    """What can be shown of an identity."""

    issuer: str
    created_at: datetime


def begin(db: Database, secret: str, *, now: datetime, user_id: str | None = None, link_hash: str | None = None) -> None:
    """Remember that a sign-in with this secret is on its way; good for ten minutes and once."""
    row = {"secret_hash": _hash(secret), "user_id": user_id, "link_hash": link_hash, "expires_at": now + FLOW_TTL}
    with db.writing() as connection:
        connection.execute(sa.delete(sign_on_flows).where(sign_on_flows.c.expires_at <= now))
        connection.execute(sa.insert(sign_on_flows).values(**row))


def take(db: Database, secret: str, *, now: datetime) -> Flow | None:
    """Return what was begun with this secret and forget it; None if there is no such, or no more."""
    mine = sign_on_flows.c
    with db.writing() as connection:
        gone = sa.delete(sign_on_flows).where(mine.secret_hash == _hash(secret))
        row = connection.execute(gone.returning(mine.user_id, mine.link_hash, mine.expires_at)).first()
    return Flow(row.user_id, row.link_hash) if row is not None and row.expires_at > now else None


def find(db: Database, who: Identity) -> User | None:
    """The user of an identity, disabled or not."""
    with db.reading() as connection:
        return _owner(connection, who)


def connect(db: Database, who: Identity, user_id: str, *, now: datetime) -> User:
    """Tie an identity to a user. Raises `IdentityTaken` if it is another's, `UserUnknown`, also for a disabled user."""
    with db.writing() as connection:
        if not connection.execute(is_there(user_id).where(~users.c.disabled)).first():
            raise UserUnknown
        row = connection.execute(sa.select(users).where(users.c.id == user_id)).one()
        _tie(connection, who, user_id, now)
    return from_row(row)


def connect_by_link(db: Database, who: Identity, link_hash: str, *, now: datetime) -> User:
    """Tie an identity to the owner of a one-time link, which is then used up. Raises `LinkInvalid`, `IdentityTaken`."""
    with db.writing() as connection:
        owner = passwords.link_owner(connection, link_hash, now, lock=True)
        if owner is None:
            raise LinkInvalid
        _tie(connection, who, owner.id, now)
        connection.execute(sa.delete(password_links).where(password_links.c.user_id == owner.id))
    return owner


def join(db: Database, who: Identity, *, email: str, plan: str, now: datetime) -> User:
    """Make a user for an identity, unless it has one by now. `email` is one that the service has verified, or empty.

    Raises `EmailTaken` if another user has that e-mail: it is no proof of being the same person.
    """
    user_id = new_id("usr_")
    try:
        with db.writing() as connection:
            made = add_within(db, connection, user_id, email or f"{user_id.lower()}@{_NO_ADDRESS}", plan=plan, now=now)
            _tie(connection, who, user_id, now)
    except (IntegrityError, IdentityTaken):
        owner = find(db, who)  # the same person came in by another window at this moment
        if owner is None:
            raise EmailTaken from None
        return owner
    return made


def of_user(db: Database, user_id: str) -> list[Connected]:
    """The identities of a user, the oldest first."""
    mine = identities.c
    with db.reading() as connection:
        chosen = sa.select(mine.issuer, mine.created_at).where(mine.user_id == user_id).order_by(mine.created_at, mine.issuer, mine.subject)
        return [Connected(*row) for row in connection.execute(chosen)]


def disconnect(db: Database, user_id: str, *, but_session: str | None = None) -> int:
    """Forget all identities of a user, and end what they may have opened: all sessions but the one with this id. Returns how many."""
    with db.writing() as connection:
        gone: int = connection.execute(sa.delete(identities).where(identities.c.user_id == user_id)).rowcount
        connection.execute(sa.delete(sign_on_flows).where(sign_on_flows.c.user_id == user_id))
        connection.execute(sa.delete(sessions).where(sessions.c.user_id == user_id, sessions.c.id != (but_session or "")))
    return gone


def _tie(connection: Connection, who: Identity, user_id: str, now: datetime) -> None:
    owner = _owner(connection, who)
    if owner is None:
        try:
            with connection.begin_nested():
                row = {"issuer": who.issuer, "subject": who.subject, "user_id": user_id, "created_at": now}
                connection.execute(sa.insert(identities).values(**row))
        except IntegrityError:  # another process was first
            owner = _owner(connection, who)
    if owner is not None and owner.id != user_id:
        raise IdentityTaken


def _owner(connection: Connection, who: Identity) -> User | None:
    joined = sa.select(*users.c).join_from(identities, users)
    row = connection.execute(joined.where(identities.c.issuer == who.issuer, identities.c.subject == who.subject)).first()
    return None if row is None else from_row(row)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()
