"""Tokens and a price give USD: the reference in Python for what the views compute in SQL."""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from byok.pricing.price import Price
from byok.usage import TokenCounts

_PICO_PER_NANO = 1000
_TOO_MUCH_NANO = 10**18  # decimal(18,9) ends here


class Split(NamedTuple):
    """What the parts of one call cost, in USD; they add up to its cost. What rounding leaves over is in `input_usd`.

    `saved_usd` is how much more the same call would have cost with no input cached (less than 0 if the cache was only written).
    """

    input_usd: Decimal
    cached_usd: Decimal
    written_usd: Decimal
    output_usd: Decimal
    request_usd: Decimal
    saved_usd: Decimal


def cost(tokens: TokenCounts, price: Price, at: datetime | None = None) -> Decimal | None:
    """Return what one call cost, in USD, exactly to 1e-9 (half even); None if prompt or completion tokens are not known.

    Cached and cache-write input are parts of `tokens.prompt_tokens`, each charged once: at its own rate if the price names one, else at the
    input rate. `at` is when the call was made; it may be left out where the price does not depend on the hour. A sum of 1e9 USD and more
    is taken for a fault of the counts: None.

    >>> from datetime import UTC, datetime
    >>> from byok.pricing import catalogue
    >>> mini = catalogue.load().price_at("openai", "gpt-4o-mini", datetime(2026, 7, 1, tzinfo=UTC))
    >>> cost(TokenCounts(prompt_tokens=1_000, completion_tokens=100), mini)
    Decimal('0.000210000')
    """
    parts = _parts(tokens, price, at)
    if parts is None:
        return None
    nano = _nano(sum(parts))
    return Decimal(nano).scaleb(-9) if nano < _TOO_MUCH_NANO else None


def split(tokens: TokenCounts, price: Price, at: datetime | None = None) -> Split | None:
    """What each part of the call cost; None where `cost` is None."""
    whole, parts = cost(tokens, price, at), _parts(tokens, price, at)
    if whole is None or parts is None:
        return None
    _, cached, written, output, request = (Decimal(_nano(part)).scaleb(-9) for part in parts)
    rates, (cached_tokens, written_tokens) = price.rates_of(tokens.prompt_tokens or 0, at), _of_prompt(tokens)
    saved = _nano(cached_tokens * (rates.input_pico - rates.cached) + written_tokens * (rates.input_pico - rates.written))
    return Split(whole - cached - written - output - request, cached, written, output, request, Decimal(saved).scaleb(-9))


def _parts(tokens: TokenCounts, price: Price, at: datetime | None) -> tuple[int, int, int, int, int] | None:
    """1e-12 USD for uncached, cached and written input, output, and the fee."""
    if tokens.prompt_tokens is None or tokens.completion_tokens is None:
        return None
    cached, written = _of_prompt(tokens)
    rates = price.rates_of(tokens.prompt_tokens, at)
    return (
        (tokens.prompt_tokens - cached - written) * rates.input_pico,
        cached * rates.cached,
        written * rates.written,
        tokens.completion_tokens * rates.output_pico,
        price.request_pico,
    )


def _of_prompt(tokens: TokenCounts) -> tuple[int, int]:
    """Cached and written tokens, as far as the prompt has room for them."""
    prompt = tokens.prompt_tokens or 0
    cached = min(tokens.cached_tokens or 0, prompt)
    return cached, min(tokens.cache_write_tokens or 0, prompt - cached)


def _nano(pico: int) -> int:
    """1e-9 USD, half even."""
    nano, rest = divmod(pico, _PICO_PER_NANO)
    return nano + 1 if rest * 2 > _PICO_PER_NANO or (rest * 2 == _PICO_PER_NANO and nano % 2) else nano
