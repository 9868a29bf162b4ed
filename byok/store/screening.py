"""Everyone's hours, no more of them read than a search for spikes needs.

Of the last hours of many users hardly any could be spikes. That is found out in three steps, each for whom the one before leaves over:
by the same hours of earlier weeks and what a call amounts to; by all hours of eight weeks; and by the judgement itself, which needs
eight weeks more. A long period is read whole. As many users are looked at together as fit into memory.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from byok.spikes.hours import HISTORY_WEEKS, NEAR_DAYS, WEEK_H, Ints
from byok.spikes.judging import Sensitivity, could_be, might_be
from byok.store import questions
from byok.store.arranging import HOUR_S, Series, hours_within, of_all_kinds
from byok.store.engine import Engine
from byok.store.recollection import KEPT, Known
from byok.store.scope import AnyScope, EveryonesScope
from byok.zones import EARLIEST

HISTORY = timedelta(weeks=HISTORY_WEEKS, days=1 + NEAR_DAYS)
WHOLE_HISTORY = 2 * HISTORY  # the hours that an hour is compared with are compared themselves, to know how far they are from usual
_SHORT = timedelta(days=2)  # of a longer period nearly all same hours would be read to screen it
_MEMORY = timedelta(weeks=HISTORY_WEEKS)
_CALLS_TO_KNOW = 10  # of fewer the price of a token is not known
_ABOUT = 0.5  # at other hours a token costs at least so much of what it did at the same ones
_REST = timedelta(hours=WEEK_H // 2)  # before what is asked for: no hour of a short period is compared with that one
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
    names = _which_might(engine, scope, pa.concat_tables([recent, habits]), sensitivity, begin)
    if not names:
        return None
    users = _users(names)
    history = known.history_of(users, lambda unknown: read(engine, replace(before, since=earlier(begin, HISTORY), user_ids=unknown)))
    later = pa.concat_tables([history, _of(recent, users)])
    series = of_all_kinds(engine, later, only=names)
    users = _users(_names(series, could_be(series.hours, series.clocks, hours_within(series, scope), sensitivity)))
    if not users:
        return None
    farther = replace(scope, since=earlier(scope.since, WHOLE_HISTORY), until=earlier(begin, HISTORY), user_ids=users)
    return pa.concat_tables([read(engine, farther), _of(later, users)])


def _habits(engine: Engine, before: EveryonesScope, until: datetime) -> pa.Table:
    """The same hours of eight earlier weeks, those beside them, and all others of these weeks as one hour, without their cost."""
    before, first, last = unfiltered(before), _hour(before.until), -(-int(until.timestamp()) // HOUR_S)
    begin, wide = earlier(before.until, HISTORY), last - first + 2
    same_from = first - 1 - 2 * HISTORY_WEEKS * WEEK_H
    hours = [hour for hour in range(_hour(begin), first) if (hour - same_from) % WEEK_H < wide]
    past = engine.ask("hours_of_keys", replace(before, since=begin), priced=True, hours=hours)
    memory = replace(before, since=earlier(before.until, _MEMORY))
    rest = engine.ask("calls_by_key", memory, same_from=same_from, same_hours=wide)
    columns = {name: rest[name] for name in rest.column_names} | {"hour": pa.repeat(earlier(before.until, _REST), rest.num_rows)}
    columns |= {name: pa.nulls(rest.num_rows) for name in past.column_names if name not in columns}
    return pa.concat_tables([past, pa.table({name: columns[name] for name in past.column_names}).cast(past.schema)])


def _which_might(engine: Engine, scope: EveryonesScope, hours: pa.Table, sensitivity: Sensitivity, begin: datetime) -> list[dict[str, str]]:
    series = of_all_kinds(engine, hours)
    _reckon_cost_of_rest(series, begin)
    return _names(series, might_be(series.hours, series.clocks, hours_within(series, scope), sensitivity))


def _reckon_cost_of_rest(series: Series, begin: datetime) -> None:
    """Let the hours that stand for the rest of eight weeks cost what as many tokens at the same hours did, or somewhat less."""
    hours, values = series.hours, series.hours.values
    of_rest = hours.hour == _hour(earlier(begin, _REST))
    rest, same = np.flatnonzero(of_rest), np.flatnonzero(~of_rest & (hours.hour < _hour(begin)))
    calls, tokens, cost = (
        np.bincount(hours.series[same], values[metric][same], len(series.names)) for metric in ("calls", "tokens", "cost")
    )
    a_token = np.where(calls >= _CALLS_TO_KNOW, _ABOUT * cost / np.maximum(tokens, 1), 0.0)
    values["cost"][rest] = a_token[hours.series[rest]] * values["tokens"][rest]


def _names(series: Series, places: Ints) -> list[dict[str, str]]:
    return [series.names[number] for number in np.unique(series.hours.series[places])]


def _users(names: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    return tuple(sorted({name["user_id"] for name in names}))


def _of(hours: pa.Table, users: Sequence[str]) -> pa.Table:
    return hours.filter(pc.is_in(hours["user_id"], pa.array(users, pa.string())))


def _together(counts: Sequence[tuple[str, int]], most: int) -> Iterator[tuple[str, ...]]:
    """Users in groups of about so many rows."""
    ends = np.cumsum([count for _, count in counts]) // most
    for _, group in itertools.groupby(zip(ends, counts, strict=True), key=lambda pair: pair[0]):
        yield tuple(user_id for _, (user_id, _) in group)


def _hour(moment: datetime) -> int:
    return int(moment.timestamp()) // HOUR_S
