"""Copies one user's rows into the memory of the locked process, small: text becomes enum codes, segment by segment."""

from typing import Any

import pyarrow as pa
from duckdb import DuckDBPyConnection

_SEGMENT_ROWS = 1 << 18
_LARGEST_ENUM = 10_000


class Rows:
    """Takes batches, the oldest first and text as dictionaries, and keeps their last `keep` rows; `cut` says whether any were left out."""

    def __init__(self, db: DuckDBPyConnection, schema: Any, keep: int) -> None:
        self.db, self.schema, self.keep = db, schema, keep
        self.cut = False
        self._waiting: list[Any] = []
        self._segments: list[tuple[str, int]] = []  # with their rows, the oldest first
        self._made = 0

    def add(self, batch: Any) -> None:
        """Take the next batch; memory stays bounded by `keep` and one segment more."""
        self._waiting.append(batch)
        if sum(waiting.num_rows for waiting in self._waiting) >= _SEGMENT_ROWS:
            self._seal()

    def view(self) -> str:
        """The SQL of all kept rows, in the columns and types of the schema."""
        if self._waiting or not self._segments:
            self._seal()
        self._trim()
        columns = ", ".join(f"{name}::VARCHAR AS {name}" if _is_text(self.schema.field(name).type) else name for name in self.schema.names)
        return " UNION ALL ".join(f"SELECT {columns} FROM stored.{name}" for name, _ in self._segments)  # noqa: S608  (our own names)

    def _seal(self) -> None:
        batches, self._waiting = self._waiting, []
        table = (pa.Table.from_batches(batches) if batches else self.schema.empty_table()).unify_dictionaries()
        name = f"part_{self._made}"
        self._made += 1
        columns = [self._column(table, column, name) for column in table.column_names]
        self.db.register("arriving", table)
        self.db.execute(f"CREATE TABLE stored.{name} AS SELECT {', '.join(columns)} FROM arriving")  # noqa: S608
        self.db.unregister("arriving")
        self._segments.append((name, table.num_rows))
        self._forget_oldest()

    def _column(self, table: Any, column: str, segment: str) -> str:
        chunks = table.column(column).chunks
        words = chunks[0].dictionary.to_pylist() if chunks and pa.types.is_dictionary(chunks[0].type) else []
        if not 0 < len(words) <= _LARGEST_ENUM:
            return column
        values = ", ".join("'" + word.replace("'", "''") + "'" for word in words)
        self.db.execute(f"CREATE TYPE stored.{segment}_{column} AS ENUM ({values})")
        return f"{column}::stored.{segment}_{column} AS {column}"

    def _forget_oldest(self) -> None:
        while self._segments and sum(rows for _, rows in self._segments[1:]) >= self.keep:
            self.cut = True
            self.db.execute(f"DROP TABLE stored.{self._segments.pop(0)[0]}")

    def _trim(self) -> None:
        over = sum(rows for _, rows in self._segments) - self.keep
        if over > 0:
            self.cut = True
            self.db.execute(f"DELETE FROM stored.{self._segments[0][0]} WHERE rowid < {over}")  # noqa: S608


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_dictionary(kind))
