"""The SQL that gives any DuckDB shell the views of `byok sql`, as of now: the same view files, over the same Parquet and journal files."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from byok.pricing.tables import PriceTables
from byok.recording import segments
from byok.recording.table import Snapshot, Table
from byok.settings import RemoteStore
from byok.store import tables, wording
from byok.usage import COLUMNS

Rows = Iterable[Mapping[str, object]]
_SQL_TYPES = {
    "int64": "bigint",
    "int32": "integer",
    "string": "varchar",
    "bool": "boolean",
    "double": "double",
    "timestamp[us, tz=UTC]": "timestamptz",
}
_HEAD = """-- The views usage, usage_priced, prices, keys and spikes for any DuckDB shell (1.4 or newer), as of the moment this was printed:
--   byok sql --init > views.sql && duckdb -init views.sql
-- Print it again when files have been merged or purged since."""


def init_sql(
    usage_dir: Path | RemoteStore,
    journal_dir: Path,
    *,
    prices: PriceTables,
    keys: Iterable[Mapping[str, object]],
    spikes: pa.Table,
    retention: Mapping[str, int],
) -> str:
    """Return the text. `prices` are the catalogue's tables, `keys` and `spikes` those views' rows, `retention` says user id -> days."""
    table = Table(usage_dir)
    snapshot, waiting = _settled(table, journal_dir)
    table.fetch(snapshot.files)
    files = [file.path for file in snapshot.files]
    days = ", ".join(f"({_literal(user_id)}, {days:d})" for user_id, days in sorted(retention.items()))
    parts = [
        "set TimeZone = 'UTC'",
        f"set variable usage_files = {_list(files)}",
        f"create or replace temp table usage_tail as {_tail(waiting)}",
        _small_table("usage_prices", prices.prices),
        _small_table("usage_price_spans", prices.spans),
        _small_table("usage_price_steps", prices.steps),
        _small_table("keys", tables.keys(keys)),
        _small_table("spikes", spikes),
        f"create or replace temp table days_kept as select * from (values {days or '(null, 0)'}) as kept(user_id, days)",  # noqa: S608 - quoted by _literal
        "create or replace temp view usage_kept as select user_id, now() - to_hours(days * 24) as keep_after from days_kept",
        wording.text("macros"),
        wording.text("view_rows" if files else "view_rows_tail_only"),
        *(wording.text(f"view_{name}") for name in ("usage", "usage_costed", "usage_priced", "prices")),
    ]
    return f"{_HEAD}\n" + "".join(f"{part.strip()};\n" for part in parts)


def _settled(table: Table, journal_dir: Path) -> tuple[Snapshot, list[Path]]:
    """A snapshot and the journal segments that are not in it."""
    while True:
        waiting = segments.listed(journal_dir)
        snapshot = table.snapshot([segment.writer for segment in waiting])
        if segments.listed(journal_dir) == waiting:
            return snapshot, [s.path for s in waiting if s.number > snapshot.done.get(s.writer, -1)]


def _tail(paths: Sequence[Path]) -> str:
    columns = ", ".join(f"{column.name}: '{column.type}'" for column in COLUMNS)
    if not paths:
        return f"select {', '.join(f'null::{column.type} as {column.name}' for column in COLUMNS)} where false"
    return f"select * from read_json({_list(paths)}, format = 'newline_delimited', ignore_errors = true, columns = {{{columns}}})"  # noqa: S608


def _small_table(name: str, table: pa.Table) -> str:
    casts = ", ".join(f"{field.name}::{_SQL_TYPES[str(field.type)]} as {field.name}" for field in table.schema)
    rows = [f"({', '.join(_literal(value) for value in row.values())})" for row in table.to_pylist()]
    nothing = f"({', '.join(['null'] * table.num_columns)})"
    values = ",\n  ".join(rows) or nothing
    where = "" if rows else " where false"
    return f"create or replace temp table {name} as select {casts} from (values {values}) as t({', '.join(table.column_names)}){where}"  # noqa: S608


def _list(paths: Iterable[Any]) -> str:
    return "[" + ", ".join(_literal(str(path)) for path in paths) + "]"


def _literal(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, datetime):
        return f"'{value.isoformat()}'"
    return "'" + str(value).replace("'", "''") + "'"
