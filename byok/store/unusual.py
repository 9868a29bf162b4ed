"""What is unusual in the usage: spikes hour by hour and as episodes, with their reasons. Asked of the records; nothing is stored."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from byok.spikes import episodes as words
from byok.spikes import why
from byok.spikes.episodes import Episode, Spike
from byok.spikes.hours import HISTORY_WEEKS, WEEK_H
from byok.spikes.judging import Found, Sensitivity, judge
from byok.store import screening
from byok.store.arranging import COLUMNS, Series, hours_within, of_all_kinds
from byok.store.engine import Engine
from byok.store.recollection import Known, Recollection
from byok.store.scope import AnyScope, EveryonesScope, Scope
from byok.store.screening import HISTORY, WHOLE_HISTORY, earlier
from byok.store.tables import SPIKES
from byok.zones import EARLIEST, LATEST

DEFAULT = Sensitivity()
_HOUR_S, _HOUR = 3600, timedelta(hours=1)
_REPEATED = timedelta(hours=3)  # of a longer period nothing is remembered
_JUST_BEFORE = [timedelta(hours=back) for back in range(words.PAUSE // _HOUR + 1)]
_MOST_EXPLAINED = 500  # the newest spikes get the key that they came from: each needs hours read once more


def spikes(engine: Engine, scope: AnyScope, *, sensitivity: Sensitivity = DEFAULT, recollection: Recollection | None = None) -> list[Spike]:
    """The unusual hours that begin within `scope`, newest first; filters of keys and statuses are not looked at.

    Each hour is judged by what its series did before it, in the eight weeks before (at least 14 days), by the user's own clock. Series
    are a user's calls of one model, those by one key (`model` is empty) and all of them (`vendor`, too), told where no part of them is.

    `recollection` is for who asks again and again about everyone's last hours: those in which nothing was booked are not judged anew.
    """
    if isinstance(scope, Scope):
        hours = screening.read(engine, with_history(scope, WHOLE_HISTORY))
        return _told(engine, scope, _judged(engine, hours, scope, sensitivity))
    known = Known()
    if recollection and scope.until - scope.since <= _REPEATED:
        about = replace(scope, since=EARLIEST, until=EARLIEST), sensitivity, engine.catalogue
        known = recollection.of(about, *screening.whole_hours(scope, engine.now()))
    rows: list[_Row] = []
    for hours in screening.hours_to_judge(engine, scope, sensitivity, known):
        rows += _judged(engine, hours, scope, sensitivity)
    return known.with_unchanged(_told(engine, scope, rows))


def episodes(engine: Engine, scope: AnyScope, *, sensitivity: Sensitivity = DEFAULT) -> list[Episode]:
    """`spikes` as episodes, newest begin first."""
    return words.episodes(spikes(engine, scope, sensitivity=sensitivity), now=engine.now())


def table(engine: Engine, scope: AnyScope) -> pa.Table:
    """The view `spikes`: the rows of `spikes`, newest first."""
    return pa.Table.from_pylist([asdict(spike) for spike in spikes(engine, scope)], SPIKES)


def everyones(engine: Engine) -> pa.Table:
    """The view `spikes` over ALL users and all that is kept, for operators only."""
    return table(engine, EveryonesScope(EARLIEST, LATEST))


def with_history(scope: AnyScope, span: timedelta = HISTORY) -> AnyScope:
    """The scope from as early as an hour of it is compared with, unfiltered."""
    return replace(screening.unfiltered(scope), since=earlier(scope.since, span))


def _judged(engine: Engine, hours: pa.Table, scope: AnyScope, sensitivity: Sensitivity) -> "list[_Row]":
    if not hours.num_rows:
        return []
    series = of_all_kinds(engine, hours)
    asked = hours_within(series, scope)
    rows = _rows(judge(series.hours, series.clocks, asked, sensitivity), series)
    if doubtful := {row.spike.user_id for row in rows if not row.spike.model}:
        theirs = np.array([name["user_id"] in doubtful for name in series.names])[series.hours.series]
        before = hours_within(series, replace(scope, since=max(EARLIEST + words.PAUSE, scope.since) - words.PAUSE)) & ~asked & theirs
        rows += _rows(judge(series.hours, series.clocks, before, sensitivity), series)
    return [row for row in _of_no_finer(rows) if row.spike.hour >= scope.since]


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


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
