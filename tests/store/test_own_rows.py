"""What a user's locked process is given: own rows that the plan keeps, the newest if there are many, and when they are old."""

from dataclasses import dataclass
from datetime import timedelta

import pytest

from byok.store import questions
from byok.store.console import Limits, Worker
from byok.store.own_rows import OwnRows
from byok.store.scope import Scope
from byok.zones import EARLIEST, LATEST
from tests.store.conftest import ADA, BOB, NOW

ALL = Scope(ADA, EARLIEST, LATEST)


@dataclass
class Person:
    id: str = ADA
    tz: str = "UTC"
    retention_days: int = 365


def own(world, *, now=NOW, keys=(), user=Person()) -> OwnRows:  # noqa: B008
    return OwnRows(world.engine, user, keys=lambda: list(keys), now=now)


def asked(rows: OwnRows, query: str, limits: Limits = Limits()):  # noqa: B008
    with Worker(limits) as worker:
        worker.start()
        rows.load(worker)
        return worker.query(query)


def test_own_rows_only_priced_and_with_own_keys(world, record):
    world.reader.publish([record("2026-11-01T00:00:00Z"), record("2026-11-01T00:00:00Z", BOB, model="bobs")])
    world.reader.append([record("2026-11-02T00:00:00Z", cached_tokens=4), record("2026-11-02T00:00:00Z", BOB, model="bobs")])
    key = {"key_id": "key_one1", "user_id": ADA, "vendor": "openai", "label": "mine", "last_four": "abcd"}
    rows = own(world, keys=[key])
    answer = asked(rows, "select u.*, k.label from usage_priced u join keys k using (key_id) order by ts")
    expected = [row for batch in questions.records(world.engine, ALL, priced=True) for row in batch.to_pylist()]
    assert len(expected) == 2 and answer.rows.to_pylist() == [row | {"label": "mine"} for row in expected]
    assert answer.rows["cost_usd"].null_count == 0
    assert asked(rows, "select count(*) n from prices where input_usd_per_mtok > 0").rows["n"][0].as_py() > 10


def test_rows_past_retention_are_not_given(world, record):
    world.reader.publish([record("2026-11-01T00:00:00Z"), record("2026-11-20T00:00:00Z")])
    world.retention[ADA] = 7
    answer = asked(own(world, user=Person(retention_days=7)), "select count(*) n from usage")
    assert answer.rows["n"].to_pylist() == [1]


@pytest.mark.parametrize("most", [1, 59, 60, 61, 100, 149, 150, 151])
def test_of_many_rows_the_newest_are_given_exactly(world, record, most):
    hours = [record(f"2026-11-01T{hour:02d}:{minute:02d}:00Z") for hour in (3, 4) for minute in range(60)]
    world.reader.publish(hours)
    world.reader.append([record(f"2026-11-01T09:00:{second:02d}Z") for second in range(30)])
    answer = asked(own(world), "select count(*) n, min(ts) first from usage", Limits(usage_rows=most))
    times = sorted(row["ts"] for batch in questions.records(world.engine, ALL) for row in batch.to_pylist())
    assert answer.rows.to_pylist() == [{"n": min(most, 150), "first": times[-min(most, 150)]}]
    assert (answer.truncated is not None) == (most < 150)


def test_rows_of_one_instant_are_left_out_together(world, record):
    world.reader.publish([record("2026-11-01T00:00:00Z")] * 3 + [record("2026-11-01T00:00:01Z")])
    answer = asked(own(world), "select count(*) n from usage", Limits(usage_rows=2))
    assert answer.rows["n"].to_pylist() == [1] and "newest" in answer.truncated


@pytest.mark.parametrize("damage", ["page", "garbage", "empty"])
def test_a_broken_file_is_left_out_and_all_else_is_given(world, record, damage):
    world.reader.publish([record("2026-11-01T00:00:00Z")])
    bad = world.reader.publish([record(f"2026-11-02T00:00:{n:02d}Z", model=f"m{n}") for n in range(60)])
    whole = bad.read_bytes()
    bad.write_bytes({"page": whole[:4] + bytes(200) + whole[204:], "garbage": b"\xff" * 500, "empty": b""}[damage])
    assert asked(own(world), "select count(*) n from usage").rows["n"].to_pylist() == [1]
    assert world.engine.quarantined == [str(bad)]


def test_what_came_went_or_expired_makes_it_old(world, record):
    file = world.reader.publish([record("2026-11-01T00:00:00Z")])
    with Worker() as worker:
        worker.start()
        loaded = own(world).load(worker)
    assert own(world).is_current(loaded)
    world.reader.append([record("2026-11-02T00:00:00Z", BOB)])
    assert own(world).is_current(loaded), "the calls of others change nothing"
    assert not own(world, keys=[{"key_id": "key_new1"}]).is_current(loaded)
    world.now = NOW + timedelta(days=360)
    assert not own(world, now=world.now).is_current(loaded), "its oldest record has expired"
    world.now = NOW
    world.reader.append([record("2026-11-03T00:00:00Z")])
    assert not own(world).is_current(loaded)
    world.reader.drop(file)
    assert not own(world).is_current(loaded)
    assert not own(world).is_current(None)
