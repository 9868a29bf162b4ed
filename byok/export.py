"""An answer as CSV, JSON, JSON Lines or Parquet, piece by piece: memory does not grow with the rows.

Cells are made column by column in Arrow; Python sees each distinct text once.
"""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.compute as pc

from byok.errors import BadRequest
from byok.store import formatting, parquet
from byok.store.scope import AnyScope

Format = Literal["csv", "json", "jsonl", "parquet"]
FORMATS: tuple[str, ...] = get_args(Format)
_HEAD = parquet.ABOUT.encode()

Quote = Callable[[str], str]


class FormatUnknown(BadRequest):
    """A format that is none of `FORMATS`."""

    code = "invalid_parameter"

    def __init__(self) -> None:
        super().__init__("The parameter format is not understood.", remedy=f"format: one of {', '.join(FORMATS)}")


def filters_of(scope: AnyScope) -> dict[str, Any]:
    """What a scope leaves in, for people who meet the file later: period, zone and filters. It names no user."""
    texts: dict[str, Any] = {"since": scope.since.isoformat(), "until": scope.until.isoformat(), "tz": scope.tz}
    lists = {"vendor": scope.vendors, "model": scope.models, "key_id": scope.key_ids, "status": scope.statuses}
    return texts | {name: list(values) for name, values in lists.items() if values}


def write(fmt: str, batches: Iterable[pa.RecordBatch], *, filters: Mapping[str, Any] | None = None) -> Iterator[bytes]:
    """Yield the bytes of a whole file in pieces. `batches` holds at least one batch, maybe an empty one: it names the columns.

    `filters` (see `filters_of`) stand in a Parquet file's metadata under `byok`; the other formats have no place that readers would skip.

    Instants are written as 2026-11-22T10:00:00.123456Z, decimals with all digits, null as an empty cell or `null`. A csv text that begins
    like a formula gets a leading apostrophe. Raises `FormatUnknown` at once.

    >>> b"".join(write("csv", [pa.RecordBatch.from_pydict({"model": ["=1+1", None], "calls": [3, 4]})]))
    b"model,calls\\r\\n'=1+1,3\\r\\n,4\\r\\n"
    """
    if fmt not in FORMATS:
        raise FormatUnknown
    if fmt == "parquet":
        return _parquet(iter(batches), json.dumps(filters or {}))
    return {"csv": _csv, "json": _json, "jsonl": _jsonl}[fmt](iter(batches))


def file(fmt: str, answer: pa.Table) -> Iterator[bytes]:
    """A file of the answer to any question, as `formatting.write` or Parquet. What made it (see `with_head`) is named in it."""
    head = (answer.schema.metadata or {}).get(_HEAD, b"").decode()
    if fmt == "parquet":
        return parquet.write(answer.schema.remove_metadata(), answer.to_batches(), about=head)
    before, after = _around(fmt, head)
    return (piece.encode() for piece in itertools.chain(before, formatting.write(fmt, answer), after))


def with_head(answer: pa.Table, about: Mapping[str, str]) -> pa.Table:
    """The same answer with a word on what made it: lines with # before the header of a csv, an object around the rows (`filters`, `rows`)
    in json, metadata `byok` in parquet."""
    return answer.replace_schema_metadata({_HEAD: json.dumps(dict(about), ensure_ascii=False)})


def _around(fmt: str, head: str) -> tuple[list[str], list[str]]:
    if not head:
        return [], []
    if fmt == "json":
        return [f'{{"filters": {head},\n"rows": '], ["}\n"]
    lines = (f"# {name}: {' '.join(str(words).split())}" for name, words in json.loads(head).items())
    return [f"{_csv_text(line)}\r\n" for line in lines], []


def _csv(batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    for index, batch in enumerate(batches):
        if index == 0:
            yield (",".join(_csv_text(name) for name in batch.schema.names) + "\r\n").encode()
        cells = [_cells(column, _csv_text, null="") for column in batch.columns]
        parts: list[Any] = [part for cell in cells for part in (cell, ",")]
        yield _joined([*parts[:-1], "\r\n"], batch.num_rows)


def _jsonl(batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    for batch in batches:
        yield _joined([*_object(batch), "}\n"], batch.num_rows)


def _json(batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    yield b"["
    begun = False
    for batch in batches:
        piece = _joined([",\n", *_object(batch), "}"], batch.num_rows)
        if piece:
            yield piece if begun else piece[1:]
            begun = True
    yield b"\n]\n"


def _parquet(batches: Iterator[pa.RecordBatch], filters: str) -> Iterator[bytes]:
    first = next(batches)
    yield from parquet.write(first.schema, itertools.chain([first], batches), about=filters)


def _object(batch: pa.RecordBatch) -> list[Any]:
    """The parts of a JSON object per row, but for the closing brace."""
    parts: list[Any] = []
    for index, (name, column) in enumerate(zip(batch.schema.names, batch.columns, strict=True)):
        parts += ["{" if index == 0 else ",", f"{_json_text(name)}:", _cells(column, _json_text, null="null")]
    return parts


def _joined(parts: list[Any], rows: int) -> bytes:
    """Row by row what the parts (columns of text, or texts that stand in each row) make together."""
    if rows == 0:
        return b""
    lines = pc.binary_join_element_wise(*(pa.scalar(p) if isinstance(p, str) else p for p in parts), "")
    offsets = pa.Array.from_buffers(pa.int32(), rows + 1, [None, lines.buffers()[1]], offset=lines.offset)
    start, end = offsets[0].as_py(), offsets[rows].as_py()
    return bytes(memoryview(lines.buffers()[2])[start:end])


def _cells(column: pa.Array, quote: Quote, *, null: str) -> pa.Array:
    return pc.fill_null(_texts(column, quote), null)


def _texts(column: pa.Array, quote: Quote) -> pa.Array:
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return column.cast(pa.string())
    if pa.types.is_timestamp(kind):
        return _distinct(_instants(column), quote) if kind.tz is None else _framed(_instants(column), quote)
    if pa.types.is_decimal(kind):
        return _decimals(column)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        return _distinct(column, quote)
    if quote is _json_text:  # what the record has no column of, but an ad-hoc question may
        return pa.array(formatting.tokens(column), pa.string())
    return pa.array([None if text is None else quote(text) for text in formatting.cells(column)], pa.string())


def _instants(column: pa.Array) -> pa.Array:
    end = "" if column.type.tz is None else "Z"
    naive = column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.timestamp("us"))
    return pc.binary_join_element_wise(pc.replace_substring(naive.cast(pa.string()), " ", "T"), end, "")


def _framed(texts: pa.Array, quote: Quote) -> pa.Array:
    """Texts of our own making, which need the format's quotation marks and no escapes."""
    marks = quote("x").split("x")
    return pc.binary_join_element_wise(marks[0], texts, marks[1], "")


def _decimals(column: pa.Array) -> pa.Array:
    texts = column.cast(pa.string())
    if not pc.any(pc.match_substring(texts, "E")).as_py():
        return texts
    return pa.array([None if text is None else format(Decimal(text), "f") for text in texts.to_pylist()], pa.string())


def _distinct(column: pa.Array, quote: Quote) -> pa.Array:
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    quoted = [None if value is None else quote(str(value)) for value in encoded.dictionary.to_pylist()]
    return pa.array(quoted, pa.string()).take(encoded.indices)


def _json_text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _csv_text(text: str) -> str:
    if text.startswith(formatting.FORMULA):
        text = "'" + text
    quoted = text.replace('"', '""')
    return f'"{quoted}"' if any(mark in text for mark in ',"\r\n') else text
