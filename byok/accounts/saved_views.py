"""Views of the dashboard kept by name: a page and its address's query. Each user's own; gone with the user."""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from byok.accounts.database import Database
from byok.accounts.ids import new_id
from byok.accounts.tables import saved_views, vendor_keys
from byok.errors import BadRequest, NotFound

MOST = 50
LONGEST_NAME, LONGEST_QUERY = 80, 2_000
_NAMING = ("user", "key")  # words of a query that name users and their keys


@dataclass(frozen=True, slots=True)
class SavedView:
    """`page` is the page's path in the address ("" for the first one); `query` what stands behind its question mark."""

    id: str
    name: str
    page: str
    query: str
    created_at: datetime


def save(db: Database, user_id: str, name: str, page: str, query: str, *, now: datetime) -> SavedView:
    """Keep a view; one of the same name is replaced. The query must name users and keys by their ids, or an erasure would miss them.

    Raises `BadRequest` for a name or query that is too long, or a view too many.
    """
    kept = _checked_name(name)
    if len(query) > LONGEST_QUERY:
        raise BadRequest("These filters are too many to be kept.", remedy="Take fewer single values.")
    values = {"id": new_id("vw_"), "user_id": user_id, "name": kept, "page": page, "query": query, "created_at": now}
    with db.writing() as connection:
        connection.execute(sa.delete(saved_views).where(saved_views.c.user_id == user_id, saved_views.c.name == kept))
        count = sa.select(sa.func.count()).select_from(saved_views).where(saved_views.c.user_id == user_id)
        if (connection.execute(count).scalar() or 0) >= MOST:
            raise BadRequest(f"{MOST} views are kept already.", remedy="Delete one first.")
        connection.execute(sa.insert(saved_views).values(**values))
    return SavedView(str(values["id"]), kept, page, query, now)


def of_user(db: Database, user_id: str) -> list[SavedView]:
    """A user's views by name."""
    columns = (saved_views.c.id, saved_views.c.name, saved_views.c.page, saved_views.c.query, saved_views.c.created_at)
    with db.reading() as connection:
        rows = connection.execute(sa.select(*columns).where(saved_views.c.user_id == user_id).order_by(saved_views.c.name))
        return [SavedView(*row) for row in rows]


def rename(db: Database, user_id: str, view_id: str, name: str) -> None:
    """Raises `BadRequest` for a name that is taken or senseless, `NotFound` for a view that is not this user's."""
    kept = _checked_name(name)
    try:
        with db.writing() as connection:
            mine = sa.update(saved_views).where(saved_views.c.id == view_id, saved_views.c.user_id == user_id)
            found = connection.execute(mine.values(name=kept)).rowcount
    except IntegrityError:
        raise BadRequest("Another view has this name.", remedy="Choose another name.") from None
    if not found:
        raise NotFound("There is no such view.", remedy="Reload the page.")


def delete(db: Database, user_id: str, view_id: str) -> bool:
    """Delete the view if it is this user's; returns whether it was."""
    with db.writing() as connection:
        return connection.execute(sa.delete(saved_views).where(saved_views.c.id == view_id, saved_views.c.user_id == user_id)).rowcount == 1


def forget(connection: Connection, user_id: str) -> None:
    """Within an erasure, before the user goes: delete what others kept that names this user or one of the user's keys."""
    keys = connection.execute(sa.select(vendor_keys.c.id).where(vendor_keys.c.user_id == user_id)).scalars()
    ids = {user_id, *keys}
    rows = connection.execute(sa.select(saved_views.c.id, saved_views.c.query)).all()
    naming = [row.id for row in rows if any(word in _NAMING and value in ids for word, value in parse_qsl(row.query))]
    for view_id in naming:
        connection.execute(sa.delete(saved_views).where(saved_views.c.id == view_id))


def _checked_name(name: str) -> str:
    kept = " ".join(name.split())
    if not kept or len(kept) > LONGEST_NAME or not kept.isprintable():
        raise BadRequest("A view needs a name.", remedy=f"Give it one line of at most {LONGEST_NAME} characters.")
    return kept
