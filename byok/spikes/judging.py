"""Which of the hours of many series are spikes, and how strong: causal, vectorised, one strongest metric per hour and series."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from byok.spikes import last_hour, series
from byok.spikes.episodes import METRICS, Metric
from byok.spikes.hours import (
    DAY_H,
    FEWEST_HISTORY_H,
    HISTORY_WEEKS,
    SPAN,
    WEEK_H,
    Clock,
    Floats,
    Hours,
    Ints,
    Samples,
    mean_but_highest,
    middle,
)

SPIKE = 0.5
_SAME_HOUR = np.arange(1, HISTORY_WEEKS + 1, dtype=np.int64) * WEEK_H
_AROUND = np.sort(np.concatenate([_SAME_HOUR - 1, _SAME_HOUR, _SAME_HOUR + 1]))
_HALF_AT = 4.5  # how many of a series' own spreads above usual make a score of 0.5
_SMALLEST_SPREAD = 0.25  # of a logarithm: nobody's hours are steadier than a quarter
_NOISE: Mapping[Metric, float] = {"tokens": 3.0, "calls": 3.0, "failed": 4.0, "cost": 3.0}  # as many calls are never a difference
_LEAST = 1e-12  # for what is not known
_TAIL, _TAIL_AT = 0.95, 1.645  # of the differences this share is smaller, and how many spreads that is
_TOGETHER = 32  # series that are looked at in one go: their hours and what these are compared with take 12 MB
_MOST_THREADS = 4  # as many as the questions' database has
_AS_STRONG = 0.02  # scores that near are equal, and the first of the metrics is told: tokens before their cost


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What an hour must exceed to be told at all: absolute floors, how many times usual, and the score. Lower finds more."""

    min_calls: int = 10
    min_failed: int = 5
    min_tokens: int = 1000
    min_cost_usd: float = 0.05
    min_times: float = 2.0
    min_score: float = SPIKE

    @property
    def least_times(self) -> float:
        """No hour is told that is not so many times usual, both taken with a few calls more: the steadiest series needs no less."""
        return float(np.exp(self.enough_far * _HALF_AT * _SMALLEST_SPREAD))

    @property
    def enough_far(self) -> float:
        """The strength that makes the least score."""
        return float(-np.log2(1 - self.min_score))

    def floor(self, metric: Metric) -> float:
        """The least that an hour must have, in the metric's unit."""
        floors = {"tokens": self.min_tokens, "calls": self.min_calls, "failed": self.min_failed, "cost": self.min_cost_usd}
        return float(floors[metric])


class Found(NamedTuple):
    """Places in the `Hours` judged, with the strongest metric of each."""

    at: Ints
    metric: list[Metric]
    actual: Floats
    usual: Floats
    score: Floats


class _Candidates(NamedTuple):
    """Places that may be spikes, as far as their usual and the mean call of eight weeks tell; the arrays are [metric, place]."""

    at: Ints
    actual: Floats
    usual: Floats
    noise: Floats
    far: NDArray[np.bool_]


def judge(hours: Hours, clocks: list[Clock], asked: NDArray[np.bool_], sensitivity: Sensitivity) -> Found:
    """The spikes among the hours `asked` for. `hours.values` has the metrics and nothing else."""
    samples = Samples(hours, clocks)
    found = _candidates(hours, samples, asked, sensitivity)
    scores = _scores(hours, samples, found, enough_far=sensitivity.enough_far)
    best, every = (scores >= scores.max(axis=0) - _AS_STRONG).argmax(axis=0), np.arange(len(found.at))
    told = np.flatnonzero(scores[best, every] >= sensitivity.min_score)
    best = best[told]
    return Found(found.at[told], [METRICS[row] for row in best], found.actual[best, told], found.usual[best, told], scores[best, told])


def might_be(hours: Hours, clocks: list[Clock], asked: NDArray[np.bool_], sensitivity: Sensitivity) -> Ints:
    """Which of the hours `asked` for are spikes as far as the same hours of eight weeks tell: all that `could_be` finds, and more.

    Of what was before, `hours` needs no others, but for all else of these weeks as one hour with which none is compared. That one's cost
    may be less than it was.
    """
    at = np.flatnonzero(asked & _above_a_floor(hours, sensitivity))
    return _far(hours, at, _usual(Samples(hours, clocks, gaps=True), at), lambda at: _noise(hours, at, least=_LEAST), sensitivity).at


def could_be(hours: Hours, clocks: list[Clock], asked: NDArray[np.bool_], sensitivity: Sensitivity) -> Ints:
    """Which of the hours `asked` for are spikes as far as eight weeks and a day before them tell: all that `judge` finds, and more."""
    samples = Samples(hours, clocks)
    at = np.flatnonzero(asked & _above_a_floor(hours, sensitivity))
    usuals = np.where(samples.age(at) >= _AROUND[-1], _usual(samples, at), 0.0)  # nothing is known of those that look young
    found = _far(hours, at, usuals, lambda at: _noise(hours, at), sensitivity)
    young = samples.began(found.at) > _memory_begins(hours.local[found.at])
    left: Ints = found.at[young | _strong_by_some(hours, found, ~young, enough=sensitivity.enough_far)]
    return left


def _strong_by_some(hours: Hours, found: _Candidates, asked: NDArray[np.bool_], *, enough: float) -> NDArray[np.bool_]:
    """Which of the candidates `asked` for are at least so strong by one of the metrics that are far."""
    strong = np.zeros(len(found.at), bool)
    for row, metric in enumerate(METRICS):
        left = np.flatnonzero(asked & found.far[row] & ~strong)
        strong[left] = _strengths(hours, found.at[left], metric, found.noise[row, left], np.full(len(left), enough)) >= enough
    return strong


def _candidates(hours: Hours, samples: Samples, asked: NDArray[np.bool_], sensitivity: Sensitivity) -> _Candidates:
    at = np.flatnonzero(asked & _above_a_floor(hours, sensitivity))
    at = at[samples.age(at) >= FEWEST_HISTORY_H]
    return _far(hours, at, _usual(samples, at), lambda at: _noise(hours, at), sensitivity)


def _far(hours: Hours, at: Ints, usuals: Floats, noise_of: Callable[[Ints], Floats], sensitivity: Sensitivity) -> _Candidates:
    """Those of the hours `at` that are above the floors, and so far above usual that some spread is small enough."""
    actual = np.stack([hours.values[metric][at] for metric in METRICS])
    floors = np.array([[sensitivity.floor(metric)] for metric in METRICS])
    enough = (actual >= floors) & (actual >= sensitivity.min_times * usuals)  # never where usual is not known
    some = enough.any(axis=0)
    at, usuals, actual, enough = at[some], usuals[:, some], actual[:, some], enough[:, some]
    noise = noise_of(at)
    with np.errstate(invalid="ignore", divide="ignore"):
        away = np.log((actual + noise) / (usuals + noise))
    far = enough & (noise > 0) & (away >= np.log(sensitivity.least_times))
    some = far.any(axis=0)
    return _Candidates(at[some], actual[:, some], usuals[:, some], noise[:, some], far[:, some])


def _noise(hours: Hours, at: Ints, *, least: float = 0.0) -> Floats:
    """What as many calls as are never a difference amount to (at `least`), [metric, place]; 0 where nothing was called in eight weeks."""
    starts = _memory_starts(hours, at)
    calls = _sums(hours.values["calls"], starts, at)
    with np.errstate(invalid="ignore", divide="ignore"):
        a_call = {metric: _sums(hours.values[metric], starts, at) / calls for metric in METRICS} | {"failed": np.ones(len(at))}
    return np.stack([np.where(calls > 0, np.maximum(_NOISE[metric] * a_call[metric], least), 0.0) for metric in METRICS])


def _memory_starts(hours: Hours, at: Ints) -> Ints:
    """Where the eight weeks of the same series before each of the hours `at` begin."""
    keys = hours.series * SPAN + hours.hour
    found: Ints = np.searchsorted(keys, keys[at] - HISTORY_WEEKS * WEEK_H)
    return np.maximum(found, np.searchsorted(hours.series, hours.series[at]))


def _sums(values: Floats, starts: Ints, ends: Ints) -> Floats:
    """Sums from start to end, as exact as the records are: whole numbers, or nine decimals of money."""
    unit = 1 if np.array_equal(values, np.rint(values)) else 1_000_000_000
    before = np.concatenate([[0], np.cumsum(np.rint(values * unit).astype(np.int64))])  # may overflow: differences are right all the same
    found: Floats = (before[ends] - before[starts]) / unit
    return found


def usual_calls(hours: Hours, clocks: list[Clock], at: Ints) -> Floats:
    """How many calls the series of the hours `at` usually make then; nan where that is not known."""
    samples = Samples(hours, clocks)
    usually: Floats = _usual(samples, at)[METRICS.index("calls")]
    return np.where(samples.age(at) >= FEWEST_HISTORY_H, usually, np.nan)


def _above_a_floor(hours: Hours, sensitivity: Sensitivity) -> NDArray[np.bool_]:
    above = np.zeros(len(hours.series), bool)
    for metric in METRICS:
        above |= hours.values[metric] >= sensitivity.floor(metric)
    return above


def _usual(samples: Samples, at: Ints) -> Floats:
    """What the series of the hours `at` usually do then: [metric, hour]; nan where nothing is known."""
    past, usable = samples.before(at, _SAME_HOUR)
    found = np.stack([middle(past[metric], usable) for metric in METRICS])
    rare = np.flatnonzero((found == 0).any(axis=0))
    past, usable = samples.before(at[rare], _AROUND)
    means = np.stack([mean_but_highest(past[metric], usable) for metric in METRICS])
    found[:, rare] = np.where(found[:, rare] == 0, means, found[:, rare])
    return found


def _scores(hours: Hours, samples: Samples, found: _Candidates, *, enough_far: float) -> Floats:
    """The scores of the candidates, [metric, place]; 0 where not far or not `enough_far`."""
    scores = np.zeros(found.usual.shape)
    if not len(found.at):
        return scores
    far = _spreads_away(hours, samples, found)
    for row, metric in enumerate(METRICS):
        best = scores.max(axis=0)
        left = np.flatnonzero((far[row] >= enough_far) & (1 - 0.5 ** far[row] >= best))  # else it could not become the strongest
        strong = _strengths(hours, found.at[left], metric, found.noise[row, left], far[row, left])
        scores[row, left] = 1 - 0.5 ** np.minimum(far[row, left], strong)
    return scores


def _spreads_away(hours: Hours, samples: Samples, found: _Candidates) -> Floats:
    """How many of its series' own spreads above usual each candidate is, [metric, place], as shares of `_HALF_AT`; 0 where not far."""
    away = np.zeros(found.usual.shape)
    first_hour = hours.hour[found.at].min() - HISTORY_WEEKS * WEEK_H
    places = np.flatnonzero(np.isin(hours.series, hours.series[found.at]) & (hours.hour >= first_hour))
    expected = _usual(samples, places)
    starts = _memory_starts(hours, found.at)
    for row, column in zip(*np.nonzero(found.far), strict=True):
        memory = slice(starts[column], found.at[column])
        known = slice(*np.searchsorted(places, (memory.start, memory.stop)))
        noise = found.noise[row, column]
        ratio = np.log((found.actual[row, column] + noise) / (found.usual[row, column] + noise))
        away[row, column] = ratio / _spread(hours.values[METRICS[row]][memory], expected[row, known], noise) / _HALF_AT
    return away


def _strengths(hours: Hours, places: Ints, metric: Metric, noise: Floats, enough: Floats) -> Floats:
    """How unusual these hours are by `last_hour.strengths`, in their series' local hours of the eight weeks and a day up to them."""
    found = np.zeros(len(places))
    begins = np.maximum(_memory_begins(hours.local[places]), hours.local[np.searchsorted(hours.series, hours.series[places])])
    lengths = hours.local[places] - begins + 1

    def look(which: Ints) -> None:
        before = np.stack([_hour_by_hour(hours, places[at], metric, length=lengths[at]) for at in which])
        found[which] = last_hour.strengths(before, noise[which], enough=enough[which])

    alike = [np.flatnonzero(lengths == length) for length in np.unique(lengths)]
    groups = [which for rows in alike for which in np.split(rows, range(_TOGETHER, len(rows), _TOGETHER))]
    with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as threads:  # sorting, which is nearly all of it, needs no interpreter
        list(threads.map(look, groups))
    return found


def _hour_by_hour(hours: Hours, place: int, metric: Metric, *, length: int) -> Floats:
    """What the series of an hour did in so many local hours up to it."""
    values = np.zeros(length)
    first = np.searchsorted(hours.series, hours.series[place])
    local = hours.local[first : place + 1] - hours.local[place] + length - 1
    within = local >= 0
    np.add.at(values, local[within], hours.values[metric][first : place + 1][within])
    return values


def _memory_begins(local: Ints) -> Ints:
    """The first of the local hours that decide how strong these are."""
    found: Ints = local // DAY_H * DAY_H - HISTORY_WEEKS * WEEK_H
    return found


def _spread(values: Floats, expected: Floats, noise: float) -> float:
    """How far the hours of the last weeks were above usual, of a logarithm."""
    away = np.log((values + noise) / (expected + noise))
    away = away[~np.isnan(away)]
    if len(away) < DAY_H:
        return 2 * _SMALLEST_SPREAD
    half, high = (float(series.quantile(away, share)) for share in (0.5, _TAIL))
    return float(max(_SMALLEST_SPREAD, (high - min(half, 0)) / _TAIL_AT))
