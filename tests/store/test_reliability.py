"""How calls ended and how long they took: exact, in the reader's zone, and of one's own records only."""

from datetime import UTC, datetime
from statistics import quantiles

from byok.store import reliability
from byok.store.scope import EveryonesScope, Scope
from byok.zones import EARLIEST, LATEST

ADA, BOB = "usr_ada1", "usr_bob1"
EVERYONE = EveryonesScope(EARLIEST, LATEST)


def hers(**words) -> Scope:
    return Scope(ADA, **({"since": EARLIEST, "until": LATEST} | words))


def test_percentiles_are_exact_of_what_was_measured_in_successful_calls(world, record):
    times = [100 * number for number in range(1, 101)]
    world.reader.publish([record(datetime(2026, 11, 2, tzinfo=UTC), latency_ms=ms, ttft_ms=ms // 10) for ms in times])
    world.reader.append(
        [
            record("2026-11-03T00:00:00Z", latency_ms=None, ttft_ms=None),
            record("2026-11-03T00:00:00Z", status=504, latency_ms=300_000),
            record("2026-11-03T00:00:00Z", BOB, latency_ms=900_000),
        ]
    )
    found = reliability.speeds(world.engine, hers())
    (model,) = found.models
    assert found.whole == model | {"vendor": None, "model": None}
    assert (model["calls"], model["timed"]) == (101, 100)
    assert (model["latency_p50_ms"], model["latency_p95_ms"], model["ttft_p50_ms"], model["ttft_p95_ms"]) == (5000, 9500, 500, 950)
    assert quantiles(times, n=20)[18] >= 9500
    assert reliability.speeds(world.engine, EVERYONE).whole["calls"] == 102


def test_without_a_success_there_is_no_speed(world, record):
    world.reader.append([record("2026-11-03T00:00:00Z", status=500)])
    found = reliability.speeds(world.engine, hers())
    assert (found.whole, found.models) == (None, [])


def test_weekdays_and_hours_are_of_the_readers_zone_also_when_its_hours_begin_at_the_half(world, record):
    world.reader.append([record("2026-11-21T20:40:00Z"), record("2026-11-21T20:40:00Z", status=500), record("2026-11-21T20:40:00Z", BOB)])

    def week(tz: str) -> list[tuple[int, int, int, int]]:
        rows = reliability.week(world.engine, hers(tz=tz))
        return [(row["weekday"], row["hour_of_day"], row["calls"], row["failed"]) for row in rows]

    assert week("UTC") == [(6, 20, 2, 1)]
    assert week("Asia/Kolkata") == [(7, 2, 2, 1)]
    assert week("America/New_York") == [(6, 15, 2, 1)]


def test_the_week_is_the_same_from_remembered_sums(world, record):
    from tests.store.conftest import NOW

    rows = [record(NOW.replace(hour=hour, day=day), status=500 if hour == 3 else 200) for hour in range(12) for day in (3, 4, 10)]
    world.reader.publish(rows)
    plain = reliability.week(world.engine, EVERYONE)
    world.engine._remembered._from_rows = 1
    assert reliability.week(world.engine, EVERYONE) == plain
    assert [(row["weekday"], row["hour_of_day"]) for row in plain][:2] == [(2, 0), (2, 1)]


def test_sources_and_newest_failures_are_counted_and_ordered(world, record):
    failed = {"status": 429, "prompt_tokens": None, "completion_tokens": None, "total_tokens": None, "usage_source": "none"}
    world.reader.publish([record("2026-11-03T00:10:00Z", **failed), record("2026-11-03T00:20:00Z")])
    world.reader.append(
        [record("2026-11-04T00:10:00Z", status=499, usage_source="estimated"), record("2026-11-04T00:20:00Z", BOB, **failed)]
    )
    assert reliability.sources(world.engine, hers()) == [
        {"usage_source": "estimated", "calls": 1, "success": 0, "uncounted": 0, "total_tokens": 15},
        {"usage_source": "none", "calls": 1, "success": 0, "uncounted": 1, "total_tokens": 0},
        {"usage_source": "vendor", "calls": 1, "success": 1, "uncounted": 0, "total_tokens": 15},
    ]
    newest = reliability.recent_failures(world.engine, hers(), most=10)
    assert [(row["status"], row["ts"].day) for row in newest] == [(499, 4), (429, 3)]
    assert len(reliability.recent_failures(world.engine, hers(), most=1)) == 1
    assert [row["user_id"] for row in reliability.recent_failures(world.engine, EVERYONE, most=1)] == [BOB]
