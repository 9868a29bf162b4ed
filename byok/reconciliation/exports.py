"""The CSV exports of vendors: which one a file is, and what it says per day (UTC) and model. Read line by line; nothing of it is kept.

Column names as the consoles of OpenAI (Usage, Cost) and Anthropic (Usage, Cost) write them; columns in any order, others are not looked at.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Literal, NamedTuple, TextIO

from byok.errors import BadRequest

Kind = Literal["usage", "cost"]
LONGEST_LINE, MOST_COLUMNS, MOST_GROUPS = 16_384, 200, 50_000
MOST_LINES = 500_000  # five seconds of a processor, which in the web process others want, too
ALL_MODELS = ""  # where the export does not tell models apart
_FIRST_YEAR, _LAST_YEAR = 2015, 9998
_AT_MOST = Decimal(10) ** 12  # half a million of them still have nine exact places
Cells = Mapping[str, str]


class ExportUnreadable(BadRequest):
    """A file that is no export we know, or one with a fault; the message names line and column and repeats no value."""

    code = "export_unreadable"


@dataclass(slots=True)
class Said:
    """What the vendor says of a day and a model. Tokens are whole prompts (cached and cache writes included) and outputs."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    requests: int = 0
    usd: Decimal = Decimal(0)


@dataclass(frozen=True)
class Export:
    """`rows`: by day and model (`ALL_MODELS` where not told apart). `has_requests`: whether calls are counted."""

    vendor: str
    kind: Kind
    rows: dict[tuple[date, str], Said] = field(default_factory=dict)
    lines: int = 0
    has_requests: bool = False


class _Format(NamedTuple):
    vendor: str
    kind: Kind
    day: str
    needed: tuple[str, ...]
    prompt: tuple[str, ...] = ()
    completion: tuple[str, ...] = ()
    requests: str = ""
    usd: str = ""
    currency: str = ""
    model: Callable[[Cells], str] = lambda _: ALL_MODELS


def _plain(column: str) -> Callable[[Cells], str]:
    return lambda cells: cells.get(column, "")


def _line_item(cells: Cells) -> str:
    """`gpt-5-nano, input_tokens` is about gpt-5-nano."""
    return re.split(r",| \| ", cells.get("line_item", ""), maxsplit=1)[0]


_ANTHROPIC_INPUT = (
    "usage_input_tokens_no_cache",
    "usage_input_tokens_cache_write",
    "usage_input_tokens_cache_write_5m",
    "usage_input_tokens_cache_write_1h",
    "usage_input_tokens_cache_read",
)
FORMATS: tuple[_Format, ...] = (
    _Format(
        "openai",
        "usage",
        "start_time",
        ("start_time", "input_tokens", "output_tokens"),
        prompt=("input_tokens",),
        completion=("output_tokens",),
        requests="num_model_requests",
        model=_plain("model"),
    ),
    _Format(  # that of embeddings has no output
        "openai",
        "usage",
        "start_time",
        ("start_time", "input_tokens", "num_model_requests"),
        prompt=("input_tokens",),
        requests="num_model_requests",
        model=_plain("model"),
    ),
    _Format(
        "openai",
        "cost",
        "start_time",
        ("start_time", "amount_value", "amount_currency"),
        usd="amount_value",
        currency="amount_currency",
        model=_line_item,
    ),
    _Format(
        "anthropic",
        "usage",
        "usage_date_utc",
        ("usage_date_utc", "usage_input_tokens_no_cache", "usage_output_tokens"),
        prompt=_ANTHROPIC_INPUT,
        completion=("usage_output_tokens",),
        model=_plain("model_version"),
    ),
    _Format("anthropic", "cost", "usage_date_utc", ("usage_date_utc", "cost_usd"), usd="cost_usd", model=_plain("model")),
)


def read(lines: Iterable[str], *, name_of: Callable[[str, str], str]) -> Export:
    """Read an export line by line. `name_of` (vendor, name) gives the word under which a model is booked here.

    Raises `ExportUnreadable`.
    """
    rows = _rows(lines)
    header_at, header = next(rows, (1, []))
    if not header:
        raise ExportUnreadable("The file is empty, or its first line is.", remedy="Export it again from the vendor's console, as CSV.")
    names = [name.strip().lower() for name in header]
    layout = _layout(names)
    found = Export(layout.vendor, layout.kind, {}, 0, layout.requests in names)
    count, least = 0, 1 + max(names.index(name) for name in layout.needed)
    for at, values in rows:
        if not any(value.strip() for value in values):
            continue
        if len(values) > len(names) or len(values) < least:  # cut off within: what is missing is not nothing
            raise _fault(at, "", f"has {len(values)} cells under {len(names)} columns")
        cells = {name: value.strip() for name, value in zip(names, values, strict=False)}
        count += 1
        if any(cells.get(column) for column in (*layout.prompt, *layout.completion, layout.usd, layout.requests) if column):
            _add(found, layout, cells, at, name_of)
    if header_at and not count:
        raise ExportUnreadable("The export has no rows.", remedy="Choose a period with usage and export it again.")
    return Export(found.vendor, found.kind, found.rows, count, found.has_requests)


def lines_of(file: TextIO) -> Iterator[str]:
    """The lines of an opened file, none of them read further than what `read` refuses: a file without line ends stays small in memory."""
    return iter(lambda: file.readline(LONGEST_LINE + 1), "")


def _add(found: Export, layout: _Format, cells: Cells, at: int, name_of: Callable[[str, str], str]) -> None:
    day = _day(cells, layout.day, at)
    named = re.sub(r"[\s.]+", "-", layout.model(cells).strip().lower()) if layout.kind == "cost" else layout.model(cells).strip()
    model = name_of(layout.vendor, named) if named else ALL_MODELS
    if layout.currency and cells.get(layout.currency, "").lower() not in ("usd", ""):
        raise ExportUnreadable(
            f"Line {at}, column {layout.currency}, is not usd.", remedy="Prices here are in USD: only amounts in USD can be compared."
        )
    said = found.rows.setdefault((day, model), Said())
    if len(found.rows) > MOST_GROUPS:
        raise ExportUnreadable(f"The export has more than {MOST_GROUPS:,} days and models.", remedy="Export a shorter period.")
    said.prompt_tokens += sum(_count(cells, column, at) for column in layout.prompt)
    said.completion_tokens += sum(_count(cells, column, at) for column in layout.completion)
    said.requests += _count(cells, layout.requests, at)
    said.usd += _amount(cells, layout.usd, at) if layout.usd else 0


def _rows(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """(line, cells); commas, tabs or semicolons, whichever the first line has most of."""
    bounded = _bounded(lines)
    first = next(bounded, "").removeprefix("\ufeff")
    delimiter = max(",\t;", key=first.count)
    reader = csv.reader(_chained(first, bounded), delimiter=delimiter, strict=True)
    while True:
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error:
            raise _fault(reader.line_num, "", "is not CSV: a quote is not closed, or text follows one") from None
        if len(values) > MOST_COLUMNS:
            raise _fault(reader.line_num, "", f"has more than {MOST_COLUMNS} columns")
        yield reader.line_num, values


def _chained(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _bounded(lines: Iterable[str]) -> Iterator[str]:
    at = 0
    try:
        for at, line in enumerate(lines, 1):
            if at > MOST_LINES:
                raise ExportUnreadable(f"The export has more than {MOST_LINES:,} lines.", remedy="Export a shorter period.")
            if len(line) > LONGEST_LINE or "\0" in line:
                raise _fault(at, "", "is no line of a CSV export")
            yield line
    except UnicodeDecodeError:
        raise _fault(at + 1, "", "is not UTF-8 text") from None


def _layout(names: list[str]) -> _Format:
    for layout in FORMATS:
        if set(layout.needed) <= set(names):
            if len(names) != len(set(names)):
                twice = next(name for name in names if names.count(name) > 1)
                raise ExportUnreadable(
                    "A column name stands twice in line 1.", remedy=f"Export again; it is column {names.index(twice) + 1}."
                )
            return layout
    if {"start_time", "end_time"} <= set(names):
        raise ExportUnreadable(
            "Line 1 has times but no figures: the export of a period without usage.",
            remedy="Choose a period with usage and export it again.",
        )
    known = "; ".join(f"{layout.vendor} {layout.kind}: {', '.join(layout.needed)}" for layout in FORMATS)
    raise ExportUnreadable(
        "Line 1 does not have the columns of an export that is known here.",
        remedy=f"Export Usage or Cost from the console of OpenAI or Anthropic, as CSV. Columns needed: {known}.",
    )


def _day(cells: Cells, column: str, at: int) -> date:
    text = cells.get(column, "")
    try:
        if re.fullmatch(r"\d{9,11}(\.0+)?", text):
            day = datetime.fromtimestamp(float(text), UTC).date()
        else:
            moment = datetime.fromisoformat(text)
            day = (moment.astimezone(UTC) if moment.tzinfo else moment).date()
    except (ValueError, OverflowError):
        raise _fault(at, column, "is neither a date nor seconds since 1970") from None
    if day.year < _FIRST_YEAR:
        raise _fault(at, column, f"lies before {_FIRST_YEAR}")
    if day.year > _LAST_YEAR:
        raise _fault(at, column, f"lies after {_LAST_YEAR}")
    return day


def _count(cells: Cells, column: str, at: int) -> int:
    text = cells.get(column, "")
    if not text:
        return 0
    match = re.fullmatch(r"(\d{1,15})(?:\.0*)?", text)
    if match is None:
        raise _fault(at, column, "is not a whole number")
    return int(match[1])


def _amount(cells: Cells, column: str, at: int) -> Decimal:
    text = cells.get(column, "")
    if not text:
        return Decimal(0)
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise _fault(at, column, "is not an amount") from None
    if not amount.is_finite() or abs(amount) > _AT_MOST:
        raise _fault(at, column, "is not an amount")
    return amount  # a credit is negative


def _fault(line: int, column: str, what: str) -> ExportUnreadable:
    where = f"Line {line}, column {column}," if column else f"Line {line}"
    return ExportUnreadable(
        f"{where} {what}.",
        remedy="Export it again from the vendor's console, as CSV, and choose that very file: spreadsheets write numbers and dates anew.",
    )
