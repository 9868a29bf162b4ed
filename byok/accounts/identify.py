"""Who sends this credential: an access token or an API token."""

from datetime import datetime

import sqlalchemy as sa

from byok.accounts import access_tokens, api_tokens
from byok.accounts.access_tokens import Grant
from byok.accounts.database import Database
from byok.accounts.tables import users
from byok.accounts.users import from_row


def identify(db: Database, secret: bytes, credential: str, *, now: datetime) -> Grant | None:
    """Return the user with what the credential is good for.

    None if it is bad, expired or older than the last password change, or the user disabled or erased.

    `secret` is `api_tokens.jwt_secret`. Never raises on odd text; raises `AccountsUnavailable` if the database cannot be read.
    """
    if credential.startswith("byok_"):
        return access_tokens.read(db, credential, now=now)
    claim = api_tokens.read(credential, secret, now=now)
    if claim is None:
        return None
    with db.reading() as connection:
        row = connection.execute(sa.select(users).where(users.c.id == claim.user_id)).first()
    if row is None or row.disabled:
        return None
    if row.tokens_since is not None and claim.issued_at < row.tokens_since:
        return None
    return Grant(from_row(row))
