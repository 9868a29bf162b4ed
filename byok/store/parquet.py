"""Rows as one Parquet file, piece by piece: memory does not grow with the rows."""

import io
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from byok.store.formatting import unique

ROW_GROUP_ROWS = 122_880
ABOUT = "byok"  # the metadata that says what made the file


def write(schema: pa.Schema, batches: Iterable[pa.RecordBatch], *, about: str = "") -> Iterator[bytes]:
    """The pieces of the file; column names that occur twice are numbered. `about` (JSON) stands in its metadata under `byok`."""
    fields = [field.with_name(name) for field, name in zip(schema, unique(schema.names), strict=True)]
    named, sink = pa.schema(fields), _Pieces()
    with pq.ParquetWriter(pa.PythonFile(sink, mode="w"), named, compression="zstd") as writer:
        if about:
            writer.add_key_value_metadata({ABOUT: about})
        for table in _row_groups(named, batches):
            writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
            yield sink.taken()
    yield sink.taken()


def _row_groups(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    pending: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        if count and count + batch.num_rows > ROW_GROUP_ROWS:
            yield pa.Table.from_batches(pending, schema)
            pending, count = [], 0
        pending.append(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
        count += batch.num_rows
    yield pa.Table.from_batches(pending, schema)


class _Pieces(io.RawIOBase):
    """A file that forgets what was taken from it."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._length = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._length

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        self._length += len(data)
        return len(data)

    def taken(self) -> bytes:
        piece, self._parts = b"".join(self._parts), []
        return piece
