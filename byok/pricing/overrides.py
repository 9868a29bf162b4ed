"""Prices that the operator sets, laid over the catalogue's: dated, and never so that the price of a past day changes."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from byok.errors import BadRequest
from byok.pricing import files
from byok.pricing.catalogue import Catalogue, Model, Price
from byok.pricing.files import Entry

BY_OPERATOR = "set by the operator"


class PastPrice(BadRequest):
    """A change that would re-price days that are over."""

    code = "past_price"

    def __init__(self, vendor: str, model: str) -> None:
        super().__init__(
            f"{vendor}/{model} had a price on days that are over, and those stay as they were priced.",
            remedy="Let the new price begin today (UTC) or later: --from YYYY-MM-DD",
        )


class Override(NamedTuple):
    """From midnight UTC of `since` on a model has this price; None: the catalogue's again."""

    vendor: str
    model: str
    since: date
    entry: Entry | None

    def as_json(self) -> str | None:
        """The entry, to be stored; its day lies beside."""
        return None if self.entry is None else files.as_json(replace(self.entry, from_=None))


class _Stored(Protocol):
    @property
    def vendor(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def since(self) -> date: ...
    @property
    def entry(self) -> str | None: ...


def read(stored: Iterable[_Stored]) -> list[Override]:
    """Overrides as they were stored."""
    return [Override(one.vendor, one.model, one.since, None if one.entry is None else files.entry(one.entry)) for one in stored]


def applied(catalogue: Catalogue, overrides: Sequence[Override]) -> Catalogue:
    """The catalogue with these laid over it, in the order in which they were set; of several with one day the last holds.

    The first price of a model that had none also holds for earlier calls, as the catalogue's earliest does.
    """
    if not overrides:
        return catalogue
    by_model: dict[tuple[str, str], dict[date, Entry | None]] = {}
    for vendor, model, since, entry in overrides:
        by_model.setdefault((vendor, model), {})[since] = entry
    changed = {name: _laid_over(catalogue.find(*name) or Model(*name, (), ()), entries) for name, entries in by_model.items()}
    kept = [model for model in catalogue.models() if (model.vendor, model.model) not in changed]
    return Catalogue([*kept, *changed.values()])


def refuse_past(before: Catalogue, after: Catalogue, names: Iterable[tuple[str, str]], *, now: datetime) -> None:
    """Raise `PastPrice` if a model of `names` had a price on a day before today (UTC) and would have another one then."""
    today = datetime.combine(now.astimezone(UTC).date(), time(), UTC)
    for name in names:
        old, new = before.find(*name), after.find(*name)
        starts = [price.valid_from for model in (old, new) if model for price in model.prices]
        for at in (datetime.min.replace(tzinfo=UTC), *(start for start in starts if start is not None and start < today)):
            had, has = (model.price_at(at) if model else None for model in (old, new))
            if had is not None and (has is None or _charged(had) != _charged(has)):
                raise PastPrice(*name)


def _charged(price: Price) -> object:
    return price.rates, price.steps, price.request_pico


def _laid_over(model: Model, entries: dict[date, Entry | None]) -> Model:
    days = sorted(entries)
    begins = {datetime.combine(day, time(), UTC): day for day in days}
    own = {day: files.prices([replace(entry, from_=day)])[0] for day, entry in entries.items() if entry is not None}
    points = sorted({*begins, *(price.valid_from for price in model.prices if price.valid_from is not None)})
    pieces: list[tuple[datetime | None, Price | None]] = [(None, model.prices[0] if model.prices else own[min(own)] if own else None)]
    for at in points:
        day = begins[max(begin for begin in begins if begin <= at)] if any(begin <= at for begin in begins) else None
        pieces.append((at, own[day] if day in own else model.price_at(at)))
    return Model(model.vendor, model.model, model.aliases, tuple(_following(pieces)))


def _following(pieces: list[tuple[datetime | None, Price | None]]) -> Iterator[Price]:
    distinct = [piece for at, piece in enumerate(pieces) if not at or piece[1] is not pieces[at - 1][1]]
    for at, (begin, price) in enumerate(distinct):
        if price is not None:
            yield replace(price, valid_from=begin, valid_until=distinct[at + 1][0] if at + 1 < len(distinct) else None)
