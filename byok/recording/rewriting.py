"""Rewriting files of the table: many into one, or one without some rows. Memory is bounded: sorting spills, filtering streams.

A column that a file of an older version lacks is null. A file that cannot be read is named by `FilesUnreadable`.
"""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from byok.recording.cut import Cut
from byok.recording.files import CODED, ROW_GROUP_ROWS, SCHEMA, TableFile, WrittenFile, open_coded, write_month

Limits = Mapping[str, datetime] | Cut  # what goes: the rows of users before their moment, or one cut
_SPILL = ".spill"
log = structlog.get_logger("byok.rewriting")


class FilesUnreadable(Exception):
    """These files, which the table names, are damaged or missing."""

    def __init__(self, files: Sequence[TableFile]) -> None:
        super().__init__()
        self.files = tuple(files)


class Past(NamedTuple):
    """How many rows of one user in one file lie before the user's moment, and since when the oldest of them is there."""

    path: str
    user_id: str
    rows: int
    oldest: datetime


def merged(table_dir: Path, month: str, files: Sequence[TableFile]) -> WrittenFile | None:
    """Write the rows of `files` as one file sorted by (user_id, ts); not committed yet. None if there is none. Raises `FilesUnreadable`."""
    with _connection(table_dir / _SPILL) as db, _naming_the_broken(files):
        reader = db.sql(f"select {_COLUMNS} from {_source(files)} order by user_id, ts").to_arrow_reader(ROW_GROUP_ROWS)  # noqa: S608
        return write_month(table_dir, month, (batch.cast(SCHEMA) for batch in reader))


def without(table_dir: Path, month: str, file: TableFile, limits: Limits, *, what_can_be_read: bool = False) -> WrittenFile | None:
    """Write `file` again without the rows before their user's moment, or those of a cut; not committed yet. None if no row is left.

    A mapping names for a user the first moment whose rows stay (datetime.max: none stay); users that are not named keep all.
    Raises `FilesUnreadable`, or with `what_can_be_read` leaves out the row groups that are damaged; OSError if we may not read it.
    """
    groups = _row_groups(file, skip_damaged=what_can_be_read)
    kept = (batch for group in groups for batch in kept_rows(group, limits).to_batches())
    return write_month(table_dir, month, kept, schema=CODED)


def kept_rows(rows: pa.Table, limits: Limits) -> pa.Table:
    """The rows that are not before their user's moment, or not of the cut."""
    if isinstance(limits, Cut):
        kept = rows.filter(pc.invert(limits.covers(rows)))
        return rows if len(kept) == len(rows) else _forgetful(kept)
    if not limits:
        return rows
    moments_of = _limits(limits)
    users = rows["user_id"].unify_dictionaries() if pa.types.is_dictionary(rows["user_id"].type) else rows["user_id"].dictionary_encode()
    coded = users.combine_chunks()
    place = pc.index_in(coded.dictionary, moments_of["user_id"].combine_chunks())
    moments = moments_of["moment"].combine_chunks().take(place).take(coded.indices)
    kept = rows.filter(pc.fill_null(pc.greater_equal(rows["ts"], moments), fill_value=True))
    return rows if len(kept) == len(rows) else _forgetful(kept)


def _forgetful(rows: pa.Table) -> pa.Table:
    """Take from the dictionaries what no row uses any more: it would be written into the file."""
    for number, field in enumerate(rows.schema):
        if pa.types.is_dictionary(field.type):
            coded = rows.column(number).unify_dictionaries().combine_chunks()
            used = pc.unique(coded.indices).drop_null()
            indices = pc.index_in(coded.indices, used).cast(pa.int32())
            rows = rows.set_column(number, field, pa.DictionaryArray.from_arrays(indices, coded.dictionary.take(used)))
    return rows


def count_past(files: Sequence[TableFile], limits: Limits, *, tail: pa.Table | None = None) -> list[Past]:
    """Rows of `files` (and of an Arrow tail, under the path "") that `limits` lets go. Raises `FilesUnreadable`."""
    with _connection() as db, _naming_the_broken(files):
        db.register("tail", SCHEMA.empty_table() if tail is None else tail)
        columns = "ts, user_id, vendor, model, key_id" if isinstance(limits, Cut) else "ts, user_id"
        sources = [f"select {columns}, '' as path from tail"]  # noqa: S608
        if files:
            sources.append(f"select {columns}, filename as path from {_source(files, filename=True)}")  # noqa: S608
        if isinstance(limits, Cut):
            (which, values) = limits.condition()
            which = f"where {which}"
        else:
            db.register("keep_after", _limits(limits))
            which, values = "join keep_after using (user_id) where ts < moment", {}
        counted = f"select path, user_id, count(*), min(ts) from ({' union all '.join(sources)}) {which} group by all"  # noqa: S608
        rows = db.sql(counted, params=dict(values)).to_arrow_table()
        return [Past(*row.values()) for row in rows.to_pylist()]


def users_in(files: Sequence[TableFile]) -> set[str]:
    """The user ids that occur in `files`. Raises `FilesUnreadable`."""
    if not files:
        return set()
    with _connection() as db, _naming_the_broken(files):
        return {user_id for (user_id,) in db.sql(f"select distinct user_id from {_source(files)}").fetchall()}  # noqa: S608


_COLUMNS = ", ".join(SCHEMA.names)


def _source(files: Sequence[TableFile], *, filename: bool = False) -> str:
    """The files as one relation: names of our own making, so quoting is all they need."""
    names = ", ".join("'" + file.path.replace("'", "''") + "'" for file in files)
    options = f"hive_partitioning = false, union_by_name = true, filename = {str(filename).lower()}"
    return f"(select * from columns_of_today union all by name select * from read_parquet([{names}], {options}))"  # noqa: S608


def _row_groups(file: TableFile, *, skip_damaged: bool) -> Iterator[pa.Table]:
    try:
        source = open_coded(file.path)
    except (OSError, pa.ArrowException) as error:
        if not skip_damaged:
            raise FilesUnreadable([file]) from None
        _refuse_unless_damaged(file, error)
        log.error("usage_file_dropped", file=Path(file.path).name, rows=file.rows)
        return
    with source:
        for number in range(source.num_row_groups):
            try:
                group = _of_today(source.read_row_group(number))
            except (OSError, pa.ArrowException) as error:
                if not skip_damaged:
                    raise FilesUnreadable([file]) from None
                _refuse_unless_damaged(file, error)
                log.error("usage_rows_dropped", file=Path(file.path).name, rows=source.metadata.row_group(number).num_rows)
                continue
            yield group


def _refuse_unless_damaged(file: TableFile, error: Exception) -> None:
    """Where rights, handles or memory are short the file may be whole: its rows must not go for that."""
    if isinstance(error, MemoryError):
        raise error
    if isinstance(error, OSError) and error.errno not in (None, errno.ENOENT, errno.EIO):
        raise OSError(error.errno, os.strerror(error.errno), file.path) from None


def _of_today(rows: pa.Table) -> pa.Table:
    return pa.Table.from_arrays(
        [rows[field.name].cast(field.type) if field.name in rows.column_names else pa.nulls(len(rows), field.type) for field in CODED],
        schema=CODED,
    )


def _limits(keep_after: Mapping[str, datetime]) -> pa.Table:
    schema = pa.schema([("user_id", pa.string()), ("moment", pa.timestamp("us", "UTC"))])
    return pa.Table.from_pydict({"user_id": list(keep_after), "moment": list(keep_after.values())}, schema=schema)


@contextlib.contextmanager
def _naming_the_broken(files: Sequence[TableFile]) -> Iterator[None]:
    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError):
        if broken := [file for file in files if not _is_readable(file)]:
            raise FilesUnreadable(broken) from None
        raise


def _is_readable(file: TableFile) -> bool:
    try:
        with _connection() as db:
            for _ in db.sql(f"select * from {_source([file])}").to_arrow_reader(ROW_GROUP_ROWS):  # noqa: S608
                pass
    except (duckdb.Error, pa.ArrowException, OSError):
        return False
    return True


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
    db.register("columns_of_today", SCHEMA.empty_table())
    try:
        yield db
    finally:
        db.close()
        if spill:
            shutil.rmtree(spill, ignore_errors=True)
