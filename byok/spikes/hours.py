"""Hours of many series at once, only those in which something happened, and what each of them usually does at that hour of the week.

Local time decides what "the same hour" is. A local hour that a clock change repeats counts as the mean of its two, one that it skips is no
sample. Days on which a user called nothing at all (holidays) are no samples either: nobody's return from holidays is a spike. But where a
user never calls on that day of the week, silent days are usual: a loop that runs away on a Saturday stands out.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

WEEK_H, DAY_H = 168, 24
HISTORY_WEEKS = 8
FEWEST_HISTORY_H = 14 * DAY_H
NEAR_DAYS = 3  # a silent day was no holiday if the user called so shortly before or after it
SPAN = 1 << 24  # more hours than any calendar has; series * SPAN + hour is one number per series and hour


class Clock(NamedTuple):
    """One zone's local hours: those from `first` on, and how many real hours (0, 1 or 2) each has."""

    first: int
    lengths: Ints

    def length(self, local: Ints) -> Ints:
        found: Ints = self.lengths[np.clip(local - self.first, 0, len(self.lengths) - 1)]
        return found


class Hours(NamedTuple):
    """Sorted by series, then hour. `series`, `user` and `zone` are numbers; `hour` counts from 1970 in UTC, `local` by the wall clock.

    `days` are those on which a user called anything at all, in these series or in others (`days_of`).
    """

    series: Ints
    user: Ints
    hour: Ints
    local: Ints
    zone: Ints
    values: dict[str, Floats]
    days: Ints


def days_of(user: Ints, local: Ints) -> Ints:
    """The local days of these hours, each user's once: one number per user and day, ascending."""
    return np.unique(user * SPAN + local // DAY_H)


def clock(hours: Ints, starts_s: list[int], shifts_s: list[int]) -> tuple[Ints, Clock]:
    """The local hours of UTC hours in a zone whose offsets begin at `starts_s`, and that zone's clock over their span and its history."""
    first, last = int(hours.min()) - HISTORY_WEEKS * WEEK_H - 48, int(hours.max()) + 48
    every = np.arange(first, last, dtype=np.int64)
    local = _local(every, starts_s, shifts_s)
    return _local(hours, starts_s, shifts_s), Clock(int(local.min()), np.bincount(local - local.min()))


def _local(hours: Ints, starts_s: list[int], shifts_s: list[int]) -> Ints:
    at = np.searchsorted(np.asarray(starts_s, dtype=np.int64), hours * 3600, side="right") - 1
    shifted: Ints = (hours * 3600 + np.asarray(shifts_s, dtype=np.int64)[np.maximum(at, 0)]) // 3600
    return shifted


class Samples:
    """Looks up what series did at the same local hour of earlier weeks.

    `gaps`: hours may be missing, so that nothing is known of when a series began or of days without a call. What is not there counts as
    nothing called: what is usual is no less than it looks.
    """

    def __init__(self, hours: Hours, clocks: list[Clock], *, gaps: bool = False) -> None:
        self.hours, self.clocks, self._gaps = hours, clocks, gaps
        keys = hours.series * SPAN + hours.local
        starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.empty(0, np.int64)
        self._keys, self._starts = keys[starts], starts
        self._sums = {name: np.add.reduceat(values, starts) if len(starts) else values for name, values in hours.values.items()}
        begins = np.r_[True, hours.series[1:] != hours.series[:-1]] if len(keys) else np.empty(0, bool)
        self._first = hours.local[np.flatnonzero(begins)][np.cumsum(begins) - 1]

    def began(self, at: Ints) -> Ints:
        """The first known local hour of the series of each of the hours `at`."""
        first: Ints = self._first[at]
        return first

    def age(self, at: Ints) -> Ints:
        """How many hours lie between a series' first known hour and each of its hours `at`."""
        age: Ints = self.hours.local[at] - self._first[at]
        return age

    def before(self, at: Ints, steps_h: Ints) -> tuple[dict[str, Floats], NDArray[np.bool_]]:
        """What the series of the hours `at` did `steps_h` local hours before: [hour, step] per metric, and which of these are samples."""
        series, user = self.hours.series[at][:, None], self.hours.user[at][:, None]
        local = self.hours.local[at][:, None] - steps_h[None, :]
        lengths = np.empty_like(local)
        zones = self.hours.zone[at]
        for number, zone in enumerate(self.clocks):
            lengths[zones == number] = zone.length(local[zones == number])
        usable = lengths > 0
        if not self._gaps:
            usable &= local >= self._first[at][:, None]
            usable &= self._no_holidays(user * SPAN + local // DAY_H, usable)
        place, there = _find(self._keys, series * SPAN + local)
        share = np.where(there, 1 / np.maximum(lengths, 1), 0.0)
        return {name: sums[place] * share for name, sums in self._sums.items()} if len(self._keys) else {}, usable

    def _no_holidays(self, days: Ints, known: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which of the days count, [hour, step]: those with calls; of an hour that has none among the `known` ones, those near some."""
        called = _isin(self.hours.days, days)
        never = ~(called & known).any(axis=1)
        called[never] = _near(self.hours.days, days[never])
        return called


def middle(samples: Floats, usable: NDArray[np.bool_]) -> Floats:
    """The median of each row's usable samples; nan without any."""
    held = np.sort(np.where(usable, samples, np.nan), axis=1)
    count = usable.sum(axis=1)
    rows = np.arange(len(held))
    low, high = held[rows, np.maximum(count - 1, 0) // 2], held[rows, np.minimum(count // 2, held.shape[1] - 1)]
    return np.where(count > 0, (low + high) / 2, np.nan)


def mean_but_highest(samples: Floats, usable: NDArray[np.bool_]) -> Floats:
    """The mean of each row's usable samples without the highest tenth of them; nan without any."""
    held = np.sort(np.where(usable, samples, np.nan), axis=1)
    kept = np.ceil(usable.sum(axis=1) * 0.9)
    within = np.arange(held.shape[1])[None, :] < kept[:, None]
    return np.where(kept > 0, np.where(within, held, 0).sum(axis=1) / np.maximum(kept, 1), np.nan)


def _find(keys: Ints, wanted: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    place: Any = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
    return place, keys[place] == wanted if len(keys) else np.zeros(wanted.shape, bool)


def _near(days: Ints, wanted: Ints) -> NDArray[np.bool_]:
    """Whether any of these days lies within `NEAR_DAYS` of each of the `wanted`."""
    place = np.minimum(np.searchsorted(days, wanted - NEAR_DAYS), max(len(days) - 1, 0))
    return np.abs(days[place] - wanted) <= NEAR_DAYS if len(days) else np.zeros(wanted.shape, bool)


def _isin(keys: Ints, wanted: Ints) -> NDArray[np.bool_]:
    return _find(keys, wanted)[1]
