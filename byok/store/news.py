"""The first use of a model or key, and how many calls there would usually be: what the rules for first uses and for silence ask."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from byok.spikes.hours import FEWEST_HISTORY_H
from byok.spikes.judging import usual_calls
from byok.store import questions
from byok.store.arranging import of_models
from byok.store.engine import Engine
from byok.store.scope import AnyScope
from byok.store.unusual import with_history

_HOUR = timedelta(hours=1)
_HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class FirstUse:
    """A model or key that its user called for the first time in eight weeks. `name` is the model's name or the key's id."""

    kind: Literal["model", "key"]
    user_id: str
    vendor: str
    name: str
    at: datetime
    why: str


def first_uses(engine: Engine, scope: AnyScope) -> list[FirstUse]:
    """First uses within `scope`, newest first. Users whose own first call is less than 14 days older are new: all is new to them."""
    answer = engine.ask("first_uses", with_history(scope), asked_since=scope.since, newcomers_h=FEWEST_HISTORY_H)
    rows = answer.rename_columns(["kind", "user_id", "vendor", "name", "at"]).to_pylist()
    labels = engine.labels_of({row["name"] for row in rows if row["kind"] == "key"})
    found = [FirstUse(**row, why=f"First use of {row['kind']} {labels.get(row['name'], row['name'])} in eight weeks.") for row in rows]
    return [use for use in found if not scope.vendors or use.vendor in scope.vendors]


def usual_calls_of(engine: Engine, scope: AnyScope, *, hours: int) -> dict[str, float]:
    """User id -> how many calls there usually are in the last `hours` whole hours; users of whom that is not known are left out.

    Of `scope` only whose data, vendors and models count.
    """
    end = engine.now().replace(minute=0, second=0, microsecond=0)
    asked = replace(scope, since=end - hours * _HOUR, until=engine.now())
    hourly = _of_users(_asked_for(pa.Table.from_batches(questions.hourly(engine, with_history(asked), priced=True)), scope))
    if not hourly.num_rows:
        return {}
    series = of_models(engine, pa.concat_tables([hourly, _empty_hours(hourly, end, hours)]))
    last = int(end.timestamp()) // _HOUR_S
    places = np.flatnonzero((series.hours.hour >= last - hours) & (series.hours.hour < last))
    usual, numbers = usual_calls(series.hours, series.clocks, places), series.hours.series[places]
    found: dict[str, float] = {}
    for number in np.unique(numbers):
        sums = float(usual[numbers == number].sum())
        if not np.isnan(sums):
            found[series.names[number]["user_id"]] = sums
    return found


def _asked_for(hourly: pa.Table, scope: AnyScope) -> pa.Table:
    for column, names in (("vendor", scope.vendors), ("model", scope.models)):
        if names:
            hourly = hourly.filter(pc.is_in(hourly[column], pa.array(names)))
    return hourly


def _of_users(hourly: pa.Table) -> pa.Table:
    """The hours of each user whatever the model."""
    sums = ("calls", "failed", "total_tokens", "cost_usd")
    grouped = hourly.group_by(["hour", "user_id"]).aggregate([(name, "sum") for name in sums])
    named = grouped.rename_columns([name.removesuffix("_sum") for name in grouped.column_names])
    nothing = pa.array([""] * named.num_rows)
    return named.append_column("vendor", nothing).append_column("model", nothing).select(["hour", "user_id", "vendor", "model", *sums])


def _empty_hours(hourly: pa.Table, end: datetime, hours: int) -> pa.Table:
    """A row of nothing per user and hour in question: what did not happen has none of its own."""
    users = hourly["user_id"].unique().to_pylist()
    nothing: dict[str, Any] = {"vendor": "", "model": "", "calls": 0, "failed": 0, "total_tokens": 0, "cost_usd": None}
    rows = [{"user_id": user_id, "hour": end - back * _HOUR} | nothing for user_id in users for back in range(1, hours + 1)]
    return pa.Table.from_pylist(rows, hourly.schema)
