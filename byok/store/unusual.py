"""What is unusual in the usage: spikes hour by hour and as episodes, with their reasons. Asked of the records; nothing is stored."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from byok.spikes import episodes as words
from byok.spikes import why
from byok.spikes.episodes import Episode, Metric, Spike
from byok.spikes.hours import HISTORY_WEEKS, WEEK_H, Clock, Floats, Hours, clock
from byok.spikes.judging import FEWEST_OF_NOISE, Found, Sensitivity, could_be, judge
from byok.store import questions, zones
from byok.store.engine import Engine
from byok.store.scope import AnyScope, EveryonesScope, Scope
from byok.store.tables import SPIKES
from byok.store.zones import EARLIEST, LATEST

DEFAULT = Sensitivity()
PREVIEW = timedelta(days=30)
HISTORY = timedelta(weeks=HISTORY_WEEKS, days=1)
_WHOLE_HISTORY = 2 * HISTORY  # the hours that an hour is compared with are compared themselves, to know how far they are from usual
_HOUR_S, _HOUR = 3600, timedelta(hours=1)
_SHORT = timedelta(days=2)  # of everyone's hours: then nearly all history would be read for users who surely have no spike
_SLACK = 0.7  # what a call amounts to is known of the weeks before the period, and is judged of those before the hour
_MOST_EXPLAINED = 500  # the newest spikes get the key that they came from: each needs hours read once more
_COLUMNS: Mapping[Metric, str] = {"tokens": "total_tokens", "calls": "calls", "failed": "failed", "cost": "cost_usd"}


class Series(NamedTuple):
    """Hours to judge, the clocks of their users' zones, and by each series' number its user, vendor and model and its zone."""

    hours: Hours
    clocks: list[Clock]
    names: list[dict[str, str]]
    zones: list[str]


def spikes(engine: Engine, scope: AnyScope, *, sensitivity: Sensitivity = DEFAULT) -> list[Spike]:
    """The unusual hours that begin within `scope`, newest first; filters of keys and statuses are not looked at.

    Each hour is judged by what its series did before it, in the eight weeks before (at least 14 days), by the user's own clock.
    """
    judged = _who_could(engine, scope, sensitivity)
    if judged is None:
        return []
    if isinstance(judged, EveryonesScope) and judged is not scope:
        read = _hourly_of_who_still_could(engine, judged, sensitivity)
    else:
        read = _read(engine, with_history(judged, _WHOLE_HISTORY))
    if not read.num_rows:
        return []
    series = arranged(engine, read)
    return _told(engine, scope, judge(series.hours, series.clocks, _asked(series, scope), sensitivity), series)


def episodes(engine: Engine, scope: AnyScope, *, sensitivity: Sensitivity = DEFAULT) -> list[Episode]:
    """`spikes` as episodes, newest begin first."""
    return words.episodes(spikes(engine, scope, sensitivity=sensitivity), now=engine.now())


def preview(engine: Engine, scope: AnyScope, *, sensitivity: Sensitivity = DEFAULT) -> list[Episode]:
    """What a rule of this sensitivity would have told in the last 30 days. Of `scope` only whose data, vendors and models count."""
    return episodes(engine, replace(scope, since=engine.now() - PREVIEW, until=engine.now()), sensitivity=sensitivity)


def table(engine: Engine, scope: AnyScope) -> pa.Table:
    """The view `spikes`: the rows of `spikes`, newest first."""
    return pa.Table.from_pylist([asdict(spike) for spike in spikes(engine, scope)], SPIKES)


def everyones(engine: Engine) -> pa.Table:
    """The view `spikes` over ALL users and all that is kept, for operators only."""
    return table(engine, EveryonesScope(EARLIEST, LATEST))


def with_history(scope: AnyScope, span: timedelta = HISTORY) -> AnyScope:
    """The scope from as early as an hour of it is compared with, unfiltered."""
    since = EARLIEST if scope.since - EARLIEST < span else scope.since - span
    return replace(scope, since=since, vendors=(), models=(), key_ids=(), statuses=())


def arranged(engine: Engine, hourly: pa.Table) -> Series:
    """The answer of `questions.hourly` (priced) as series to judge."""
    coded = {name: hourly[name].combine_chunks().dictionary_encode() for name in ("user_id", "vendor", "model")}
    codes = {name: column.indices.to_numpy(zero_copy_only=False).astype(np.int64) for name, column in coded.items()}
    joint = (codes["user_id"] * len(coded["vendor"].dictionary) + codes["vendor"]) * len(coded["model"].dictionary) + codes["model"]
    _, firsts, series = np.unique(joint, return_index=True, return_inverse=True)
    hour = pc.divide(hourly["hour"].cast(pa.int64()), 1_000_000 * _HOUR_S).to_numpy().astype(np.int64)
    order = np.lexsort((hour, series))
    floats: dict[str, Floats] = {
        name: pc.fill_null(hourly[column].cast(pa.float64()), 0.0).to_numpy()[order] for name, column in _COLUMNS.items()
    }
    user_ids = coded["user_id"].dictionary.to_pylist()
    known = engine.zones_of(user_ids)
    zone_of = [known.get(user_id, "UTC") for user_id in user_ids]
    used = sorted(set(zone_of))
    zone = np.array([used.index(name) for name in zone_of], dtype=np.int64)[codes["user_id"]]
    local, clocks = np.empty_like(hour), []
    for number, name in enumerate(used):
        spans = zones.offsets(name)
        local[zone == number], made = clock(hour[zone == number], spans.starts, spans.seconds)
        clocks.append(made)
    hours = Hours(series[order], codes["user_id"][order], hour[order], local[order], zone[order], floats)
    names = hourly.select(["user_id", "vendor", "model"]).take(pa.array(firsts)).to_pylist()
    return Series(hours, clocks, names, [used[zone[first]] for first in firsts])


def _who_could(engine: Engine, scope: AnyScope, sensitivity: Sensitivity) -> AnyScope | None:
    """The scope with those users only who could have a spike, where asking for them first is the shorter way; None if nobody could."""
    if isinstance(scope, Scope) or min(scope.until, engine.now() + _HOUR) - scope.since > _SHORT:
        return scope
    first, last = (_seconds(moment) // _HOUR_S for moment in (scope.since, min(scope.until, engine.now() + _HOUR)))
    could = engine.ask(
        "could_have_spikes",
        with_history(scope),
        priced=True,
        asked_since=scope.since,
        hours_of_week=sorted({hour % WEEK_H for hour in range(first - 1, last + 2)}),
        beyond=_SLACK * (sensitivity.least_times - 1),
        calls_of_noise=FEWEST_OF_NOISE,
        min_calls=float(sensitivity.min_calls),
        min_failed=float(sensitivity.min_failed),
        min_tokens=float(sensitivity.min_tokens),
        min_cost=sensitivity.min_cost_usd,
    )
    return replace(scope, user_ids=tuple(could["user_id"].to_pylist())) if could.num_rows else None


def _hourly_of_who_still_could(engine: Engine, scope: EveryonesScope, sensitivity: Sensitivity) -> pa.Table:
    """The hours of those whose last ones are far from usual for sure: half the history tells that, and hardly anybody is left."""
    since = with_history(scope).since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    half = replace(scope, since=since, vendors=(), models=(), key_ids=(), statuses=())
    later = _read(engine, half)
    if not later.num_rows:
        return later
    series = arranged(engine, later)
    left = could_be(series.hours, series.clocks, _asked(series, scope), sensitivity)
    user_ids = sorted({series.names[number]["user_id"] for number in np.unique(series.hours.series[left])})
    later = later.filter(pc.is_in(later["user_id"], pa.array(user_ids, pa.string())))
    if not user_ids:
        return later
    earlier = replace(half, since=with_history(scope, _WHOLE_HISTORY).since, until=half.since, user_ids=tuple(user_ids))
    return pa.concat_tables([_read(engine, earlier), later])


def _read(engine: Engine, scope: AnyScope) -> pa.Table:
    return pa.Table.from_batches(questions.hourly(engine, scope, priced=True))


def _asked(series: Series, scope: AnyScope) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which hours begin within the scope, and are of its vendors and models."""
    since = -(-_seconds(scope.since) // _HOUR_S)
    within = (series.hours.hour >= since) & (series.hours.hour * _HOUR_S < _seconds(scope.until))
    return np.asarray(within & _within(series, scope))


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _within(series: Series, scope: AnyScope) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which hours are of the vendors and models asked for."""
    passes = [
        (not scope.vendors or name["vendor"] in scope.vendors) and (not scope.models or name["model"] in scope.models)
        for name in series.names
    ]
    return np.array(passes, dtype=bool)[series.hours.series]


def _told(engine: Engine, scope: AnyScope, found: Found, series: Series) -> list[Spike]:
    rows = []
    for at, metric, actual, usual, score in zip(*found, strict=True):
        number = series.hours.series[at]
        hour = datetime.fromtimestamp(int(series.hours.hour[at]) * _HOUR_S, UTC)
        times = float(actual / usual) if usual > 0 else None
        spike = Spike(hour, **series.names[number], metric=metric, actual=float(actual), usual=float(usual), times=times,
                      score=round(float(score), 4), why="")  # fmt: skip
        rows.append((spike, series.zones[number]))
    rows.sort(key=lambda row: (row[0].hour, row[0].user_id, row[0].vendor, row[0].model), reverse=True)
    key_of = _keys(engine, scope, [spike for spike, _ in rows[:_MOST_EXPLAINED]])
    return [replace(spike, why=_why(spike, zone, key_of)) for spike, zone in rows]


def _why(spike: Spike, zone: str, key_of: Callable[[Spike], tuple[str | None, float]]) -> str:
    key, share = key_of(spike)
    return why.sentence(spike.metric, spike.actual, spike.usual, spike.hour, zone, model=spike.model, key=key, share=share)


def _keys(engine: Engine, scope: AnyScope, spikes: Sequence[Spike]) -> Callable[[Spike], tuple[str | None, float]]:
    """Gives the key that made most of a spike's excess (its label, else its id) and its share; (None, 0) for a spike not among these."""
    if not spikes:
        return lambda _: (None, 0.0)
    whose = scope if isinstance(scope, Scope) else replace(scope, user_ids=tuple({spike.user_id for spike in spikes}))
    hours = sorted({hour for spike in spikes for hour in _compared(spike)})
    until = datetime.fromtimestamp((hours[-1] + 1) * _HOUR_S, UTC)
    asked = replace(with_history(whose), since=datetime.fromtimestamp(hours[0] * _HOUR_S, UTC), until=until)
    by_key: dict[tuple[object, ...], dict[str, dict[str, object]]] = defaultdict(dict)
    for row in engine.ask("hours_of_keys", asked, priced=True, hours=hours).to_pylist():
        by_key[_seconds(row["hour"]) // _HOUR_S, row["user_id"], row["vendor"], row["model"]][row["key_id"]] = row
    labels = engine.labels_of({key_id for keys in by_key.values() for key_id in keys})

    def key_of(spike: Spike) -> tuple[str | None, float]:
        column = _COLUMNS[spike.metric]
        here, *before = [by_key.get((hour, spike.user_id, spike.vendor, spike.model), {}) for hour in _compared(spike)]
        of_hour = {key: float(row[column] or 0) for key, row in here.items()}  # type: ignore[arg-type]
        usually = {key: float(np.median([float((hour.get(key) or {}).get(column) or 0) for hour in before])) for key in of_hour}  # type: ignore[arg-type]
        key, share = why.largest_share(of_hour, usually)
        return (labels.get(key, key) if key else None), share

    return key_of


def _compared(spike: Spike) -> list[int]:
    """The spike's hour and those whole weeks before it, in hours since 1970. A clock change puts some an hour off: the share is rough."""
    hour = _seconds(spike.hour) // _HOUR_S
    return [hour - week * WEEK_H for week in range(HISTORY_WEEKS + 1)]
