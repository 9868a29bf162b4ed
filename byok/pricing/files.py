"""The price files: one YAML per vendor, read strictly, every fault named."""

import itertools
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from importlib.resources.abc import Traversable
from typing import Any, Literal

import msgspec
import yaml

from byok.pricing.price import PICO_PER_USD, PICO_PER_USD_PER_MTOK, Model, Price, Rates, Span, Step

_HIGHEST_USD_PER_MTOK = 100_000
_RATES = ("input", "output", "cached", "cache_write")
_UTC = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]|24):([0-5]\d)")
_DAY = 24 * 60


class _Rated(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    input: Decimal
    output: Decimal
    cached: Decimal | None = None
    cache_write: Decimal | None = None


class _Above(_Rated, frozen=True, forbid_unknown_fields=True, kw_only=True):
    tokens: int


class _Hours(_Rated, frozen=True, forbid_unknown_fields=True, kw_only=True):
    utc: list[str]
    days: Literal["daily", "weekdays"] = "daily"


class Entry(_Rated, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One dated price as a file has it. Without `from` it is only known that it held before the next one."""

    from_: date | None = msgspec.field(name="from", default=None)
    source: str
    above: list[_Above] = []
    hours: list[_Hours] = []
    request: Decimal = Decimal(0)
    beside: dict[str, Decimal] = {}


class _ModelEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: str
    prices: list[Entry]
    aliases: list[str] = []


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    vendor: str
    models: list[_ModelEntry]


class _StrictLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Refuses a key that stands twice in a mapping, where YAML would take the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        if len(set(names)) < len(names):
            twice = {name for name in names if names.count(name) > 1}
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: {', '.join(sorted(twice))} stands twice")
        found: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return found


def read(file: Traversable, faults: list[str]) -> list[Model]:
    """The models of one file; what is wrong with it is added to `faults`."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"{file.name}: {type(error).__name__}")
        return []
    return _parse(text, file.name, faults)


def entries(text: str, name: str, faults: list[str]) -> Iterator[tuple[str, str, list[Entry]]]:
    """Vendor, model and entries of a file's text; what is wrong with it is added to `faults`."""
    content = _content(text, name, faults)
    for model in content.models if content else ():
        if found := faults_of(model.prices):
            faults += [f"{name}: {model.model}: {fault}" for fault in found]
        else:
            yield content.vendor if content else "", model.model, model.prices


def _content(text: str, name: str, faults: list[str]) -> _File | None:
    try:
        raw = yaml.load(text, _StrictLoader)  # noqa: S506 - a SafeLoader
        return msgspec.convert(raw, _File, strict=False)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        faults.append(f"{name}: {' '.join(str(error).split())}")
        return None


def _parse(text: str, name: str, faults: list[str]) -> list[Model]:
    content = _content(text, name, faults)
    if content is None:
        return []
    models = []
    for entry in content.models:
        found = [f"{name}: {entry.model}: {fault}" for fault in faults_of(entry.prices)]
        if [price.from_ for price in entry.prices] == [None]:
            found.append(f"{name}: {entry.model}: its price has no `from`")
        faults += found
        if not found:
            models.append(Model(content.vendor, entry.model, tuple(entry.aliases), prices(entry.prices)))
    return models


def entry(values: Mapping[str, object] | str) -> Entry:
    """One entry of its fields, or of their JSON. Raises `ValueError` that says what is wrong with it."""
    try:
        found = msgspec.json.decode(values, type=Entry) if isinstance(values, str) else msgspec.convert(values, Entry, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    if faults := faults_of([found]):
        raise ValueError("; ".join(faults))
    return found


def as_json(found: Entry) -> str:
    """An entry's JSON, without what it does not say."""
    return msgspec.json.encode(
        {name: value for name, value in msgspec.to_builtins(found).items() if value not in (None, [], {}, "0")}
    ).decode()


def prices(entries: list[Entry]) -> tuple[Price, ...]:
    """Entries without faults, in their order, as prices that follow each other."""
    begins = [None if entry.from_ is None else datetime.combine(entry.from_, time(), UTC) for entry in entries]
    return tuple(
        Price(
            since=entry.from_,
            valid_from=begin if index else None,
            valid_until=begins[index + 1] if index + 1 < len(begins) else None,
            input_pico=_pico(entry.input),
            output_pico=_pico(entry.output),
            cached_pico=None if entry.cached is None else _pico(entry.cached),
            write_pico=None if entry.cache_write is None else _pico(entry.cache_write),
            source=_dated(entry, entries[index + 1 : index + 2]),
            steps=tuple(_steps(entry)),
            request_pico=int(entry.request * PICO_PER_USD),
            beside=tuple(sorted(entry.beside.items())),
        )
        for index, (entry, begin) in enumerate(zip(entries, begins, strict=True))
    )


def _dated(entry: Entry, following: list[Entry]) -> str:
    if entry.from_:
        return f"{entry.source} ({entry.from_})"
    return f"{entry.source} (until {following[0].from_})" if following else entry.source


def faults_of(entries: list[Entry]) -> list[str]:
    """What is wrong with the prices of one model."""
    found = []
    days = [entry.from_ for entry in entries]
    if None in days[1:]:
        found.append("only the first price may lack `from`")
    elif any(earlier is not None and later is not None and later <= earlier for earlier, later in itertools.pairwise(days)):
        found.append("its prices overlap: each `from` must be later than the one before")
    for entry in entries:
        found += [f"{entry.from_ or 'first price'}: {fault}" for fault in _entry_faults(entry)]
    return found


def _entry_faults(entry: Entry) -> Iterator[str]:
    for where, rated in (("", entry), *(("above: ", step) for step in entry.above), *(("hours: ", step) for step in entry.hours)):
        for name in _RATES:
            yield from _rate_faults(where + name, getattr(rated, name), PICO_PER_USD_PER_MTOK, "six")
        if where and any((getattr(rated, name) is None) != (getattr(entry, name) is None) for name in _RATES):
            yield f"{where}names other rates than the entry"
    yield from _rate_faults("request", entry.request, PICO_PER_USD, "twelve")
    if not entry.source.strip():
        yield "source is empty"
    if entry.above and entry.hours:
        yield "above and hours together are not known"
    sizes = [step.tokens for step in entry.above]
    if sizes != sorted(set(sizes)) or any(size < 0 for size in sizes):
        yield "above: each `tokens` must be larger than the one before"
    texts = [text for step in entry.hours for text in step.utc]
    if any(not _UTC.fullmatch(text) or _minutes(text)[0] >= _minutes(text)[1] or _minutes(text)[1] > _DAY for text in texts):
        yield "hours: utc must be such as 01:00-04:00"


def _rate_faults(name: str, rate: Decimal | None, unit: int, places: str) -> Iterator[str]:
    if rate is not None and not (rate.is_finite() and 0 <= rate <= _HIGHEST_USD_PER_MTOK):
        yield f"{name} must lie between 0 and {_HIGHEST_USD_PER_MTOK} USD per million tokens"
    elif rate is not None and rate * unit % 1:
        yield f"{name} has more than {places} decimals"


def _steps(entry: Entry) -> Iterator[Step]:
    for above in entry.above:
        yield Step(_rates(above), above_tokens=above.tokens)
    for hours in entry.hours:
        spans = [_minutes(text) for text in hours.utc]
        days = range(7 if hours.days == "daily" else 5)
        yield Step(_rates(hours), minutes=tuple((day * _DAY + start, day * _DAY + end) for start, end in spans for day in days))


def _minutes(text: str) -> Span:
    hours = [int(part) for part in re.split("[:-]", text)]
    return hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]


def _rates(rated: _Rated) -> Rates:
    optional = [None if rate is None else _pico(rate) for rate in (rated.cached, rated.cache_write)]
    return Rates(_pico(rated.input), _pico(rated.output), *optional)


def _pico(rate: Decimal) -> int:
    return int(rate * PICO_PER_USD_PER_MTOK)
