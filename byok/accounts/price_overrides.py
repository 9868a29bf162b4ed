"""Prices that the operator sets: dated entries beside the catalogue's. Rows are added and withdrawn, never changed."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import NamedTuple

import sqlalchemy as sa

from byok.accounts.database import Database
from byok.accounts.tables import price_overrides
from byok.errors import BadRequest

MOST = 20_000


class Stored(NamedTuple):
    """From `since` (midnight UTC) on a model has the price `entry` (JSON as `byok.pricing.files` reads it; None: the catalogue's again)."""

    vendor: str
    model: str
    since: date
    entry: str | None


def add(db: Database, new: Iterable[Stored], *, now: datetime) -> None:
    """Add them all or none. Of several with one day the newest holds. Raises `BadRequest` when there are too many."""
    rows = [stored._asdict() | {"since": stored.since.isoformat(), "set_at": now} for stored in new]
    with db.writing() as connection:
        if (connection.execute(sa.select(sa.func.count()).select_from(price_overrides)).scalar() or 0) + len(rows) > MOST:
            raise BadRequest(f"At most {MOST:,} prices can be set.", remedy="Import fewer: only those of models that are called.")
        if rows:
            connection.execute(sa.insert(price_overrides), rows)


def withdraw(db: Database, vendor: str, model: str, since: date, *, now: datetime) -> int:
    """Take back what was set for a model from a day on; returns how many entries that were."""
    mine = (price_overrides.c.vendor == vendor) & (price_overrides.c.model == model) & (price_overrides.c.since == since.isoformat())
    with db.writing() as connection:
        done = connection.execute(
            sa.update(price_overrides).where(mine & price_overrides.c.withdrawn_at.is_(None)).values(withdrawn_at=now)
        )
        return int(done.rowcount)


def every(db: Database) -> list[Stored]:
    """What holds, in the order in which it was set."""
    columns = price_overrides.c
    asked = (
        sa.select(columns.vendor, columns.model, columns.since, columns.entry).where(columns.withdrawn_at.is_(None)).order_by(columns.seq)
    )
    with db.reading() as connection:
        return [Stored(row.vendor, row.model, date.fromisoformat(row.since), row.entry) for row in connection.execute(asked)]


def version(db: Database) -> tuple[int, int]:
    """Differs after every change."""
    asked = sa.select(sa.func.max(price_overrides.c.seq), sa.func.count(price_overrides.c.withdrawn_at))
    with db.reading() as connection:
        newest, withdrawn = connection.execute(asked).one()
    return newest or 0, withdrawn
