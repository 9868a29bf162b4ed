"""A search that is repeated every minute judges again what changed, and answers as a whole one."""

from datetime import UTC, datetime, timedelta

import pytest

from byok.store import screening, unusual
from byok.store.recollection import Recollection
from byok.store.scope import EveryonesScope
from byok.store.watch import ALL_ANEW, Watch
from tests.store.test_unusual import ADA, BOB, burst, steady

END = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def watch(world, record):
    """A watch over the last day, with what it asked for."""
    world.reader.publish(steady(record, 40) + steady(record, 40, user_id=BOB))
    asked, recollection = [], Recollection()

    def search(scope):
        asked.append(scope.since)
        return unusual.spikes(world.engine, scope, recollection=recollection)

    return Watch(world.engine, search), asked


def look(watch, until, **scope):
    return watch(EveryonesScope((until - 24 * HOUR).replace(minute=0), until, **scope))


def test_only_hours_in_which_something_was_booked_are_judged_again(world, record, watch):
    search, asked = watch
    assert look(search, END + 5 * MINUTE) == [] and asked.pop() == END - 24 * HOUR
    assert look(search, END + 6 * MINUTE) == [] and asked == []
    world.reader.append(burst(record, END + 2 * MINUTE, 100))
    first = look(search, END + 7 * MINUTE)
    assert [spike.user_id for spike in first] == [ADA] and asked.pop() == END - HOUR
    world.reader.append(burst(record, END - 3 * HOUR, 100, BOB))
    both = look(search, END + 8 * MINUTE)
    assert [spike.user_id for spike in both] == [ADA, BOB] and asked.pop() == END - 3 * HOUR
    assert look(search, END + 9 * MINUTE) == both == unusual.spikes(world.engine, EveryonesScope(END - 24 * HOUR, END + 9 * MINUTE))
    assert asked == []


def test_everything_is_judged_anew_once_a_day_and_for_other_users(world, record, watch):
    search, asked = watch
    for later, users, anew in (
        (MINUTE, (), True),
        (2 * MINUTE, (), False),
        (3 * MINUTE, (ADA,), True),
        (ALL_ANEW + 3 * MINUTE, (ADA,), True),
    ):
        asked.clear()
        look(search, END + later, user_ids=users)
        assert bool(asked) == anew


def test_hours_that_left_the_day_are_forgotten(world, record, watch):
    search, _ = watch
    world.reader.append(burst(record, END - 24 * HOUR, 100))
    assert len(look(search, END + 58 * MINUTE)) == 1
    assert look(search, END + 61 * MINUTE) == []


def test_looks_that_remember_find_what_a_fresh_one_does(world, record, watch):
    search, _ = watch
    look(search, END + MINUTE)
    seen = []
    for minute, calls, user_id in ((2, 4, ADA), (3, 90, BOB), (5, 60, ADA), (6, 0, ADA), (7, 40, BOB)):
        world.reader.append(burst(record, END + minute * MINUTE, calls, user_id))
        found = look(search, END + (minute + 1) * MINUTE)
        assert found == unusual.spikes(world.engine, EveryonesScope(END - 24 * HOUR, END + (minute + 1) * MINUTE))
        seen.append({spike.user_id for spike in found})
    assert [len(users) for users in seen] == [0, 1, 2, 2, 2]


def test_what_is_remembered_outlasts_the_hour(world, record, monkeypatch):
    """Over the hours' changes, also until all is read anew, with calls that are booked an hour late."""
    world.reader.publish(steady(record, 40) + steady(record, 40, user_id=BOB))
    monkeypatch.setattr("byok.store.recollection.KEPT", 4 * HOUR)
    recollection, seen = Recollection(), []
    for minutes, calls, ago, user_id in (
        (-3, 90, 1, BOB), (-1, 4, 1, ADA), (2, 0, 1, ADA), (3, 60, 4, ADA), (58, 70, 2, ADA), (61, 1, 1, BOB), (62, 90, 30, BOB),
        (122, 0, 1, BOB), (190, 80, 1, ADA), (250, 80, 1, ADA),
    ):  # fmt: skip
        now = END + minutes * MINUTE
        world.reader.append(burst(record, now - ago * MINUTE, calls, user_id))
        scope = EveryonesScope((now - HOUR).replace(minute=0), now)
        found = unusual.spikes(world.engine, scope, recollection=recollection)
        assert found == unusual.spikes(world.engine, scope)
        seen.append({spike.user_id for spike in found})
    assert {ADA} in seen and {BOB} in seen and {ADA, BOB} in seen


@pytest.mark.parametrize("span", [timedelta(hours=20), timedelta(days=20)], ids=["screened", "read whole"])
def test_users_are_looked_at_in_groups(world, record, monkeypatch, span):
    users = [f"usr_many{n}" for n in range(5)]
    rows = [row for user_id in users for row in steady(record, 30, user_id=user_id) + burst(record, END - HOUR, 50, user_id)]
    world.reader.publish(rows)
    world.retention = dict.fromkeys(users, 365)
    scope = EveryonesScope(END - span, END)
    at_once = unusual.spikes(world.engine, scope)
    monkeypatch.setattr(screening, "_HOURS_AT_ONCE", 25)
    monkeypatch.setattr(screening, "_CALLS_AT_ONCE", 3000)
    assert unusual.spikes(world.engine, scope) == at_once
    assert sorted(spike.user_id for spike in at_once) == users
