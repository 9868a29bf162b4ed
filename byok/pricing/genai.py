"""What the package genai-prices says, in the form of our own entries: what `prices check` compares with and `prices set --genai` takes.

Imported by those commands alone: the package takes a quarter of a second to import, and an answer of its own a tenth of a millisecond.
"""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from importlib import metadata
from typing import Any, NamedTuple

from byok.errors import ByokError, NotFound
from byok.pricing import files
from byok.pricing.files import Entry
from byok.pricing.price import Price

PACKAGE = "genai-prices"
# Our vendors by the package's names for them. It has no entry for qwen.
PROVIDERS = {
    "anthropic": "anthropic",
    "deepseek": "deepseek",
    "google": "gemini",
    "groq": "groq",
    "minimax": "minimax",
    "mistral": "mistral",
    "moonshotai": "moonshot",
    "openai": "openai",
    "openrouter": "openrouter",
    "perplexity": "perplexity",
    "together": "together",
    "x-ai": "xai",
    "zai": "zai",
}
_RATES = {"input_mtok": "input", "output_mtok": "output", "cache_read_mtok": "cached", "cache_write_mtok": "cache_write"}
_FEE = "requests_kcount"
_SIX_PLACES = Decimal("0.000001")
# Charged for what a record cannot tell apart; such a model's calls are priced without it, and the entry says so.
_BESIDE = {
    "cache_write_1h_mtok": "cache_write_1h",
    "cache_audio_read_mtok": "audio_cached",
    "cache_image_read_mtok": "image_cached",
    "input_audio_mtok": "audio_input",
    "input_image_mtok": "image_input",
    "input_video_mtok": "video_input",
    "web_searches_kcount": "web_searches_per_1000",
    "storage_searches_kcount": "file_searches_per_1000",
}


class PackageMissing(ByokError):
    """The package is a part of requirements.txt, but somebody took it away."""

    code = "package_missing"

    def __init__(self) -> None:
        super().__init__(f"The package {PACKAGE} is not installed.", remedy="Install it with: make install")


class Theirs(NamedTuple):
    """A model of the package under our vendor's name, with its dated entries (none: not charged by text tokens alone)."""

    vendor: str
    model: str
    entries: tuple[Entry, ...]

    @property
    def prices(self) -> tuple[Price, ...]:
        return files.prices(list(self.entries))


def version() -> str:
    """Of the installed package."""
    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        raise PackageMissing from None


def every() -> Iterator[Theirs]:
    """Every model of the vendors that we know by name."""
    for provider in _providers().values():
        for model in provider.models:
            yield Theirs(PROVIDERS[provider.id], model.id, tuple(_entries(model.prices)))


def find(vendor: str, model: str) -> Theirs:
    """What the package says of a model of ours; raises `NotFound`."""
    names = {ours: theirs for theirs, ours in PROVIDERS.items()}
    provider = _providers().get(names.get(vendor, ""))
    found = provider.find_model(model.lower()) or provider.find_model(model) if provider else None
    if found is None:
        raise NotFound(f"{PACKAGE} {version()} knows no price of {vendor}/{model[:100]}.", remedy="Name the rates: byok prices set --help")
    return Theirs(vendor, found.id, tuple(_entries(found.prices)))


def _providers() -> dict[str, Any]:
    source = f"{PACKAGE} {version()}"  # raises before the import does
    from genai_prices.data import providers

    assert source  # noqa: S101 - used for its check
    return {provider.id: provider for provider in providers if provider.id in PROVIDERS}


def _entries(prices: Any) -> Iterator[Entry]:
    """Entries in order of time. Hours go with the newest one: the package does not say since when they hold."""
    conditional = prices if isinstance(prices, list) else [None]
    starts: dict[date | None, Any] = {}
    hours = []
    for item in conditional:
        constraint, rates = (None, prices) if item is None else (item.constraint, item.prices)
        if constraint is None or hasattr(constraint, "start_date"):
            starts[getattr(constraint, "start_date", None)] = rates
        else:
            hours.append((constraint, rates))
    ordered = sorted(starts.items(), key=lambda pair: pair[0] or date.min)
    found = [made for day, rates in ordered if (made := _entry(day, rates)) is not None]
    if len(found) < len(ordered):
        return
    for at, made in enumerate(found):
        last = at + 1 == len(found)
        yield files.entry(made | ({"hours": [_hours(*pair) for pair in hours]} if last else {}))


def _entry(day: date | None, rates: Any) -> dict[str, Any] | None:
    said = {name: value for name, value in vars(rates).items() if value is not None and not name.startswith("_")}
    if not {"input_mtok", "output_mtok"} & said.keys() or said.keys() - _RATES.keys() - _BESIDE.keys() - {_FEE}:
        return None
    made: dict[str, Any] = {"from": day, "source": f"{PACKAGE} {version()}"} | _rates(said, None)
    if _FEE in said:
        made["request"] = _base(said[_FEE]) / 1000
    starts = sorted({tier.start for name in _RATES for tier in getattr(said.get(name), "tiers", ())})
    made["above"] = [{"tokens": start} | _rates(said, start) for start in starts]
    made["beside"] = {_BESIDE[name]: _base(value) for name, value in said.items() if name in _BESIDE}
    return made


def _hours(constraint: Any, rates: Any) -> dict[str, Any]:
    said = {name: value for name, value in vars(rates).items() if value is not None}
    return {"utc": [f"{constraint.start_time:%H:%M}-{constraint.end_time:%H:%M}"]} | _rates(said, None)


def _rates(said: dict[str, Any], above: int | None) -> dict[str, Decimal]:
    found = {ours: _of_tier(said[theirs], above) for theirs, ours in _RATES.items() if theirs in said}
    return {"input": Decimal(0), "output": Decimal(0)} | found


def _base(value: Any) -> Decimal:
    return Decimal(getattr(value, "base", value))


def _of_tier(value: Any, above: int | None) -> Decimal:
    fitting = [tier.price for tier in getattr(value, "tiers", ()) if above is not None and tier.start <= above]
    return (Decimal(fitting[-1]) if fitting else _base(value)).quantize(_SIX_PLACES).normalize()
