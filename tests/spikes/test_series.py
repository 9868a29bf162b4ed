"""The detector over any series: what it finds, what it leaves alone, and what it does with odd input."""

import numpy as np
import pytest

from byok.spikes import series

HOUR, DAY = 3600, 86_400


def weekly(rng: np.random.Generator, weeks: int, step: int = HOUR) -> tuple[np.ndarray, np.ndarray]:
    """A series with working hours and quiet weekends, and noise of a tenth."""
    at = np.arange(0, weeks * 7 * DAY, step, dtype=np.int64)
    hour, day = at // HOUR % 24, at // DAY % 7
    level = np.where((hour >= 8) & (hour < 18) & (day < 5), 100.0, 10.0)
    return at, level * (1 + 0.1 * rng.standard_normal(len(at)))


@pytest.mark.parametrize("seed", range(5))
def test_a_planted_spike_is_told_once_and_hardly_anything_else(seed):
    at, values = weekly(np.random.default_rng(seed), 6)
    row = 5 * 7 * 24 + 34 + seed
    values[row : row + 3] *= 6
    told = np.flatnonzero(series.scores(at, values) >= 0.5)
    assert row in told
    assert len(told[told > 3 * 168]) <= 3  # the first weekends are news to it


def test_a_workday_that_stays_away_is_told():
    at, values = weekly(np.random.default_rng(1), 6)
    tuesday = slice(5 * 7 * 24 + 32, 5 * 7 * 24 + 42)
    values[tuesday] = 10
    assert (series.scores(at, values)[tuesday] >= 0.5).any()


def test_a_jump_that_comes_twice_a_week_is_a_habit():
    at, values = weekly(np.random.default_rng(2), 8)
    rng = np.random.default_rng(3)
    for week in range(8):
        for day in rng.choice(7, 2, replace=False):
            values[week * 168 + day * 24 + rng.integers(24)] = 500
    told = np.flatnonzero(series.scores(at, values) >= 0.5)
    assert len(told[told > 4 * 168]) <= 1


@pytest.mark.parametrize(
    "values", [[], [1.0], [0.0] * 2000, [5.0] * 2000, [float("nan")] * 500], ids=["none", "one", "zero", "flat", "nan"]
)
def test_nothing_is_unusual_where_nothing_happens(values):
    scores = series.scores(np.arange(len(values), dtype=np.int64) * 300, np.array(values))
    assert len(scores) == len(values) and not scores.any()


def test_the_first_change_of_a_flat_series_is_told_and_a_rounding_error_is_not():
    at = np.arange(1000, dtype=np.int64) * 300
    values = np.full(1000, 0.1)
    values[600:] += 1e-12
    assert (series.scores(at, values) < 0.5).all()
    values[700] = 0.2
    assert series.scores(at, values)[700] >= 0.5


def test_gaps_jumps_of_the_clock_and_missing_values_break_nothing():
    rng = np.random.default_rng(4)
    at, values = weekly(rng, 6)
    keep = np.sort(rng.choice(len(at), len(at) * 3 // 4, replace=False))
    at, values = at[keep] + rng.integers(0, 900, len(keep)), values[keep]
    at[500:510] -= 3 * HOUR  # a clock that was set back
    values[::50] = np.nan
    scores = series.scores(at, values)
    assert np.isfinite(scores).all() and ((scores >= 0) & (scores <= 1)).all()
    assert (scores[np.isnan(values)] == 0).all()
    assert (scores[400:] >= 0.5).sum() <= 5


def test_scale_and_offset_do_not_matter():
    at, values = weekly(np.random.default_rng(5), 5)
    values[700] *= 8
    assert series.scores(at, values * 1e6 - 3e7) == pytest.approx(series.scores(at, values), abs=1e-6)
