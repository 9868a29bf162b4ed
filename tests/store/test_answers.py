"""What is asked again is answered from memory only while nothing that it is made of has changed."""

import copy
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from byok.store import questions
from byok.store.scope import EveryonesScope, Scope
from byok.zones import EARLIEST, LATEST
from tests.store.conftest import ADA, BOB, NOW

HERS = Scope(ADA, EARLIEST, LATEST)


@pytest.fixture
def kept(world, record):
    world.reader.publish([record("2026-11-20T10:00:00+00:00"), record("2026-11-20T10:00:00+00:00", BOB)])
    world.engine.keep_answers()
    return world


def calls(world, scope=HERS):
    return questions.summary(world.engine, scope)["calls"]


def asked(world, scope=HERS):
    return world.engine.ask("summary", scope)


def test_the_same_question_is_answered_once(kept):
    assert asked(kept) is asked(kept)
    until_now = Scope(ADA, EARLIEST, NOW - timedelta(seconds=2))
    assert asked(kept, until_now) is asked(kept, Scope(ADA, EARLIEST, NOW)), "nothing was booked between these two"


def test_others_get_answers_of_their_own(kept):
    assert calls(kept) == 1
    kept.reader.append([])
    assert questions.usage(kept.engine, HERS).totals["total_calls"] == 1
    his = Scope(BOB, EARLIEST, LATEST)
    assert asked(kept, his) is not asked(kept)
    assert asked(kept, EveryonesScope(EARLIEST, LATEST)) is not asked(kept, EveryonesScope(EARLIEST, LATEST))


@pytest.mark.parametrize("change", ["booked", "published", "erased", "shorter plan", "unknown", "time"])
def test_no_answer_outlives_what_it_was_made_of(kept, record, change):
    assert calls(kept) == 1
    assert calls(kept) == 1
    expected = 0
    if change == "booked":
        kept.reader.append([record("2026-11-21T10:00:00+00:00")])
        expected = 2
    elif change == "published":
        kept.reader.publish([record("2026-11-21T10:00:00+00:00")])
        expected = 2
    elif change == "erased":
        kept.reader.files.clear()
        kept.reader.version += 1
    elif change == "shorter plan":
        kept.retention[ADA] = 1
    elif change == "unknown":
        del kept.retention[ADA]
    else:
        kept.now = NOW + timedelta(days=364)
    assert calls(kept) == expected


def test_other_prices_make_another_answer(world, record):
    other = copy.copy(world.catalogue)
    world.reader.publish([record("2026-11-20T10:00:00+00:00")])
    world.engine._catalogue_now = lambda: world.catalogue
    world.engine.keep_answers()
    before = asked(world)
    world.catalogue = other
    assert asked(world) is not before
    assert asked(world) is asked(world)


def test_both_hours_of_a_clock_change_are_told_apart(world, record):
    zone = ZoneInfo("Europe/Berlin")
    world.reader.publish([record(datetime(2026, 10, 25, 0, 30, tzinfo=UTC)), record(datetime(2026, 10, 25, 12, tzinfo=UTC))])
    world.engine.keep_answers()
    first = datetime(2026, 10, 25, 2, 0, tzinfo=zone)
    assert calls(world, Scope(ADA, first, LATEST)) == 2
    assert calls(world, Scope(ADA, first.replace(fold=1), LATEST)) == 1
