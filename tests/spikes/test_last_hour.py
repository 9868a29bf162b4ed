"""The last hour of a series alone gets what the detector for any series says of it, drops apart."""

import numpy as np
import pytest

from byok.spikes import last_hour, series


def upward(values: np.ndarray) -> float:
    """`series.strengths` of the last row, in those views only in which it is above what was expected."""
    at = np.arange(len(values), dtype=np.int64) * series.HOUR_S
    return max(
        (float(series._strength(at, values, away)[-1]) for away in series._views(at, values) if away[-1] > 0),
        default=0.0,
    )


@pytest.mark.parametrize("seed", range(6))
def test_the_last_hour_alone_is_judged_as_among_all(seed):
    """Steady series and empty ones, with habits and without, from a day to nine weeks long; several of one length together."""
    rng = np.random.default_rng(seed)
    hours = np.arange(57 * 24)
    level = (1 + 9 * (hours % 24 > 8) * (hours // 24 % 7 < 5)) * rng.choice([0.02, 1.0, 40.0], (3, 1))
    values = rng.poisson(level).astype(float) * rng.choice([1.0, 0.125], (3, 1))
    values[rng.random(values.shape) < 0.01] *= 30
    highest = 0.0
    for end in (1, 26, 100, 101, 130, 340, 366, *rng.integers(101, len(hours), 3), len(hours)):
        some = values[:, -end:].copy()
        some[:, -1] += rng.choice([0.0, 5.0, 300.0], 3)
        noise = rng.choice([0.01, 3.0], 3)
        wanted = [min(max(upward(one), upward(np.log(one + least))), series.STRONGEST) for one, least in zip(some, noise, strict=True)]
        assert last_hour.strengths(some, noise, enough=np.full(3, np.inf)) == pytest.approx(wanted, rel=1e-12)
        enough = np.array([1.0, np.inf, 0.5])
        found = last_hour.strengths(some, noise, enough=enough)
        assert np.minimum(found, enough) == pytest.approx(np.minimum(wanted, enough), rel=1e-12)
        highest = max(highest, *wanted)
    assert highest > 0
