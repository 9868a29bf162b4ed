"""What is unusual in the usage: spikes hour by hour and as episodes, with their reasons. Asked of the records; nothing is stored."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from byok.spikes import episodes as words
from byok.spikes import why
from byok.spikes.episodes import Episode, Spike
from byok.spikes.hours import HISTORY_WEEKS, WEEK_H
from byok.spikes.judging import FEWEST_OF_NOISE, Found, Sensitivity, could_be, judge
from byok.store import questions
from byok.store.arranging import COLUMNS, Series, of_all_kinds
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
_JUST_BEFORE = [timedelta(hours=back) for back in range(words.PAUSE // _HOUR + 1)]
_MOST_EXPLAINED = 500  # the newest spikes get the key that they came from: each needs hours read once more


def spikes(engine: Engine, scope: AnyScope, *, sensitivity: Sensitivity = DEFAULT) -> list[Spike]:
    """The unusual hours that begin within `scope`, newest first; filters of keys and statuses are not looked at.

    Each hour is judged by what its series did before it, in the eight weeks before (at least 14 days), by the user's own clock. Series
    are a user's calls of one model, those by one key (`model` is empty) and all of them (`vendor`, too), told where no part of them is.
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
    series = of_all_kinds(engine, read)
    asked = _asked(series, scope)
    rows = _rows(judge(series.hours, series.clocks, asked, sensitivity), series)
    if doubtful := {row.spike.user_id for row in rows if not row.spike.model}:
        theirs = np.array([name["user_id"] in doubtful for name in series.names])[series.hours.series]
        before = _asked(series, replace(scope, since=max(EARLIEST + words.PAUSE, scope.since) - words.PAUSE)) & ~asked & theirs
        rows += _rows(judge(series.hours, series.clocks, before, sensitivity), series)
    return _told(engine, scope, [row for row in _of_no_finer(rows) if row.spike.hour >= scope.since])


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
    series = of_all_kinds(engine, later)
    left = could_be(series.hours, series.clocks, _asked(series, scope), sensitivity)
    user_ids = sorted({series.names[number]["user_id"] for number in np.unique(series.hours.series[left])})
    later = later.filter(pc.is_in(later["user_id"], pa.array(user_ids, pa.string())))
    if not user_ids:
        return later
    earlier = replace(half, since=with_history(scope, _WHOLE_HISTORY).since, until=half.since, user_ids=tuple(user_ids))
    return pa.concat_tables([_read(engine, earlier), later])


def _read(engine: Engine, scope: AnyScope) -> pa.Table:
    return pa.Table.from_batches(questions.hourly(engine, scope, priced=True, by_key=True))


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


class _Row(NamedTuple):
    """A spike without its reason, and what the reason needs. `key_id` is empty where it is not of one key."""

    spike: Spike
    key_id: str
    zone: str


def _rows(found: Found, series: Series) -> list[_Row]:
    rows = []
    for at, metric, actual, usual, score in zip(*found, strict=True):
        number = series.hours.series[at]
        hour = datetime.fromtimestamp(int(series.hours.hour[at]) * _HOUR_S, UTC)
        times = float(actual / usual) if usual > 0 else None
        name = series.names[number]
        spike = Spike(hour, name["user_id"], name["vendor"], name["model"], metric=metric, actual=float(actual), usual=float(usual),
                      times=times, score=round(float(score), 4), why="")  # fmt: skip
        rows.append(_Row(spike, name["key_id"], series.zones[number]))
    return rows


def _told(engine: Engine, scope: AnyScope, rows: Sequence[_Row]) -> list[Spike]:
    told = sorted(rows, key=lambda row: (row.spike.hour, row.spike.user_id, row.spike.vendor, row.spike.model), reverse=True)
    part_of = _parts(engine, scope, told[:_MOST_EXPLAINED])
    return [replace(row.spike, why=_why(row, *part_of(row))) for row in told]


def _of_no_finer(rows: Sequence[_Row]) -> list[_Row]:
    """Without what is told of a part already: a key's hour counts where none of its vendor's models stands out then or just before, all of
    a user's calls where no model and no key does. Of several keys of a vendor the strongest is told."""
    told = [row for row in rows if row.spike.model]
    hours = {(row.spike.user_id, row.spike.vendor, row.spike.hour) for row in told}
    keys: dict[tuple[str, str, datetime], _Row] = {}
    for row in sorted((row for row in rows if row.key_id), key=lambda row: (row.spike.score, row.spike.actual, row.key_id)):
        if not any((row.spike.user_id, row.spike.vendor, row.spike.hour - back) in hours for back in _JUST_BEFORE):
            keys[row.spike.user_id, row.spike.vendor, row.spike.hour] = row
    users = {(user_id, hour) for user_id, _, hour in hours | keys.keys()}
    everything = [
        row
        for row in rows
        if not row.spike.vendor and not any((row.spike.user_id, row.spike.hour - back) in users for back in _JUST_BEFORE)
    ]
    return [*told, *keys.values(), *everything]


def _why(row: _Row, part: "_Part", share: float) -> str:
    spike = row.spike
    if spike.model:
        return why.sentence(spike.metric, spike.actual, spike.usual, spike.hour, row.zone, model=spike.model, key=part.key, share=share)
    over = f"by key {part.of}" if row.key_id else "over all models"
    return why.sentence(
        spike.metric, spike.actual, spike.usual, spike.hour, row.zone, over=over, model=part.model, key=part.key, share=share
    )


class _Part(NamedTuple):
    """Which key (its label, else its id) and model made most of an excess, and by which key all of it is."""

    key: str | None
    model: str
    of: str


def _parts(engine: Engine, scope: AnyScope, rows: Sequence[_Row]) -> Callable[[_Row], tuple[_Part, float]]:
    """Gives what made most of a spike's excess, and its share; (None, 0) for a spike not among these."""
    if not rows:
        return lambda _: (_Part(None, "", ""), 0.0)
    whose = scope if isinstance(scope, Scope) else replace(scope, user_ids=tuple({row.spike.user_id for row in rows}))
    hours = sorted({hour for row in rows for hour in _compared(row.spike)})
    until = datetime.fromtimestamp((hours[-1] + 1) * _HOUR_S, UTC)
    asked = replace(with_history(whose), since=datetime.fromtimestamp(hours[0] * _HOUR_S, UTC), until=until)
    of_user: dict[tuple[object, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in engine.ask("hours_of_keys", asked, priced=True, hours=hours).to_pylist():
        of_user[_seconds(row["hour"]) // _HOUR_S, row["user_id"]].append(row)
    labels = engine.labels_of({row["key_id"] for rows in of_user.values() for row in rows})

    def part_of(row: _Row) -> tuple[_Part, float]:
        spike, column = row.spike, COLUMNS[row.spike.metric]
        of_hour, *before = [
            {
                (one["key_id"], one["model"]): float(one[column] or 0)
                for one in of_user.get((hour, spike.user_id), ())
                if spike.vendor in ("", one["vendor"]) and spike.model in ("", one["model"]) and row.key_id in ("", one["key_id"])
            }
            for hour in _compared(spike)
        ]
        usually = {part: float(np.median([hour.get(part, 0.0) for hour in before])) for part in of_hour}
        part, share = why.largest_share(of_hour, usually)
        key, model = part or (None, "")
        return _Part(labels.get(key, key) if key else None, model, labels.get(row.key_id, row.key_id)), share

    return part_of


def _compared(spike: Spike) -> list[int]:
    """The spike's hour and those whole weeks before it, in hours since 1970. A clock change puts some an hour off: the share is rough."""
    hour = _seconds(spike.hour) // _HOUR_S
    return [hour - week * WEEK_H for week in range(HISTORY_WEEKS + 1)]
