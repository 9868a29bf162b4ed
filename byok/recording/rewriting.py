"""Rewriting a month of the table: many files into one, or the same without some rows. DuckDB sorts and spills; memory is bounded."""

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa

from byok.recording.files import ROW_GROUP_ROWS, SCHEMA, TableFile, WrittenFile, write_month

_SPILL = ".spill"


class Past(NamedTuple):
    """How many rows of one user in one file lie before the user's moment."""

    path: str
    user_id: str
    rows: int


def rewrite(
    table_dir: Path, month: str, files: Sequence[TableFile], *, keep_after: Mapping[str, datetime] | None = None
) -> WrittenFile | None:
    """Write the rows of `files` as one file sorted by (user_id, ts); not committed yet. None if no row is left.

    `keep_after` maps a user to the first moment whose rows stay (datetime.max: none stay); users that are not named keep all.
    """
    with _connection(table_dir / _SPILL) as db:
        db.register("keep_after", _limits(keep_after or {}))
        source = _source(files, "join_limits" if keep_after else "all")
        reader = db.sql(f"{source} order by user_id, ts").to_arrow_reader(ROW_GROUP_ROWS)
        return write_month(table_dir, month, (batch.cast(SCHEMA) for batch in reader))


def count_past(files: Sequence[TableFile], keep_after: Mapping[str, datetime], *, tail: pa.Table | None = None) -> list[Past]:
    """Rows of `files` (and of an Arrow tail, under the path "") before their user's moment in `keep_after`."""
    with _connection() as db:
        db.register("keep_after", _limits(keep_after))
        db.register("tail", SCHEMA.empty_table() if tail is None else tail)
        sources = ["select ts, user_id, '' as path from tail"]
        if files:
            names = _list_of([file.path for file in files])
            sources.append(f"select ts, user_id, filename from read_parquet({names}, hive_partitioning = false, filename = true)")  # noqa: S608
        rows = db.sql(
            f"select path, user_id, count(*) from ({' union all '.join(sources)}) join keep_after using (user_id) "  # noqa: S608
            "where ts < moment group by all"
        ).fetchall()
        return [Past(*row) for row in rows]


def users_in(files: Sequence[TableFile]) -> set[str]:
    """The user ids that occur in `files`."""
    if not files:
        return set()
    with _connection() as db:
        rows = db.execute(
            "select distinct user_id from read_parquet($files, hive_partitioning = false)", {"files": [file.path for file in files]}
        ).fetchall()
        return {user_id for (user_id,) in rows}


def _source(files: Sequence[TableFile], which: str) -> str:
    names = _list_of([file.path for file in files])
    columns = ", ".join(f"u.{name}" for name in SCHEMA.names)
    base = f"select {columns} from read_parquet({names}, hive_partitioning = false, union_by_name = true) u"  # noqa: S608 - our own file names
    if which == "all":
        return base
    return f"{base} left join keep_after k using (user_id) where k.moment is null or u.ts >= k.moment"


def _list_of(paths: Sequence[str]) -> str:
    """A SQL list of file names: names of our own making, so quoting is all they need."""
    return "[" + ", ".join("'" + path.replace("'", "''") + "'" for path in paths) + "]"


def _limits(keep_after: Mapping[str, datetime]) -> pa.Table:
    schema = pa.schema([("user_id", pa.string()), ("moment", pa.timestamp("us", "UTC"))])
    return pa.Table.from_pylist([{"user_id": user, "moment": moment} for user, moment in keep_after.items()], schema=schema)


@contextlib.contextmanager
def _connection(spill: Path | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory DuckDB. Only a rewrite spills: it holds the table's writer lock, so what a killed one left can go."""
    if spill:
        shutil.rmtree(spill, ignore_errors=True)
    db = duckdb.connect(
        config={
            "threads": 2,
            "memory_limit": "1GB",
            "temp_directory": str(spill or ""),
            "autoinstall_known_extensions": False,
        }
    )
    db.execute("set TimeZone = 'UTC'")
    try:
        yield db
    finally:
        db.close()
        if spill:
            shutil.rmtree(spill, ignore_errors=True)
