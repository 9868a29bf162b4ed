"""Access tokens: `byok_<8 characters>_<43 characters>`. The first part finds the row, of the whole only a SHA-256 is kept."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from byok.accounts.budgets import Stop
from byok.accounts.checks import checked_label
from byok.accounts.database import Database
from byok.accounts.errors import UserUnknown
from byok.accounts.ids import is_id, random_characters
from byok.accounts.tables import access_tokens, users
from byok.accounts.users import User, from_row, is_there
from byok.errors import BadRequest

_FORM = re.compile(r"byok_([A-Za-z0-9]{8})_[A-Za-z0-9_-]{43}")
_NOBODY = hashlib.sha256(b"nobody").hexdigest()
_MODEL = re.compile(r"[A-Za-z0-9*?][A-Za-z0-9._:/@+*?-]{0,127}")
MOST_MODELS = 100
TOUCH_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What can be shown of a token: everything but the token."""

    id: str
    user_id: str
    label: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Grant:
    """Whom a credential names, the only models it may call (names and patterns; none: all), and which of the user's budgets are used up."""

    user: User
    models: tuple[str, ...] = ()
    stops: tuple[Stop, ...] = ()  # only the gateway asks for them


def create(db: Database, user_id: str, *, now: datetime, label: str = "", ttl_s: float | None = None, models: Sequence[str] = ()) -> str:
    """Return a new token of the user, the only time it is seen. Without `ttl_s` it lives until it is revoked.

    With `models` (names, `vendor/name`, `*` for any part) it makes calls of these only, and is good for nothing but calls and reading.
    Raises `UserUnknown`, `BadRequest`.
    """
    token_id = random_characters(8)
    token = f"byok_{token_id}_{secrets.token_urlsafe(32)}"
    values = {
        "id": token_id,
        "secret_hash": _hash(token),
        "user_id": user_id,
        "label": checked_label(label),
        "created_at": now,
        "expires_at": None if ttl_s is None else now + timedelta(seconds=ttl_s),
        "models": ",".join(_checked_models(models)) or None,
    }
    with db.writing() as connection:
        if not connection.execute(is_there(user_id)).first():
            raise UserUnknown
        connection.execute(sa.insert(access_tokens).values(**values))
    return token


def verify(db: Database, token: str, *, now: datetime) -> User | None:
    """Return the token's user, or None if it is unknown, expired or revoked, or the user is disabled. Never raises on odd text.

    None also for a token that is for some models only: whatever asks here (sign-in, a JWT) would let it grow beyond its list.
    """
    grant = read(db, token, now=now)
    return None if grant is None or grant.models else grant.user


def read(db: Database, token: str, *, now: datetime) -> Grant | None:
    """As `verify`, with the models that the token is for."""
    form = _FORM.fullmatch(token)
    if form is None:
        return None
    mine = access_tokens.c
    with db.reading() as connection:
        joined = sa.select(*users.c, mine.secret_hash, mine.last_used_at, mine.expires_at, mine.models).join_from(access_tokens, users)
        row = connection.execute(joined.where(mine.id == form[1])).first()
    if not hmac.compare_digest(_hash(token), _NOBODY if row is None else row.secret_hash) or row is None:
        return None
    if row.disabled or (row.expires_at is not None and row.expires_at <= now):
        return None
    if row.last_used_at is None or now - row.last_used_at >= TOUCH_EVERY:
        db.note(sa.update(access_tokens).where(mine.id == form[1]).values(last_used_at=now))
    return Grant(from_row(row), _models(row.models))


def of_user(db: Database, user_id: str) -> list[AccessToken]:
    """The user's tokens, oldest first."""
    return _listed(db, access_tokens.c.user_id == user_id)


def of_everyone(db: Database) -> list[AccessToken]:
    """The tokens of all users, oldest first, for operators."""
    return _listed(db, sa.true())


def revoke(db: Database, user_id: str, token_id: str) -> bool:
    """Delete the token if it is this user's; returns whether it was."""
    if not is_id(token_id):
        return False
    with db.writing() as connection:
        mine = (access_tokens.c.id == token_id) & (access_tokens.c.user_id == user_id)
        return connection.execute(sa.delete(access_tokens).where(mine)).rowcount == 1


def _listed(db: Database, which: sa.ColumnElement[bool]) -> list[AccessToken]:
    mine = access_tokens.c
    shown = sa.select(mine.id, mine.user_id, mine.label, mine.created_at, mine.last_used_at, mine.expires_at, mine.models)
    with db.reading() as connection:
        rows = connection.execute(shown.where(which).order_by(mine.created_at, mine.id))
        return [AccessToken(*row[:-1], models=_models(row.models)) for row in rows]


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _models(stored: str | None) -> tuple[str, ...]:
    return tuple(stored.split(",")) if stored else ()


def _checked_models(models: Sequence[str]) -> list[str]:
    kept = list(dict.fromkeys(text for model in models if (text := model.strip())))
    if bool(models) != bool(kept) or len(kept) > MOST_MODELS or not all(_MODEL.fullmatch(text) for text in kept):
        raise BadRequest(
            "The list of models is not valid.",
            remedy=f"Name up to {MOST_MODELS} models, such as gpt-4o-mini, anthropic/claude-haiku-4 or anthropic/*, with commas between.",
        )
    return kept
