"""Spikes of the usage: found against the same hour of the week, by the user's clock, and never before there is enough to compare with."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

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


def test_counts_beyond_what_a_float_holds_exactly_stop_nobodys_search(world, record):
    huge = [record(END + timedelta(minutes=n), BOB, prompt_tokens=2**63 - 1, completion_tokens=None, total_tokens=None) for n in range(1)]
    several = [record(END + timedelta(minutes=n), BOB, prompt_tokens=2**53 - 1) for n in range(3)]
    world.reader.publish(steady(record, 40) + burst(record, END, 200) + steady(record, 40, user_id=BOB) + huge + several)
    found = unusual.spikes(world.engine, EveryonesScope(END - timedelta(days=2), END + timedelta(days=1)))
    assert {spike.user_id for spike in found} == {ADA, BOB}


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


def local_days(record, zone: str, days: int, *, until: datetime):
    """Six calls in each hour from 9 to 17 by the clock of `zone`."""
    hours = (until - timedelta(hours=h) for h in range(1, days * 24 + 1))
    return [record(h + timedelta(minutes=9 * n)) for h in hours if 9 <= h.astimezone(ZoneInfo(zone)).hour < 17 for n in range(6)]


@pytest.mark.parametrize(
    ("zone", "change"), [("Europe/Berlin", "2026-10-25"), ("America/New_York", "2026-11-01"), ("Europe/Berlin", "2026-03-29")]
)
def test_a_change_of_the_clock_is_no_spike_and_hides_none(world, record, zone, change):
    day = datetime.fromisoformat(f"{change}T00:00:00+00:00")
    until = day + timedelta(days=6)
    world.engine.zones_of = lambda _: {ADA: zone}
    world.now = until
    usual_days = local_days(record, zone, 40, until=until)
    world.reader.publish(usual_days)
    asked = Scope(ADA, day - timedelta(days=1), until)
    assert unusual.spikes(world.engine, asked) == []
    at = next(day + timedelta(hours=h) for h in range(24) if (day + timedelta(hours=h)).astimezone(ZoneInfo(zone)).hour == 9)
    world.reader.append(burst(record, at, 200))
    (spike,) = unusual.spikes(world.engine, asked)
    assert (spike.hour, spike.usual, spike.why[:4]) == (at, 90 if spike.metric == "tokens" else 6, "34.3")
    assert "09:00" in spike.why


@pytest.mark.parametrize("hour", [0, 1], ids=["first", "second"])
def test_both_hours_of_a_repeated_one_are_judged(world, record, hour):
    """02:00 came twice in Berlin on 25 October."""
    at = datetime(2026, 10, 25, hour, tzinfo=UTC)
    world.engine.zones_of = lambda _: {ADA: "Europe/Berlin"}
    world.now = at + timedelta(hours=6)
    around = [record(at - timedelta(hours=h, minutes=-9 * n)) for h in range(1, 30 * 24) for n in range(6)]
    world.reader.publish(around + burst(record, at, 200))
    (spike,) = unusual.spikes(world.engine, Scope(ADA, at - timedelta(days=1), world.now))
    assert spike.hour == at and "Sunday 02:00" in spike.why


def test_holidays_do_not_make_the_return_a_spike(world, record):
    away = timedelta(days=16)
    before = [row for row in steady(record, 60) if not END - away <= row["ts"] < END - timedelta(days=1)]
    world.reader.publish(before)
    assert spikes_of(world) == []


@pytest.mark.parametrize(("calls", "told"), [(5, []), (200, [END])])
def test_a_loop_is_told_on_a_day_of_the_week_without_calls_a_few_calls_are_not(world, record, calls, told):
    office = [row for row in steady(record, 60) if row["ts"].weekday() < 5]
    world.reader.publish(office + burst(record, END, calls))  # a Sunday
    assert [spike.hour for spike in spikes_of(world)] == told


def test_a_lower_sensitivity_finds_less(world, record):
    world.reader.publish(steady(record, 60) + burst(record, END - timedelta(days=20), 60) + burst(record, END - timedelta(days=35), 60))
    world.now = END
    month = Scope(ADA, END - timedelta(days=30), END)
    (episode,) = unusual.episodes(world.engine, month)
    assert episode.began == END - timedelta(days=20)
    assert unusual.episodes(world.engine, month, sensitivity=unusual.Sensitivity(min_times=20)) == []
    assert unusual.episodes(world.engine, month, sensitivity=unusual.Sensitivity(min_tokens=10**9, min_calls=10**6, min_cost_usd=99)) == []


def test_failures_of_a_vendor_are_told_as_such(world, record):
    failing = [record(END - timedelta(hours=1, seconds=-n), status=529, prompt_tokens=None, completion_tokens=None) for n in range(30)]
    world.reader.publish([row for row in steady(record, 40) if row["ts"] < END - timedelta(hours=1)] + failing)
    (spike,) = spikes_of(world)
    assert (spike.metric, spike.actual, spike.usual, spike.times) == ("failed", 30, 0, None)
    assert spike.why.startswith("30 failed calls, usually nothing on Sunday 11:00")


SHORT = timedelta(hours=2)


def busy(record, days: int = 30):
    """Forty calls of one model in every hour, by one key."""
    return [record(END - timedelta(hours=h, seconds=-n)) for h in range(1, days * 24) for n in range(40)]


def both_ways(world, since: timedelta):
    """Ada's spikes, asked for alone and among everyone's."""
    mine = unusual.spikes(world.engine, Scope(ADA, END - since, END + timedelta(hours=1)))
    assert unusual.spikes(world.engine, EveryonesScope(END - since, END + timedelta(hours=1))) == mine
    return mine


def test_a_key_that_runs_away_is_told_where_its_model_is_busy_anyway(world, record):
    hour = END - timedelta(hours=1)
    now_and_then = [record(END - timedelta(hours=h), key_id="key_quiet1") for h in range(2, 700, 9)]
    taken = [record(hour + timedelta(seconds=n), key_id="key_quiet1") for n in range(60)]
    world.reader.publish(busy(record) + now_and_then + taken)
    (spike,) = both_ways(world, SHORT)
    assert (spike.hour, spike.vendor, spike.model, spike.actual) == (hour, "openai", "", 60 if spike.metric == "calls" else 900)
    assert "by key key_quiet1; 100 % of the excess from key key_quiet1, model gpt-4o-mini" in spike.why


def test_many_small_rises_together_are_told_as_the_user_s(world, record):
    hour = END - timedelta(hours=1)
    models = [f"model-{n}" for n in range(20)]
    usual = [record(END - timedelta(hours=h), model=model, key_id=f"key_{model}") for h in range(1, 720, 5) for model in models[:2]]
    risen = [record(hour + timedelta(seconds=n), model=model, key_id=f"key_{model}", prompt_tokens=1) for model in models for n in range(8)]
    world.reader.publish(usual + risen)
    (spike,) = both_ways(world, SHORT)
    assert (spike.hour, spike.vendor, spike.model) == (hour, "", "") and "over all models; " in spike.why


def test_a_spike_of_a_model_is_told_once_and_not_again_as_its_key_s_and_its_user_s(world, record):
    other = [record(END - timedelta(hours=h), model="gpt-4o", key_id="key_other1") for h in range(1, 720, 6)]
    world.reader.publish(steady(record, 40) + other + [row for h in (1, 2) for row in burst(record, END - timedelta(hours=h), 200)])
    found = both_ways(world, timedelta(hours=30))
    assert [(spike.hour, spike.model) for spike in found] == [(END - timedelta(hours=h), "gpt-4o-mini") for h in (1, 2)]
