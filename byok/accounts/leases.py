"""Who of several machines does what only one may do: a lease in the accounts database, with a number that grows with each new holder.

A holder that was stopped for long may believe that it still holds the lease. So what it writes carries the number, and the usage table
refuses one that is lower than what it has seen (`byok.recording.table.Table.fence`). The end of a lease is told by the database's clock:
those of machines may differ. A machine whose disk was copied has another's name; the number of its process tells them apart.
"""

import json
from datetime import datetime, timedelta

from byok.accounts import jobs
from byok.accounts.database import Database

LEASE_S = 60.0
_LEASE = "lease:"


def take(
    db: Database, name: str, holder: str, *, now: datetime, run: str = "", starting: bool = False, for_s: float = LEASE_S
) -> int | None:
    """Take or renew the lease; its number, or None while somebody else holds it.

    `run` is a process of the holder. One that is `starting` takes over from an earlier one of the same holder at once.

    >>> from datetime import UTC
    >>> from byok.accounts.database import open_database
    >>> with open_database("sqlite://") as db:
    ...     now = datetime(2026, 11, 22, tzinfo=UTC)
    ...     take(db, "table", "a", now=now), take(db, "table", "b", now=now), take(db, "table", "b", now=now + timedelta(minutes=2))
    (1, None, 2)
    """
    with db.writing() as connection:
        db.alone(connection, _LEASE + name)
        kept = json.loads(jobs.read(connection, _LEASE + name) or "{}")
        mine = kept.get("holder") == holder and kept.get("run", "") == run
        before_me = kept.get("holder") == holder and starting
        if kept.get("holder") and not mine and not before_me and datetime.fromisoformat(kept["until"]) > now:
            return None
        number: int = kept.get("number", 0) + (0 if mine else 1)
        value = {"holder": holder, "run": run, "number": number, "until": (now + timedelta(seconds=for_s)).isoformat()}
        jobs.write(connection, _LEASE + name, json.dumps(value))
        return number


def release(db: Database, name: str, holder: str, *, run: str = "") -> None:
    """Give the lease back, so that the next one need not wait for its end."""
    with db.writing() as connection:
        db.alone(connection, _LEASE + name)
        kept = json.loads(jobs.read(connection, _LEASE + name) or "{}")
        if kept.get("holder") == holder and kept.get("run", "") == run:
            jobs.write(connection, _LEASE + name, json.dumps(kept | {"holder": ""}))
