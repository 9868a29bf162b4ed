"""What a month will come to, from the days so far: weekday pattern, level, growth, and how wrong such guesses were on the same days.

A pure function of days and values: nothing of the future goes in, the clock is an argument. It says when there is too little to go by.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from byok import in_words

LEAST_DAYS, LEAST_ACTIVE, LONGEST_QUIET = 14, 5, 28
MOST_DAYS = 190  # older days weigh next to nothing
_WEEK_HALF_LIFE, _WEEK_PRIOR = 70.0, 2.0  # days; a weekday counts as if it had been like its neighbours twice
_LEVELS = ((9.0, 0.0), (9.0, 1.0), (20.0, 1.0))  # half-life of the level in days, share of the trend: the middle is their mean
_DAMPING = 0.93  # of the trend, per day ahead
_TREND_WEEKS = 10
_CAP, _CAP_DAYS = 3.0, 56  # a day above three times the upper quartile of eight weeks is a runaway, not a habit
_LEVEL_DAYS, _DRIFT = 12.0, 0.004  # how many days a level is the mean of; by how much of itself it drifts in a day
_PRIOR_TRIES, _TRIES_APART, _MOST_TRIES = 8.0, 3.0, 24
_LOW, _HIGH = 1.1, 1.38  # measured: see benchmarks/forecast.py
_MOST_TIMES = 2.0  # the middle: beyond that, only as far as there ever was
_WORTH_SAYING = 0.01  # growth per week
_LONG_QUIET = 7  # days

Values = Any  # np.ndarray of one dimension, one element per day


class Step(NamedTuple):
    """The month's sum at the end of `day`."""

    day: date
    middle: float
    low: float
    high: float


@dataclass(frozen=True)
class Forecast:
    """The sum at the month's end, in the unit of the values: with a chance of about 80 % between `low` and `high`.

    What is left of the month comes, by `high`, to no more than twice its middle, or than so many days in a row ever came to.

    Where there is not `enough` to go by, the three are None and `basis` says why; else `basis` says from what they come. `path` leads
    from today to the end.
    """

    so_far: float
    middle: float | None
    low: float | None
    high: float | None
    basis: str
    enough: bool
    path: tuple[Step, ...] = ()

    def reaches(self, limit: float, *, today: date) -> date | None:
        """The day on which the middle reaches `limit`: today if it has; None if not within the month, or not known.

        >>> month_end([], [], today=date(2026, 11, 9), until=date(2026, 12, 1)).reaches(5, today=date(2026, 11, 9)) is None
        True
        """
        if self.so_far >= limit:
            return today
        return next((step.day for step in self.path if step.middle >= limit), None)


def month_end(dates: Sequence[date], values: Sequence[float], *, today: date, until: date, elapsed: float = 0.0) -> Forecast:
    """What the month that ends before the day `until` will come to.

    `values` are sums per local day (USD, tokens, calls), `dates` theirs, in any order; a day that is not named had none. Days after `today`
    are not looked at; today's own value counts as what came in the share `elapsed` (0 to 1) of the day.

    >>> days = [date(2026, 10, 1) + timedelta(days=n) for n in range(45)]
    >>> found = month_end(days, [2.0] * 45, today=date(2026, 11, 15), until=date(2026, 12, 1))
    >>> round(found.so_far), round(found.middle), found.enough
    (28, 60, True)
    """
    first_of_month = (until - timedelta(days=1)).replace(day=1)
    found = dict(zip(dates, map(float, values), strict=True))
    so_far = sum(value for day, value in found.items() if first_of_month <= day <= today)
    past = sorted(day for day, value in found.items() if day < today and value > 0)
    if reason := _too_little(past, today):
        return Forecast(so_far, None, None, None, reason, False)
    start = max(past[0], today - timedelta(days=MOST_DAYS))
    history = np.array([found.get(start + timedelta(days=n), 0.0) for n in range((today - start).days)])
    ahead = max(1, (until - today).days)
    weights = np.ones(ahead)
    weights[0] = 1 - min(max(elapsed, 0.0), 1.0)
    fit = _fit(history, start.weekday())
    expected = np.cumsum(_project(fit, today.weekday(), ahead) * weights)
    spread = _spread(history, start.weekday(), fit, np.cumsum(weights))
    lows = expected * np.maximum(0.0, 1 - _LOW * spread)
    highs = np.minimum(expected * (1 + _HIGH * spread), np.maximum(_MOST_TIMES * expected, _most_in_a_row(history, ahead)))
    sums = zip(*(part.tolist() for part in (expected, lows, highs)), strict=True)
    steps = tuple(Step(today + timedelta(days=n), *(so_far + part for part in parts)) for n, parts in enumerate(sums))
    last = steps[-1]
    return Forecast(so_far, last.middle, last.low, last.high, _basis(fit, history), True, steps)


def _too_little(past: Sequence[date], today: date) -> str:
    """Why nothing can be said, or an empty text."""
    if not past:
        return "There is nothing before today to go by."
    if (days := (today - past[0]).days) < LEAST_DAYS:
        return f"Only {days} {'day' if days == 1 else 'days'} of use so far: a forecast needs {LEAST_DAYS}."
    if len(past) < LEAST_ACTIVE:
        return f"Only {len(past)} days with use so far: a forecast needs {LEAST_ACTIVE}."
    if (today - past[-1]).days > LONGEST_QUIET:
        return f"Nothing has been used for {(today - past[-1]).days - 1} days."
    return ""


class _Fit(NamedTuple):
    week: Values  # seven factors around 1, Monday first
    levels: tuple[float, ...]  # what a day of factor 1 comes to, by each of _LEVELS
    slope: float  # growth per day as a logarithm, doubtful ones drawn to 0
    wild: int  # days of the last eight weeks that were cut as no habit


def _fit(values: Values, first_weekday: int) -> _Fit:
    count = len(values)
    weekday = (first_weekday + np.arange(count)) % 7
    weights = _fading(_WEEK_HALF_LIFE)[-count:]
    calm = _capped(values, np.ones(count))  # before the weekdays are known, so that none of them takes a runaway day for its own
    calm = _capped(values, np.maximum(_week(calm, weekday, weights)[weekday], 0.05))
    week = _week(calm, weekday, weights)
    expected, levels = week[weekday], []
    for half_life, _ in _LEVELS:
        recent = _fading(half_life)[-count:]
        levels.append(float((recent @ calm) / max(float(recent @ expected), 1e-12)))
    return _Fit(week, tuple(levels), _slope(calm), int((calm < values)[-_CAP_DAYS:].sum()))


@cache
def _fading(half_life: float) -> Values:
    """Weights of days, the newest last."""
    return 0.5 ** (np.arange(MOST_DAYS)[::-1] / half_life)


def _capped(values: Values, scale: Values) -> Values:
    recent = np.sort((values / scale)[-_CAP_DAYS:])
    usual = recent[len(recent) * 3 // 4]
    return np.minimum(values, _CAP * usual * scale) if usual > 0 else values


def _week(values: Values, weekday: Values, weights: Values) -> Values:
    """How a weekday stands to the mean, drawn to the mean of working days or of the weekend where few were seen."""
    mean = (weights @ values) / weights.sum()
    if mean <= 0:
        return np.ones(7)
    sums, counts = np.bincount(weekday, weights * values, 7) / mean, np.bincount(weekday, weights, 7)
    found = np.empty(7)
    for part in (slice(0, 5), slice(5, 7)):
        of_part = (sums[part].sum() + _WEEK_PRIOR) / (counts[part].sum() + _WEEK_PRIOR)
        found[part] = (sums[part] + _WEEK_PRIOR * of_part) / (counts[part] + _WEEK_PRIOR)
    return found / found.mean()


def _slope(values: Values) -> float:
    """Growth per day of the last weeks' sums, times how sure it is."""
    weeks = min(_TREND_WEEKS, len(values) // 7)
    if weeks < 3:
        return 0.0
    sums = values[len(values) - 7 * weeks :].reshape(weeks, 7).sum(1)
    if not (sums > 0).all():
        return 0.0
    logs, x = np.log(sums), np.arange(weeks) - (weeks - 1) / 2
    slope = x @ logs / (x @ x)
    rest = logs - logs.mean() - slope * x
    doubt = (rest @ rest) / max(weeks - 2, 1) / (x @ x)
    return float(slope / 7 * slope**2 / (slope**2 + doubt + 1e-12))


def _project(fit: _Fit, weekday: int, days: int) -> Values:
    """What each of the next `days` days will come to, the first of them a `weekday`."""
    ahead = np.arange(1, days + 1)
    week = fit.week[(weekday + ahead - 1) % 7]
    logs = []
    for (half_life, share), level in zip(_LEVELS, fit.levels, strict=True):
        growth = np.exp(share * fit.slope * (np.cumsum(_DAMPING**ahead) + half_life * 0.7))  # a level is the mean of the past
        logs.append(np.log(np.maximum(level * growth * week, 1e-12)))
    return np.exp(np.mean(logs, 0))


def _spread(values: Values, first_weekday: int, fit: _Fit, ahead: Values) -> Values:
    """How far a sum over so many days may be off, as a share of it: of the days' own noise, and of past guesses on the same days."""
    count, level = len(values), max(float(np.mean(fit.levels)), 1e-12)
    weekday = (first_weekday + np.arange(count)) % 7
    noise = float(np.sqrt(np.mean((values - level * fit.week[weekday])[-_CAP_DAYS:] ** 2))) / level
    supposed = _supposed(noise, ahead)
    horizon = min(len(ahead), max(3, (count - LEAST_DAYS) // 3))
    errors = _past_errors(values, first_weekday, horizon)
    if not len(errors):
        return supposed
    tries = len(errors) / _TRIES_APART  # neighbours share most of their days
    seen = float(np.mean(errors**2)) / float(_supposed(noise, np.array([float(horizon)]))[0]) ** 2
    return supposed * np.sqrt((_PRIOR_TRIES + tries * seen) / (_PRIOR_TRIES + tries))


def _most_in_a_row(values: Values, days: int) -> Values:
    """The most that 1, 2, … `days` days in a row came to; of more days than there are, their share."""
    upto, count = np.concatenate([[0.0], np.cumsum(values)]), len(values)
    return np.array([(upto[n:] - upto[:-n]).max() if n <= count else upto[-1] * n / count for n in range(1, days + 1)])


def _supposed(noise: float, ahead: Values) -> Values:
    return np.sqrt(noise**2 * (1 / np.maximum(ahead, 0.05) + 1 / _LEVEL_DAYS) + (_DRIFT * ahead) ** 2)


def _past_errors(values: Values, first_weekday: int, horizon: int) -> Values:
    """The relative errors that guesses over `horizon` days would have had, made on days of the past with what was known then."""
    last = len(values) - horizon
    errors = []
    for at in list(range(last, LEAST_DAYS - 1, -max(2, horizon // 4)))[:_MOST_TRIES]:
        guess = _project(_fit(values[:at], first_weekday), (first_weekday + at) % 7, horizon).sum()
        errors.append((values[at : at + horizon].sum() - guess) / max(guess, 1e-12))
    return np.array(errors)


def _basis(fit: _Fit, values: Values) -> str:
    weekend = float(fit.week[5:].mean() / max(fit.week[:5].mean(), 1e-12))
    weekdays = (
        "all weekdays alike"
        if 0.9 <= weekend <= 1.1
        else f"a weekend day comes to {in_words.percent(weekend, 0)} of a working day"
        if weekend < 10
        else "nearly all of it at weekends"
    )
    return f"From the last {len(values)} days: {weekdays}, {_trend(fit, values)}.{_wild(fit.wild)}"


def _trend(fit: _Fit, values: Values) -> str:
    quiet, growth = len(values) - 1 - int(np.flatnonzero(values)[-1]), float(np.expm1(7 * fit.slope))
    if quiet >= _LONG_QUIET:
        return f"nothing in the last {quiet}"
    if abs(growth) < _WORTH_SAYING:
        return "level"
    return f"falling by {in_words.percent(-growth, 0)} a week" if growth < 0 else f"growing by {100 * growth:,.0f} % a week"


def _wild(days: int) -> str:
    """How many of the days that make the range were far from what is usual."""
    return f" {days} {'day' if days == 1 else 'days'} far above the usual {'widens' if days == 1 else 'widen'} the range." if days else ""
