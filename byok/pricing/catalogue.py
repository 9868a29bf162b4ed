"""The price catalogue: models with their other names, and dated, sourced prices. One YAML file per vendor in prices/."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache, cached_property
from importlib import resources
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING

from byok.errors import ByokError
from byok.pricing import files
from byok.pricing.price import PICO_PER_USD_PER_MTOK, Model, Price

if TYPE_CHECKING:
    import pyarrow as pa

    from byok.pricing.tables import PriceTables

__all__ = ["PICO_PER_USD_PER_MTOK", "UTC", "Catalogue", "CatalogueInvalid", "Model", "Price", "PriceUnknown", "load"]


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


class Catalogue:
    """All models with their prices. Two of them are the same only if they are the same object."""

    def __init__(self, models: Iterable[Model]) -> None:
        self._models = sorted(models, key=lambda model: (model.vendor, model.model))
        self._by_name = {(model.vendor, model.model): model for model in self._models}

    def models(self) -> list[Model]:
        """Every model, by vendor and name."""
        return list(self._models)

    def find(self, vendor: str, model: str) -> Model | None:
        """The model that records call so."""
        return self._by_name.get((vendor, model))

    def named(self, name: str) -> list[Model]:
        """The model of that vendor/name, else all of that name or alias."""
        exact = [known for known in self._models if f"{known.vendor}/{known.model}" == name]
        return exact or [known for known in self._models if name in {known.model, *known.aliases}]

    def price_at(self, vendor: str, model: str, at: datetime) -> Price:
        """The price of a call at an instant, or `PriceUnknown`.

        >>> load().price_at("openai", "gpt-4o-mini", datetime(2026, 7, 1, tzinfo=UTC)).input_pico
        150000
        """
        found = self.find(vendor, model)
        price = found.price_at(at) if found else None
        if price is None:
            raise PriceUnknown(vendor, model)
        return price

    @cached_property
    def tables(self) -> "PriceTables":
        """What the store works with; see `byok.pricing.tables`."""
        from byok.pricing import tables

        return tables.of(self._models)

    def table(self) -> "pa.Table":
        """One row per price: see `byok.pricing.tables.PriceTables.prices`."""
        return self.tables.prices


def load(folder: Traversable | None = None) -> Catalogue:
    """Read the packaged price files, once per process (or those of `folder`). Raises `CatalogueInvalid` with every fault at once."""
    return _packaged() if folder is None else _read(folder)


@cache
def _packaged() -> Catalogue:
    return _read(resources.files("byok.pricing").joinpath("prices"))


def _read(folder: Traversable) -> Catalogue:
    faults: list[str] = []
    models: list[Model] = []
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".yaml"):
            models += files.read(file, faults)
    faults += _duplicates(models)
    if faults:
        raise CatalogueInvalid(faults)
    return Catalogue(models)


def _duplicates(models: list[Model]) -> list[str]:
    names = Counter((model.vendor, name) for model in models for name in (model.model, *model.aliases))
    return sorted(f"{vendor}: {name} is named twice" for (vendor, name), count in names.items() if count > 1)
