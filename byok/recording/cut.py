"""A cut: which of a user's records somebody wants gone, narrower than all of them before a moment. Also as text, to be written down."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class Cut:
    """One user's records with `since <= ts < until`, of these vendors, models and keys; an empty tuple means all."""

    user_id: str
    since: datetime
    until: datetime
    vendors: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    key_ids: tuple[str, ...] = ()

    @property
    def lists(self) -> dict[str, tuple[str, ...]]:
        """The columns by which it is narrowed, and their values."""
        found = {"vendor": self.vendors, "model": self.models, "key_id": self.key_ids}
        return {column: values for column, values in found.items() if values}

    def text(self) -> str:
        """Everything but whose: a fact's text names no user."""
        values = asdict(self) | {"since": self.since.isoformat(), "until": self.until.isoformat()}
        del values["user_id"]
        return json.dumps(values)

    @classmethod
    def parse(cls, user_id: str, text: str) -> "Cut":
        """What `text` made."""
        facts = json.loads(text)
        since, until = (datetime.fromisoformat(facts[name]) for name in ("since", "until"))
        return cls(user_id, since, until, *(tuple(facts[name]) for name in ("vendors", "models", "key_ids")))

    def covers(self, rows: pa.Table) -> pa.ChunkedArray:
        """For each row of the usage schema (texts coded or not) whether it goes."""
        ts = rows["ts"]
        found = pc.and_(pc.greater_equal(ts, _instant(self.since, ts.type)), pc.less(ts, _instant(self.until, ts.type)))
        for column, values in {"user_id": (self.user_id,), **self.lists}.items():
            found = pc.and_(found, pc.is_in(rows[column].cast(pa.string()), pa.array(values, pa.string())))
        return found

    def condition(self) -> tuple[str, Mapping[str, Any]]:
        """The same as a condition in SQL, with its parameters."""
        parts = ["user_id = $user_id", "ts >= $since", "ts < $until"]
        parts += [f"{column} in (select unnest(${column}::varchar[]))" for column in self.lists]
        values = {"user_id": self.user_id, "since": self.since, "until": self.until}
        return " and ".join(parts), values | {column: list(some) for column, some in self.lists.items()}


def _instant(moment: datetime, kind: pa.DataType) -> pa.Scalar:
    return pa.scalar(moment.astimezone(UTC), kind)
