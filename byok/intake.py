"""`byok import`: a file's records, booked for this installation. Users, vendors and model names are judged by the rooms that know them."""

import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from byok.accounts import jobs, users
from byok.accounts.database import Database
from byok.accounts.ids import is_user_id
from byok.gateway.models import is_storable
from byok.gateway.vendors import vendors
from byok.recording.importer import Rounds, import_file
from byok.recording.table import Table
from byok.settings import Settings
from byok.usage import OTHER_MODEL

_ROUNDS = "import_rounds:"


def book(
    path: Path,
    settings: Settings,
    db: Database,
    *,
    now: datetime,
    create_users: str | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Import CSV, JSON Lines or Parquet and return {"read", "booked", "duplicates", "refused", "seconds"}.

    Rows of unknown users are refused, unless `create_users` names a plan: then each is made with it, as `<id>@import.invalid`. The same
    bytes again book nothing. Raises `FileUnreadable`.
    """
    started = time.monotonic()
    done = import_file(
        path,
        Table(settings.usage_dir),
        Rounds(lambda digest: _load(db, digest), lambda digest, plan: _store(db, digest, plan)),
        known_users=lambda ids: _known(db, ids, create_users, now),
        still_known=lambda ids: ids & users.retention(db).keys(),
        vendors=frozenset(vendors(settings)),
        safe_model=safe_model,
        progress=progress,
    )
    return done._asdict() | {"seconds": round(time.monotonic() - started, 3)}


def safe_model(name: str | None) -> str:
    """The name to store for a model that an operator's file names: itself, or `other` if it could hide something else than a model."""
    return name if name and is_storable(name) else OTHER_MODEL


def _known(db: Database, ids: set[str], create_users: str | None, now: datetime) -> set[str]:
    known = ids & users.retention(db).keys()
    missing = [user_id for user_id in sorted(ids - known) if is_user_id(user_id)]
    if create_users is None or not missing:
        return known
    users.add_many(db, [(user_id, f"{user_id}@import.invalid") for user_id in missing], create_users, now)
    return ids & users.retention(db).keys()  # another import may have made some of them just now


def _load(db: Database, digest: str) -> list[set[str]]:
    return [set(hashes) for hashes in json.loads(jobs.get(db, _ROUNDS + digest) or "[]")]


def _store(db: Database, digest: str, plan: list[set[str]]) -> None:
    jobs.put(db, _ROUNDS + digest, json.dumps([sorted(hashes) for hashes in plan]))
