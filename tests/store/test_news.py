"""First uses and silences: told of those who have a history, and of nobody else."""

from datetime import UTC, datetime, timedelta

from byok.store import news
from byok.store.scope import EveryonesScope, Scope

ADA, BOB = "usr_ada1", "usr_bob1"
NOW = datetime(2026, 11, 18, 14, 20, tzinfo=UTC)  # a Wednesday
HERS = Scope(ADA, NOW - timedelta(days=1), NOW)


def working_hours(record, days: int, *, until: datetime, user_id: str = ADA, **fields):
    """Six calls in each hour from 8 to 18 of the days before `until`."""
    hours = (until.replace(minute=0) - timedelta(hours=h) for h in range(1, days * 24 + 1))
    return [record(hour + timedelta(minutes=n), user_id, **fields) for hour in hours if 8 <= hour.hour < 18 for n in range(6)]


def test_a_user_who_falls_silent_is_told_once_with_since_when(world, record):
    world.now = NOW
    both = working_hours(record, 30, until=NOW - timedelta(hours=2)) + working_hours(
        record, 30, until=NOW - timedelta(hours=2), model="gpt-4o"
    )
    world.reader.publish(both)
    (silence,) = news.silences(world.engine, HERS)
    assert (silence.user_id, silence.vendor, silence.model) == (ADA, "", "")
    assert silence.since == datetime(2026, 11, 18, 12, tzinfo=UTC)
    assert silence.usual == 24
    assert silence.why == "Nothing since 2 h; usually 24 calls in the last 2 h."


def test_a_model_that_falls_silent_is_told_where_its_user_goes_on(world, record):
    world.now = NOW
    world.reader.publish(working_hours(record, 30, until=NOW) + working_hours(record, 30, until=NOW - timedelta(hours=3), model="gpt-4o"))
    assert [(s.vendor, s.model) for s in news.silences(world.engine, HERS)] == [("openai", "gpt-4o")]


def test_nights_newcomers_and_holidays_are_no_silence(world, record):
    world.reader.publish(working_hours(record, 30, until=NOW) + working_hours(record, 9, until=NOW - timedelta(hours=3), user_id=BOB))
    for at in (NOW, NOW.replace(hour=22)):  # busy, and asleep
        world.now = at
        assert news.silences(world.engine, EveryonesScope(at - timedelta(days=1), at)) == []


def test_a_new_model_and_a_new_key_are_told_of_a_user_with_a_history(world, record):
    at = NOW - timedelta(hours=3)
    world.now = NOW
    world.reader.publish([*working_hours(record, 30, until=NOW), record(at, model="gpt-4o", key_id="key_new1"), record(at, BOB)])
    found = news.first_uses(world.engine, EveryonesScope(NOW - timedelta(days=1), NOW))
    assert [(use.kind, use.user_id, use.vendor, use.name, use.at) for use in found] == [
        ("key", ADA, "openai", "key_new1", at),
        ("model", ADA, "openai", "gpt-4o", at),
    ]
    assert found[1].why == "First use of model gpt-4o in eight weeks."
    assert news.first_uses(world.engine, HERS) == found
    assert news.first_uses(world.engine, Scope(BOB, NOW - timedelta(days=1), NOW)) == []
