"""What is new or missing rather than more: the first use of a model or key, and users and models that have fallen silent."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from byok.spikes.hours import FEWEST_HISTORY_H
from byok.spikes.judging import usual_calls
from byok.store import questions
from byok.store.engine import Engine
from byok.store.scope import AnyScope
from byok.store.unusual import Series, arranged, with_history

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


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing in the last whole hours where usually there are calls. Empty `vendor` and `model`: the user's calls altogether.

    `since` is when the silence began at the latest, `usual` how many calls there usually are from then to the running hour.
    """

    user_id: str
    vendor: str
    model: str
    since: datetime
    usual: float
    why: str


def first_uses(engine: Engine, scope: AnyScope) -> list[FirstUse]:
    """First uses within `scope`, newest first. Users whose own first call is less than 14 days older are new: all is new to them."""
    answer = engine.ask("first_uses", with_history(scope), asked_since=scope.since, newcomers_h=FEWEST_HISTORY_H)
    rows = answer.rename_columns(["kind", "user_id", "vendor", "name", "at"]).to_pylist()
    labels = engine.labels_of({row["name"] for row in rows if row["kind"] == "key"})
    found = [FirstUse(**row, why=f"First use of {row['kind']} {labels.get(row['name'], row['name'])} in eight weeks.") for row in rows]
    return [use for use in found if not scope.vendors or use.vendor in scope.vendors]


def silences(engine: Engine, scope: AnyScope, *, hours: int = 2, min_calls: float = 5.0) -> list[Silence]:
    """Who has called nothing in the last `hours` whole hours, where usually there are `min_calls` and some in each hour.

    Of `scope` only whose data, vendors and models count. A user who is wholly silent is told once, not model by model.
    """
    end = engine.now().replace(minute=0, second=0, microsecond=0)
    asked = replace(scope, since=end - hours * _HOUR, until=engine.now())
    hourly = pa.Table.from_batches(questions.hourly(engine, with_history(asked), priced=True))
    if not hourly.num_rows:
        return []
    whole = _silent(engine, _of_users(hourly), end, hours, min_calls)
    quiet = {silence.user_id for silence in whole}
    parts = [silence for silence in _silent(engine, hourly, end, hours, min_calls) if silence.user_id not in quiet]
    return [silence for silence in [*whole, *parts] if not silence.model or _asked_for(silence, scope)]


def _asked_for(silence: Silence, scope: AnyScope) -> bool:
    return (not scope.vendors or silence.vendor in scope.vendors) and (not scope.models or silence.model in scope.models)


def _of_users(hourly: pa.Table) -> pa.Table:
    """The hours of each user whatever the model."""
    sums = ("calls", "failed", "total_tokens", "cost_usd")
    grouped = hourly.group_by(["hour", "user_id"]).aggregate([(name, "sum") for name in sums])
    named = grouped.rename_columns([name.removesuffix("_sum") for name in grouped.column_names])
    nothing = pa.array([""] * named.num_rows)
    return named.append_column("vendor", nothing).append_column("model", nothing)


def _silent(engine: Engine, hourly: pa.Table, end: datetime, hours: int, min_calls: float) -> list[Silence]:
    series = arranged(engine, pa.concat_tables([_plain(hourly), _empty_hours(hourly, end, hours)]))
    last = int(end.timestamp()) // _HOUR_S
    asked = np.flatnonzero((series.hours.hour >= last - hours) & (series.hours.hour < last))
    busy = {int(number) for number in series.hours.series[(series.hours.hour >= last - hours) & (series.hours.values["calls"] > 0)]}
    usual = usual_calls(series.hours, series.clocks, asked)
    found = []
    for number in np.unique(series.hours.series[asked]):
        mine = series.hours.series[asked] == number
        expected = usual[mine]
        if int(number) not in busy and not np.isnan(expected).any() and expected.min() > 0 and expected.sum() >= min_calls:
            found.append(_told(series, int(number), last, float(expected.sum()), hours))
    return found


def _told(series: Series, number: int, last: int, usual: float, hours: int) -> Silence:
    name = series.names[number]
    mine = series.hours.series == number
    ended = int(series.hours.hour[mine & (series.hours.values["calls"] > 0)].max()) + 1
    since = datetime.fromtimestamp(ended * _HOUR_S, UTC)
    why = f"Nothing since {last - ended} h; usually {usual:,.0f} calls in the last {hours} h."
    return Silence(name["user_id"], name["vendor"], name["model"], since, usual, why)


def _plain(hourly: pa.Table) -> pa.Table:
    return hourly.select(["hour", "user_id", "vendor", "model", "calls", "failed", "total_tokens", "cost_usd"])


def _empty_hours(hourly: pa.Table, end: datetime, hours: int) -> pa.Table:
    """A row of nothing per series and hour in question: what did not happen has none of its own."""
    series = hourly.select(["user_id", "vendor", "model"]).group_by(["user_id", "vendor", "model"]).aggregate([]).to_pylist()
    nothing: dict[str, Any] = {"calls": 0, "failed": 0, "total_tokens": 0, "cost_usd": None}
    rows = [row | nothing | {"hour": end - back * _HOUR} for row in series for back in range(1, hours + 1)]
    return pa.Table.from_pylist(rows, _plain(hourly).schema)
