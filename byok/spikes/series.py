"""How unusual each row of one series is, from what was known before it: any series, no training, nothing to set.

A row is looked at in four views, each a deviation from what could be expected: from the middle of the last eight weeks, from the same
time of the last seven days, from the same time of the last four weeks, and how restless the last day was. In each view the row must be far
in two ways at once: beyond what days reach once a fortnight, and beyond what nineteen rows in twenty stay within. The first keeps series
quiet whose habit it is to jump; the second those that are only noisy. The strongest view counts.
"""

import numpy as np
from numpy.typing import NDArray

from byok.spikes.hours import Floats, Ints

HOUR_S, DAY_S = 3600, 86_400
WEEK_S = 7 * DAY_S
MEMORY_S = 8 * WEEK_S  # what is longer ago is forgotten: as long as hours of the week are compared
RESTLESS_S = DAY_S  # how long unrest is summed up, and how long a spike that was told is not told again
ONCE_IN_DAYS = 14  # what days reach more often than this is a habit
OFTEN = 2  # and at least on so many days
BEYOND_HABIT = 2.0  # twice a habit: the same again is no news
BEYOND_NOISE = 2.0  # twice what 19 in 20 rows stay within: four standard deviations, were they normal
NOISE_QUANTILE = 0.95
FEWEST_ROWS = 100  # of a view before it has a say: five of them are beyond the 19 in 20
_NEIGHBOURS = 2  # rows around the same time of another day that count as the same time, unless they are further than
NEAR_S = 2 * HOUR_S
_KEPT_QUIET = 0.499  # what a row that is not told anew gets at most: below 0.5 also when it is written with three digits
_SMALLEST = 1e-3  # of the range so far: less is never a deviation
STRONGEST = 20.0


def scores(seconds: Ints, values: Floats) -> Floats:
    """A score from 0 to 1 per row; 0.5 and more begins a spike. `seconds` since 1970, ascending or not; a nan among `values` gets 0.

    A spike is told once: rows of the day after it stay below 0.5, however unusual. A row's score depends on rows up to it only.
    """
    found = 1 - 0.5 ** strengths(seconds, values)
    told, quiet_until = found >= 0.5, -np.inf
    at = np.maximum.accumulate(seconds) if len(seconds) else seconds
    for row in np.flatnonzero(told):
        if at[row] < quiet_until:
            found[row] = _KEPT_QUIET
        else:
            quiet_until = at[row] + RESTLESS_S
    return found


def strengths(seconds: Ints, values: Floats) -> Floats:
    """How many times as far from what was expected each row is as it takes, in its strongest view: 1 is a spike."""
    strongest = np.zeros(len(values))
    present = np.flatnonzero(~np.isnan(values))
    if len(present):
        at, held = np.maximum.accumulate(seconds[present]), values[present]
        for deviations in _views(at, held):
            strongest[present] = np.maximum(strongest[present], _strength(at, held, deviations))
    return np.minimum(strongest, STRONGEST)


def _views(at: Ints, values: Floats) -> list[Floats]:
    """Deviations of each row; nan where there is nothing to compare with."""
    days = values - _same_time(at, values, np.arange(1, 8) * DAY_S, fewest_lags=1)
    weeks = values - _same_time(at, values, np.arange(1, 5) * WEEK_S, fewest_lags=2)
    unrest = _mean_of_last(at, np.abs(days), RESTLESS_S)
    return [values - _quantile_before(at, values, 0.5), days, weeks, unrest - _quantile_before(at, unrest, 0.5)]


def smallest(lowest: Floats, highest: Floats) -> Floats:
    """What is no deviation yet, where values so far lie between these."""
    found: Floats = _SMALLEST * (highest - lowest) + 1e-9 * np.maximum(np.abs(lowest), np.abs(highest)) + 1e-300
    return found


def _strength(at: Ints, values: Floats, deviations: Floats) -> Floats:
    known = ~np.isnan(deviations)
    least = smallest(np.minimum.accumulate(values), np.maximum.accumulate(values))
    noise = _quantile_before(at, np.abs(deviations), NOISE_QUANTILE)
    habit = np.where(deviations > 0, _habit(at, deviations), _habit(at, -deviations))
    away = np.abs(deviations)
    beyond = np.minimum(away / np.maximum(habit, least) / BEYOND_HABIT, away / np.maximum(noise, least) / BEYOND_NOISE)
    enough = known & (np.cumsum(known) > FEWEST_ROWS) & ~np.isnan(noise)
    return np.where(enough, beyond, 0.0)


def _habit(at: Ints, deviations: Floats) -> Floats:
    """What days reached once a fortnight or oftener in the memory before each row's day; on the first day, what earlier rows reached."""
    highest = np.where(np.isnan(deviations), -np.inf, deviations)
    day = (at - at[0]) // DAY_S
    starts = np.flatnonzero(np.r_[True, day[1:] != day[:-1]])
    peaks, days = np.maximum.reduceat(highest, starts), day[starts]
    reached = np.empty(len(at))
    firsts = np.searchsorted(days, days - MEMORY_S // DAY_S)
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(at)], strict=True)):
        often = often_reached(peaks[firsts[number] : number])
        reached[start:end] = np.r_[np.inf, np.maximum.accumulate(highest[start:end])[:-1]] if often is None else often
    return np.where(np.isfinite(reached), np.maximum(reached, 0), np.inf)


def often_reached(peaks: Floats) -> Floats | None:
    """What days with these peaks, [..., day], reached once a fortnight or oftener; None if none of them says anything.

    Of all series the same days say nothing.
    """
    earlier = np.sort(peaks, axis=-1)
    known = int(np.isfinite(peaks).sum(axis=-1).max(initial=0))
    return earlier[..., -min(known // ONCE_IN_DAYS + OFTEN, known)] if known else None


def _same_time(at: Ints, values: Floats, lags_s: Ints, *, fewest_lags: int) -> Floats:
    """The median of the rows about `lags_s` before each row; nan where fewer than that many lags have any."""
    rows, last = np.arange(len(at)), len(at) - 1
    found, lags = [], np.zeros(len(at))
    for lag in lags_s:
        near = np.searchsorted(at, at - lag)
        any_near = np.zeros(len(at), bool)
        for step in range(-_NEIGHBOURS, _NEIGHBOURS + 1):
            place = np.clip(near + step, 0, last)
            usable = (near + step == place) & (place < rows) & (np.abs(at[place] - (at - lag)) <= NEAR_S)
            found.append(np.where(usable, values[place], np.nan))
            any_near |= usable
        lags += any_near
    return np.where(lags >= fewest_lags, _nan_medians(np.stack(found, axis=1)), np.nan)


def _nan_medians(rows: Floats) -> Floats:
    ordered = np.sort(rows, axis=1)
    count = (~np.isnan(rows)).sum(axis=1)
    every = np.arange(len(rows))
    low, high = ordered[every, np.maximum(count - 1, 0) // 2], ordered[every, np.minimum(count // 2, rows.shape[1] - 1)]
    return np.where(count > 0, (low + high) / 2, np.nan)


def _mean_of_last(at: Ints, values: Floats, span_s: int) -> Floats:
    """The mean of the values of the last `span_s` up to each row; nan where the row itself has none."""
    there = ~np.isnan(values)
    sums, counts = np.r_[0.0, np.cumsum(np.where(there, values, 0.0))], np.r_[0, np.cumsum(there)]
    first, end = np.searchsorted(at, at - span_s, side="right"), np.arange(1, len(at) + 1)
    means: Floats = (sums[end] - sums[first]) / np.maximum(counts[end] - counts[first], 1)
    return np.where(there, means, np.nan)


def _quantile_before(at: Ints, values: Floats, share: float) -> Floats:
    """That quantile of the values in the memory before each row, worked out anew with every fiftieth more; nan before the first time."""
    found, row = np.full(len(at), np.nan), FEWEST_ROWS // 4
    while row < len(at):
        following = following_row(row)
        found[row:following] = _quantile_at(row, at, values, share)
        row = following
    return found


def following_row(row: int) -> int:
    return row + 24 + row // 50


def _quantile_at(row: int, at: Ints, values: Floats, share: float) -> float:
    before: NDArray[np.float64] = values[np.searchsorted(at, at[row] - MEMORY_S) : row]
    before = before[~np.isnan(before)]
    return float(quantile(before, share)) if len(before) else np.nan


def quantile(values: Floats, share: float) -> Floats:
    """As `np.quantile` over the last axis, which takes ten times as long for a few hundred values."""
    last = values.shape[-1] - 1
    low = int(share * last)
    high = min(low + 1, last)
    ordered = np.partition(values, (low, high))
    found: Floats = ordered[..., low] + (share * last - low) * (ordered[..., high] - ordered[..., low])
    return found
