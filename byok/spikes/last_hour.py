"""How unusual the last hour of each of many series is: what `series` says of it, upward only, and much sooner.

Hours follow each other without a gap, so that the same time of other days is found by counting, and series of one length are looked at
together. An hour is looked at as an amount and as a ratio: many times the usual of a quiet hour may be less than the noise of a busy one.
What is in order is in order on both scales, so that rows are sorted once.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from byok.spikes import series
from byok.spikes.hours import DAY_H, WEEK_H, Floats, Ints
from byok.spikes.series import HOUR_S

_NEAR = series.NEAR_S // HOUR_S
_AROUND = 2 * _NEAR + 1
_DAYS, _WEEKS = DAY_H * np.arange(1, 8), WEEK_H * np.arange(1, 5)
_MEMORY = series.MEMORY_S // HOUR_S
Scale = Callable[[Floats], Floats]
View = Iterator[tuple[Floats, Floats]]


class _Middle(NamedTuple):
    """Medians not yet taken, [series, hour]: each lies half-way between these two. Nan where there is none."""

    low: Floats
    high: Floats

    def on(self, scale: Scale) -> Floats:
        return (scale(self.low) + scale(self.high)) / 2


def strengths(values: Floats, noise: Floats, *, enough: Floats) -> Floats:
    """How many times as far above what was expected the last hour of each series is as it takes; one of `enough` may be any as strong.

    Like `series.strengths`, drops apart, of `values` or of log(`values` + `noise`), whichever is stronger. `values` is [series, hour]
    without a nan, `noise` and `enough` have one number a series.
    """
    strongest = np.zeros(len(values))
    if values.shape[1] <= series.FEWEST_ROWS:
        return strongest
    for views in (_from_middle, _from_weeks, _from_days):
        left = np.flatnonzero(strongest < enough)
        if not len(left):
            break
        for scaled, deviations in views(values[left], _scales(noise[left, None])):
            strongest[left] = np.maximum(strongest[left], np.minimum(_of_view(scaled, deviations), series.STRONGEST))
    return strongest


def _scales(noise: Floats) -> tuple[Scale, Scale]:
    return (lambda amounts: amounts, lambda amounts: np.log(amounts + noise))


def _from_middle(values: Floats, scales: tuple[Scale, Scale]) -> View:
    """The scaled values and their deviations, as `series` sees them."""
    middle = _before(values)
    for scale in scales:
        scaled = scale(values)
        yield scaled, scaled - middle.on(scale)


def _from_weeks(values: Floats, scales: tuple[Scale, Scale]) -> View:
    weeks = _same_time(values, _WEEKS, fewest_lags=2)
    for scale in scales:
        scaled = scale(values)
        yield scaled, scaled - weeks.on(scale)


def _from_days(values: Floats, scales: tuple[Scale, Scale]) -> View:
    days = _same_time(values, _DAYS, fewest_lags=1)
    for scale in scales:
        scaled = scale(values)
        away = scaled - days.on(scale)
        yield scaled, away
        unrest = _mean_of_day(np.abs(away))
        yield scaled, unrest - _before(unrest).on(scales[0])


def _of_view(values: Floats, deviations: Floats) -> Floats:
    found = np.zeros(len(values))
    up = np.flatnonzero(deviations[:, -1] > 0)
    row = int(_renewals(values.shape[1])[-1])
    noise = np.abs(deviations[up, max(row - _MEMORY, _first(deviations)) : row])
    if values.shape[1] - _first(deviations) > series.FEWEST_ROWS and noise.size:
        away, least = deviations[up, -1], series.smallest(values[up].min(axis=1), values[up].max(axis=1))
        beyond_noise = away / np.maximum(series.quantile(noise, series.NOISE_QUANTILE), least) / series.BEYOND_NOISE
        found[up] = np.minimum(away / np.maximum(_habit(deviations[up]), least) / series.BEYOND_HABIT, beyond_noise)
    return found


def _first(values: Floats) -> int:
    """The first hour of which anything is known: what is not known depends on the hour alone, and lies before."""
    return int(np.count_nonzero(np.isnan(values[0])))


def _habit(deviations: Floats) -> Floats:
    """What days, counted from the first hour, reached once a fortnight or oftener in the memory before the last one."""
    today = (deviations.shape[1] - 1) // DAY_H
    since = max(today - _MEMORY // DAY_H, 0)
    highest = np.where(np.isnan(deviations), -np.inf, deviations)[:, since * DAY_H : today * DAY_H]
    often = series.often_reached(highest.reshape(len(highest), -1, DAY_H).max(axis=2))
    return np.full(len(deviations), np.inf) if often is None else np.maximum(often, 0.0)


def _same_time(values: Floats, lags: Ints, *, fewest_lags: int) -> _Middle:
    """The middle of what lies `lags` before each hour, and of the hours beside these."""
    count, length = values.shape
    padded = np.concatenate([np.full((count, lags[-1] + _NEAR), np.nan), values], axis=1)
    around = sliding_window_view(padded, _AROUND, axis=1)
    held = np.concatenate([around[:, at : at + length] for at in lags[-1] - lags], axis=2)
    held.sort(axis=2)
    every = np.arange(length)
    held_of = np.clip(every[:, None] - lags + _NEAR + 1, 0, _AROUND).sum(axis=1)
    enough = every >= lags[fewest_lags - 1] - _NEAR
    low, high = (np.where(enough, held[:, every, np.maximum(place, 0)], np.nan) for place in ((held_of - 1) // 2, held_of // 2))
    return _Middle(low, high)


def _mean_of_day(values: Floats) -> Floats:
    """The mean of the known values of the last day up to each hour; nan where the hour itself has none."""
    there = ~np.isnan(values)
    nothing = np.zeros((len(values), 1))
    sums, counts = (np.concatenate([nothing, np.cumsum(of, axis=1)], axis=1) for of in (np.where(there, values, 0.0), there))
    end = np.arange(1, values.shape[1] + 1)
    first = np.maximum(end - series.RESTLESS_S // HOUR_S, 0)
    means: Floats = (sums[:, end] - sums[:, first]) / np.maximum(counts[:, end] - counts[:, first], 1)
    return np.where(there, means, np.nan)


def _before(values: Floats) -> _Middle:
    """The median of the known values in the memory before each hour, as seldom renewed as `series` does."""
    length, first = values.shape[1], _first(values)
    renewals = _renewals(length)
    middles = np.full((2, len(values), len(renewals)), np.nan)
    for number, end in enumerate(renewals.tolist()):
        recent = values[:, max(end - _MEMORY, first) : end]
        if known := recent.shape[1]:
            places = (known - 1) // 2, known // 2
            middles[:, :, number] = np.partition(recent, places, axis=1)[:, places].T
    lasting = np.diff(np.r_[renewals, length])
    unknown = np.full((len(values), renewals[0]), np.nan)
    low, high = (np.concatenate([unknown, np.repeat(lasts, lasting, axis=1)], axis=1) for lasts in middles)
    return _Middle(low, high)


@cache
def _renewals(length: int) -> Ints:
    rows, row = [], series.FEWEST_ROWS // 4
    while row < length:
        rows.append(row)
        row = series.following_row(row)
    return np.array(rows, dtype=np.int64)
