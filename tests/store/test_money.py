"""What each part of a cost comes to adds up to the last digit; a what-if is what the other price would have charged, call by call."""

from datetime import timedelta
from decimal import Decimal

import pytest

from byok.pricing import catalogue
from byok.pricing.cost import cost
from byok.store import money, questions
from byok.store.money import WhatIfInvalid
from byok.store.scope import EveryonesScope, Scope
from byok.usage import TokenCounts
from byok.zones import EARLIEST, LATEST
from tests.store.conftest import ADA, BOB, NOW

MINE = Scope(ADA, EARLIEST, LATEST, "Europe/Berlin")
EVERYONE = EveryonesScope(EARLIEST, LATEST)
MINI, NANO5, OPUS = ("openai", "gpt-4o-mini"), ("openai", "gpt-5-nano"), ("anthropic", "claude-opus-4-7")


@pytest.fixture
def spent(world, record):
    """Calls with and without caches, one long, one unpriced, one failed, one of somebody else; some in a file, some in the journal."""

    def call(hours, vendor, model, prompt, completion, user_id=ADA, **more):
        return record(
            NOW - timedelta(hours=hours), user_id, vendor=vendor, model=model, prompt_tokens=prompt, completion_tokens=completion, **more
        )

    world.reader.publish(
        [
            call(50, *MINI, 1_000_003, 70_001),
            call(49, *OPUS, 90_000, 900, cached_tokens=60_000, cache_write_tokens=20_001),
            call(30, "gemini", "gemini-2.5-pro", 250_000, 1_000, cached_tokens=100_000),
            call(9, *MINI, 500, 5, user_id=BOB),
        ]
    )
    world.reader.append(
        [
            call(2, "nobody", "unpriced-1", 500, 5),
            call(1, *MINI, None, None, status=429),
            call(1, "deepseek", "deepseek-v4-flash", 70_007, 3_003, cached_tokens=7_001),
        ]
    )
    return world.engine


@pytest.mark.parametrize("group_by", [("vendor", "model"), ("day",), ("key_id",), ("status", "hour")])
def test_the_parts_add_up_to_the_cost_of_the_question_without_them(spent, group_by):
    for scope in (MINE, EVERYONE):
        found = money.costs(spent, scope, group_by=group_by)
        plain = questions.usage(spent, scope, group_by=group_by, cost=True)
        assert {tuple(row[name] for name in group_by): row["cost_usd"] for row in found.rows} == {
            tuple(row[name] for name in group_by): row["cost_usd"] for row in plain.rows
        }
        for row in [*found.rows, found.totals]:
            parts = [row[name] for name in money.PARTS]
            assert (row["cost_usd"] is None and parts == [None] * 5) or sum(parts) == row["cost_usd"]
        assert found.totals["cost_usd"] == plain.totals["cost_usd"]


def test_each_part_is_what_its_tokens_cost(spent):
    rows = {(row["vendor"], row["model"]): row for row in money.costs(spent, MINE).rows}
    opus = rows[OPUS]
    parts = [opus[name] for name in money.PARTS]
    assert parts == [Decimal("0.049995"), Decimal("0.03"), Decimal("0.12500625"), Decimal("0.0225"), Decimal(0)]
    assert opus["saved_usd"] == Decimal("0.27") - Decimal("0.02500125")
    assert (opus["cached_tokens"], opus["cache_write_tokens"]) == (60_000, 20_001)
    assert opus["usd_per_1000_calls"] == opus["cost_usd"] * 1000
    mini = rows[MINI]
    assert (mini["calls"], mini["unpriced_calls"], mini["usd_per_1000_calls"]) == (2, 1, mini["cost_usd"] * 1000)
    assert rows["nobody", "unpriced-1"]["cost_usd"] is None and list(rows)[-1] == ("nobody", "unpriced-1")


def test_a_long_prompt_is_split_at_its_own_rates(spent):
    (row,) = [row for row in money.costs(spent, MINE).rows if row["model"] == "gemini-2.5-pro"]
    price = catalogue.load().price_at("gemini", "gemini-2.5-pro", NOW)
    assert row["cost_usd"] == cost(TokenCounts(250_000, 1_000, cached_tokens=100_000), price, NOW)
    assert row["cached_usd"] == 100_000 * Decimal(price.steps[0].rates.cached).scaleb(-12)


def test_every_price_that_was_used_is_named_with_its_date(spent):
    found = money.price_sources(spent, MINE)
    assert found[MINI] == ["as stated by the product's owner (2026-06-06)"]
    assert ("nobody", "unpriced-1") not in found


def test_a_what_if_is_what_the_other_price_charges_call_by_call(spent):
    found = money.what_if(spent, MINE, swaps={OPUS: MINI, MINI: OPUS})
    rows = {(row["vendor"], row["model"]): row for row in found.rows}
    book = catalogue.load()
    expected = cost(TokenCounts(90_000, 900, cached_tokens=60_000, cache_write_tokens=20_001), book.price_at(*MINI, NOW), NOW)
    assert (rows[OPUS]["what_if_usd"], rows[OPUS]["to_model"]) == (expected, "gpt-4o-mini")
    assert rows[MINI]["what_if_usd"] == cost(TokenCounts(1_000_003, 70_001), book.price_at(*OPUS, NOW), NOW)
    assert rows[MINI]["unpriced_calls"] == 1
    assert rows["gemini", "gemini-2.5-pro"]["difference_usd"] == 0
    assert rows["nobody", "unpriced-1"]["difference_usd"] is None
    assert found.totals["difference_usd"] == found.totals["what_if_usd"] - found.totals["cost_usd"]
    assert found.totals["cost_usd"] == questions.usage(spent, MINE, cost=True).totals["cost_usd"]


def test_changing_nothing_changes_no_digit(spent):
    found = money.what_if(spent, EVERYONE, swaps={MINI: MINI})
    assert {row["difference_usd"] for row in found.rows} == {Decimal(0), None}


@pytest.mark.parametrize(("share", "cached"), [(0.0, 0), (0.5, 45_000), (1.0, 90_000)])
def test_another_share_of_cached_input(spent, share, cached):
    found = money.what_if(spent, MINE, swaps={}, cached_share=share)
    (row,) = [row for row in found.rows if row["model"] == OPUS[1]]
    price = catalogue.load().price_at(*OPUS, NOW)
    assert row["what_if_usd"] == cost(TokenCounts(90_000, 900, cached_tokens=cached), price, NOW)


def test_a_share_of_the_input_is_that_share_to_the_token(world, record):
    """As binary fractions 0.7 of 90 is a bit less than 63."""
    world.reader.append([record(NOW - timedelta(hours=1), vendor=OPUS[0], model=OPUS[1], prompt_tokens=90, completion_tokens=0)])
    (row,) = money.what_if(world.engine, MINE, swaps={}, cached_share=0.7).rows
    assert row["what_if_usd"] == cost(TokenCounts(90, 0, cached_tokens=63), catalogue.load().price_at(*OPUS, NOW), NOW)


def test_a_what_if_of_an_unpriced_model_gives_it_a_cost_and_compares_nothing(spent):
    found = money.what_if(spent, MINE, swaps={("nobody", "unpriced-1"): MINI})
    (row,) = [row for row in found.rows if row["vendor"] == "nobody"]
    assert (row["what_if_usd"], row["difference_usd"]) == (Decimal("0.000078"), None)


@pytest.mark.parametrize(
    ("swaps", "share"), [({}, None), ({}, 1.5), ({}, -0.1), ({MINI: ("openai", "no-such")}, None), ({MINI: ("openai", "dall-e-3")}, None)]
)
def test_what_makes_no_sense_is_refused(spent, swaps, share):
    with pytest.raises(WhatIfInvalid):
        money.what_if(spent, MINE, swaps=swaps, cached_share=share)
