"""How much an answer takes when it is written as JSON: many times what it takes in memory if it is full of signs that are escaped."""

import json
from typing import Any

import pyarrow as pa

from byok.store import formatting

_AT_ONCE = 200  # rows; none is written beyond the limit
_WIDEST = 41  # of a number, a date or a moment
_WIDEST_MOMENT = 33
_WIDEST_BYTE = 5  # \\x00


def signs_of_a_row(names: list[str]) -> int:
    """Bytes that names and punctuation add to each row."""
    return sum(len(_json(name)) + 2 for name in formatting.unique(names)) + 2


def rows_within(table: Any, most_bytes: int) -> int:
    """How many of the first rows of a flat pa.Table fit into `most_bytes` of JSON."""
    signs = signs_of_a_row(table.column_names)
    if table.num_rows * signs + sum(map(_at_most, table.columns)) <= most_bytes:
        return int(table.num_rows)
    rows = taken = 0
    for batch in table.to_batches(max_chunksize=_AT_ONCE):
        sizes = [signs] * batch.num_rows
        for column in batch.columns:
            sizes = [size + more for size, more in zip(sizes, _sizes(column), strict=True)]
        for size in sizes:
            taken += size
            if taken > most_bytes:
                return rows
            rows += 1
    return rows


def _sizes(column: Any) -> list[int]:
    if pa.types.is_timestamp(column.type):  # all are about as long, and take long to write
        return [_WIDEST_MOMENT] * len(column)
    return [len(text.encode()) for text in formatting.tokens(column)]


def _at_most(column: Any) -> int:
    if pa.types.is_string(column.type):
        return len(_json(column.to_pylist()))
    if pa.types.is_binary(column.type):
        return int(column.nbytes) * _WIDEST_BYTE
    return len(column) * _WIDEST


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
