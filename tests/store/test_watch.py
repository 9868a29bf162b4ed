"""A search that is repeated every minute judges again what changed, and answers as a whole one."""

from datetime import UTC, datetime, timedelta

import pytest

from byok.store import unusual
from byok.store.scope import EveryonesScope
from byok.store.watch import ALL_ANEW, Watch
from tests.store.test_unusual import ADA, BOB, burst, steady

END = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def watch(world, record):
    """A watch over the last day, with what it asked for."""
    world.reader.publish(steady(record, 40) + steady(record, 40, user_id=BOB))
    asked = []

    def search(scope):
        asked.append(scope.since)
        return unusual.spikes(world.engine, scope)

    return Watch(world.engine, search), asked


def look(watch, until, **scope):
    return watch(EveryonesScope((until - 24 * HOUR).replace(minute=0), until, **scope))


def test_only_hours_in_which_something_was_booked_are_judged_again(world, record, watch):
    search, asked = watch
    assert look(search, END + 5 * MINUTE) == [] and asked.pop() == END - 24 * HOUR
    assert look(search, END + 6 * MINUTE) == [] and asked == []
    world.reader.append(burst(record, END + 2 * MINUTE, 100))
    first = look(search, END + 7 * MINUTE)
    assert [spike.user_id for spike in first] == [ADA] and asked.pop() == END
    world.reader.append(burst(record, END - 3 * HOUR, 100, BOB))
    both = look(search, END + 8 * MINUTE)
    assert [spike.user_id for spike in both] == [ADA, BOB] and asked.pop() == END - 3 * HOUR
    assert look(search, END + 9 * MINUTE) == both == unusual.spikes(world.engine, EveryonesScope(END - 24 * HOUR, END + 9 * MINUTE))
    assert asked == []


def test_everything_is_judged_anew_once_an_hour_and_for_other_users(world, record, watch):
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
