"""The usage files: their schema, names, partitions and encodings."""

import io
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
import pyarrow.parquet as pq

from byok import disk
from byok.usage import COLUMNS

_ARROW = {
    "timestamptz": pa.timestamp("us", "UTC"),
    "varchar": pa.string(),
    "bigint": pa.int64(),
    "smallint": pa.int16(),
    "integer": pa.int32(),
}
SCHEMA = pa.schema([(column.name, _ARROW[column.type]) for column in COLUMNS])
_NEVER_NULL = ("ts", "user_id")
PARTITION = "month"
ROW_GROUP_ROWS = 122_880
WRITING = ".writing-"

# Measured: dictionaries for what repeats, byte streams for numbers: 14.8 bytes a record against 19.5 with defaults.
_DICTIONARY = ["user_id", "key_id", "vendor", "model", "endpoint", "usage_source", "status"]
_REPEATED = [name for name in _DICTIONARY if SCHEMA.field(name).type == pa.string()]
_SPLIT = {name: "BYTE_STREAM_SPLIT" for name in SCHEMA.names if name not in _DICTIONARY}


# The same with texts as codes: what is only moved from file to file costs half as much.
CODED = pa.schema([pa.field(f.name, pa.dictionary(pa.int32(), f.type) if f.name in _REPEATED else f.type) for f in SCHEMA])


class TableFile(NamedTuple):
    """One Parquet file of the table: absolute path on this machine, rows, first and last ts, size, and when it was added (ms, UTC)."""

    path: str
    rows: int
    first_ts: datetime
    last_ts: datetime
    bytes: int
    added_ms: int = 0


class WrittenFile(NamedTuple):
    """A Parquet file on disk that no commit names yet; `path` is relative to the table."""

    path: str
    month: str
    rows: int
    bytes: int
    first_ts: datetime
    last_ts: datetime


def month_of(ts: datetime) -> str:
    """The partition of a record: its UTC month, `YYYY-MM`."""
    return ts.strftime("%Y-%m")


def to_arrow(lines: Sequence[bytes]) -> pa.Table:
    """The records of checked journal lines as columns of SCHEMA, in the order given."""
    if not lines:
        return SCHEMA.empty_table()
    options = pj.ParseOptions(explicit_schema=SCHEMA, unexpected_field_behavior="ignore")
    return pj.read_json(io.BytesIO(b"\n".join(lines)), parse_options=options)


def records_of(lines: Sequence[bytes]) -> tuple[pa.Table, list[bytes]]:
    """As `to_arrow`, and the lines that are whole and yet no record of today, as a newer version may have written: they stop no other."""
    try:
        found = to_arrow(lines)
    except pa.ArrowInvalid:
        found = None
    if found is not None and not any(found[name].null_count for name in _NEVER_NULL):
        return found, []
    if len(lines) == 1:
        return SCHEMA.empty_table(), list(lines)
    half = len(lines) // 2
    (one, odd), (two, odder) = records_of(lines[:half]), records_of(lines[half:])
    return pa.concat_tables([one, two]), [*odd, *odder]


def open_coded(path: str) -> pq.ParquetFile:
    """A file whose row groups are read with texts as codes."""
    return pq.ParquetFile(path, read_dictionary=_REPEATED)


def write_month(table_dir: Path, month: str, batches: Iterable[pa.RecordBatch], *, schema: pa.Schema = SCHEMA) -> WrittenFile | None:
    """Write one month's rows, already sorted by (user_id, ts), durably under its final name; None if there are no rows.

    `schema` is that of the batches: SCHEMA or CODED; the file is the same. Leaves nothing behind when it fails.
    """
    folder = table_dir / f"{PARTITION}={month}"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"part-{uuid.uuid4().hex}.parquet"
    hidden = folder / f"{WRITING}{name}"
    try:
        rows, span = _write(hidden, batches, schema)
        if span is None:
            hidden.unlink()
            return None
        disk.sync(hidden)
        final = folder / name
        hidden.rename(final)
    except BaseException:
        hidden.unlink(missing_ok=True)  # on a full disk every try would leave one more
        raise
    disk.sync(folder)
    return WrittenFile(str(final.relative_to(table_dir)), month, rows, final.stat().st_size, *span)


def _write(path: Path, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> tuple[int, tuple[datetime, datetime] | None]:
    """How many rows went in, and their first and last ts."""
    rows, span = 0, None
    options = {"compression": "zstd", "version": "2.6", "data_page_version": "2.0", "store_schema": schema is SCHEMA}
    with pq.ParquetWriter(path, schema, use_dictionary=_DICTIONARY, column_encoding=_SPLIT, **options) as writer:
        for group in regroup(batches, ROW_GROUP_ROWS):
            first, last = _extent(group)
            span = (min(first, span[0]), max(last, span[1])) if span else (first, last)
            rows += group.num_rows
            writer.write_table(group.unify_dictionaries(), row_group_size=ROW_GROUP_ROWS)
    return rows, span


def regroup(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Tables of exactly `rows` rows (the last may have fewer) out of batches of any size."""
    pending: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        pending.append(batch)
        count += batch.num_rows
        while count >= rows:
            table = pa.Table.from_batches(pending)
            yield table.slice(0, rows)
            rest = table.slice(rows)
            pending, count = rest.to_batches(), rest.num_rows
    if count:
        yield pa.Table.from_batches(pending)


def _extent(table: pa.Table) -> tuple[datetime, datetime]:
    span = pc.min_max(table["ts"]).as_py()
    return span["min"], span["max"]
