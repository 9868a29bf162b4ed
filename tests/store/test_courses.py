"""Measures over time and by columns, against the same worked out in Python."""

import random
import statistics
from datetime import UTC, datetime, timedelta

import pytest

from byok.store import courses
from byok.store.scope import EveryonesScope, Scope
from byok.zones import EARLIEST, LATEST

ADA, BOB = "usr_ada1", "usr_bob1"
STARTS = [datetime(2026, 11, day, tzinfo=UTC) for day in (18, 19, 20, 21)]


def hers(**words) -> Scope:
    return Scope(ADA, **({"since": STARTS[0], "until": LATEST} | words))


def nth(values, share):
    """The smallest value that at least this share of the values do not exceed."""
    ordered = sorted(values)
    return next(value for at, value in enumerate(ordered, 1) if at / len(ordered) >= share)


@pytest.fixture
def many(world, record):
    rng = random.Random(4)
    rows = [
        record(
            STARTS[0] + timedelta(seconds=rng.randrange(4 * 86_400)),
            rng.choice([ADA, ADA, BOB]),
            model=rng.choice(["gpt-4o", "gpt-4o-mini"]),
            status=rng.choice([200, 200, 200, 429]),
            latency_ms=rng.choice([None, rng.randrange(100, 9_000)]),
            ttft_ms=rng.randrange(50, 900),
            cached_tokens=rng.choice([None, rng.randrange(10)]),
        )
        for _ in range(400)
    ]
    world.reader.publish(rows[:300])
    world.reader.append(rows[300:])
    return world.engine, rows


def test_waits_are_exact_percentiles_of_what_was_measured_of_successes(many):
    engine, rows = many
    found = {(row["start"], row["model"]): row for row in courses.waits(engine, hers(), STARTS, by=("model",))}
    assert len(found) == 8
    for (start, model), row in found.items():
        mine = [
            r
            for r in rows
            if r["user_id"] == ADA and r["model"] == model and r["status"] == 200 and start <= r["ts"] < start + timedelta(days=1)
        ]
        measured = [r["latency_ms"] for r in mine if r["latency_ms"] is not None]
        assert row["calls"] == len(mine)
        assert (row["latency_p50_ms"], row["latency_p95_ms"]) == (nth(measured, 0.5), nth(measured, 0.95))
        assert row["ttft_p50_ms"] == nth([r["ttft_ms"] for r in mine], 0.5)
    (whole,) = courses.waits(engine, hers(), STARTS[:1])
    assert statistics.median_low([r["ttft_ms"] for r in rows if r["user_id"] == ADA and r["status"] == 200]) == whole["ttft_p50_ms"]


def test_what_was_not_measured_is_null_and_not_zero(world, record):
    world.reader.append([record(STARTS[1], latency_ms=None, ttft_ms=None)])
    (row,) = courses.waits(world.engine, hers(), STARTS)
    assert row == {"start": STARTS[1], "calls": 1, "latency_p50_ms": None, "latency_p95_ms": None, "ttft_p50_ms": None}
    assert courses.waits(world.engine, hers(vendors=("nobody",)), STARTS) == []


def test_waits_are_those_of_each_stretch(world, record):
    world.reader.publish([record("2026-11-18T23:59:59Z", latency_ms=100), record("2026-11-19T00:00:00Z", latency_ms=200)])
    world.reader.append([record("2026-11-21T10:00:00Z", latency_ms=300, ttft_ms=None), record("2026-11-21T10:00:00Z", BOB)])
    found = [(row["start"], row["calls"], row["latency_p95_ms"], row["ttft_p50_ms"]) for row in courses.waits(world.engine, hers(), STARTS)]
    assert found == [(STARTS[0], 1, 100, 100), (STARTS[1], 1, 200, 100), (STARTS[3], 1, 300, None)]


def test_cached_input_by_two_columns(many):
    engine, rows = many
    everyone = EveryonesScope(EARLIEST, LATEST)
    found = courses.cached_input(engine, everyone, STARTS[:1], by=("user_id", "model"))
    assert len(found) == 4
    for row in found:
        mine = [r for r in rows if (r["user_id"], r["model"]) == (row["user_id"], row["model"])]
        assert row["calls"] == len(mine)
        assert row["prompt_tokens"] == sum(r["prompt_tokens"] for r in mine)
        assert row["cached_tokens"] == sum(r["cached_tokens"] or 0 for r in mine)


def test_sums_by_two_columns_make_those_by_one(many):
    engine, _ = many
    both = courses.sums(engine, hers(), grain="day", by=("vendor", "model"))
    alone = courses.sums(engine, hers(), grain="day")
    for row in alone:
        parts = [part for part in both if part["start"] == row["start"]]
        for name in ("calls", "failed", "total_tokens", "cost_usd"):
            assert sum(part[name] for part in parts) == row[name]


def test_another_users_calls_are_in_none_of_them(many):
    engine, rows = many
    nobody = Scope("usr_nobody", EARLIEST, LATEST)
    assert courses.waits(engine, nobody, STARTS) == courses.cached_input(engine, nobody, STARTS) == []
    (his,) = courses.cached_input(engine, Scope(BOB, STARTS[0], LATEST), STARTS[:1])
    assert his["calls"] == sum(r["user_id"] == BOB for r in rows)
