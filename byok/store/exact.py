"""Answers of DuckDB as Arrow columns that every reader has, without losing a digit.

The connection needs `SET arrow_lossless_conversion = true`; without it DuckDB hands over 128-bit integers wrongly.
"""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from duckdb import DuckDBPyRelation

_INTEGERS = {"tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint", "uhugeint"}
_TIMES = {"date", "timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns", "timestamp with time zone"}
_AS_IT_IS = {"boolean", "float", "double", "decimal", "varchar", "blob"} | _INTEGERS | _TIMES
_AS_JSON = {"list", "struct", "map", "union", "array", "variant", "tuple"}
_WIDE = pa.decimal256(39, 0)


def batches(answer: DuckDBPyRelation, rows: int) -> Any:
    """A pa.RecordBatchReader of about `rows` at a time: numbers, decimals, text, bytes, dates and times as they are, 128-bit integers as
    decimals without a fraction, nested values as JSON text, anything else (uuid, enum, interval, bit …) as DuckDB writes it.
    """
    columns = (_column(at, kind.id, name) for at, (kind, name) in enumerate(zip(answer.types, answer.columns, strict=True), 1))
    reader = answer.project(", ".join(columns)).to_arrow_reader(rows)
    schema = pa.schema([(field.name, _plain_type(field.type)) for field in reader.schema])

    def each() -> Iterator[Any]:
        with reader:
            for batch in reader:
                yield pa.record_batch([_plain(column) for column in batch.columns], schema=schema)

    return pa.RecordBatchReader.from_batches(schema, each())


def narrow(table: Any) -> Any:
    """The same table with 128-bit integers in 38 digits, which more readers know than 39, wherever they fit."""
    for at, field in enumerate(table.schema):
        if field.type == _WIDE:
            try:
                table = table.set_column(at, field.name, table.column(at).cast(pa.decimal128(38, 0)))
            except pa.ArrowInvalid:
                continue
    return table


def _column(at: int, kind: str, name: str) -> str:
    alias = '"' + name.replace('"', '""') + '"'
    if kind in _AS_IT_IS:
        return f"#{at} AS {alias}"
    if kind in _AS_JSON:
        return f"CASE WHEN #{at} IS NOT NULL THEN to_json(#{at})::VARCHAR END AS {alias}"
    return f"#{at}::VARCHAR AS {alias}"


def _plain_type(kind: Any) -> Any:
    if isinstance(kind, pa.OpaqueType):
        return _WIDE
    if isinstance(kind, pa.Bool8Type):
        return pa.bool_()
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def _plain(column: Any) -> Any:
    kind = column.type
    if isinstance(kind, pa.Bool8Type):
        return column.storage.cast(pa.bool_())
    if not isinstance(kind, pa.OpaqueType):
        return column.storage if isinstance(kind, pa.BaseExtensionType) else column
    signed = kind.type_name == "hugeint"
    raw = column.storage.to_pylist()
    return pa.array([None if value is None else int.from_bytes(value, "little", signed=signed) for value in raw], _WIDE)
