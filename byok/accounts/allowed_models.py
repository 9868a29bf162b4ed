"""Names of models outside the catalogue that an admin vouches for: a record may hold them though the vendor did not repeat them."""

from datetime import datetime

import sqlalchemy as sa

from byok.accounts.database import Database
from byok.accounts.tables import allowed_models
from byok.errors import BadRequest

MOST = 10_000


def allow(db: Database, name: str, *, now: datetime) -> bool:
    """Allow the name; returns whether that is new. Its form is for the caller to check. Raises `BadRequest` when there are too many."""
    with db.writing() as connection:
        db.alone(connection, "allowed models")
        if connection.execute(sa.select(allowed_models.c.name).where(allowed_models.c.name == name)).first():
            return False
        if (connection.execute(sa.select(sa.func.count()).select_from(allowed_models)).scalar() or 0) >= MOST:
            raise BadRequest(f"{MOST:,} names are allowed already.", remedy="Take some back: byok models disallow NAME")
        connection.execute(sa.insert(allowed_models).values(name=name, allowed_at=now))
    return True


def disallow(db: Database, name: str) -> bool:
    """Take the name back; returns whether it was allowed."""
    with db.writing() as connection:
        return connection.execute(sa.delete(allowed_models).where(allowed_models.c.name == name)).rowcount == 1


def every(db: Database) -> dict[str, datetime]:
    """The names with when they were allowed, in order of the alphabet."""
    with db.reading() as connection:
        rows = connection.execute(sa.select(allowed_models.c.name, allowed_models.c.allowed_at).order_by(allowed_models.c.name))
        return {row.name: row.allowed_at for row in rows}
