"""What an operator sets: dated, laid over the catalogue, and never so that a day that is over costs something else."""

from datetime import UTC, date, datetime, timedelta

import pytest

from byok.accounts import price_overrides
from byok.accounts.database import open_database
from byok.accounts.price_overrides import Stored
from byok.pricing import catalogue, exchange, files, overrides
from byok.pricing.catalogue import Catalogue
from byok.pricing.exchange import ImportInvalid
from byok.pricing.overrides import Override, PastPrice

NOW = datetime(2026, 11, 25, 15, tzinfo=UTC)
TODAY = NOW.date()
MINI = ("openai", "gpt-4o-mini")
OWN = ("lab", "our-7b")


def override(name, since, rate="1") -> Override:
    return Override(*name, since, rate and files.entry({"input": rate, "output": "2", "source": "contract"}))


def at(book: Catalogue, name, day: date, hour: int = 12) -> int | None:
    model = book.find(*name)
    price = model.price_at(datetime(day.year, day.month, day.day, hour, tzinfo=UTC)) if model else None
    return None if price is None else price.input_pico


def test_a_price_holds_from_its_day_on_and_changes_no_earlier_one():
    before = catalogue.load()
    after = overrides.applied(before, [override(MINI, TODAY)])
    overrides.refuse_past(before, after, [MINI], now=NOW)
    assert at(after, MINI, TODAY) == at(after, MINI, TODAY, hour=0) == 1_000_000
    assert at(after, MINI, TODAY - timedelta(days=1), hour=23) == at(after, MINI, date(2020, 1, 1)) == 150_000
    assert at(before, MINI, TODAY) == 150_000, "the packaged catalogue must stay as it is"


def test_the_newest_word_for_a_day_holds_and_one_can_go_back_to_the_catalogue():
    set_ = [
        override(MINI, TODAY, "5"),
        override(MINI, TODAY, "1"),
        override(MINI, date(2026, 12, 1), None),
        override(MINI, date(2027, 1, 1), "3"),
    ]
    book = overrides.applied(catalogue.load(), set_)
    days = (TODAY - timedelta(days=1), TODAY, date(2026, 11, 30), date(2026, 12, 1), date(2027, 1, 1))
    assert [at(book, MINI, day) for day in days] == [150_000, 1_000_000, 1_000_000, 150_000, 3_000_000]


@pytest.mark.parametrize("since", [TODAY - timedelta(days=1), date(2020, 1, 1)])
@pytest.mark.parametrize("rate", ["1", "0.2"])
def test_a_day_that_is_over_keeps_its_price(since, rate):
    before = catalogue.load()
    with pytest.raises(PastPrice):
        overrides.refuse_past(before, overrides.applied(before, [override(MINI, since, rate)]), [MINI], now=NOW)


def test_what_had_no_price_may_get_one_for_the_past_once():
    before = catalogue.load()
    first = [override(OWN, date(2026, 1, 1)), override(OWN, date(2026, 6, 1), "2")]
    after = overrides.applied(before, first)
    overrides.refuse_past(before, after, [OWN], now=NOW)
    assert [at(after, OWN, day) for day in (date(2020, 1, 1), date(2026, 5, 31), date(2026, 6, 1))] == [1_000_000, 1_000_000, 2_000_000]
    with pytest.raises(PastPrice):
        overrides.refuse_past(after, overrides.applied(before, [*first, override(OWN, date(2026, 3, 1), "9")]), [OWN], now=NOW)
    with pytest.raises(PastPrice):
        overrides.refuse_past(after, before, [OWN], now=NOW)


def test_an_override_survives_storage_with_its_tiers_and_can_be_withdrawn():
    tiered = files.entry(
        {"input": "1", "output": "2", "source": "s", "above": [{"tokens": 9, "input": "3", "output": "4"}], "request": "0.01"}
    )
    with open_database("sqlite://") as db:
        empty = price_overrides.version(db)
        one = Override(*OWN, TODAY, tiered)
        price_overrides.add(db, [Stored(*one[:3], one.as_json())], now=NOW)
        added = price_overrides.version(db)
        assert overrides.read(price_overrides.every(db)) == [one]
        assert price_overrides.withdraw(db, *OWN, TODAY, now=NOW) == 1
        assert price_overrides.every(db) == [] and price_overrides.withdraw(db, *OWN, TODAY, now=NOW) == 0
        assert len({empty, added, price_overrides.version(db)}) == 3


def test_a_csv_and_a_yaml_say_the_same():
    table = "vendor,model,from,input,output,cached\nlab,our-7b,2026-12-01,0.1,0.2,0.05\nopenai,gpt-4o,,2,8,\n"
    text = (
        "vendor: lab\nmodels:\n  - model: our-7b\n    prices:\n"
        "      - {from: 2026-12-01, input: 0.1, output: 0.2, cached: 0.05, source: set by the operator}\n"
    )
    own, mini = exchange.read(table, "p.csv", today=TODAY)
    assert (own.since, mini.since) == (date(2026, 12, 1), TODAY)
    assert exchange.read(text, "p.yaml", today=TODAY) == [own]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("vendor,model,input\nlab,m,1\n", "line 2"),
        ("vendor,model,input,output\nlab,m,1,-2\nlab,,1,2\n", "line 3: vendor and model are needed"),
        ("vendor,model,from,input,output\nlab,m,soon,1,2\n", "line 2"),
        ("", "there is no price in it"),
    ],
)
def test_a_file_that_makes_no_sense_sets_nothing(text, said):
    with pytest.raises(ImportInvalid) as caught:
        exchange.read(text, "p.csv", today=TODAY)
    assert said in caught.value.message
