"""Hours of usage as series for a search of unusual ones: of each model, of each key and of all that a user calls."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from byok import zones
from byok.spikes.episodes import Metric
from byok.spikes.hours import SPAN, Clock, Floats, Hours, Ints, clock, days_of
from byok.store.engine import Engine
from byok.store.scope import AnyScope

HOUR_S = 3600
COLUMNS: Mapping[Metric, str] = {"tokens": "total_tokens", "calls": "calls", "failed": "failed", "cost": "cost_usd"}
NAMES = ("user_id", "vendor", "model", "key_id")


class Series(NamedTuple):
    """Hours to judge, the clocks of their users' zones, and by each series' number what it is of (empty: all) and its zone."""

    hours: Hours
    clocks: list[Clock]
    names: list[dict[str, str]]
    zones: list[str]


def hours_within(series: Series, scope: AnyScope) -> NDArray[np.bool_]:
    """Which hours begin within the scope, and are of its vendors and models."""
    first, end = (-(-int(moment.timestamp()) // HOUR_S) for moment in (scope.since, scope.until))
    passes = [
        (not scope.vendors or name["vendor"] in scope.vendors) and (not scope.models or name["model"] in scope.models)
        for name in series.names
    ]
    hour = series.hours.hour
    within: NDArray[np.bool_] = (hour >= first) & (hour < end) & np.array(passes, dtype=bool)[series.hours.series]
    return within


def of_all_kinds(engine: Engine, by_key: pa.Table, *, only: Iterable[Mapping[str, str]] | None = None) -> Series:
    """Each (user, vendor, model), (user, vendor, key) and (user), from the rows of `questions.hourly` (priced, by key). With `only`,
    just those of these names (see `Series.names`).

    Who uses one model by one key has one series only: the others would be the same.
    """
    rows = _Rows(engine, by_key)
    firsts = np.unique(_joint(rows, NAMES), return_index=True)[1]
    several = np.bincount(rows.codes["user_id"][firsts], minlength=len(rows.words["user_id"])) > 1
    mixed = np.flatnonzero(several[rows.codes["user_id"]])
    every = np.arange(by_key.num_rows)
    kinds: list[tuple[Ints, Sequence[str]]] = [(every, NAMES[:3]), (mixed, ("user_id", "vendor", "key_id")), (mixed, ("user_id",))]
    if only is not None:
        wanted = list(only)
        kinds = [(which[_named(rows, which, naming, wanted)], naming) for which, naming in kinds]
    return _arranged(rows, kinds)


def of_models(engine: Engine, hourly: pa.Table) -> Series:
    """Each (user, vendor, model), from rows as those of `questions.hourly` (priced); several of one hour count together."""
    return _arranged(_Rows(engine, hourly), [(np.arange(hourly.num_rows), NAMES[:3])])


class _Rows:
    """The columns of hours as numbers: names by their place among `words`, hours since 1970, and by the clock of the user's zone."""

    def __init__(self, engine: Engine, hourly: pa.Table) -> None:
        coded = {name: hourly[name].combine_chunks().dictionary_encode() for name in NAMES if name in hourly.column_names}
        self.codes: dict[str, Ints] = {
            name: column.indices.to_numpy(zero_copy_only=False).astype(np.int64) for name, column in coded.items()
        }
        self.words: dict[str, list[str]] = {name: column.dictionary.to_pylist() for name, column in coded.items()}
        self.hour: Ints = hourly["hour"].cast(pa.int64()).to_numpy() // (1_000_000 * HOUR_S)
        self.values: dict[str, Floats] = {
            name: pc.fill_null(hourly[column].cast(pa.float64(), safe=False), 0.0).to_numpy() for name, column in COLUMNS.items()
        }
        self.zone, self.local, self.clocks, self.zones = _clocks(engine, self.words["user_id"], self.codes["user_id"], self.hour)


def _joint(rows: _Rows, names: Sequence[str], codes: Mapping[str, Ints] | None = None) -> Ints:
    """One number for the names of each row, or of what other `codes` say."""
    codes = rows.codes if codes is None else codes
    joint = np.zeros(len(codes[names[0]]), np.int64)
    for name in names:
        joint = joint * len(rows.words[name]) + codes[name]
    return joint


def _named(rows: _Rows, which: Ints, naming: Sequence[str], wanted: Sequence[Mapping[str, str]]) -> NDArray[np.bool_]:
    """Which of the rows `which` are of a series that is named so by `wanted`, and by nothing else."""
    places = {name: {word: place for place, word in enumerate(rows.words[name])} for name in naming}
    theirs = [names for names in wanted if {name for name in NAMES if names[name]} == set(naming)]
    known = [names for names in theirs if all(names[name] in places[name] for name in naming)]
    codes: dict[str, Ints] = {name: np.array([places[name][names[name]] for names in known], np.int64) for name in naming}
    found: NDArray[np.bool_] = np.isin(_joint(rows, naming)[which], _joint(rows, naming, codes))
    return found


def _arranged(rows: _Rows, kinds: Sequence[tuple[Ints, Sequence[str]]]) -> Series:
    """`kinds`: which rows are summed up, and what a series of them is of."""
    parts, names, count = [], [], 0
    for which, naming in kinds:
        _, firsts, series = np.unique(_joint(rows, naming)[which], return_index=True, return_inverse=True)
        keys = series * SPAN + rows.hour[which]
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.empty(0, np.int64)
        sums = {name: np.add.reduceat(values[which[order]], starts) if len(starts) else values[:0] for name, values in rows.values.items()}
        parts.append((keys[starts] // SPAN + count, which[order[starts]], sums))
        words = [[rows.words[name][code] for code in rows.codes[name][which[firsts]]] for name in naming]
        names += [dict.fromkeys(NAMES, "") | dict(zip(naming, row, strict=True)) for row in zip(*words, strict=True)]
        count = len(names)
    series, at = (np.concatenate([part[place] for part in parts]) for place in range(2))
    values: dict[str, Floats] = {name: np.concatenate([part[2][name] for part in parts]) for name in COLUMNS}
    user = rows.codes["user_id"]
    zone_of = np.empty(count, np.int64)
    zone_of[series] = rows.zone[at]
    hours = Hours(series, user[at], rows.hour[at], rows.local[at], rows.zone[at], values, days_of(user, rows.local))
    return Series(hours, rows.clocks, names, [rows.zones[number] for number in zone_of])


def _clocks(engine: Engine, user_ids: list[str], user: Ints, hour: Ints) -> tuple[Ints, Ints, list[Clock], list[str]]:
    """Each hour's zone (a number) and local hour, and the zones' clocks and names."""
    known = engine.zones_of(user_ids)
    zone_of = [known.get(user_id, "UTC") for user_id in user_ids]
    used = sorted(set(zone_of))
    zone = np.array([used.index(name) for name in zone_of], dtype=np.int64)[user]
    local, clocks = np.empty_like(hour), []
    for number, name in enumerate(used):
        spans = zones.offsets(name)
        local[zone == number], made = clock(hour[zone == number], spans.starts, spans.seconds)
        clocks.append(made)
    return zone, local, clocks, used
