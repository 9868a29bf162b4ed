"""Rows as CSV, JSON or JSON Lines, piece by piece: memory does not grow with the rows.

Cells are made column by column in Arrow; Python sees each distinct text once, and only of rare types (see `formatting`) each value.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from byok.store import formatting

CRLF = "\r\n"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a spreadsheet's formula begins
_AT_ONCE_BYTES = 1 << 24  # of rows: what they take as text stays far from the 2 GB that an array of texts holds
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_US = int((datetime(1, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds()) * 1_000_000
_LAST_US = int((datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH).total_seconds()) * 1_000_000


class _Dialect(NamedTuple):
    null: str
    quoted: Callable[[str], str]
    others: Callable[[pa.Array], list[Any]]  # the cells of a column that Arrow does not write as is wanted here


def write(fmt: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch], *, line_end: str = CRLF) -> Iterator[bytes]:
    """The pieces of the file: `csv`, `json` (one array of objects) or `jsonl`. KeyError for another format.

    Instants are written as 2026-11-22T10:00:00.123456Z, decimals with all digits, null as an empty cell or `null`. A csv text that begins
    like a formula gets a leading apostrophe; `line_end` is that of csv. Column names that occur twice are numbered.

    >>> rows = pa.RecordBatch.from_pydict({"model": ["=1+1", None], "calls": [3, 4]})
    >>> b"".join(write("csv", rows.schema, [rows]))
    b"model,calls\\r\\n'=1+1,3\\r\\n,4\\r\\n"
    """
    names, some = formatting.unique(schema.names), _some_at_once(batches)
    return {"csv": lambda: _csv(names, some, line_end), "json": lambda: _json(names, some), "jsonl": lambda: _jsonl(names, some)}[fmt]()


def csv_text(text: str) -> str:
    """A text as a cell of a csv: no formula, and quoted where it has to be.

    >>> csv_text("=1+1"), csv_text("a,b")
    ("'=1+1", '"a,b"')
    """
    if text.startswith(_FORMULA):
        text = "'" + text
    quoted = text.replace('"', '""')
    return f'"{quoted}"' if any(mark in text for mark in ',"\r\n') else text


def _some_at_once(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        step = max(1, batch.num_rows * _AT_ONCE_BYTES // max(1, batch.nbytes))
        for first in range(0, batch.num_rows, step):
            yield batch.slice(first, step)


def _csv(names: Sequence[str], batches: Iterator[pa.RecordBatch], line_end: str) -> Iterator[bytes]:
    yield (",".join(map(csv_text, names)) + line_end).encode()
    for batch in batches:
        columns = [_cells(column, _CSV) for column in batch.columns]
        if len(columns) == 1:  # readers pass over a line with nothing in it
            columns = [pc.if_else(pc.equal(columns[0], ""), '""', columns[0])]
        parts: list[Any] = [part for column in columns for part in (column, ",")]
        yield _joined([*parts[:-1], line_end], batch.num_rows)


def _jsonl(names: Sequence[str], batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    for batch in batches:
        yield _joined([*_object(names, batch), "}\n"], batch.num_rows)


def _json(names: Sequence[str], batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    begun = False
    for batch in batches:
        piece = _joined([",\n", *_object(names, batch), "}"], batch.num_rows)
        yield piece if begun else b"[" + piece.removeprefix(b",\n")
        begun = True
    yield b"]\n" if begun else b"[]\n"


def _object(names: Sequence[str], batch: pa.RecordBatch) -> list[Any]:
    """The parts of a JSON object per row, but for the closing brace."""
    parts: list[Any] = []
    for index, (name, column) in enumerate(zip(names, batch.columns, strict=True)):
        parts += ["{" if index == 0 else ",", f"{_json_text(name)}:", _cells(column, _JSON)]
    return parts


def _joined(parts: list[Any], rows: int) -> bytes:
    """Row by row what the parts (columns of text, or texts that stand in each row) make together."""
    lines = pc.binary_join_element_wise(*(pa.scalar(p) if isinstance(p, str) else p for p in parts), "")
    offsets = pa.Array.from_buffers(pa.int32(), rows + 1, [None, lines.buffers()[1]], offset=lines.offset)
    start, end = offsets[0].as_py(), offsets[rows].as_py()
    return bytes(memoryview(lines.buffers()[2])[start:end])


def _cells(column: pa.Array, dialect: _Dialect) -> pa.Array:
    return pc.fill_null(_texts(column, dialect), dialect.null)


def _texts(column: pa.Array, dialect: _Dialect) -> pa.Array:
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return column.cast(pa.string())
    if pa.types.is_timestamp(kind) and _is_plain(column):
        return _framed(_instants(column), dialect)
    if pa.types.is_decimal(kind):
        return _decimals(column)
    if _is_text(kind) or (pa.types.is_dictionary(kind) and _is_text(kind.value_type)):
        return _distinct(column, dialect)
    return pa.array(dialect.others(column), pa.string())


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_plain(column: pa.Array) -> bool:
    """Whether Arrow writes all of these instants as we do: microseconds of the years 1 to 9999."""
    if column.type.unit != "us":
        return False
    ends = pc.min_max(column.cast(pa.int64()))
    first, last = ends["min"].as_py(), ends["max"].as_py()
    return first is None or (first >= _FIRST_US and last < _LAST_US)


def _instants(column: pa.Array) -> pa.Array:
    end = "" if column.type.tz is None else "Z"
    naive = column.cast(pa.timestamp("us"))
    return pc.binary_join_element_wise(pc.replace_substring(naive.cast(pa.string()), " ", "T"), end, "")


def _framed(texts: pa.Array, dialect: _Dialect) -> pa.Array:
    """Texts of our own making, which need the format's quotation marks and no escapes."""
    before, after = dialect.quoted("x").split("x")
    return pc.binary_join_element_wise(before, texts, after, "")


def _decimals(column: pa.Array) -> pa.Array:
    texts = column.cast(pa.string())
    if not pc.any(pc.match_substring(texts, "E")).as_py():
        return texts
    return pa.array([None if text is None else format(Decimal(text), "f") for text in texts.to_pylist()], pa.string())


def _distinct(column: pa.Array, dialect: _Dialect) -> pa.Array:
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    quoted = [None if value is None else dialect.quoted(value) for value in encoded.dictionary.to_pylist()]
    return pa.array(quoted, pa.string()).take(encoded.indices)


def _other_csv_cells(column: pa.Array) -> list[str | None]:
    texts = formatting.cells(column)
    if pa.types.is_floating(column.type):  # a negative number is no formula
        return texts
    return [None if text is None else csv_text(text) for text in texts]


def _json_text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


_CSV = _Dialect("", csv_text, _other_csv_cells)
_JSON = _Dialect("null", _json_text, formatting.tokens)
