"""Where the month goes, asked of the engine: zones, filters, retention, and what has no price."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from byok.store.outlook import outlook
from byok.store.scope import EveryonesScope, Scope
from byok.zones import EARLIEST, LATEST
from tests.store.conftest import ADA, BOB, NOW


def hers(**words) -> Scope:
    return Scope(ADA, EARLIEST, LATEST, **words)


def daily(record, days, **fields):
    """One call at noon of each of the last `days` days, 1 M tokens of gpt-4o-mini: 0.15 USD."""
    return [record(NOW - timedelta(days=n), prompt_tokens=1_000_000, completion_tokens=0, **fields) for n in range(1, days + 1)]


@pytest.fixture
def month(world, record):
    world.reader.publish([*daily(record, 60), *daily(record, 60, user_id=BOB)])
    world.reader.append([record(NOW - timedelta(hours=1), model="unknown-1")])
    return world


def test_the_month_so_far_and_its_end(month):
    found = outlook(month.engine, hers(), now=NOW)
    assert (found.month, found.today, found.until) == (date(2026, 11, 1), date(2026, 11, 22), date(2026, 12, 1))
    assert found.forecast.so_far == pytest.approx(21 * 0.15)
    assert found.forecast.middle == pytest.approx(30 * 0.15 - 0.5 * 0.15, rel=0.02)  # noon: half of today is expected to be over
    assert found.unpriced_calls == 1
    assert found.days[date(2026, 11, 3)] == pytest.approx(0.15)
    facts = found.facts()
    assert facts["month"] == "2026-11"
    assert facts["so_far"] == Decimal("3.150000000")


def test_what_the_month_came_to_is_exact_and_not_known_where_no_cost_is(world, record):
    huge = [record(NOW - timedelta(hours=n), prompt_tokens=10**13 + n, completion_tokens=1) for n in range(1, 40)]
    world.reader.append(huge)
    exact = sum(Decimal(row["prompt_tokens"]) * Decimal("0.00000015") + Decimal("0.0000006") for row in huge)
    assert outlook(world.engine, hers(), now=NOW).facts()["so_far"] == exact
    world.reader.append([record(NOW - timedelta(hours=1), vendor="groq", model="unknown-1")])
    nothing = outlook(world.engine, hers(vendors=("groq",)), now=NOW)
    assert (nothing.facts()["so_far"], nothing.unpriced_calls) == (None, 1)
    assert outlook(world.engine, hers(vendors=("xai",)), now=NOW).facts()["so_far"] == 0


def test_tokens_and_calls_have_their_own(month):
    assert outlook(month.engine, hers(), now=NOW, metric="tokens").forecast.so_far == 21_000_015
    assert outlook(month.engine, hers(), now=NOW, metric="calls").facts()["so_far"] == 22


def test_a_scope_narrows_and_everyone_is_everyone(month):
    assert outlook(month.engine, hers(vendors=("anthropic",)), now=NOW).forecast.basis == "There is nothing before today to go by."
    assert outlook(month.engine, EveryonesScope(EARLIEST, LATEST), now=NOW).forecast.so_far == pytest.approx(2 * 21 * 0.15)


def test_days_are_those_of_the_zone(world, record):
    world.reader.publish([record("2026-10-31T23:30:00Z", prompt_tokens=1_000_000, completion_tokens=0)])
    assert outlook(world.engine, hers(tz="Europe/Berlin"), now=NOW).days == {date(2026, 11, 1): pytest.approx(0.15)}
    assert outlook(world.engine, hers(), now=NOW).days == {}


def test_a_month_that_the_plan_no_longer_keeps_whole_has_no_forecast(month):
    found = outlook(month.engine, hers(), now=NOW, kept_from=NOW - timedelta(days=7)).forecast
    assert not found.enough
    assert found.basis == "The plan no longer keeps the beginning of this month."


def test_a_day_that_retention_cuts_is_no_day_of_the_past(month):
    late = datetime(2026, 11, 25, 12, tzinfo=UTC)
    found = outlook(month.engine, hers(), now=late, kept_from=late - timedelta(days=30)).forecast
    assert "From the last 29 days" in found.basis
