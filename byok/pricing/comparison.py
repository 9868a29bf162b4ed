"""The whole price table beside that of genai-prices: where they agree, where they differ, and why."""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, time
from typing import Literal, NamedTuple

from byok.errors import NotFound
from byok.pricing import genai
from byok.pricing.catalogue import Catalogue, Model, Price
from byok.pricing.price import Step, rates_in_words

Verdict = Literal["agrees", "differs", "only here"]
OWNERS = "as stated by the product's owner"
UNEXPLAINED = "not explained"


class Finding(NamedTuple):
    """One model: what we say, what they say (None: nothing), and the reason of a difference as far as it is known."""

    vendor: str
    model: str
    verdict: Verdict
    ours: str
    theirs: str | None
    reason: str | None


def compare(catalogue: Catalogue, *, now: datetime, overridden: Collection[tuple[str, str]] = ()) -> Iterator[Finding]:
    """Every model with a price, by vendor and name. `overridden` are those whose price the operator set."""
    for model in catalogue.models():
        price = model.price_at(now)
        if price is not None:
            yield _finding(model, price, now, (model.vendor, model.model) in overridden)


def missing(catalogue: Catalogue) -> dict[str, int]:
    """How many of their models with a price we have none for, by vendor."""
    found: dict[str, int] = {}
    for theirs in genai.every():
        if theirs.entries and not catalogue.named(f"{theirs.vendor}/{theirs.model}") and not _known_otherwise(catalogue, theirs):
            found[theirs.vendor] = found.get(theirs.vendor, 0) + 1
    return found


def _known_otherwise(catalogue: Catalogue, theirs: genai.Theirs) -> bool:
    low = theirs.model.lower()
    return any(
        low in (name.lower() for name in (model.model, *model.aliases)) for model in catalogue.models() if model.vendor == theirs.vendor
    )


def _finding(model: Model, price: Price, now: datetime, overridden: bool) -> Finding:
    about = (model.vendor, model.model)
    try:
        found = genai.find(*about)
    except NotFound:
        return Finding(*about, "only here", _words(price), None, None)
    held = [entry for entry in found.entries if entry.from_ is None or datetime.combine(entry.from_, time(), UTC) <= now]
    if not held:
        return Finding(*about, "only here", _words(price), None, None)
    theirs = found.prices[len(held) - 1]
    if _charged(price) == _charged(theirs):
        return Finding(*about, "agrees", _words(price), _words(theirs), None)
    return Finding(*about, "differs", _words(price), _words(theirs), "the operator set it" if overridden else _reason(price, theirs))


def _reason(ours: Price, theirs: Price) -> str:
    if ours.source.startswith(OWNERS):
        return OWNERS
    if ours.rates == theirs.rates and _minutes(ours.steps) < _minutes(theirs.steps):
        return "their hours hold on weekends, too; the vendor's do not"
    if ours.rates == theirs.rates and ours.request_pico < theirs.request_pico:
        return "our fee is that of the smallest search context, theirs of the largest"
    return UNEXPLAINED


def _minutes(steps: tuple[Step, ...]) -> set[int]:
    return {minute for step in steps for start, end in step.minutes for minute in range(start, end)}


def _charged(price: Price) -> object:
    """What decides about a cost, however it is written down."""
    hours = sorted(
        (span, step.rates.input_pico, step.rates.output_pico, step.rates.cached) for step in price.steps for span in step.minutes
    )
    tiers = [(step.above_tokens, step.rates) for step in price.steps if step.above_tokens is not None]
    return price.input_pico, price.output_pico, price.rates.cached, price.rates.written, hours, tiers, price.request_pico


def _words(price: Price) -> str:
    return rates_in_words(price.rates) + (f"; {conditions}" if (conditions := price.conditions()) else "")
