"""Where remembered sums lie: a database beside the main one, one table for each kind of them, whose rows say of which part they are.

Not a table for each file: DuckDB plans every table that a question names, and to plan a year's dozen takes longer than to read them.
"""

import contextlib
import itertools
from collections.abc import Collection, Mapping

import duckdb

from byok.store import wording
from byok.store.desk import Desk

_NUMBERS = itertools.count()  # of the process: no two parts have one number, also after the database was opened anew


class Shelf:
    """The tables of one DuckDB database. Putting and dropping is for one thread at a time; anybody may read.

    A part that was dropped is missing without a word, so whoever reads parts compares `mark` before and after: it is another object
    once anything was dropped.
    """

    def __init__(self, database: duckdb.DuckDBPyConnection) -> None:
        database.execute("attach ':memory:' as remembered (compress)")
        self.mark = object()
        self._database = database
        self._tables: set[str] = set()

    def put(self, desk: Desk, table: str, sql: str, values: Mapping[str, object] | None = None) -> tuple[int, int]:
        """Add what a text of ours answers at a desk as a new part of a table: its number, and how many rows it has."""
        number, values = next(_NUMBERS), wording.values(sql, values or {})
        if table not in self._tables:
            desk.connection.execute(f"create table remembered.{table} as select 0::integer as part, * from ({sql}) with no data", values)  # noqa: S608 - our own words, here and below
            self._tables.add(table)
        found = desk.connection.execute(f"insert into remembered.{table} select {number:d}, * from ({sql})", values).fetchone()  # noqa: S608
        return number, int(found[0]) if found else 0

    def drop(self, table: str, parts: Collection[int]) -> None:
        """Forget parts of a table."""
        if parts:
            self.mark = object()
            self._database.cursor().execute(f"delete from remembered.{table} where part in ({_listed(parts)})")  # noqa: S608

    def compress(self, desk: Desk) -> None:
        """Lay what was put in less space, and give back that of what was dropped."""
        with contextlib.suppress(duckdb.TransactionException):  # others are reading: the next one does it
            desk.connection.execute("checkpoint remembered")


def rows_of(table: str, parts: Collection[int], columns: str = "*") -> str:
    """The text that reads parts of a table."""
    return f"select {columns} from remembered.{table} where part in ({_listed(parts)})"  # noqa: S608


def _listed(parts: Collection[int]) -> str:
    return ", ".join(f"{part:d}" for part in parts)
