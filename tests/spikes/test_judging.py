"""Who is left out of a search before all is read had no spike: each step finds all that the next one does."""

import numpy as np
import pytest

from byok import zones
from byok.spikes import judging
from byok.spikes.hours import NEAR_DAYS, WEEK_H, Clock, Hours, clock, days_of

SERIES, SPAN_H, ASKED_H = 60, 17 * WEEK_H, 3
END = 495_600  # in July 2026


def world(seed: int, end: int, zone: str) -> tuple[Hours, list[Clock]]:
    """Series of all kinds of busy, some young, some with days off or silent on the last one's day of the week, a third with an hour that
    stands out."""
    rng = np.random.default_rng(seed)
    calls = rng.poisson(rng.choice([0.03, 0.3, 2, 9], (SERIES, 1)) * (1 + np.sin(np.arange(SPAN_H) / 24 * 2 * np.pi)), (SERIES, SPAN_H))
    calls[np.arange(SPAN_H) < rng.choice([0, 0, SPAN_H - 60 * 24, SPAN_H - 20 * 24, SPAN_H - 10 * 24], (SERIES, 1))] = 0
    calls[:, rng.integers(0, SPAN_H // 24) * 24 :][:, :48] = 0
    calls[np.ix_(np.arange(SERIES) // 2 % 3 == 1, np.arange(SPAN_H) // 24 % 7 == 6)] = 0
    calls[np.arange(SERIES) % 3 == 0, SPAN_H - rng.integers(1, ASKED_H + 1)] += rng.integers(5, 200)
    series, at = np.nonzero(calls)
    count = calls[series, at].astype(float)
    tokens = np.rint(count * rng.lognormal(6.8, 1, len(count)))
    values = {"tokens": tokens, "calls": count, "failed": np.rint(count * (rng.random(len(count)) < 0.03)), "cost": tokens * 1e-5}
    hour = at.astype(np.int64) + end - SPAN_H
    spans = zones.offsets(zone)
    local, made = clock(hour, spans.starts, spans.seconds)
    user = series // 2
    return Hours(series.astype(np.int64), user, hour, local, np.zeros(len(hour), np.int64), values, days_of(user, local)), [made]


def of(hours: Hours, which: np.ndarray) -> Hours:
    user, local = hours.user[which], hours.local[which]
    values = {name: values[which] for name, values in hours.values.items()}
    return Hours(hours.series[which], user, hours.hour[which], local, hours.zone[which], values, days_of(user, local))


def places(hours: Hours, at: np.ndarray) -> set[tuple[int, int]]:
    return set(zip(hours.series[at].tolist(), hours.hour[at].tolist(), strict=True))


def with_gaps(hours: Hours, since: int) -> Hours:
    """What the first step knows: the same hours of eight weeks and those beside them, and all others of these weeks as one."""
    same = (hours.hour - since + 1) % WEEK_H < ASKED_H + 2
    recent, memory = hours.hour >= since - 8 * WEEK_H - 24, (hours.hour >= since - 8 * WEEK_H) & (hours.hour < since)
    hour = np.where(memory & ~same, since - WEEK_H // 2, hours.hour)
    local = np.where(memory & ~same, hour, hours.local)
    known = recent & ((hours.hour >= since) | same | memory)
    values = {name: values * np.where(memory & ~same & (name == "cost"), 0.5, 1) for name, values in hours.values.items()}
    changed = of(hours._replace(hour=hour, local=local, values=values), known)
    keys, first = np.unique(changed.series * (1 << 24) + changed.hour, return_index=True)
    of_key = np.searchsorted(keys, changed.series * (1 << 24) + changed.hour)
    sums = {name: np.bincount(of_key, values) for name, values in changed.values.items()}
    return of(changed, first)._replace(values=sums)


@pytest.mark.parametrize(
    ("end", "zone"), [(END, "UTC"), (498_240 + 40, "Europe/Berlin"), (492_800, "America/New_York")], ids=["UTC", "Berlin", "New York"]
)
def test_each_step_finds_what_the_next_one_does(end, zone):
    found = set()
    for seed in range(2):
        hours, clocks = world(seed, end, zone)
        since = end - ASKED_H
        cut = of(hours, hours.hour >= since - 8 * WEEK_H - 24 * (1 + NEAR_DAYS))
        gaps = with_gaps(hours, since)
        sensitivity = judging.Sensitivity()
        told = places(hours, judging.judge(hours, clocks, hours.hour >= since, sensitivity).at)
        could = places(cut, judging.could_be(cut, clocks, cut.hour >= since, sensitivity))
        might = places(gaps, judging.might_be(gaps, clocks, gaps.hour >= since, sensitivity))
        assert told <= could <= might
        found |= told
        assert len(might) < len(places(gaps, gaps.hour >= since))
    assert found, "nothing was told, so this test would prove nothing"
