from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byok.pricing.catalogue import Price
from byok.pricing.cost import cost
from byok.usage import TokenCounts


def price(input="3", output="15", cached=None, write=None) -> Price:
    def pico(rate):
        return None if rate is None else int(Decimal(rate) * 10**6)

    return Price(date(2026, 6, 6), None, None, pico(input), pico(output), pico(cached), pico(write), "a page")


@pytest.mark.parametrize(
    ("tokens", "rates", "usd"),
    [
        (TokenCounts(1_000_000, 1_000_000), price(), "18"),
        (TokenCounts(0, 0), price(), "0"),
        (TokenCounts(1, 0), price("0.075"), "0.000000075"),
        (TokenCounts(10_000, 0, cached_tokens=9_999), price(), "0.03"),
        (TokenCounts(10_000, 0, cached_tokens=4_000), price(cached="0.3"), "0.0192"),
        (TokenCounts(10_000, 0, cached_tokens=4_000, cache_write_tokens=1_000), price(cached="0.3", write="3.75"), "0.01995"),
        (TokenCounts(100, 5_000, reasoning_tokens=4_999), price(), "0.0753"),
        (TokenCounts(10, 0, cached_tokens=50, cache_write_tokens=50), price(cached="0.3", write="3.75"), "0.000003"),
        (TokenCounts(10**15, 10**15), price(), None),
        (TokenCounts(None, 5), price(), None),
        (TokenCounts(5, None), price(), None),
    ],
)
def test_cost_of_known_counts(tokens, rates, usd):
    assert cost(tokens, rates) == (None if usd is None else Decimal(usd))


@pytest.mark.parametrize(("tokens", "nano"), [(1, 0), (3, 2), (5, 2), (7, 4), (9, 4)])
def test_half_a_nano_dollar_goes_to_the_even_neighbour(tokens, nano):
    assert cost(TokenCounts(tokens, 0), price("0.0005")) == Decimal(nano).scaleb(-9)


@given(prompt=st.integers(0, 10**10), completion=st.integers(0, 10**10), rate=st.integers(0, 10**9))
def test_cost_is_the_exact_product_rounded_once(prompt, completion, rate):
    rates = Price(date(2026, 6, 6), None, None, rate, 7 * rate + 1, None, None, "a page")
    exact = (Decimal(prompt) * rate + Decimal(completion) * (7 * rate + 1)).scaleb(-12)
    rounded = exact.quantize(Decimal("1e-9"), ROUND_HALF_EVEN)
    assert cost(TokenCounts(prompt, completion), rates) == (rounded if rounded < 10**9 else None)


@pytest.mark.parametrize(
    ("prompt", "completion", "cached", "written", "rates", "usd"),
    [
        # BerriAI/litellm 9812: booked 0.091311, the vendor's console said 0.05439
        (3 + 12_304, 550, 0, 12_304, price("3", "15", "0.3", "3.75"), "0.054399"),
        # BerriAI/litellm 14849: booked 0.7642, should have been 0.1849
        (262_960, 1_744, 257_955, 0, price("1.25", "10", "0.625"), "0.184918125"),
        # maximhq/bifrost 3451: booked 1.85984625, the vendor charged 1.06376125
        (6 + 159_217, 2_745, 0, 159_217, price("5", "25", "0.5", "6.25"), "1.06376125"),
    ],
    ids=["0.0544", "0.185", "1.064"],
)
def test_published_mispricings_are_priced_right(prompt, completion, cached, written, rates, usd):
    tokens = TokenCounts(prompt, completion, cached_tokens=cached, cache_write_tokens=written)
    assert cost(tokens, rates) == Decimal(usd)
