"""First uses and usual calls: known of those who have a history, and of nobody else."""

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


def test_how_many_calls_there_usually_are_by_day_and_none_by_night(world, record):
    world.now = NOW
    until = NOW - timedelta(hours=2)
    hers = working_hours(record, 30, until=until) + working_hours(record, 30, until=until, model="gpt-4o")
    world.reader.publish(hers + working_hours(record, 9, until=until, user_id=BOB))
    everyone = EveryonesScope(NOW - timedelta(days=1), NOW)
    assert news.usual_calls_of(world.engine, everyone, hours=2) == {ADA: 24}, "of bob, who is new, nothing is known"
    assert news.usual_calls_of(world.engine, Scope(ADA, NOW, NOW, models=("gpt-4o",)), hours=2) == {ADA: 12}
    world.now = NOW.replace(hour=22)
    assert news.usual_calls_of(world.engine, everyone, hours=2) == {ADA: 0}


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
