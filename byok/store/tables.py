"""The small tables that stand beside the records in every question: who is kept how long, what is charged, which keys there are."""

import contextlib
from collections.abc import Iterable, Mapping
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from byok.store.zones import EARLIEST, LATEST

_INSTANT = pa.timestamp("us", "UTC")
_DAY_US = 86_400_000_000
_MOST_DAYS = 365_000
_MODERATE_PICO = 10**9  # 1,000 USD per million tokens: times 1e9 tokens, all four parts fit 64 bits
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


def spans(prices: pa.Table) -> pa.Table:
    """The price table as costs are worked out with it: bounds that compare (null becomes the earliest and the latest instant), what a
    cached or written token costs more than an input token, in 1e-12 and 1e-9 USD; `nano_will_do`: the latter are exact and small."""
    for name, bound in (("valid_from", datetime.min.replace(tzinfo=EARLIEST.tzinfo)), ("valid_until", LATEST)):
        column = pc.fill_null(prices[name], pa.scalar(bound, _INSTANT))
        prices = prices.set_column(prices.schema.get_field_index(name), name, column)
    rates = {"input": prices["input_pico"], "output": prices["output_pico"]}
    for name in ("cached", "write"):
        rates[f"{name}_more"] = pc.subtract(pc.coalesce(prices[f"{name}_pico"], prices["input_pico"]), prices["input_pico"])
    found = {name: prices[name] for name in ("vendor", "model", "valid_from", "valid_until", "price_source")}
    will_do = pa.array([True] * prices.num_rows)
    for name, pico in rates.items():
        nano = pc.divide(pico, 1000)
        will_do = pc.and_(will_do, pc.and_(pc.equal(pc.multiply(nano, 1000), pico), pc.less_equal(pc.abs(pico), _MODERATE_PICO)))
        found |= {f"{name}_pico": pico, f"{name}_nano": nano}
    return pa.table(found | {"nano_will_do": will_do})


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
