"""The same questions on Apache Spark, over the same files: for whoever has more records than one machine reads in time.

DuckDB remains for what is asked in other people's words (`byok sql`, the SQL page) and for a table's health.
"""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import structlog

from byok.recording.files import SCHEMA
from byok.recording.places import place_of
from byok.recording.reader import View
from byok.settings import RemoteStore
from byok.store import tables, wording
from byok.store.engine import BATCH_ROWS, Engine
from byok.store.seating import Seating, Words, values_of
from byok.store.spark_session import SparkFailed, SparkGone, SparkReadsNoS3, SparkSession
from byok.store.spark_sql import transpile

_VIEWS = ("prices", "usage", "usage_costed", "usage_priced")
_PRICES = ("prices", "price_spans", "price_steps")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SUM = pa.decimal128(38, 9)
log = structlog.get_logger("byok.spark")


class SparkTables:
    """The views of the questions on a session of Spark. One question at a time: temporary views belong to the session."""

    def __init__(self, master: str, usage: Path | RemoteStore) -> None:
        self._place, self._remote = place_of(usage), isinstance(usage, RemoteStore)
        self._spark = SparkSession(master)
        self._beside: dict[str, pa.Table] = {}
        self._lock = threading.Lock()

    def ask(self, sql: str, values: Mapping[str, object], seating: Seating, view: View, beside: Mapping[str, pa.Table]) -> pa.Table:
        """The answer as Arrow. `sql` is DuckDB's text, `beside` the small tables that stand next to the records.

        A session whose other end is gone is opened anew, once.
        """
        with self._lock:
            try:
                return self._answer(sql, values, seating, view, beside)
            except SparkGone:
                self._forget()
                return self._answer(sql, values, seating, view, beside)

    def close(self) -> None:
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        self._spark.close()
        self._beside.clear()

    def _answer(self, sql: str, values: Mapping[str, object], seating: Seating, view: View, beside: Mapping[str, pa.Table]) -> pa.Table:
        session = self._spark.opened()
        if self._spark.is_local:
            self._place.fetch(seating.files)
        try:
            for name, table in {**beside, "usage_kept": seating.kept}.items():
                if self._beside.get(name) is not table:
                    _frame(session, table).createOrReplaceTempView(name)
                    self._beside[name] = table
            self._records(session, seating.files, view.tail).createOrReplaceTempView("usage_rows")
            for name in _VIEWS:
                session.sql(transpile(wording.text(f"view_{name}")))
            with self._spark.bounded():
                return session.sql(transpile(sql), args=_arguments(values)).toArrow()
        except Exception as error:  # of many kinds, from two languages
            log.error("spark_failed", error=type(error).__name__)
            if "S3AFileSystem" in str(error):
                raise SparkReadsNoS3 from None
            kind = SparkFailed if self._spark.lives() else SparkGone
            raise kind(type(error).__name__) from None

    def _records(self, session: Any, files: Sequence[str], tail: pa.Table) -> Any:
        rows = _frame(session, tail)
        if files:
            paths = [self._address(path) for path in files]
            rows = session.read.schema(_ddl()).parquet(*paths).unionByName(rows)
        return rows

    def _address(self, path: str) -> str:
        """Where an executor finds a file: here if it runs here, else at the store."""
        if self._spark.is_local or not self._remote:
            return f"file://{path}"  # not quoted: Spark takes a path as it is
        return f"s3a://{self._place.uri.removeprefix('s3://')}/{self._place.name_of(path)}"


class SparkEngine(Engine):
    """An engine whose questions Spark answers; see `Engine` for the other words."""

    def __init__(self, *words: Any, spark: SparkTables, **more: Any) -> None:
        super().__init__(*words, **more)
        self._spark = spark

    def _table(self, words: Words) -> pa.Table:
        self._reprice()
        view = words.wanted.over or self._reader.view()
        try:
            return self._answer(words, view)
        except SparkFailed:
            newest = self._reader.view()
            if newest.stamp == view.stamp:
                raise
        return self._answer(words, newest)  # the view's files have been merged away since

    def _answer(self, words: Words, view: View) -> pa.Table:
        sql = words.say()
        seating = self._seating(view, words.wanted._replace(summed=False, by_user=False))
        given = wording.values(sql, {**values_of(words.wanted.scope, sql, seating), **words.values})
        beside = {f"usage_{name}": table for name, table in zip(_PRICES, self._prices, strict=True)}
        return _as_duckdb_says(tables.whole_numbers(self._spark.ask(sql, given, seating, view, beside)))

    def _batches(self, words: Words) -> Iterator[pa.RecordBatch]:
        found = self._table(words)
        yield from found.combine_chunks().to_batches(BATCH_ROWS) or [pa.RecordBatch.from_pylist([], found.schema)]

    def close(self) -> None:
        self._spark.close()
        super().close()


_SPARK_TYPES = {"timestamp[us, tz=UTC]": "timestamp", "string": "string", "int64": "bigint", "int32": "int", "int16": "smallint"}


def _frame(session: Any, table: pa.Table) -> Any:
    """A table of ours at Spark; Connect must be told what the columns of an empty one are."""
    from pyspark.sql.pandas.types import from_arrow_schema

    return session.createDataFrame(table) if table.num_rows else session.createDataFrame([], from_arrow_schema(table.schema))


def _ddl() -> str:
    return ", ".join(f"{field.name} {_SPARK_TYPES[str(field.type)]}" for field in SCHEMA)


def _arguments(values: Mapping[str, object]) -> dict[str, object]:
    return {name: json.dumps([_plain(one) for one in value]) if isinstance(value, list) else value for name, value in values.items()}


def _plain(value: object) -> object:
    return (value - _EPOCH) // timedelta(microseconds=1) if isinstance(value, datetime) else value


def _as_duckdb_says(answer: pa.Table) -> pa.Table:
    """Sums of money in the type that DuckDB's have; times in UTC."""
    for index, field in enumerate(answer.schema):
        if pa.types.is_decimal(field.type) and field.type.scale == 9 and field.type.precision > 18:
            answer = answer.set_column(index, field.name, answer[field.name].cast(_SUM))
        elif pa.types.is_timestamp(field.type):
            answer = answer.set_column(index, field.name, answer[field.name].cast(pa.timestamp("us", "UTC")))
    return answer
