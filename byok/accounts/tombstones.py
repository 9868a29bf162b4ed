"""Who was erased: only a hash of the id and the time, so that late records are dropped and the id is never given again."""

import hashlib
from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from byok.accounts.database import Database
from byok.accounts.tables import tombstones

_BATCH = 500


def is_erased(db: Database, user_ids: Iterable[str]) -> set[str]:
    """Return those of the ids whose users were erased."""
    with db.reading() as connection:
        return erased(connection, user_ids)


def erased(connection: Connection, user_ids: Iterable[str]) -> set[str]:
    """As `is_erased`, inside a transaction that is already open."""
    by_hash = {_hash(user_id): user_id for user_id in user_ids}
    hashes = list(by_hash)
    found: set[str] = set()
    for start in range(0, len(hashes), _BATCH):
        match = tombstones.c.id_hash.in_(hashes[start : start + _BATCH])
        found |= {by_hash[one] for one in connection.execute(sa.select(tombstones.c.id_hash).where(match)).scalars()}
    return found


def bury(connection: Connection, user_id: str, now: datetime) -> None:
    """Set the tombstone; the first one's time stays."""
    if not erased(connection, [user_id]):
        connection.execute(sa.insert(tombstones).values(id_hash=_hash(user_id), erased_at=now))


def _hash(user_id: str) -> str:
    return hashlib.sha256(user_id.encode(errors="surrogatepass")).hexdigest()
