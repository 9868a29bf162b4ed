"""Receipts of erasures and purges: what was removed and when. None names a user."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from byok.accounts.database import Database
from byok.accounts.tables import receipts

FIELDS = ("receipt", "kind", "dry_run", "rows", "files", "seconds", "at")


def keep(db: Database, receipt: Mapping[str, Any]) -> None:
    """Store the seven fields that every receipt has; anything else in it (a purge lists its users) is left out.

    Keeping the same receipt again changes nothing.
    """
    values = {field: receipt[field] for field in FIELDS}
    with db.writing() as connection:
        if not connection.execute(sa.select(receipts.c.seq).where(receipts.c.receipt == values["receipt"])).first():
            connection.execute(sa.insert(receipts).values(**values))


def find(db: Database, number: str) -> dict[str, Any] | None:
    """The receipt of this number; None if there is none."""
    columns = [receipts.c[field] for field in FIELDS]
    with db.reading() as connection:
        row = connection.execute(sa.select(*columns).where(receipts.c.receipt == number)).mappings().first()
    return dict(row) if row else None


def latest(db: Database, limit: int) -> list[dict[str, Any]]:
    """The newest receipts first, each as it was handed out."""
    columns = [receipts.c[field] for field in FIELDS]
    with db.reading() as connection:
        rows = connection.execute(sa.select(*columns).order_by(receipts.c.seq.desc()).limit(limit))
        return [dict(row) for row in rows.mappings()]
