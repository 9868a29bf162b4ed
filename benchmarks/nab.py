"""The NAB score of a detector: early detections in labelled windows earn, false alarms and misses cost, one threshold for all series.

Written from the description of the Numenta Anomaly Benchmark (Lavin and Ahmad, 2015): within a window only the earliest detection counts,
by a sigmoid from the window's begin to its end; a false alarm costs the more the longer after a window it comes; the first rows of a series
(15 %, at most 750) are for learning and do not count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Profile:
    """What a hit, a false alarm and a miss weigh."""

    hit: float = 1.0
    false_alarm: float = 0.11
    miss: float = 1.0


PROFILES = {"standard": Profile(), "reward_low_FP_rate": Profile(false_alarm=0.22), "reward_low_FN_rate": Profile(miss=2.0)}


@dataclass(frozen=True)
class Labelled:
    """A series' times and its windows, both ends included."""

    times: NDArray[np.datetime64]
    windows: Sequence[tuple[np.datetime64, np.datetime64]]

    @property
    def learning_rows(self) -> int:
        """How many first rows do not count."""
        return int(min(0.15 * len(self.times), 750))


def points(series: Labelled, profile: Profile) -> tuple[Floats, NDArray[np.int64]]:
    """What a detection in each row would add, and the window it lies in (-1: none, so that it is a false alarm)."""
    worth, where = np.full(len(series.times), -1.0), np.full(len(series.times), -1)
    before_right, before_width = None, 0.0
    for number, (begin, end) in enumerate(series.windows):
        left, right = np.searchsorted(series.times, begin), np.searchsorted(series.times, end, side="right") - 1
        _fade(worth, before_right, before_width, int(left))
        width = float(right - left + 1)
        rows = np.arange(left, right + 1)
        worth[rows] = _sigmoid(-(right - rows + 1) / width) / _sigmoid(np.array(-1.0))
        where[rows] = number
        before_right, before_width = int(right), width
    _fade(worth, before_right, before_width, len(worth))
    return np.where(where >= 0, worth * profile.hit, worth * profile.false_alarm), where


def raw_score(scores: Floats, series: Labelled, threshold: float, profile: Profile) -> float:
    """The unscaled score of one series."""
    worth, where = points(series, profile)
    told = np.flatnonzero(scores >= threshold)
    told = told[told >= series.learning_rows]
    best = np.full(len(series.windows), -profile.miss)
    inside = told[where[told] >= 0]
    np.maximum.at(best, where[inside], worth[inside])
    return float(best.sum() + worth[told[where[told] < 0]].sum())


def score(scores: Mapping[str, Floats], corpus: Mapping[str, Labelled], threshold: float, profile: Profile = PROFILES["standard"]) -> float:
    """From 0 (says nothing) to 100 (every window at its first row, no false alarm); negative for worse than silence."""
    windows = sum(len(series.windows) for series in corpus.values())
    raw = sum(raw_score(scores[name], series, threshold, profile) for name, series in corpus.items())
    silent = -profile.miss * windows
    return 100 * (raw - silent) / (profile.hit * windows - silent)


def best_threshold(
    scores: Mapping[str, Floats], corpus: Mapping[str, Labelled], profile: Profile = PROFILES["standard"]
) -> tuple[float, float]:
    """The threshold with the highest score over all series, and that score."""
    every, gains = [], []
    windows = sum(len(series.windows) for series in corpus.values())
    for name, series in corpus.items():
        worth, where = points(series, profile)
        rows = np.arange(series.learning_rows, len(worth))
        rows = rows[np.argsort(-scores[name][rows], kind="stable")]
        gain = np.where(where[rows] < 0, worth[rows], 0.0)
        for window in range(len(series.windows)):
            inside = np.flatnonzero(where[rows] == window)
            best = np.maximum.accumulate(np.r_[-profile.miss, worth[rows[inside]]])
            gain[inside] += np.diff(best)
        every.append(scores[name][rows])
        gains.append(gain)
    found, gained = np.concatenate(every), np.concatenate(gains)
    order = np.argsort(-found, kind="stable")
    found, total = found[order], np.cumsum(gained[order])
    last_of_equals = np.flatnonzero(np.r_[found[1:] != found[:-1], True])
    top = last_of_equals[total[last_of_equals].argmax()]
    return float(found[top]), 100 * float(total[top]) / (windows * (profile.hit + profile.miss))


def _fade(worth: Floats, right: int | None, width: float, until: int) -> None:
    """Rows after a window, up to `until`: at first nearly free, then at full cost."""
    if right is not None:
        rows = np.arange(right + 1, until)
        worth[rows] = _sigmoid((rows - right) / (width - 1))


def _sigmoid(position: Floats) -> Floats:
    return np.where(position > 3.0, -1.0, 2 / (1 + np.exp(5 * np.minimum(position, 3.0))) - 1)
