"""The whole table beside genai-prices: one on which both agree, and every difference with its reason."""

import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from byok.errors import NotFound
from byok.pricing import catalogue, comparison, genai
from byok.pricing.cost import cost
from byok.usage import TokenCounts

NOW = datetime(2026, 11, 25, 15, tzinfo=UTC)


@pytest.fixture(scope="module")
def found():
    return list(comparison.compare(catalogue.load(), now=NOW))


def test_every_difference_has_a_reason(found):
    differing = {f"{one.vendor}/{one.model}": one.reason for one in found if one.verdict == "differs"}
    assert comparison.UNEXPLAINED not in differing.values()
    assert {name for name, reason in differing.items() if reason == comparison.OWNERS} == {
        *("anthropic/claude-sonnet-4-5", "deepseek/deepseek-v4-pro", "gemini/gemini-2.5-flash"),
        *("minimax/minimax-m3", "openai/gpt-4o", "openai/gpt-4o-mini"),
    }
    assert sum(one.verdict == "agrees" for one in found) > 600


def test_a_change_of_ours_is_noticed():
    book = catalogue.load()
    mini = book.find("openai", "gpt-5-mini")
    from msgspec.structs import replace

    cheaper = replace(mini, prices=(replace(mini.prices[-1], output_pico=1),))
    (one,) = comparison.compare(catalogue.Catalogue([cheaper]), now=NOW)
    assert (one.verdict, one.reason) == ("differs", comparison.UNEXPLAINED)
    (one,) = comparison.compare(catalogue.Catalogue([cheaper]), now=NOW, overridden={("openai", "gpt-5-mini")})
    assert one.reason == "the operator set it"


@pytest.mark.parametrize(
    "name", ["openai/gpt-5.4", "anthropic/claude-opus-4-7", "gemini/gemini-2.5-pro", "xai/grok-4.3", "minimax/MiniMax-M2"]
)
@pytest.mark.parametrize("prompt", [1_000, 199_999, 200_000, 200_001, 272_001, 900_000])
def test_costs_agree_with_the_package_on_any_size_of_prompt(name, prompt):
    from genai_prices import Usage, calc_price

    vendor, model = name.split("/")
    tokens = TokenCounts(prompt, 700, cached_tokens=prompt // 3, cache_write_tokens=prompt // 5)
    price = catalogue.load().price_at(vendor, model, NOW)
    if price.write_pico is None:
        tokens = TokenCounts(prompt, 700, cached_tokens=prompt // 3)
    theirs = next(theirs for theirs, ours in genai.PROVIDERS.items() if ours == vendor)
    usage = Usage(
        input_tokens=prompt, output_tokens=700, cache_read_tokens=tokens.cached_tokens, cache_write_tokens=tokens.cache_write_tokens or 0
    )
    expected = calc_price(usage, model, provider_id=theirs, genai_request_timestamp=NOW).total_price
    assert abs(cost(tokens, price, NOW) - expected) <= Decimal("1e-9")


def test_what_the_package_does_not_know_is_said():
    with pytest.raises(NotFound):
        genai.find("qwen", "qwen3-max")


def test_nothing_but_the_command_imports_the_package():
    code = "import sys, byok.gateway.run, byok.web, byok.keeper, byok.cli; sys.exit('genai_prices' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
