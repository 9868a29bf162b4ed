"""Sample usage for `byok up --demo`: six people, a year, believable days. The same day always gets the same calls.

What there is to find stands in `EPISODES`; besides, working hours in four time zones, quiet weekends, slow growth, and plans that keep
less.
"""

import json
import tempfile
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from byok.accounts import jobs, key_vault, users
from byok.accounts.database import Database
from byok.demo.cast import DAYS, EPISODES, PEOPLE, SERIES
from byok.demo.drawing import calls, runaways
from byok.services import Services

__all__ = ["DAYS", "EPISODES", "PEOPLE", "SERIES", "calls", "fill", "is_sample", "runaways"]

_FACT = "demo"


def is_sample(db: Database) -> bool:
    """Whether this installation is empty or holds sample data: only then may more be put in."""
    return jobs.get(db, _FACT) is not None or not users.all_users(db)


def fill(services: Services, *, now: datetime) -> int:
    """Make the people and their usage up to `now`; later calls add what has passed since. Returns how many calls were added."""
    from byok import intake

    known = json.loads(jobs.get(services.db, _FACT) or "null")
    if known is None:
        known = {"anchor": now.date().isoformat(), "until": None}
        jobs.put(services.db, _FACT, json.dumps(known))
    anchor = date.fromisoformat(known["anchor"])
    since = datetime.fromisoformat(known["until"]) if known["until"] else datetime.combine(anchor - timedelta(days=DAYS), time(), UTC)
    rows = calls(anchor, since, now, user_ids=_people(services.db, since), key_ids=_keys(services, since))
    if rows.num_rows:
        import pyarrow.parquet as pq

        with tempfile.TemporaryDirectory(prefix="byok-demo-") as place:
            pq.write_table(rows, Path(place) / "sample.parquet")
            intake.book(Path(place) / "sample.parquet", services.settings, services.db, now=now)
        newest = rows.group_by("key_id").aggregate([("ts", "max")])
        for key_id, at in zip(newest["key_id"].to_pylist(), newest["ts_max"].to_pylist(), strict=True):
            key_vault.note_used(services.db, key_id, now=at)
    jobs.put(services.db, _FACT, json.dumps(known | {"until": now.isoformat()}))
    return int(rows.num_rows)


def _people(db: Database, now: datetime) -> dict[str, str]:
    """The sample users' ids by e-mail; makes those that are missing."""
    ids = {user.email: user.id for user in users.all_users(db)}
    for person in PEOPLE:
        if person.email not in ids:
            facts: dict[str, Any] = {"plan": person.plan, "admin": person.admin, "name": person.name, "tz": person.tz}
            ids[person.email] = users.add(db, person.email, now=now, user_id=f"usr_demo{person.name}", **facts).id
    return ids


def _keys(services: Services, since: datetime) -> dict[tuple[str, str], str]:
    """The sample keys' ids by owner's e-mail and label; makes those that are missing. Their secrets are invented and open nothing."""
    ids: dict[tuple[str, str], str] = {}
    for number, series in enumerate(SERIES):
        if (series.email, series.label) in ids:
            continue
        owner = users.by_email(services.db, series.email).id
        found = next((key.id for key in key_vault.of_user(services.db, owner) if key.label == series.label), None)
        if found is None:
            secret = f"sample-key-that-opens-nothing-{1000 + number * 137}"
            found = key_vault.add(services.db, services.master, owner, series.vendor, secret, now=since, label=series.label).id
        ids[series.email, series.label] = found
    return ids
