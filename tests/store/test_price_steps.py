"""Prices that depend on more than the day: long prompts, hours of the week, a fee per call; and what the parts of a call cost."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from byok.pricing import catalogue
from byok.pricing.catalogue import Catalogue, Model, Price
from byok.pricing.cost import cost, split
from byok.pricing.price import Rates, Step, minute_of_week
from byok.store.engine import Engine
from byok.store.scope import Scope
from byok.usage import TokenCounts
from byok.zones import EARLIEST, LATEST

DAY = 24 * 60
PEAK = tuple((day * DAY + start, day * DAY + end) for start, end in ((60, 240), (360, 600)) for day in range(5))
TIERED = Price(
    *(date(2026, 1, 1), None, None, 3_000_000, 15_000_000, 300_000, 3_750_000, "tiers"),
    steps=(
        Step(Rates(6_000_000, 22_500_000, 600_000, 7_500_000), above_tokens=200_000),
        Step(Rates(9_000_001, 30_000_000, 900_000, 9_500_000), above_tokens=900_000),
    ),
)
HOURLY = Price(
    *(date(2026, 1, 1), None, None, 150_000, 600_000, 3_000, None, "hours"),
    steps=(Step(Rates(300_000, 1_200_000, 6_000), minutes=PEAK),),
)
FEE = Price(date(2026, 1, 1), None, None, 1_000_000, 1_000_000, None, None, "fee", request_pico=5 * 10**9)
ODD = Price(date(2026, 1, 1), None, None, 1_250_501, 10_000_001, 125_250, 3_750_333, "odd")
PRICES = {"tiered": TIERED, "hourly": HOURLY, "fee": FEE, "odd": ODD}
BOOK = Catalogue([Model("openai", name, (), (price,)) for name, price in PRICES.items()])
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
COUNT = st.one_of(
    st.none(), st.integers(0, 30), st.sampled_from([200_000, 200_001, 900_000, 900_001]), st.integers(0, 2**40), st.integers(0, 2**62)
)
CALL = st.fixed_dictionaries(
    {
        "prompt_tokens": COUNT,
        "completion_tokens": COUNT,
        "cached_tokens": COUNT,
        "cache_write_tokens": COUNT,
        "total_tokens": st.none(),
        "model": st.sampled_from(list(PRICES)),
        "ts": st.builds(lambda us: MONDAY + timedelta(microseconds=us), st.integers(-(10**15), 7 * 86_400 * 10**6)),
    }
)


@pytest.mark.parametrize(("prompt", "usd"), [(200_000, "0.6"), (200_001, "1.200006"), (900_001, "8.100009900001")])
def test_the_whole_call_is_charged_at_the_rate_of_its_size(prompt, usd):
    assert cost(TokenCounts(prompt, 0), TIERED) == Decimal(usd).quantize(Decimal("1e-9"))


@pytest.mark.parametrize(
    ("at", "peak"),
    [
        (MONDAY.replace(hour=0, minute=59), False),
        (MONDAY.replace(hour=1), True),
        (MONDAY.replace(hour=3, minute=59), True),
        (MONDAY.replace(hour=4), False),
        (MONDAY.replace(hour=9, minute=59), True),
        (MONDAY + timedelta(days=4, hours=2), True),
        (MONDAY + timedelta(days=5, hours=2), False),  # a Saturday
    ],
)
def test_hours_of_the_week_have_rates_of_their_own(at, peak):
    assert cost(TokenCounts(1_000_000, 0), HOURLY, at) == Decimal("0.3" if peak else "0.15")


def test_deepseeks_peak_is_on_weekdays_and_twice_the_rest():
    price = catalogue.load().price_at("deepseek", "deepseek-v4-flash", MONDAY)
    tokens = TokenCounts(1_000_000, 1_000_000, cached_tokens=500_000)
    calm, peak, weekend = (cost(tokens, price, MONDAY + timedelta(hours=hours)) for hours in (5, 7, 5 * 24 + 7))
    assert (calm, peak, weekend) == (Decimal("0.6765"), Decimal("1.353"), Decimal("0.6765"))


def test_a_price_that_depends_on_the_hour_must_be_told_it():
    with pytest.raises(ValueError, match="hour"):
        cost(TokenCounts(1, 1), HOURLY)


def test_a_fee_is_charged_once_per_call():
    assert cost(TokenCounts(25, 259), FEE) == Decimal("0.005284")
    assert cost(TokenCounts(None, 259), FEE) is None


def test_what_a_record_cannot_tell_apart_is_information_only():
    price = catalogue.load().price_at("anthropic", "claude-opus-4-7", MONDAY)
    assert dict(price.beside)["cache_write_1h"] == 10
    assert cost(TokenCounts(1_000_000, 0, cache_write_tokens=1_000_000), price) == Decimal("6.25")


def test_conditions_are_told_in_words():
    assert HOURLY.conditions() == "Mon-Fri 01:00-04:00 UTC and Mon-Fri 06:00-10:00 UTC: input 0.3, output 1.2, cached 0.006"
    assert str(TIERED.conditions()).startswith(
        "above 200,000 prompt tokens: input 6, output 22.5, cached 0.6, cache write 7.5; above 900,000"
    )
    assert FEE.conditions() == "each call: 0.005 USD"
    assert catalogue.load().price_at("openai", "gpt-4o", MONDAY).conditions() is None


@given(st.integers(0, 4 * 10**9))
def test_the_minute_of_the_week_is_what_sql_computes(second):
    at = datetime.fromtimestamp(second, UTC)
    assert minute_of_week(at) == (int(at.timestamp()) // 60 + 4320) % 10080


@pytest.fixture
def costed(world):
    """What the views say of these records, in their order."""
    engine = Engine(world.reader, BOOK, retention=lambda: {"usr_ada1": 300_000}, keys=list, now=lambda: world.now)

    def ask(rows):
        world.reader.tail = world.reader.tail.slice(0, 0)
        world.reader.append([row | {"latency_ms": index} for index, row in enumerate(rows)])
        nanos = ("cost_nano", "cached_nano", "written_nano", "output_nano", "request_nano", "saved_nano")
        parts = ", ".join(f"usd_of_nano({nano})" for nano in nanos)
        return engine.connection().execute(f"select {parts} from usage_costed order by latency_ms").fetchall()

    yield ask
    engine.close()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=st.lists(CALL, min_size=1, max_size=30))
def test_sql_and_python_agree_on_every_part_to_the_last_digit(costed, record, calls):
    rows = [record(call.pop("ts"), **call) for call in [dict(call) for call in calls]]
    assert costed(rows) == [expected(row) for row in rows]


def expected(row) -> tuple:
    counts = {name: row[name] for name in ("prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens")}
    price = PRICES[row["model"]]
    whole, parts = cost(TokenCounts(**counts), price, row["ts"]), split(TokenCounts(**counts), price, row["ts"])
    if parts is None:
        return (None,) * 6
    assert sum(parts[:5]) == whole, "the parts must add up"
    return (whole, *parts[1:])


def test_the_views_say_it_in_one_scope(world, record):
    engine = Engine(world.reader, BOOK, retention=lambda: {"usr_ada1": 300_000}, keys=list, now=lambda: world.now)
    world.reader.append([record(MONDAY, model="tiered", prompt_tokens=300_000, completion_tokens=0)])
    (row,) = engine.ask("records", Scope("usr_ada1", EARLIEST, LATEST), priced=True).to_pylist()
    assert (row["cost_usd"], row["price_source"]) == (Decimal("1.8"), "tiers")
    engine.close()
