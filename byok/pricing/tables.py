"""The catalogue as Arrow tables: the price list, and what the views work costs out with."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import pyarrow as pa

from byok.pricing.price import MINUTES_PER_WEEK, Model, Price, Rates

_INSTANT = pa.timestamp("us", "UTC")
EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
_MODERATE_PICO = 10**9  # 1,000 USD per million tokens: times 1e9 tokens, all four parts fit 64 bits
_SHORT_TOKENS = 10**9
_MOST_TOKENS = 2**63 - 1
_PICO = tuple((f"{name}_pico", pa.int64()) for name in ("input", "output", "cached", "write"))
_PRICES = pa.schema(
    [
        *(("vendor", pa.string()), ("model", pa.string()), ("valid_from", _INSTANT), ("valid_until", _INSTANT)),
        *(*_PICO, ("price_source", pa.string()), ("request_pico", pa.int64()), ("conditions", pa.string())),
    ]
)
_SPANS = pa.schema(
    [
        *(("price_id", pa.int32()), ("vendor", pa.string()), ("model", pa.string()), ("valid_from", _INSTANT), ("valid_until", _INSTANT)),
        *(("price_source", pa.string()), ("short_below", pa.int64()), ("weekly", pa.bool_())),
        *((f"{name}_nano", pa.int64()) for name in ("input", "output", "cached_more", "write_more")),
    ]
)
_STEPS = pa.schema(
    [
        *(("price_id", pa.int32()), ("prompt_from", pa.int64()), ("prompt_until", pa.int64())),
        *(("minute_from", pa.int32()), ("minute_until", pa.int32())),
        *((f"{name}_pico", pa.int64()) for name in ("input", "output", "cached_more", "write_more", "request")),
    ]
)


class PriceTables(NamedTuple):
    """`prices`: one row per price. vendor, model, valid_from and valid_until (timestamptz, null = always), input_pico, output_pico,
    cached_pico, write_pico (bigint, 1e-12 USD per token, null = the input rate), price_source, request_pico, conditions (text or null).

    `spans`: the same as costs are worked out with it. Bounds that compare, rates in 1e-9 USD per token, what a cached or written token
    costs more than an input token. A call with fewer than `short_below` prompt tokens needs nothing else; for any other call `steps` has
    the rates in 1e-12 USD, by size of the prompt and minute of the week (0 where the price is not `weekly`).
    """

    prices: pa.Table
    spans: pa.Table
    steps: pa.Table


def of(models: Iterable[Model]) -> PriceTables:
    """The tables of these models."""
    priced = [(model, price) for model in models for price in model.prices]
    return PriceTables(
        pa.Table.from_pylist([_price_row(model, price) for model, price in priced], _PRICES),
        pa.Table.from_pylist([_span_row(number, model, price) for number, (model, price) in enumerate(priced)], _SPANS),
        pa.Table.from_pylist([row for number, (_, price) in enumerate(priced) for row in _step_rows(number, price)], _STEPS),
    )


def _price_row(model: Model, price: Price) -> dict[str, object]:
    names = ("valid_from", "valid_until", "input_pico", "output_pico", "cached_pico", "write_pico", "request_pico")
    named = {name: getattr(price, name) for name in names}
    return {"vendor": model.vendor, "model": model.model, **named, "price_source": price.source, "conditions": price.conditions()}


def _span_row(number: int, model: Model, price: Price) -> dict[str, object]:
    pico = _charged(price.rates)
    return {
        "price_id": number,
        "vendor": model.vendor,
        "model": model.model,
        "valid_from": price.valid_from or EARLIEST,
        "valid_until": price.valid_until or LATEST,
        "price_source": price.source,
        "short_below": _short_below(price),
        "weekly": any(step.minutes for step in price.steps),
        **{name.replace("_pico", "_nano"): rate // 1000 for name, rate in pico.items()},
    }


def _short_below(price: Price) -> int:
    if any(step.minutes for step in price.steps) or price.request_pico:
        return 0
    if any(rate % 1000 or abs(rate) > _MODERATE_PICO for rate in _charged(price.rates).values()):
        return 0
    return min([_SHORT_TOKENS, *(step.above_tokens + 1 for step in price.steps if step.above_tokens is not None)])


def _step_rows(number: int, price: Price) -> Iterator[dict[str, object]]:
    for prompt_from, prompt_until, minute_from, minute_until, rates in _pieces(price):
        span = {"prompt_from": prompt_from, "prompt_until": prompt_until, "minute_from": minute_from, "minute_until": minute_until}
        yield {"price_id": number, **span, **_charged(rates), "request_pico": price.request_pico}


def _pieces(price: Price) -> Iterator[tuple[int, int, int, int, Rates]]:
    """The price cut into parts that do not overlap: prompts from, until, minutes of the week from, until, rates."""
    weekly = sorted(((*span, step.rates) for step in price.steps for span in step.minutes), key=lambda piece: piece[:2])
    if weekly:
        at = 0
        for start, end, rates in weekly:
            if at < start:
                yield 0, _MOST_TOKENS, at, start, price.rates
            yield 0, _MOST_TOKENS, start, end, rates
            at = end
        if at < MINUTES_PER_WEEK:
            yield 0, _MOST_TOKENS, at, MINUTES_PER_WEEK, price.rates
        return
    begins = [0, *(step.above_tokens + 1 for step in price.steps if step.above_tokens is not None), _MOST_TOKENS]
    for begin, end, rates in zip(begins[:-1], begins[1:], [price.rates, *(step.rates for step in price.steps)], strict=True):
        yield begin, end, 0, MINUTES_PER_WEEK, rates


def _charged(rates: Rates) -> dict[str, int]:
    return {
        "input_pico": rates.input_pico,
        "output_pico": rates.output_pico,
        "cached_more_pico": rates.cached - rates.input_pico,
        "write_more_pico": rates.written - rates.input_pico,
    }
