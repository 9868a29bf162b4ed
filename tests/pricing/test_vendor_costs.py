"""What vendors themselves say that a call cost, beside what we work out: the same within 1 %, or explained one by one."""

from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime

from byok.gateway.models import booked_model, catalogue_name
from byok.pricing import catalogue
from byok.pricing.cost import cost
from byok.usage import TokenCounts
from tests.recorded import OUR_NAMES, exchanges, readings

NOW = datetime(2026, 11, 25, tzinfo=UTC)
MAKERS = {"google": "gemini"}
# By the first eight characters of an exchange's id. docs/decisions.md tells the same.
FEE = "a fee for searches or files beside the tokens; a record has no count of them"
OTHER_PROVIDER = "OpenRouter charged the rates of the provider that it chose, which the reply does not name"
OWNERS = "our rate of gemini-2.5-flash is the product's owner's"
REASONING = "the reply's completion count leaves out the reasoning that was charged"
EXPLAINED = {
    **dict.fromkeys(("ec9763ef", "42b275cd", "5f9d7716", "9dc3cfbf", "267ae4b0"), FEE),
    **dict.fromkeys(
        ("79f288e4", "c38f15ab", "925c60f8", "f9fc8f5d", "410064fa", "cbb09c4f", "83b86558", "dae12987", "3aee3dcb"), OTHER_PROVIDER
    ),
    **dict.fromkeys(("3dedb6f1", "44794c5b", "64fb1e04", "aca9a57f"), OWNERS),
    **dict.fromkeys(("f512d2fb", "7f721a3b", "5ade828c", "695e7ed2", "6e1c6af2"), REASONING),
    **dict.fromkeys(("2e771b1b", "bb007d5d"), "the amount in the recording was made up (123456 ticks)"),
    "eba66b8e": "Azure says 0 and charges elsewhere",
}


def computed(exchange) -> list[Decimal]:
    """The cost of each defensible reading of the reply, at our price of the model that it is booked under."""
    vendor = OUR_NAMES.get(exchange["vendor"], exchange["vendor"])
    model = booked_model(exchange["request_model"], exchange["response_model"], 200, vendor)
    if vendor == "vercel-gateway":  # no vendor of ours: it passes on the makers' rates
        maker, _, model = exchange["response_model"].partition("/")
        vendor = MAKERS.get(maker, maker)
    known = catalogue.load().find(vendor, catalogue_name(vendor, model) or model)
    sent = (exchange["response_headers"] or {}).get("date")
    at = parsedate_to_datetime(sent) if sent else NOW
    price = known.price_at(at) if known else None
    counts = ("prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens")
    told = [TokenCounts(**{name: reading[name] or 0 for name in counts}) for reading in readings(exchange)]
    return [usd for tokens in told if price and (usd := cost(tokens, price, at)) is not None]


def test_every_cost_that_a_vendor_reports_is_reproduced_or_explained():
    reported = {one["id"][:8]: one for one in exchanges() if one.get("vendor_reported_cost_usd") is not None}
    differing = set()
    for name, exchange in reported.items():
        said = Decimal(str(exchange["vendor_reported_cost_usd"]))
        if not any(abs(usd - said) <= said / 100 for usd in computed(exchange)):
            differing.add(name)
    assert differing == set(EXPLAINED)
    assert len(reported) - len(differing) == 102 and len(reported) == 128
