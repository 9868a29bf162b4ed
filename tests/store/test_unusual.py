"""Spikes of the usage: found against the same hour of the week, by the user's clock, and never before there is enough to compare with."""

from datetime import UTC, datetime, timedelta

import pytest

from byok.store import unusual
from byok.store.scope import EveryonesScope, Scope

ADA, BOB = "usr_ada1", "usr_bob1"
END = datetime(2026, 11, 22, 12, tzinfo=UTC)


def steady(record, days: int, *, until: datetime = END, user_id: str = ADA, calls: int = 6):
    """Six calls in every working hour of the days before `until`."""
    hours = (until - timedelta(hours=h) for h in range(1, days * 24 + 1))
    return [record(hour + timedelta(minutes=9 * n), user_id) for hour in hours if 8 <= hour.hour < 18 for n in range(calls)]


def burst(record, at: datetime, calls: int, user_id: str = ADA):
    return [record(at + timedelta(seconds=n), user_id) for n in range(calls)]


def spikes_of(world, user_id: str = ADA):
    return unusual.spikes(world.engine, Scope(user_id, END - timedelta(days=30), END + timedelta(days=1)))


@pytest.mark.parametrize("at", [END, END - timedelta(days=3), END - timedelta(hours=9)], ids=["running hour", "a weekday", "at night"])
def test_a_burst_is_one_spike_with_what_is_usual(world, record, at):
    world.reader.publish(steady(record, 40) + burst(record, at, 200))
    (spike,) = spikes_of(world)
    assert (spike.hour, spike.user_id, spike.vendor, spike.model) == (at, ADA, "openai", "gpt-4o-mini")
    assert spike.metric in ("calls", "tokens", "cost") and spike.score >= 0.5
    assert spike.usual == (6 if spike.metric == "calls" else 90) * (8 <= at.hour < 18)
    assert spike.times is None or spike.times == pytest.approx(spike.actual / spike.usual)


def test_steady_use_has_no_spikes(world, record):
    world.reader.publish(steady(record, 40))
    assert spikes_of(world) == []


@pytest.mark.parametrize(("days", "found"), [(13, 0), (15, 1)])
def test_without_fourteen_days_of_history_nothing_is_unusual(world, record, days, found):
    world.reader.publish(steady(record, days) + burst(record, END, 200))
    assert len(spikes_of(world)) == found


def test_everyone_is_judged_by_own_history_and_hidden_rows_do_not_count(world, record):
    world.reader.publish(steady(record, 40) + burst(record, END, 200, BOB) + steady(record, 40, user_id=BOB))
    assert spikes_of(world) == []
    assert {s.user_id for s in unusual.spikes(world.engine, EveryonesScope(END - timedelta(days=2), END + timedelta(days=1)))} == {BOB}
    world.retention = {ADA: 365, BOB: 10}
    assert spikes_of(world, BOB) == []


def test_hours_in_a_row_are_one_episode(world, record):
    world.reader.publish(steady(record, 40) + [row for h in (1, 2, 3) for row in burst(record, END - timedelta(hours=h), 100 * h)])
    world.now = END + timedelta(hours=6)
    (episode,) = unusual.episodes(world.engine, Scope(ADA, END - timedelta(days=2), END))
    assert (episode.began, episode.ended, len(episode.hours)) == (END - timedelta(hours=3), END, 3)
    assert episode.peak.hour == END - timedelta(hours=3)
