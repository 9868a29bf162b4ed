"""The price catalogue: models with their other names, and dated, sourced prices. One YAML file per vendor."""

import itertools
from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from importlib import resources
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from byok.errors import ByokError

if TYPE_CHECKING:
    import pyarrow as pa

PICO_PER_USD_PER_MTOK = 1_000_000
"""A rate of 1 USD per million tokens is a million times 1e-12 USD per token; so rates are whole numbers."""
_HIGHEST_USD_PER_MTOK = 100_000


class CatalogueInvalid(ByokError):
    """Price files that make no sense; lists every fault with its file and model."""

    code = "catalogue_invalid"

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("The price files make no sense:\n" + "\n".join(f"  {f}" for f in faults), remedy="Correct them and start again.")


class PriceUnknown(ByokError):
    """No entry holds for a model; its calls are counted as unpriced, never as free."""

    status, code = 404, "price_unknown"

    def __init__(self, vendor: str, model: str) -> None:
        super().__init__(f"No price of {vendor}/{model} is known.", remedy="See the known ones with: byok prices list")


class Price(msgspec.Struct, frozen=True):
    """Rates in force from an instant to the next entry's: 1e-12 USD per token; None for a rate that is the input rate.

    `valid_from` is None for the earliest entry, which also holds for earlier calls; `since` is the day that the entry names.
    """

    since: date
    valid_from: datetime | None
    valid_until: datetime | None
    input_pico: int
    output_pico: int
    cached_pico: int | None
    write_pico: int | None
    source: str


class Model(msgspec.Struct, frozen=True):
    """A model of a vendor, other names that it answers, and its prices in order of time (none: known, but unpriced)."""

    vendor: str
    model: str
    aliases: tuple[str, ...]
    prices: tuple[Price, ...]


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    from_: date = msgspec.field(name="from")
    input: Decimal
    output: Decimal
    source: str
    cached: Decimal | None = None
    cache_write: Decimal | None = None


class _ModelEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: str
    prices: list[_Entry]
    aliases: list[str] = []


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    vendor: str
    models: list[_ModelEntry]


class Catalogue:
    """All models with their prices."""

    def __init__(self, models: Iterable[Model]) -> None:
        self._models = sorted(models, key=lambda model: (model.vendor, model.model))
        self._by_name = {(model.vendor, model.model): model for model in self._models}

    def models(self) -> list[Model]:
        """Every model, by vendor and name."""
        return list(self._models)

    def price_at(self, vendor: str, model: str, at: datetime) -> Price:
        """The price of a call at an instant, or `PriceUnknown`.

        >>> load().price_at("openai", "gpt-4o-mini", datetime(2026, 7, 1, tzinfo=UTC)).input_pico
        150000
        """
        found = self._by_name.get((vendor, model))
        for price in found.prices if found else ():
            if (price.valid_from is None or price.valid_from <= at) and (price.valid_until is None or at < price.valid_until):
                return price
        raise PriceUnknown(vendor, model)

    def table(self) -> "pa.Table":
        """One row per price: vendor, model, valid_from and valid_until (timestamptz, null = always), input_pico, output_pico, cached_pico,
        write_pico (bigint, 1e-12 USD per token, null = the input rate), price_source."""
        import pyarrow as pa

        instant = pa.timestamp("us", "UTC")
        names = [("vendor", pa.string()), ("model", pa.string()), ("valid_from", instant), ("valid_until", instant)]
        names += [(name, pa.int64()) for name in ("input_pico", "output_pico", "cached_pico", "write_pico")]
        schema = pa.schema([*names, ("price_source", pa.string())])
        return pa.Table.from_pylist([_row(model, price) for model in self._models for price in model.prices], schema)


def load(folder: Traversable | None = None) -> Catalogue:
    """Read the packaged price files (or those of `folder`). Raises `CatalogueInvalid` with every fault at once."""
    faults: list[str] = []
    models: list[Model] = []
    folder = folder or resources.files("byok.pricing").joinpath("prices")
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".yaml"):
            models += _read(file, faults)
    faults += _duplicates(models)
    if faults:
        raise CatalogueInvalid(faults)
    return Catalogue(models)


class _StrictLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Refuses a key that stands twice in a mapping, where YAML would take the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: {', '.join(sorted(twice))} stands twice")
        found: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return found


def _read(file: Traversable, faults: list[str]) -> list[Model]:
    try:
        raw = yaml.load(file.read_text(encoding="utf-8"), _StrictLoader)  # noqa: S506 - a SafeLoader
        content = msgspec.convert(raw, _File, strict=False)
    except (yaml.YAMLError, msgspec.ValidationError, UnicodeDecodeError) as error:
        faults.append(f"{file.name}: {' '.join(str(error).split())}")
        return []
    models = []
    for entry in content.models:
        found = [f"{file.name}: {entry.model}: {fault}" for fault in _faults(entry)]
        faults += found
        if not found:
            models.append(Model(content.vendor, entry.model, tuple(entry.aliases), _prices(entry.prices)))
    return models


def _faults(model: _ModelEntry) -> list[str]:
    found = []
    days = [entry.from_ for entry in model.prices]
    if any(later <= earlier for earlier, later in itertools.pairwise(days)):
        found.append("its prices overlap: each `from` must be later than the one before")
    for entry in model.prices:
        for name in ("input", "output", "cached", "cache_write"):
            rate = getattr(entry, name)
            if rate is not None and not (rate.is_finite() and 0 <= rate <= _HIGHEST_USD_PER_MTOK):
                found.append(f"{entry.from_}: {name} must lie between 0 and {_HIGHEST_USD_PER_MTOK} USD per million tokens")
            elif rate is not None and rate * PICO_PER_USD_PER_MTOK % 1:
                found.append(f"{entry.from_}: {name} has more than six decimals")
        if not entry.source.strip():
            found.append(f"{entry.from_}: source is empty")
    return found


def _prices(entries: list[_Entry]) -> tuple[Price, ...]:
    begins = [datetime.combine(entry.from_, time(), UTC) for entry in entries]
    return tuple(
        Price(
            since=entry.from_,
            valid_from=begin if index else None,
            valid_until=begins[index + 1] if index + 1 < len(begins) else None,
            input_pico=_pico(entry.input),
            output_pico=_pico(entry.output),
            cached_pico=None if entry.cached is None else _pico(entry.cached),
            write_pico=None if entry.cache_write is None else _pico(entry.cache_write),
            source=f"{entry.source} ({entry.from_})",
        )
        for index, (entry, begin) in enumerate(zip(entries, begins, strict=True))
    )


def _pico(rate: Decimal) -> int:
    return int(rate * PICO_PER_USD_PER_MTOK)


def _duplicates(models: list[Model]) -> list[str]:
    names = [(model.vendor, name) for model in models for name in (model.model, *model.aliases)]
    return sorted({f"{vendor}: {name} is named twice" for vendor, name in names if names.count((vendor, name)) > 1})


def _row(model: Model, price: Price) -> dict[str, object]:
    return {
        "vendor": model.vendor,
        "model": model.model,
        "valid_from": price.valid_from,
        "valid_until": price.valid_until,
        "input_pico": price.input_pico,
        "output_pico": price.output_pico,
        "cached_pico": price.cached_pico,
        "write_pico": price.write_pico,
        "price_source": price.source,
    }
