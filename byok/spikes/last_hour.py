"""How unusual the last hour of a series is: what `series` says of it, upward only, and much sooner.

Hours follow each other without a gap, so that the same time of other days is found by counting. It is looked at as an amount and as a
ratio: many times the usual of a quiet hour may be less than the noise of a busy one. What is in order is in order on both scales, so
that rows are sorted once.
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


class _Middle(NamedTuple):
    """A median not yet taken: it lies half-way between these two. Nan where there is none."""

    low: Floats
    high: Floats

    def on(self, scale: Scale) -> Floats:
        return (scale(self.low) + scale(self.high)) / 2


def strength(values: Floats, noise: float, *, enough: float = np.inf) -> float:
    """How many times as far above what was expected the last value is as it takes; a strength of at least `enough` may be any such.

    Like `series.strengths`, drops apart, of `values` or of log(`values` + `noise`), whichever is stronger. None of `values` is nan.
    """
    if len(values) <= series.FEWEST_ROWS:
        return 0.0
    scales: tuple[Scale, Scale] = (lambda amounts: amounts, lambda amounts: np.log(amounts + noise))
    strongest = 0.0
    for scaled, deviations in _views(values, scales):
        strongest = max(strongest, min(_of_view(scaled, deviations), series.STRONGEST))
        if strongest >= enough:
            break
    return strongest


def _views(values: Floats, scales: tuple[Scale, Scale]) -> Iterator[tuple[Floats, Floats]]:
    """The scaled values and their deviations, as `series` sees them, the soonest first."""
    scaled = [scale(values) for scale in scales]
    middle = _before(values)
    for scale, amounts in zip(scales, scaled, strict=True):
        yield amounts, amounts - middle.on(scale)
    days = _same_time(values, _DAYS, fewest_lags=1)
    away = [amounts - days.on(scale) for scale, amounts in zip(scales, scaled, strict=True)]
    yield from zip(scaled, away, strict=True)
    weeks = _same_time(values, _WEEKS, fewest_lags=2)
    for scale, amounts in zip(scales, scaled, strict=True):
        yield amounts, amounts - weeks.on(scale)
    for amounts, deviations in zip(scaled, away, strict=True):
        unrest = _mean_of_day(np.abs(deviations))
        yield amounts, unrest - _before(unrest).on(scales[0])


def _of_view(values: Floats, deviations: Floats) -> float:
    away = float(deviations[-1])
    if not away > 0 or np.count_nonzero(~np.isnan(deviations)) <= series.FEWEST_ROWS:
        return 0.0
    row = int(_renewals(len(values))[-1])
    noise = _known(np.abs(deviations[max(row - _MEMORY, 0) : row]))
    if not len(noise):
        return 0.0
    smallest = float(series.smallest(values.min(), values.max()))
    beyond_noise = away / max(series.quantile(noise, series.NOISE_QUANTILE), smallest) / series.BEYOND_NOISE
    return min(away / max(_habit(deviations), smallest) / series.BEYOND_HABIT, beyond_noise)


def _habit(deviations: Floats) -> float:
    """What days, counted from the first hour, reached once a fortnight or oftener in the memory before the last one."""
    today = (len(deviations) - 1) // DAY_H
    since = max(today - _MEMORY // DAY_H, 0)
    highest = np.where(np.isnan(deviations), -np.inf, deviations)[since * DAY_H : today * DAY_H]
    often = series.often_reached(highest.reshape(-1, DAY_H).max(axis=1))
    return np.inf if often is None else max(often, 0.0)


def _same_time(values: Floats, lags: Ints, *, fewest_lags: int) -> _Middle:
    """The middle of what lies `lags` before each hour, and of the hours beside these."""
    padded = np.concatenate([np.full(lags[-1] + _NEAR, np.nan), values])
    around = sliding_window_view(padded, _AROUND)
    first = lags[-1] - lags
    held = np.concatenate([around[at : at + len(values)] for at in first], axis=1)
    held.sort(axis=1)
    every = np.arange(len(values))
    count = np.clip(every[:, None] - lags + _NEAR + 1, 0, _AROUND).sum(axis=1)
    enough = every >= lags[fewest_lags - 1] - _NEAR
    low, high = (np.where(enough, held[every, np.maximum(place, 0)], np.nan) for place in ((count - 1) // 2, count // 2))
    return _Middle(low, high)


def _mean_of_day(values: Floats) -> Floats:
    """The mean of the known values of the last day up to each hour; nan where the hour itself has none."""
    there = ~np.isnan(values)
    sums, counts = np.r_[0.0, np.cumsum(np.where(there, values, 0.0))], np.r_[0, np.cumsum(there)]
    end = np.arange(1, len(values) + 1)
    first = np.maximum(end - series.RESTLESS_S // HOUR_S, 0)
    means: Floats = (sums[end] - sums[first]) / np.maximum(counts[end] - counts[first], 1)
    return np.where(there, means, np.nan)


def _before(values: Floats) -> _Middle:
    """The median of the known values in the memory before each hour, as seldom renewed as `series` does."""
    renewals = _renewals(len(values))
    middles = np.full((2, len(renewals)), np.nan)
    ascending = np.argsort(values)[: np.count_nonzero(~np.isnan(values))]  # once for all: what lies before a row lies before the next
    for number, end in reversed(list(enumerate(renewals.tolist()))):
        ascending = ascending.compress(ascending < end)
        recent = ascending if end <= _MEMORY else ascending.compress(ascending >= end - _MEMORY)
        if count := len(recent):
            middles[0, number], middles[1, number] = values[recent[(count - 1) // 2]], values[recent[count // 2]]
    lasting = np.diff(np.r_[renewals, len(values)])
    low, high = (np.r_[np.full(renewals[0], np.nan), np.repeat(lasts, lasting)] for lasts in middles)
    return _Middle(low, high)


def _known(values: Floats) -> Floats:
    return values[~np.isnan(values)]


@cache
def _renewals(length: int) -> Ints:
    rows, row = [], series.FEWEST_ROWS // 4
    while row < length:
        rows.append(row)
        row = series.following_row(row)
    return np.array(rows, dtype=np.int64)
