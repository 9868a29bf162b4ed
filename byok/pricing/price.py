"""What a price is: rates in force from a moment on, and those that hold instead for long prompts or at certain hours."""

from datetime import UTC, date, datetime
from decimal import Decimal

import msgspec

PICO_PER_USD_PER_MTOK = 1_000_000
"""A rate of 1 USD per million tokens is a million times 1e-12 USD per token; so rates are whole numbers."""
PICO_PER_USD = 10**12
MINUTES_PER_WEEK = 7 * 24 * 60
Span = tuple[int, int]


class Rates(msgspec.Struct, frozen=True):
    """1e-12 USD per token; None for a rate that is the input rate."""

    input_pico: int
    output_pico: int
    cached_pico: int | None = None
    write_pico: int | None = None

    @property
    def cached(self) -> int:
        return self.input_pico if self.cached_pico is None else self.cached_pico

    @property
    def written(self) -> int:
        return self.input_pico if self.write_pico is None else self.write_pico


class Step(msgspec.Struct, frozen=True):
    """Rates that hold instead of a price's own: for a whole call whose prompt has more than `above_tokens`, or in some minutes of the week
    (UTC, Monday first; the end is not included)."""

    rates: Rates
    above_tokens: int | None = None
    minutes: tuple[Span, ...] = ()


class Price(msgspec.Struct, frozen=True):
    """Rates in force from an instant to the next entry's.

    `valid_from` is None for the earliest entry, which also holds for earlier calls; `since` is the day that the entry names (None: it is
    only known until when it held). `steps` are either all for long prompts, in order, or all for certain minutes. `request_pico` is a fee
    per call, 1e-12 USD. `beside` are rates for what a record cannot tell apart, in USD: information, never charged.
    """

    since: date | None
    valid_from: datetime | None
    valid_until: datetime | None
    input_pico: int
    output_pico: int
    cached_pico: int | None
    write_pico: int | None
    source: str
    steps: tuple[Step, ...] = ()
    request_pico: int = 0
    beside: tuple[tuple[str, Decimal], ...] = ()

    @property
    def rates(self) -> Rates:
        """Those of a short prompt, outside of special hours."""
        return Rates(self.input_pico, self.output_pico, self.cached_pico, self.write_pico)

    def rates_of(self, prompt_tokens: int, at: datetime | None) -> Rates:
        """Those of one call; `at` may be None only where the hour does not matter.

        >>> long = Step(Rates(6_000_000, 22_500_000), above_tokens=200_000)
        >>> price = Price(None, None, None, 3_000_000, 15_000_000, None, None, "a page", (long,))
        >>> price.rates_of(200_000, None).input_pico, price.rates_of(200_001, None).input_pico
        (3000000, 6000000)
        """
        found = self.rates
        for step in self.steps:
            if step.above_tokens is not None:
                found = step.rates if prompt_tokens > step.above_tokens else found
            else:
                if at is None:
                    raise ValueError("this price depends on the hour")
                minute = minute_of_week(at)
                found = step.rates if any(start <= minute < end for start, end in step.minutes) else found
        return found

    def conditions(self) -> str | None:
        """The steps, the fee and what is charged beside, in words; None if there is nothing but the rates."""
        said = [f"{_when(step)}: {rates_in_words(step.rates)}" for step in self.steps]
        if self.request_pico:
            said.append(f"each call: {Decimal(self.request_pico) / PICO_PER_USD:f} USD")
        return "; ".join(said) or None


class Model(msgspec.Struct, frozen=True):
    """A model of a vendor, other names that it answers, and its prices in order of time (none: known, but unpriced)."""

    vendor: str
    model: str
    aliases: tuple[str, ...]
    prices: tuple[Price, ...]

    def price_at(self, at: datetime) -> Price | None:
        """The price in force at an instant."""
        for price in self.prices:
            if (price.valid_from is None or price.valid_from <= at) and (price.valid_until is None or at < price.valid_until):
                return price
        return None


def minute_of_week(at: datetime) -> int:
    """Minutes since Monday 00:00 UTC.

    >>> minute_of_week(datetime(2026, 11, 24, 1, 30, tzinfo=UTC))
    1530
    """
    at = at.astimezone(UTC)
    return (at.weekday() * 24 + at.hour) * 60 + at.minute


def usd_per_mtok(pico: int | None) -> Decimal | None:
    """A rate as people write it."""
    return None if pico is None else Decimal(pico) / PICO_PER_USD_PER_MTOK


def _when(step: Step) -> str:
    if step.above_tokens is not None:
        return f"above {step.above_tokens:,} prompt tokens"
    days: dict[tuple[str, str], list[int]] = {}
    for start, end in step.minutes:
        days.setdefault((_clock(start), _clock(end)), []).append(start // (24 * 60))
    parts = [f"{_days(at)} {start}-{end} UTC" for (start, end), at in days.items()]
    return " and ".join(parts)


def _clock(minute: int) -> str:
    return f"{minute // 60 % 24:02d}:{minute % 60:02d}"


def _days(days: list[int]) -> str:
    names = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    if days == list(range(7)):
        return "daily"
    return f"{names[days[0]]}-{names[days[-1]]}" if len(days) > 1 else names[days[0]]


def rates_in_words(rates: Rates) -> str:
    """Those that are named, in USD per million tokens.

    >>> rates_in_words(Rates(10_000_000, 2_500_000))
    'input 10, output 2.5'
    """
    named = {"input": rates.input_pico, "output": rates.output_pico, "cached": rates.cached_pico, "cache write": rates.write_pico}
    return ", ".join(f"{name} {usd_per_mtok(pico):f}" for name, pico in named.items() if pico is not None)
