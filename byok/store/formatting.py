"""Values of any query as text: every digit of a number, UTC instants, nothing lost on the way through floats.

Instants are written as `2026-11-22T10:00:00.123456Z`, timestamps without a zone the same without the Z.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_DAYS_IN_400_YEARS = 146_097
_WIDEST_CELL = 60  # signs


def unique(names: Sequence[str]) -> list[str]:
    """`names` with `_1`, `_2`, … behind those that occurred before.

    >>> unique(["a", "a", "b", "a_1"])
    ['a', 'a_2', 'b', 'a_1']
    """
    taken, last, given = set(names), dict[str, int](), list[str]()
    for name in names:
        new, number = name, last.get(name, -1)
        while number >= 0 and new in taken:
            number += 1
            new = f"{name}_{number}"
        taken.add(new)
        last[name] = max(number, 0)
        given.append(new)
    return given


def table(names: Sequence[str], batches: Iterable[Any]) -> Iterator[str]:
    """The lines of a table for eyes: cells cut to 60 signs, numbers to the right. It holds the whole answer at once."""
    columns: list[list[str]] = [[_narrow(name)] for name in unique(names)]
    to_the_right = [False] * len(names)
    for batch in batches:
        for at, column in enumerate(batch.columns):
            to_the_right[at] = pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type)
            columns[at] += [_narrow(cell) if cell is not None else "" for cell in cells(column)]
    widths = [max(map(len, column)) for column in columns]
    columns = [[column[0], "─" * width, *column[1:]] for column, width in zip(columns, widths, strict=True)]
    for row in zip(*columns, strict=True):
        fitted = (cell.rjust(width) if right else cell.ljust(width) for cell, width, right in zip(row, widths, to_the_right, strict=True))
        yield "  ".join(fitted).rstrip() + "\n"


def tokens(column: Any) -> list[str]:
    """Each value of an Arrow array as JSON; nested ones too. NaN and infinite numbers, which JSON lacks, become null."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return tokens(column.dictionary_decode())
    if pa.types.is_map(kind):
        return _maps(column)
    if pa.types.is_struct(kind):
        return _structs(column)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return ["[" + ",".join(tokens(row.values)) + "]" if row.is_valid else "null" for row in column]
    if pa.types.is_union(kind) or isinstance(kind, pa.BaseExtensionType):
        return [json.dumps(value, ensure_ascii=False, default=str) for value in column.to_pylist()]
    texts = cells(column)
    if pa.types.is_floating(kind):
        return ["null" if text is None or "n" in text else text for text in texts]  # nan, inf
    bare = pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_boolean(kind)
    return ["null" if text is None else text if bare else _quoted(text) for text in texts]


def cells(column: Any) -> list[str | None]:
    """Each value of an Arrow array as plain text, None for null."""
    kind = column.type
    for applies, text in _TEXTS:
        if applies(kind):
            return [None if value is None else text(value) for value in column.to_pylist()]
    if pa.types.is_timestamp(kind):
        per_second, zone = _PER_SECOND[kind.unit], "Z" if kind.tz else ""
        return [None if value is None else _instant(value, per_second, zone) for value in column.cast(pa.int64()).to_pylist()]
    if pa.types.is_date32(kind):
        return [None if value is None else _date(value) for value in column.cast(pa.int32()).to_pylist()]
    if pa.types.is_time64(kind):
        per_second = _PER_SECOND[kind.unit]
        return [None if value is None else _time(value, per_second) for value in column.cast(pa.int64()).to_pylist()]
    if pa.types.is_float32(kind):
        return [None if value is None else str(value) for value in column.cast(pa.string()).to_pylist()]
    if pa.types.is_nested(kind) or pa.types.is_dictionary(kind) or isinstance(kind, pa.BaseExtensionType):
        return [_bare(text) for text in tokens(column)]
    return [None if value is None else str(value) for value in column.to_pylist()]


_BYTES = tuple(chr(byte) if 32 <= byte < 127 and byte != 92 else f"\\x{byte:02X}" for byte in range(256))
_TEXTS: tuple[tuple[Callable[[Any], bool], Callable[[Any], str]], ...] = (
    (pa.types.is_boolean, lambda value: "true" if value else "false"),
    (pa.types.is_decimal, lambda value: format(value, "f")),
    (pa.types.is_float64, lambda value: repr(value)),
    (pa.types.is_binary, lambda value: "".join(map(_BYTES.__getitem__, value))),
    (pa.types.is_interval, lambda value: f"{value.months} months {value.days} days {timedelta(microseconds=value.nanoseconds // 1000)}"),
)


def _narrow(cell: str) -> str:
    cell = "".join(sign if sign.isprintable() else "·" for sign in cell)  # no control sequence reaches a terminal
    return cell if len(cell) <= _WIDEST_CELL else cell[: _WIDEST_CELL - 1] + "…"


def _bare(json_text: str) -> str | None:
    return None if json_text == "null" else str(json.loads(json_text)) if json_text.startswith('"') else json_text


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _structs(column: Any) -> list[str]:
    names = [_quoted(field.name) + ":" for field in column.type]
    fields = [tokens(column.field(at)) for at in range(column.type.num_fields)]
    rows = zip(*fields, strict=True) if fields else ([],) * len(column)
    objects = ("{" + ",".join(map("".join, zip(names, row, strict=True))) + "}" for row in rows)
    return [text if valid else "null" for text, valid in zip(objects, column.is_valid().to_pylist(), strict=True)]


def _maps(column: Any) -> list[str]:
    def entries(row: Any) -> str:
        pairs = row.values
        keys = (text or "" for text in cells(pairs.field(0)))
        return "{" + ",".join(f"{_quoted(key)}:{value}" for key, value in zip(keys, tokens(pairs.field(1)), strict=True)) + "}"

    return [entries(row) if row.is_valid else "null" for row in column]


def _instant(value: int, per_second: int, zone: str) -> str:
    if abs(value) >= 2**63 - 1:
        return "infinity" if value > 0 else "-infinity"
    seconds, fraction = divmod(value, per_second)
    days, second = divmod(seconds, 86_400)
    digits = 9 if per_second == 1_000_000_000 else 6
    return f"{_date(days)}T{_clock(second)}.{fraction * 10**digits // per_second:0{digits}d}{zone}"


def _time(value: int, per_second: int) -> str:
    second, fraction = divmod(value, per_second)
    digits = 9 if per_second == 1_000_000_000 else 6
    return f"{_clock(second)}.{fraction * 10**digits // per_second:0{digits}d}"


def _clock(second: int) -> str:
    return f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"


def _date(days: int) -> str:
    """Days since 1970 in the Gregorian calendar, also beyond the years 1 to 9999 that Python's dates know."""
    if abs(days) >= 2**31 - 1:
        return "infinity" if days > 0 else "-infinity"
    cycles, rest = divmod(days + date(1970, 1, 1).toordinal() - 1, _DAYS_IN_400_YEARS)
    day = date.fromordinal(rest + 1)
    year = day.year + 400 * cycles
    return f"{year:04d}-{day.month:02d}-{day.day:02d}"
