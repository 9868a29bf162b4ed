"""What the gateway saw of a vendor's account, by day and model."""

import io
from datetime import date, timedelta
from decimal import Decimal

import pytest

from byok.reconciliation.comparison import reconcile
from byok.reconciliation.exports import lines_of
from byok.store.scope import EveryonesScope, Scope
from byok.zones import EARLIEST, LATEST
from tests.reconciliation.test_exports import ANTHROPIC_COST, OPENAI_USAGE
from tests.store.conftest import ADA, BOB, NOW, World, _record

DAY = date(2026, 11, 22)


@pytest.fixture
def engine(tmp_path):
    world = World(tmp_path)
    mini = {"model": "gpt-4o-mini"}
    world.reader.publish(
        [
            _record("2026-11-22T00:00:00Z", prompt_tokens=4000, completion_tokens=1600, **mini),
            _record("2026-11-22T11:00:00Z", status=429, prompt_tokens=None, completion_tokens=None, total_tokens=None, **mini),
            _record("2026-11-22T11:00:00Z", BOB, prompt_tokens=312, completion_tokens=83, key_id="key_bob1", **mini),
            _record("2026-11-21T23:59:59Z", prompt_tokens=9, completion_tokens=9, **mini),
            _record("2026-11-22T11:00:00Z", prompt_tokens=30, completion_tokens=3, model="gpt-4.1"),
            _record("2026-11-22T11:00:00Z", vendor="anthropic", model="claude-haiku-4-5", prompt_tokens=50_000, completion_tokens=0),
        ]
    )
    yield world.engine
    world.engine.close()


def compare(engine, text, scope=None, **words):
    return reconcile(engine, scope or Scope(ADA, EARLIEST, LATEST), lines_of(io.StringIO(text)), **words)


def test_days_and_models_stand_side_by_side_also_those_that_only_one_side_has(engine):
    found = compare(engine, OPENAI_USAGE)
    rows = {row.model: (row.day, int(row.theirs), int(row.ours), row.their_requests, row.our_requests) for row in found.rows}
    assert rows == {
        "gpt-4o": (DAY, 550, 0, 2, 0),
        "gpt-4o-mini": (DAY, 5995, 5600, 4, 1),
        "gpt-4.1": (DAY, 0, 33, 0, 1),
    }
    assert found.total.captured == pytest.approx(5600 / 6545)
    assert found.unnamed == ("gpt-4.1",), "what the export does not name would hide what it misses"
    assert next(row for row in found.rows if row.model == "gpt-4.1").captured is None


def test_everybodys_records_and_one_keys(engine):
    everyone = compare(engine, OPENAI_USAGE, EveryonesScope(EARLIEST, LATEST))
    assert next(row for row in everyone.rows if row.model == "gpt-4o-mini").captured == 1
    one_key = compare(engine, OPENAI_USAGE, EveryonesScope(EARLIEST, LATEST, key_ids=("key_bob1",)))
    assert int(one_key.total.ours) == 395


def test_cost_is_compared_as_it_is_priced_here(engine):
    found = compare(engine, ANTHROPIC_COST)
    (row,) = found.rows
    assert (row.model, row.theirs) == ("claude-haiku-4-5", Decimal("0.07"))
    assert row.ours == engine_cost(engine)
    assert found.facts()["total"]["captured"] == round(float(row.ours / row.theirs), 4)


def engine_cost(engine):
    from byok.store import questions

    scope = Scope(ADA, EARLIEST, LATEST, vendors=("anthropic",))
    return questions.usage(engine, scope, cost=True).totals["cost_usd"]


def test_where_models_are_not_told_apart_days_are_compared(engine):
    text = "start_time,end_time,input_tokens,output_tokens\n1795305600,1795392000,5633,0\n"
    (row,) = compare(engine, text).rows
    assert (row.day, row.model, row.captured) == (DAY, "all models", 1)


def test_days_that_the_plan_no_longer_keeps_whole_are_left_out_and_counted(engine):
    found = compare(engine, OPENAI_USAGE, kept_from=NOW - timedelta(hours=3))
    assert (found.rows, found.days_gone, found.total.captured) == ([], 1, None)
    assert compare(engine, OPENAI_USAGE, kept_from=NOW - timedelta(hours=12)).days_gone == 0


def test_the_largest_sums_are_told_exactly(engine):
    lines = "".join(f"2026-11-{day:02d},{10**12 - 1}.999999999\n" for day in range(1, 22))
    found = compare(engine, "usage_date_utc,cost_usd\n" + lines)
    assert found.facts()["total"]["vendor"] == 21 * (Decimal(10**12) - Decimal("0.000000001"))
