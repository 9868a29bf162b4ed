from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from byok.pricing.catalogue import Catalogue, Model, Price
from byok.pricing.cost import cost
from byok.store.engine import Engine
from byok.store.scope import Scope
from byok.usage import TokenCounts
from byok.zones import EARLIEST, LATEST

CHANGE = datetime(2026, 6, 1, tzinfo=UTC)
EARLY = Price(date(2026, 1, 1), None, CHANGE, 75_001, 300_500, None, None, "early")
LATE = Price(date(2026, 6, 1), CHANGE, None, 1_250_500, 10_000_001, 125_250, 3_750_333, "late")
ALWAYS = Price(date(2026, 1, 1), None, None, 75_000, 300_000, 0, None, "always")
BOOK = Catalogue([Model("openai", "m1", (), (EARLY, LATE)), Model("azure", "m1", (), (ALWAYS,)), Model("openai", "free", (), ())])
COUNT = st.one_of(st.none(), st.integers(0, 30), st.integers(0, 10**7), st.integers(0, 2**62))
CALL = st.fixed_dictionaries(
    {
        "prompt_tokens": COUNT,
        "completion_tokens": COUNT,
        "cached_tokens": COUNT,
        "cache_write_tokens": COUNT,
        "total_tokens": st.none(),
        "vendor": st.sampled_from(["openai", "azure", "nobody"]),
        "model": st.sampled_from(["m1", "free"]),
        "ts": st.sampled_from([datetime(2001, 1, 1, tzinfo=UTC), CHANGE - timedelta(microseconds=1), CHANGE, CHANGE + timedelta(days=99)]),
    }
)


@pytest.fixture
def priced(world):
    """What `usage_priced` says of these records, in their order."""
    engine = Engine(world.reader, BOOK, retention=lambda: {"usr_ada1": 20_000}, keys=list, now=lambda: world.now)

    def ask(rows):
        world.reader.tail = world.reader.tail.slice(0, 0)
        world.reader.append([row | {"latency_ms": index} for index, row in enumerate(rows)])
        found = engine.ask("records", Scope("usr_ada1", EARLIEST, LATEST), priced=True).sort_by("latency_ms").to_pylist()
        return [(row["cost_usd"], row["price_source"]) for row in found]

    yield ask
    engine.close()


def expected(row) -> tuple[Decimal | None, str | None]:
    if (row["vendor"], row["model"]) not in {("openai", "m1"), ("azure", "m1")}:
        return None, None
    price = BOOK.price_at(row["vendor"], row["model"], row["ts"])
    counts = ("prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens")
    usd = cost(TokenCounts(**{name: row[name] for name in counts}), price)
    return usd, None if usd is None else price.source


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=st.lists(CALL, min_size=1, max_size=30))
def test_sql_and_python_agree_to_the_last_digit(priced, record, calls):
    rows = [record(call.pop("ts"), **call) for call in [dict(call) for call in calls]]
    assert priced(rows) == [expected(row) for row in rows]


def test_a_price_change_changes_no_earlier_call(priced, record):
    tokens = {"prompt_tokens": 1_000_000, "completion_tokens": 0, "model": "m1"}
    before, after = priced([record(CHANGE - timedelta(seconds=1), **tokens), record(CHANGE, **tokens)])
    assert before == (Decimal("0.075001"), "early") and after == (Decimal("1.2505"), "late")
