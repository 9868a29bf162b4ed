"""The small tables that stand beside the records in every question: who is kept how long, what is charged, which keys there are."""

import contextlib
from collections.abc import Iterable, Mapping
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

_INSTANT = pa.timestamp("us", "UTC")
_DAY_US = 86_400_000_000
_MOST_DAYS = 365_000
KEYS = pa.schema(
    [
        ("key_id", pa.string()),
        ("user_id", pa.string()),
        ("vendor", pa.string()),
        ("label", pa.string()),
        ("last_four", pa.string()),
        ("is_default", pa.bool_()),
        ("created_at", _INSTANT),
        ("last_used_at", _INSTANT),
    ]
)

SPIKES = pa.schema(
    [("hour", _INSTANT)]
    + [(name, pa.string()) for name in ("user_id", "vendor", "model", "metric")]
    + [(name, pa.float64()) for name in ("actual", "usual", "times", "score")]
    + [("why", pa.string())]
)


def days_kept(retention: Mapping[str, int]) -> pa.Table:
    """user_id and how many days are kept."""
    return pa.table(
        {
            "user_id": pa.array(retention.keys(), pa.string()),
            "days": pa.array([min(days, _MOST_DAYS) for days in retention.values()], pa.int64()),
        }
    )


def kept(days: pa.Table, now: datetime) -> pa.Table:
    """user_id and `keep_after`: the instant before which records are past retention."""
    now_us = pa.scalar(now, _INSTANT).cast(pa.int64())
    after = pc.subtract(now_us, pc.multiply(days["days"], _DAY_US)).cast(_INSTANT)
    return pa.table({"user_id": days["user_id"], "keep_after": after})


def keys(rows: Iterable[Mapping[str, object]]) -> pa.Table:
    """The view `keys`: names and last four characters."""
    return pa.Table.from_pylist([{name: row.get(name) for name in KEYS.names} for row in rows], KEYS)


def whole_numbers(answer: pa.Table) -> pa.Table:
    """DuckDB's sums of whole numbers as bigints; a sum beyond those stays a decimal without places."""
    for index, field in enumerate(answer.schema):
        if pa.types.is_decimal(field.type) and field.type.scale == 0:
            with contextlib.suppress(pa.ArrowInvalid):
                answer = answer.set_column(index, field.name, answer[field.name].cast(pa.int64()))
    return answer
