"""Everyone's hours, no more of them read than a search for spikes needs.

Of the last hours of many users hardly any could be spikes. That is found out in three steps, each for whom the one before leaves over:
by the same hours of earlier weeks and what a call amounts to; by all hours of eight weeks; and by the judgement itself, which needs
eight weeks more. A long period is read whole. As many users are looked at together as fit into memory.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from byok.spikes.episodes import METRICS
from byok.spikes.hours import HISTORY_WEEKS, WEEK_H, Floats, Ints
from byok.spikes.judging import Sensitivity, could_be, might_be
from byok.store import questions
from byok.store.arranging import HOUR_S, Series, hours_within, of_all_kinds
from byok.store.engine import Engine
from byok.store.recollection import KEPT, Known
from byok.store.scope import AnyScope, EveryonesScope
from byok.zones import EARLIEST

HISTORY = timedelta(weeks=HISTORY_WEEKS, days=1)
WHOLE_HISTORY = 2 * HISTORY  # the hours that an hour is compared with are compared themselves, to know how far they are from usual
_SHORT = timedelta(days=2)  # of a longer period nearly all same hours would be read to screen it
_MEMORY = timedelta(weeks=HISTORY_WEEKS)
_CALLS_TO_KNOW = 10  # of fewer the price of a token is not known
_NO_HOUR = timedelta(weeks=20)  # before a period: no hour is compared with that one
_HOUR = timedelta(hours=1)
T = TypeVar("T", bound=AnyScope)
_HOURS_AT_ONCE, _CALLS_AT_ONCE = 60_000, 500_000


def hours_to_judge(engine: Engine, scope: EveryonesScope, sensitivity: Sensitivity, known: Known) -> Iterator[pa.Table]:
    """Rows of `questions.hourly` (priced, by key): of some users at a time all that their hours within `scope` are judged by.

    Whoever is left out has no spike, or the same hours as `known`.
    """
    since, until = whole_hours(scope, engine.now())
    whole = replace(scope, since=since)
    if until - since > _SHORT:
        yield from _read_whole(engine, replace(whole, since=earlier(since, WHOLE_HISTORY)))
        return
    begin = known.begin or since
    recent = read(engine, replace(whole, since=begin))
    asked = recent if begin == since else recent.filter(pc.greater_equal(recent["hour"], since))
    changed = known.changed(asked, since)
    if changed and known.begin and known.habits is None:
        known.habits = _habits(engine, replace(whole, until=begin), begin + KEPT)
    counts = Counter(asked["user_id"].to_pylist())
    for users in _together([(user_id, counts[user_id]) for user_id in sorted(changed)], _HOURS_AT_ONCE):
        found = _of_who_could(engine, replace(whole, user_ids=users), _of(recent, users), until, sensitivity, known)
        if found is not None:
            yield found


def read(engine: Engine, scope: AnyScope) -> pa.Table:
    """All hours of a scope by key, with their cost; its filters but that of users are not looked at."""
    return pa.Table.from_batches(questions.hourly(engine, unfiltered(scope), priced=True, by_key=True))


def whole_hours(scope: EveryonesScope, now: datetime) -> tuple[datetime, datetime]:
    """From the first hour that begins within the scope until its end, no later than an hour from now."""
    since = scope.since.astimezone(UTC)
    hour = since.replace(minute=0, second=0, microsecond=0)
    return hour if hour == since else hour + _HOUR, min(scope.until, now + _HOUR)


def unfiltered(scope: T) -> T:
    """The scope without its filters but that of users."""
    return replace(scope, vendors=(), models=(), key_ids=(), statuses=())


def earlier(moment: datetime, span: timedelta) -> datetime:
    """So much before, but no moment that cannot be asked for."""
    return EARLIEST if moment - EARLIEST < span else moment - span


def _read_whole(engine: Engine, scope: EveryonesScope) -> Iterator[pa.Table]:
    counts = engine.ask("calls_of_users", unfiltered(scope))
    for users in _together(list(zip(counts["user_id"].to_pylist(), counts["calls"].to_pylist(), strict=True)), _CALLS_AT_ONCE):
        yield read(engine, replace(scope, user_ids=users))


def _of_who_could(
    engine: Engine, scope: EveryonesScope, recent: pa.Table, until: datetime, sensitivity: Sensitivity, known: Known
) -> pa.Table | None:
    """The hours of those among the users of `scope` who could have spikes in its hours, with all that these are judged by.

    `recent` are their hours since what was before is known, or since the scope begins."""
    begin = known.begin or scope.since
    before = replace(scope, until=begin)
    habits = _of(known.habits, scope.user_ids) if known.habits is not None else _habits(engine, before, until)
    users = _who_might(engine, scope, pa.concat_tables([recent, habits]), sensitivity, begin)
    if not users:
        return None
    history = known.history_of(users, lambda unknown: read(engine, replace(before, since=earlier(begin, HISTORY), user_ids=unknown)))
    later = pa.concat_tables([history, _of(recent, users)])
    series = of_all_kinds(engine, later)
    users = _users(series, could_be(series.hours, series.clocks, hours_within(series, scope), sensitivity))
    if not users:
        return None
    farther = replace(scope, since=earlier(scope.since, WHOLE_HISTORY), until=earlier(begin, HISTORY), user_ids=users)
    return pa.concat_tables([read(engine, farther), _of(later, users)])


def _habits(engine: Engine, before: EveryonesScope, until: datetime) -> pa.Table:
    """The same hours of eight earlier weeks, those beside them, and an hour that is none: all calls of these weeks, without their cost."""
    before, first, last = unfiltered(before), _hour(before.until), -(-int(until.timestamp()) // HOUR_S)
    same = {hour % WEEK_H for hour in range(first - 1, last + 1)}
    begin = earlier(before.until, HISTORY)
    hours = [hour for hour in range(_hour(begin), first) if hour % WEEK_H in same]
    past = engine.ask("hours_of_keys", replace(before, since=begin), priced=True, hours=hours)
    sums = engine.ask("calls_by_key", replace(before, since=earlier(before.until, _MEMORY)))
    columns = {name: sums[name] for name in sums.column_names} | {"hour": pa.repeat(_no_hour(before.until), sums.num_rows)}
    rest = [name for name in past.column_names if name not in columns]
    columns |= dict.fromkeys(rest, pa.nulls(sums.num_rows))
    return pa.concat_tables([past, pa.table({name: columns[name] for name in past.column_names}).cast(past.schema)])


def _who_might(engine: Engine, scope: EveryonesScope, hours: pa.Table, sensitivity: Sensitivity, begin: datetime) -> tuple[str, ...]:
    series = of_all_kinds(engine, hours)
    places = might_be(series.hours, series.clocks, hours_within(series, scope), sensitivity, _a_call(series, begin))
    return _users(series, places)


def _a_call(series: Series, begin: datetime) -> Floats:
    """What a call of each series amounted to in eight weeks before `begin`, [metric, series]; 0 where not known. A call, a failure are one.

    The cost is that of as many tokens in the same hours.
    """
    hours, values = series.hours, series.hours.values
    of_sums, of_same = hours.hour == _hour(_no_hour(begin)), _within_weeks_before(hours.hour, _hour(begin))
    sums, same = np.flatnonzero(of_sums), np.flatnonzero(of_same)
    calls, tokens, of_calls, of_tokens, cost = (
        np.bincount(hours.series[at], values[metric][at], len(series.names))
        for at, metric in ((sums, "calls"), (sums, "tokens"), (same, "calls"), (same, "tokens"), (same, "cost"))
    )
    tokens_a_call = tokens / np.maximum(calls, 1)
    known = of_calls >= _CALLS_TO_KNOW
    found = {"tokens": tokens_a_call, "cost": np.where(known, cost / np.maximum(of_tokens, 1) * tokens_a_call, 0.0)}
    return np.stack([found.get(metric, np.ones(len(series.names))) for metric in METRICS])


def _within_weeks_before(hour: Ints, since: int) -> NDArray[np.bool_]:
    return (hour < since) & (hour >= since - 2 * HISTORY_WEEKS * WEEK_H)


def _users(series: Series, places: Ints) -> tuple[str, ...]:
    return tuple(sorted({series.names[number]["user_id"] for number in np.unique(series.hours.series[places])}))


def _of(hours: pa.Table, users: Sequence[str]) -> pa.Table:
    return hours.filter(pc.is_in(hours["user_id"], pa.array(users, pa.string())))


def _together(counts: Sequence[tuple[str, int]], most: int) -> Iterator[tuple[str, ...]]:
    """Users in groups of about so many rows."""
    ends = np.cumsum([count for _, count in counts]) // most
    for _, group in itertools.groupby(zip(ends, counts, strict=True), key=lambda pair: pair[0]):
        yield tuple(user_id for _, (user_id, _) in group)


def _no_hour(since: datetime) -> datetime:
    return earlier(since, _NO_HOUR)


def _hour(moment: datetime) -> int:
    return int(moment.timestamp()) // HOUR_S
