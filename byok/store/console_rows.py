"""Copies one user's rows into the memory of the locked process, small: text becomes numbers of words, segment by segment."""

from typing import Any, NamedTuple

import pyarrow as pa
from duckdb import DuckDBPyConnection

_SEGMENT_ROWS = 1 << 17
_SMALL = 256
_MOST_WORDS = 1_000  # beyond that, text stays text


class _Segment(NamedTuple):
    """A table of some rows, and how its columns are shown: SQL of our own names and of the rows' words."""

    name: str
    rows: int
    columns: list[str]


class Rows:
    """Takes batches, the oldest first and text as dictionaries, and keeps their last `keep` rows; `cut` says whether any were left out."""

    def __init__(self, db: DuckDBPyConnection, schema: Any, keep: int) -> None:
        self.db, self.schema, self.keep = db, schema, keep
        self.cut = False
        self._waiting: list[Any] = []
        self._segments: list[_Segment] = []  # the oldest first
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
        return " UNION ALL ".join(f"SELECT {', '.join(part.columns)} FROM stored.{part.name}" for part in self._segments)  # noqa: S608

    def _seal(self) -> None:
        batches, self._waiting = self._waiting, []
        table = (pa.Table.from_batches(batches) if batches else self.schema.empty_table()).unify_dictionaries()
        stored, shown = [], []
        for at, column in enumerate(table.column_names):
            words = _words(table.column(at))
            if words:
                table = table.set_column(at, column, pa.chunked_array([chunk.indices for chunk in table.column(at).chunks]))
            stored.append(f"{column}::{'UTINYINT' if len(words) < _SMALL else 'USMALLINT'} AS {column}" if words else column)
            shown.append(f"([{', '.join(map(_quoted, words))}])[{column}::INTEGER + 1] AS {column}" if words else column)
        name = f"part_{self._made}"
        self._made += 1
        self.db.register("arriving", table)
        self.db.execute(f"CREATE TABLE stored.{name} AS SELECT {', '.join(stored)} FROM arriving")  # noqa: S608
        self.db.unregister("arriving")
        self._segments.append(_Segment(name, table.num_rows, shown))
        self._forget_oldest()

    def _forget_oldest(self) -> None:
        while self._segments and sum(part.rows for part in self._segments[1:]) >= self.keep:
            self.cut = True
            self.db.execute(f"DROP TABLE stored.{self._segments.pop(0).name}")

    def _trim(self) -> None:
        over = sum(part.rows for part in self._segments) - self.keep
        if over > 0:
            self.cut = True
            self.db.execute(f"DELETE FROM stored.{self._segments[0].name} WHERE rowid < {over}")  # noqa: S608


def _words(column: Any) -> list[str]:
    """The words of a column of text, if they are few; none else."""
    if not pa.types.is_dictionary(column.type) or not column.num_chunks:
        return []
    words: list[str] = column.chunk(0).dictionary.to_pylist()
    return words if len(words) <= _MOST_WORDS else []


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "''") + "'"
