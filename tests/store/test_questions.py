import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from byok.store import questions
from byok.store.scope import EveryonesScope, Scope
from byok.zones import EARLIEST, LATEST, midnight

ADA, BOB = "usr_ada1", "usr_bob1"
EVERYONE = EveryonesScope(EARLIEST, LATEST)


def hers(**words) -> Scope:
    return Scope(ADA, **({"since": EARLIEST, "until": LATEST} | words))


@pytest.fixture
def ten(world, record):
    """Seven records of Ada in files and tail, one of them unpriced and one failed, and three of Bob."""
    failed = {"status": 429, "prompt_tokens": None, "completion_tokens": None, "usage_source": "none"}
    world.reader.publish(
        [
            record("2026-10-30T10:00:00Z", model="gpt-4o", prompt_tokens=1000, completion_tokens=100, key_id="key_two2"),
            record("2026-11-01T00:10:00Z", cached_tokens=4, reasoning_tokens=2),
            record("2026-11-02T00:10:00Z", BOB),
            record("2026-11-02T00:20:00Z", BOB, vendor="deepseek", model="deepseek-v4-pro"),
        ]
    )
    world.reader.publish([record("2026-11-03T00:10:00Z", **failed), record("2026-11-03T23:30:00Z", vendor="mistral", model="unknown-1")])
    world.reader.append([record("2026-11-20T00:10:00Z"), record("2026-11-20T00:20:00Z", status=499), record("2026-11-21T00:20:00Z", BOB)])
    world.reader.append([record("2026-11-22T11:59:59.999999Z")])
    return world.engine


def test_usage_has_the_promised_shape_order_and_sums(ten):
    body = questions.usage(ten, hers()).body()
    assert body == {
        "usage": [
            row("openai", "gpt-4o", 1000, 100, 1100, 1, 1, 0),
            row("openai", "gpt-4o-mini", 40, 20, 60, 5, 3, 2),
            row("mistral", "unknown-1", 10, 5, 15, 1, 1, 0),
        ],
        "total_tokens": 1175,
        "total_calls": 7,
        "success": 5,
        "failed": 2,
    }
    assert list(body) == ["usage", "total_tokens", "total_calls", "success", "failed"]
    assert list(body["usage"][0]) == ["vendor", "model", "prompt_tokens", "completion_tokens", "total_tokens", "calls", "success", "failed"]


def row(vendor, model, prompt, completion, total, calls, success, failed):
    names = ("vendor", "model", "prompt_tokens", "completion_tokens", "total_tokens", "calls", "success", "failed")
    return dict(zip(names, (vendor, model, prompt, completion, total, calls, success, failed), strict=True))


def test_cost_is_null_where_unknown_and_counted(ten):
    answer = questions.usage(ten, hers(), cost=True)
    assert [(r["model"], r["cost_usd"], r["unpriced_calls"]) for r in answer.rows] == [
        ("gpt-4o", Decimal("0.003500000"), 0),
        ("gpt-4o-mini", Decimal("0.000018000"), 1),
        ("unknown-1", None, 1),
    ]
    assert (answer.totals["cost_usd"], answer.totals["unpriced_calls"]) == (Decimal("0.003518000"), 2)
    assert list(answer.rows[0])[-2:] == ["cost_usd", "unpriced_calls"]


def test_nothing_costs_nothing_and_only_unpriced_costs_an_unknown_sum(ten):
    nothing = questions.usage(ten, hers(vendors=("nobody",)), cost=True)
    assert (nothing.rows, nothing.totals["cost_usd"], nothing.totals["total_calls"]) == ([], Decimal("0E-9"), 0)
    assert questions.usage(ten, hers(vendors=("mistral",)), cost=True).totals["cost_usd"] is None


@pytest.mark.parametrize(
    ("words", "calls"),
    [
        ({"vendors": ("openai",)}, 6),
        ({"vendors": ("openai", "mistral")}, 7),
        ({"models": ("gpt-4o",)}, 1),
        ({"key_ids": ("key_two2",)}, 1),
        ({"statuses": (429, 499)}, 2),
        ({"vendors": ("openai",), "statuses": (200,)}, 4),
        ({"models": ("' or 1=1 --",)}, 0),
        ({"since": datetime(2026, 11, 20, 0, 20, tzinfo=UTC)}, 2),
        ({"until": datetime(2026, 11, 20, 0, 20, tzinfo=UTC)}, 5),
        ({"since": datetime(2026, 11, 20, tzinfo=UTC), "until": datetime(2026, 11, 1, tzinfo=UTC)}, 0),
    ],
    ids=str,
)
def test_filters_hold_in_every_question(ten, words, calls):
    scope = hers(**words)
    assert questions.usage(ten, scope).totals["total_calls"] == calls
    assert questions.usage(ten, scope, group_by=("day", "status"), cost=True).totals["total_calls"] == calls
    assert questions.summary(ten, scope)["calls"] == calls
    assert sum(questions.series(ten, scope, grain="hour", by="vendor")["calls"].to_pylist()) == calls
    assert sum(batch.num_rows for batch in questions.records(ten, scope)) == calls


@pytest.mark.parametrize(
    "group_by", [("vendor",), ("key_id",), ("status",), ("day",), ("vendor", "status"), ("status", "month"), ("hour", "model")]
)
def test_rows_hold_the_group_columns_as_asked_and_the_sums(ten, group_by):
    answer = questions.usage(ten, hers(), group_by=group_by)
    assert all(tuple(r)[: len(group_by)] == group_by and len(r) == len(group_by) + 6 for r in answer.rows)
    assert answer.totals == questions.usage(ten, hers()).totals
    times = [r[group_by[0]] for r in answer.rows]
    if group_by[0] in ("day", "hour"):
        assert times == sorted(times)


def test_users_see_their_own_rows_only_and_operators_ask_for_everyone(ten):
    everyone = questions.usage(ten, EVERYONE, group_by=("user_id",))
    assert [(r["user_id"], r["calls"]) for r in everyone.rows] == [(ADA, 7), (BOB, 3)]
    assert questions.usage(ten, EveryonesScope(EARLIEST, LATEST, user_ids=(BOB,))).totals["total_calls"] == 3


def test_series_names_each_bucket_and_its_first_instant(ten):
    days = questions.series(ten, hers(tz="Europe/Berlin"), grain="day").to_pylist()
    assert [(r["bucket"], r["calls"]) for r in days] == [
        *(("2026-10-30", 1), ("2026-11-01", 1), ("2026-11-03", 1), ("2026-11-04", 1), ("2026-11-20", 2), ("2026-11-22", 1)),
    ]
    assert [r["start"] for r in days] == [midnight(datetime.fromisoformat(r["bucket"]).date(), "Europe/Berlin") for r in days]
    assert (days[2]["cost_usd"], days[2]["unpriced_calls"]) == (None, 1)
    assert set(questions.series(ten, hers(), grain="month", by="model").column_names) >= {"bucket", "start", "model", "failed"}


def test_summary_facets_extent_and_freshness(ten):
    summary = questions.summary(ten, hers())
    assert (summary["calls"], summary["cached_tokens"], summary["reasoning_tokens"], summary["unpriced_calls"]) == (7, 4, 2, 2)
    assert summary["cost_usd"] == Decimal("0.003518000")
    assert questions.summary(ten, hers(vendors=("nobody",)))["cost_usd"] == 0
    assert questions.facets(ten, hers(vendors=("openai",))) == {
        "vendor": ["mistral", "openai"],
        "model": ["gpt-4o", "gpt-4o-mini", "unknown-1"],
        "key_id": ["key_one1", "key_two2"],
        "status": ["200", "429", "499"],
    }
    oldest, newest, rows = questions.extent(ten, ADA)
    assert (oldest.isoformat(), newest.isoformat(), rows) == ("2026-10-30T10:00:00+00:00", "2026-11-22T11:59:59.999999+00:00", 7)
    assert questions.extent(ten, "usr_nobody") == (None, None, 0)
    fresh = questions.freshness(ten)
    assert (fresh.newest_ts, fresh.pending_rows, fresh.files, fresh.quarantined) == (newest, 4, 2, 0)


def test_facets_of_nothing_are_empty(ten):
    assert questions.facets(ten, Scope("usr_nobody", EARLIEST, LATEST)) == {"vendor": [], "model": [], "key_id": [], "status": []}


def test_the_price_list_says_what_is_in_force(ten):
    prices = {(row["vendor"], row["model"]): row for row in questions.price_list(ten)}
    assert prices["openai", "gpt-4o"]["input_usd_per_mtok"] == Decimal("2.5")
    assert len(prices) >= 40


def test_records_come_in_order_of_time_in_the_columns_of_the_record(ten, monkeypatch):
    monkeypatch.setattr(questions, "_SLICE_ROWS", 2)  # so that these few are cut, too
    rows = [row for batch in questions.records(ten, hers()) for row in batch.to_pylist()]
    assert len(rows) == 7 and [r["ts"] for r in rows] == sorted(r["ts"] for r in rows)
    priced = next(iter(questions.records(ten, hers(), priced=True)))
    assert priced.schema.names[-2:] == ["cost_usd", "price_source"]


def test_an_export_is_of_one_moment_also_while_records_come_and_files_are_merged(world, record, monkeypatch):
    monkeypatch.setattr(questions, "_SLICE_ROWS", 1)
    rows = [record(f"2026-11-0{day}T00:00:00Z", latency_ms=day) for day in (2, 4, 6)]
    parts = [world.reader.publish([row]) for row in rows]
    batches = questions.records(world.engine, Scope(ADA, EARLIEST, LATEST))
    seen = next(batches).to_pylist()
    world.reader.append([record("2026-11-01T00:00:00Z"), record("2026-11-05T00:00:00Z")])  # late ones, before and after what was read
    world.reader.publish(rows)
    for part in parts:
        world.reader.drop(part)
    seen += [row for batch in batches for row in batch.to_pylist()]
    assert [row["latency_ms"] for row in seen] == [2, 4, 6]


def test_an_export_goes_on_when_its_files_are_gone(world, record, monkeypatch):
    monkeypatch.setattr(questions, "_SLICE_ROWS", 1)
    rows = [record(f"2026-11-0{day}T00:00:00Z", latency_ms=day) for day in (2, 4, 6)]
    parts = [world.reader.publish([row]) for row in rows]
    batches = questions.records(world.engine, Scope(ADA, EARLIEST, LATEST))
    seen = next(batches).to_pylist()
    world.reader.publish(rows)
    for part in parts:
        world.reader.drop(part)
        part.unlink()
    seen += [row for batch in batches for row in batch.to_pylist()]
    assert [row["latency_ms"] for row in seen] == [2, 4, 6]


def test_no_records_are_one_empty_batch(ten):
    (batch,) = questions.records(ten, Scope("usr_nobody", EARLIEST, LATEST))
    assert batch.num_rows == 0 and len(batch.schema) == 16


def around_clock_changes(zone: str) -> list[datetime]:
    """Every quarter of an hour of the days around each change of 2026, and both sides of it."""
    where, times = ZoneInfo(zone), []
    for day in range(365):
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)
        if at.astimezone(where).utcoffset() != (at + timedelta(days=1)).astimezone(where).utcoffset():
            times += [at + timedelta(minutes=15 * n, microseconds=n % 3 - 1) for n in range(-96, 192)]
    rng = random.Random(zone)
    return times + [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=rng.uniform(0, 364 * 86400)) for _ in range(300)]


@pytest.mark.parametrize(
    "zone",
    [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Asia/Kolkata",
        "America/St_Johns",
        "Australia/Lord_Howe",
        "Pacific/Chatham",
        "Africa/Cairo",
    ],
)
def test_days_hours_and_months_are_those_of_the_zone(world, record, zone):
    world.now, world.retention = datetime(2027, 1, 1, tzinfo=UTC), {ADA: 1000}
    rows = [record(ts, prompt_tokens=index, completion_tokens=0) for index, ts in enumerate(around_clock_changes(zone))]
    world.reader.publish(rows[::2])
    world.reader.append(rows[1::2])
    local = [(r["ts"].astimezone(ZoneInfo(zone)), r["total_tokens"]) for r in rows]
    for grain, label in {
        "hour": lambda t: t.strftime("%Y-%m-%dT%H:00:00") + t.isoformat()[-6:],
        "day": lambda t: t.strftime("%Y-%m-%d"),
        "month": lambda t: t.strftime("%Y-%m"),
    }.items():
        expected = Counter()
        for at, tokens in local:
            expected[label(at)] += tokens
        answer = questions.usage(world.engine, hers(tz=zone), group_by=(grain,))
        assert {r[grain]: r["total_tokens"] for r in answer.rows} == expected
        in_time = list(dict.fromkeys(label(at) for at, _ in sorted(local, key=lambda pair: pair[0].astimezone(UTC))))
        assert [r[grain] for r in answer.rows] == in_time


def test_every_series_comes_hour_by_hour_and_only_what_is_kept(world, record):
    rows = [record("2026-11-01T10:59:59Z"), record("2026-11-01T10:00:00Z", status=500), record("2026-11-01T11:00:00Z")]
    world.reader.publish([*rows, record("2026-11-01T10:00:00Z", BOB), record("2026-11-01T10:00:00Z", "usr_gone1")])
    found = [row for batch in questions.hourly(world.engine, EVERYONE) for row in batch.to_pylist()]
    told = sorted((row["hour"].hour, row["user_id"], row["calls"], row["failed"], row["total_tokens"]) for row in found)
    assert told == [(10, ADA, 2, 1, 30), (10, BOB, 1, 0, 15), (11, ADA, 1, 0, 15)]
