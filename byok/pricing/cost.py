"""Tokens and a price give USD: the reference in Python for what the view `usage_priced` computes in SQL."""

from decimal import Decimal

from byok.pricing.catalogue import Price
from byok.usage import TokenCounts

_PICO_PER_NANO = 1000
_TOO_MUCH_NANO = 10**18  # decimal(18,9) ends here


def cost(tokens: TokenCounts, price: Price) -> Decimal | None:
    """Return what one call cost, in USD, exactly to 1e-9 (half even); None if prompt or completion tokens are not known.

    Cached and cache-write input are parts of `tokens.prompt_tokens`, each charged once: at its own rate if the price names one, else at the
    input rate. A sum of 1e9 USD and more is taken for a fault of the counts: None.

    >>> from datetime import UTC, datetime
    >>> from byok.pricing import catalogue
    >>> mini = catalogue.load().price_at("openai", "gpt-4o-mini", datetime(2026, 7, 1, tzinfo=UTC))
    >>> cost(TokenCounts(prompt_tokens=1_000, completion_tokens=100), mini)
    Decimal('0.000210000')
    """
    if tokens.prompt_tokens is None or tokens.completion_tokens is None:
        return None
    cached = min(tokens.cached_tokens or 0, tokens.prompt_tokens)
    written = min(tokens.cache_write_tokens or 0, tokens.prompt_tokens - cached)
    pico = (
        (tokens.prompt_tokens - cached - written) * price.input_pico
        + cached * (price.input_pico if price.cached_pico is None else price.cached_pico)
        + written * (price.input_pico if price.write_pico is None else price.write_pico)
        + tokens.completion_tokens * price.output_pico
    )
    nano, rest = divmod(pico, _PICO_PER_NANO)
    if rest * 2 > _PICO_PER_NANO or (rest * 2 == _PICO_PER_NANO and nano % 2):
        nano += 1
    return Decimal(nano).scaleb(-9) if nano < _TOO_MUCH_NANO else None
