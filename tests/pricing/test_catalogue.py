from datetime import UTC, datetime
from decimal import Decimal

import pytest

from byok.gateway.models import booked_model
from byok.pricing import catalogue
from byok.pricing.catalogue import CatalogueInvalid, PriceUnknown

NOW = datetime(2026, 11, 22, tzinfo=UTC)
OWNERS_RATES = {
    ("openai", "gpt-4o"): ("2.50", "10.00"),
    ("openai", "gpt-4o-mini"): ("0.15", "0.60"),
    ("anthropic", "claude-sonnet-4-5"): ("3.00", "15.00"),
    ("anthropic", "claude-haiku-4"): ("0.80", "4.00"),
    ("gemini", "gemini-2.5-flash"): ("0.075", "0.30"),
    ("deepseek", "deepseek-v4-pro"): ("0.14", "0.28"),
    ("qwen", "qwen3-max"): ("0.40", "1.20"),
    ("minimax", "minimax-m3"): ("0.14", "0.28"),
}


def folder_with(tmp_path, *texts):
    for number, text in enumerate(texts):
        (tmp_path / f"vendor{number}.yaml").write_text(text)
    return tmp_path


def one_model(*entries: str, model: str = "m1") -> str:
    return f"vendor: v\nmodels:\n  - model: {model}\n    prices:\n" + "\n".join(entries)


def entry(day="2026-01-01", rest="input: 1, output: 2, source: a page") -> str:
    return f"      - {{from: {day}, {rest}}}"


@pytest.mark.parametrize("name", OWNERS_RATES, ids=str)
@pytest.mark.parametrize("at", [datetime(2020, 1, 1, tzinfo=UTC), NOW, datetime(2031, 1, 1, tzinfo=UTC)], ids=str)
def test_the_owners_eight_rates_are_in_force_at_any_time(name, at):
    price = catalogue.load().price_at(*name, at)
    assert (Decimal(price.input_pico) / 10**6, Decimal(price.output_pico) / 10**6) == tuple(map(Decimal, OWNERS_RATES[name]))
    assert (price.cached_pico, price.write_pico) == (None, None)
    assert price.since.isoformat() == "2026-06-06" and "owner" in price.source


def test_many_models_of_many_vendors_are_priced_with_a_source():
    priced = [model for model in catalogue.load().models() if model.prices]
    assert len(priced) >= 40
    assert {"openai", "anthropic", "gemini", "deepseek", "qwen", "minimax", "moonshot"} <= {model.vendor for model in priced}
    assert all(price.source for model in priced for price in model.prices)
    assert all(model.prices[-1].since for model in priced), "the price in force has no date"


def test_the_built_in_vendor_costs_nothing_and_says_so():
    price = catalogue.load().price_at("echo", "echo-1", NOW)
    assert (price.input_pico, price.output_pico) == (0, 0)
    assert price.source.startswith("built in")


def test_a_known_model_may_be_unpriced(tmp_path):
    book = catalogue.load(folder_with(tmp_path, "vendor: v\nmodels:\n  - {model: m1, aliases: [m], prices: []}"))
    assert [model.aliases for model in book.models()] == [("m",)]
    with pytest.raises(PriceUnknown):
        book.price_at("v", "m1", NOW)


def test_an_alias_is_priced_under_the_model_that_answers():
    flash = catalogue.load().named("deepseek-chat")
    assert [(model.vendor, model.model) for model in flash] == [("deepseek", "deepseek-v4-flash")]


def test_the_table_has_one_row_per_price():
    table = catalogue.load().table()
    assert table.num_rows == sum(len(model.prices) for model in catalogue.load().models())
    assert table.column_names == [
        *("vendor", "model", "valid_from", "valid_until", "input_pico", "output_pico", "cached_pico", "write_pico", "price_source"),
        *("request_pico", "conditions"),
    ]


def test_entries_follow_each_other_and_the_earliest_holds_for_earlier_calls(tmp_path):
    later = entry("2026-05-01", "input: 0.5, output: 1, cached: 0.05, source: a newer page")
    book = catalogue.load(folder_with(tmp_path, one_model(entry(), later)))
    change = datetime(2026, 5, 1, tzinfo=UTC)
    assert book.price_at("v", "m1", datetime(2001, 1, 1, tzinfo=UTC)).input_pico == 1_000_000
    assert book.price_at("v", "m1", change).input_pico == 500_000
    assert [(row["valid_from"], row["valid_until"]) for row in book.table().to_pylist()] == [(None, change), (change, None)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (one_model(entry(), entry()), "m1: its prices overlap"),
        (one_model(entry("2026-05-01"), entry("2026-01-01")), "m1: its prices overlap"),
        (one_model(entry(rest="input: -1, output: 2, source: s")), "input must lie between"),
        (one_model(entry(rest="input: .nan, output: 2, source: s")), "input must lie between"),
        (one_model(entry(rest="input: 0.0000001, output: 2, source: s")), "input has more than six decimals"),
        (one_model(entry(rest="input: cheap, output: 2, source: s")), "$.models[0].prices[0].input"),
        (one_model(entry(rest="input: 1, source: s")), "output"),
        (one_model(entry(rest="input: 1, output: 2")), "source"),
        (one_model(entry(rest="input: 1, output: 2, source: ' '")), "source is empty"),
        (one_model(entry(rest="input: 1, output: 2, source: s, chached: 1")), "chached"),
        (one_model(entry("yesterday")), "from"),
        (one_model(entry(rest="input: 1, input: 9, output: 2, source: s")), "input stands twice"),
        (one_model("      - {input: 1, output: 2, source: s}"), "its price has no `from`"),
        (one_model(entry(), "      - {input: 1, output: 2, source: s}"), "only the first price may lack `from`"),
        (one_model(entry(rest="input: 1, output: 2, source: s, above: [{tokens: 9, input: 2, output: 4, cached: 1}]")), "other rates"),
        (
            one_model(
                entry(rest="input: 1, output: 2, source: s, above: [{tokens: 9, input: 2, output: 4}, {tokens: 9, input: 3, output: 4}]")
            ),
            "each `tokens` must be larger",
        ),
        (one_model(entry(rest="input: 1, output: 2, source: s, hours: [{utc: ['4-1'], input: 2, output: 4}]")), "utc must be such as"),
        (one_model(entry(rest="input: 1, output: 2, source: s, hours: [{utc: ['04:00-01:00'], input: 2, output: 4}]")), "utc must be such"),
        (one_model(entry(rest="input: 1, output: 2, source: s, request: -1")), "request must lie between"),
        ("vendor: v\nmodels: [", "vendor0.yaml"),
        ("vendor: v\nmodels:\n  - {model: a, prices: []}\n  - {model: b, aliases: [a], prices: []}", "v: a is named twice"),
        ("", "vendor0.yaml"),
    ],
)
def test_a_price_file_that_makes_no_sense_is_named(tmp_path, text, said):
    with pytest.raises(CatalogueInvalid) as caught:
        catalogue.load(folder_with(tmp_path, text))
    assert said in caught.value.message


def test_all_faults_are_told_at_once(tmp_path):
    with pytest.raises(CatalogueInvalid) as caught:
        catalogue.load(
            folder_with(tmp_path, one_model(entry(), entry()), one_model(entry(rest="input: 1, output: -2, source: s"), model="m2"))
        )
    assert len(caught.value.faults) == 2


@pytest.mark.parametrize(
    ("vendor", "answered", "rates"),
    [
        ("openai", "text-embedding-ada-002-v2", ("0.10", "0")),  # what the vendor answers to text-embedding-ada-002
        ("openai", "gpt-5.1-codex-max", ("1.25", "10")),
        ("openai", "gpt-5.1-chat-latest", ("1.25", "10")),
        ("openai", "gpt-5.2-codex", ("1.75", "14")),
        ("openai", "gpt-5.3-chat-latest", ("1.75", "14")),
        ("openai", "gpt-4o-mini-search-preview-2025-03-11", ("0.15", "0.60")),
        ("gemini", "gemini-3.1-pro-preview-customtools", ("2", "12")),
        ("gemini", "gemini-2.5-flash-preview-09-2025", ("0.30", "2.50")),
        ("mistral", "mistral-medium-3-5", ("1.50", "7.50")),
        ("mistral", "ministral-14b-latest", ("0.20", "0.20")),
        ("xai", "grok-4.20-reasoning", ("1.25", "2.50")),
        ("anthropic", "claude-2.1", ("8", "24")),
    ],
)
def test_what_a_vendor_calls_its_model_has_a_price(vendor, answered, rates):
    price = catalogue.load().price_at(vendor, booked_model(None, answered, 200, vendor), datetime(2026, 11, 27, tzinfo=UTC))
    assert (Decimal(price.input_pico) / 10**6, Decimal(price.output_pico) / 10**6) == tuple(map(Decimal, rates))


def test_every_fee_of_perplexity_is_that_of_its_smallest_search_context():
    fees = {name: catalogue.load().price_at("perplexity", name, NOW).request_pico for name in ("sonar", "sonar-pro", "sonar-reasoning-pro")}
    assert fees == {"sonar": 5 * 10**9, "sonar-pro": 6 * 10**9, "sonar-reasoning-pro": 6 * 10**9}
