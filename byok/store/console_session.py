"""The engine inside the locked process: copied rows, locked settings, one harmless statement at a time, capped answers."""

import re
from typing import Any, BinaryIO

import duckdb
import pyarrow as pa
import pyarrow.ipc

from byok.store import answer_sizes, exact
from byok.store.console_rows import Rows
from byok.usage import COLUMN_NAMES, COLUMNS

_DATABASE: dict[str, str | bool | int | float | list[str]] = {"threads": 1, "async_threads": 0, "temp_directory": ""}
# Set in this order and then read back; `lock_configuration` is last and makes them final.
_LOCKS: tuple[tuple[str, str], ...] = (
    ("TimeZone", "UTC"),
    ("arrow_lossless_conversion", "true"),
    ("max_expression_depth", "250"),
    ("max_temp_directory_size", "0 bytes"),
    ("home_directory", "nowhere"),
    ("secret_directory", "nowhere"),
    ("allow_persistent_secrets", "false"),
    ("allow_community_extensions", "false"),
    ("autoload_known_extensions", "false"),
    ("autoinstall_known_extensions", "false"),
    ("python_enable_replacements", "false"),
    ("python_scan_all_frames", "false"),
    ("enable_logging", "0"),
    ("enable_progress_bar", "false"),
    ("enable_external_access", "false"),
)
_FINAL = (*_LOCKS, ("threads", "1"), ("async_threads", "0"), ("temp_directory", ""), ("lock_configuration", "true"))
_PRICED = (*((column.name, column.type) for column in COLUMNS), ("cost_usd", "decimal(18,9)"), ("price_source", "varchar"))
_MISSING = "column not copied"  # what is not there is no null: whatever looks at it fails, and is asked again of all columns
_ONLY_SELECT = "Only SELECT and EXPLAIN can run here."
_NO_TRANSACTION = "no transaction is active"
_REFUSALS = ("has been locked", "disabled by configuration")
_FILE_AS_TABLE = re.compile(r"Catalog Error: Table with name [^\n]*[/\\]")
_PATH = re.compile(r"(?:/[\w.+@%-]+){2,}/?")
_EXPLAIN = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*explain\b", re.IGNORECASE | re.DOTALL)


class _Refused(Exception):
    """The statement is not one that the console runs; the text says which are."""


class SettingNotHeld(Exception):
    """The engine did not take a setting that the console's safety rests on."""


class Session:
    """One in-memory database. `load`, `lock`, then `answer` as often as wanted; nothing is left over from one answer to the next."""

    def __init__(self) -> None:
        self._db = duckdb.connect(":memory:", config=_DATABASE)
        self._db.execute("SET lambda_syntax = 'ENABLE_SINGLE_ARROW'")  # `x -> x + 1`, as most write it; `lambda x: x + 1` goes on working
        self.rows_cut = False
        self._warm_up()

    def load(self, source: BinaryIO, setup: dict[str, Any]) -> None:
        """Read the Arrow streams of the rows and then of the tables `setup["tables"]`, and lay the views over them."""
        self._db.execute("CREATE SCHEMA stored")
        with pa.ipc.open_stream(source) as stream:
            rows = Rows(self._db, stream.schema, keep=setup["usage_rows"])
            for batch in stream:
                rows.add(batch)
            there = stream.schema.names
        columns = ", ".join(name if name in there else f"error('{_MISSING}')::{kind} AS {name}" for name, kind in _PRICED)
        self._db.execute(f"CREATE VIEW usage_priced AS SELECT {columns} FROM ({rows.view()})")  # noqa: S608  (our own names)
        self._db.execute(f"CREATE VIEW usage AS SELECT {', '.join(COLUMN_NAMES)} FROM usage_priced")  # noqa: S608
        self.rows_cut = rows.cut
        for name in setup["tables"]:
            with pa.ipc.open_stream(source) as stream:
                self._copy(name, stream.read_all())
        if absent := setup["no_spikes"]:  # fails even where only its rows are counted
            nulls = ", ".join(f'NULL AS "{name}"' for name in absent)
            self._db.execute(f"CREATE VIEW spikes AS SELECT {nulls} FROM (SELECT 1) WHERE error('{_MISSING}')::BOOLEAN")  # noqa: S608

    def limit_memory(self, more_bytes: int) -> None:
        """Let the engine use `more_bytes` beyond what the rows already take."""
        used = self._db.execute("SELECT sum(memory_usage_bytes) FROM duckdb_memory()").fetchone()
        self._db.execute(f"SET memory_limit = '{(int(used[0]) if used else 0) + more_bytes} bytes'")

    def lock(self, setup: dict[str, Any]) -> None:
        """Make the engine's settings final and read each of them back."""
        self._limits = setup
        milliseconds = str(int(setup["seconds"] * 1000))
        for name, value in (*_LOCKS, ("max_execution_time", milliseconds), ("lock_configuration", "true")):
            self._db.execute(f"SET {name} = '{value}'")
        held = dict(self._db.execute("SELECT name, value FROM duckdb_settings()").fetchall())
        for name, value in (*_FINAL, ("max_execution_time", milliseconds)):
            if held.get(name) != value:
                raise SettingNotHeld(name)

    def answer(self, query: str) -> tuple[dict[str, Any], bytes]:
        """Return the head of the answer and, unless refused or failed, the rows as one uncompressed Arrow stream."""
        try:
            statement = self._only_statement(query)
            self._db.execute("BEGIN TRANSACTION READ ONLY")
            head, body = self._fetch(self._db.sql(statement))
        except _Refused as refusal:
            return {"refused": str(refusal)}, b""
        except Exception as error:
            head, body = _failure(error, query), b""
        return (head, body) if self._rolled_back() else (head | {"broken": True}, body)

    def _rolled_back(self) -> bool:
        """End the query's transaction; False if it cannot be ended, and would be in the way of the next."""
        try:
            self._db.execute("ROLLBACK")
        except duckdb.Error as error:
            return _NO_TRANSACTION in str(error)  # it did not come to one
        return True

    def _only_statement(self, query: str) -> str:
        """The one statement of `query`; whatever else it is, is refused by the engine's own parser, not by words."""
        if "\0" in query:
            raise _Refused("A query holds no NUL character.")
        statements = self._db.extract_statements(query)
        if len(statements) != 1:
            raise _Refused(f"Exactly one statement can run at a time; there are {len(statements)} here.")
        text = statements[0].query
        try:
            kind = statements[0].type
        except ValueError:  # one that DuckDB's Python client has no name for
            raise _Refused(_ONLY_SELECT) from None
        if kind == duckdb.StatementType.EXPLAIN and (start := _EXPLAIN.match(text)):
            if self._is_select(text[start.end() :]):
                return str(text)
            raise _Refused("EXPLAIN takes a SELECT here, without ANALYZE and options.")
        if kind == duckdb.StatementType.MULTI:
            raise _Refused(_ONLY_SELECT + " For a PIVOT, name the values: PIVOT … ON column IN (value, …) USING …")
        if kind != duckdb.StatementType.SELECT:
            raise _Refused(_ONLY_SELECT)
        return _without_end(text)

    def _is_select(self, text: str) -> bool:
        try:
            statements = self._db.extract_statements(text)
        except duckdb.ParserException:
            return False
        return len(statements) == 1 and statements[0].type == duckdb.StatementType.SELECT

    def _fetch(self, answer: duckdb.DuckDBPyRelation) -> tuple[dict[str, Any], bytes]:
        most_rows, most_bytes = self._limits["rows"], self._limits["bytes"]
        syntax = answer_sizes.signs_of_a_row(answer.columns)
        truncated, kept, rows, size = "", [], 0, 0
        with exact.batches(answer, 2048) as reader:
            for batch in reader:
                cut = batch.slice(0, most_rows - rows)
                truncated = truncated or (f"only the first {most_rows:,} rows are shown" if len(cut) < len(batch) else "")
                fits = _rows_within(cut, most_bytes - size, syntax)
                if fits < len(cut):
                    truncated = _cut_to(rows + fits, most_bytes)
                    cut = cut.slice(0, fits)
                kept.append(cut)
                rows, size = rows + len(cut), size + _bytes_of(cut, syntax)
                if truncated:
                    break
            table = pa.Table.from_batches(kept, reader.schema)
        written = answer_sizes.rows_within(table, most_bytes)
        if written < rows:
            truncated, rows, table = _cut_to(written, most_bytes), written, table.slice(0, written)
        return {"truncated": truncated, "rows": rows}, _stream(exact.narrow(table))

    def _copy(self, name: str, table: Any) -> None:
        self._db.register("arriving", table)
        self._db.execute(f'CREATE TABLE "{name}" AS SELECT * FROM arriving')  # noqa: S608  (our own names)
        self._db.unregister("arriving")

    def _warm_up(self) -> None:
        """Walk once through all that reads files when first used; afterwards no file can be opened."""
        self._limits = {"rows": 1, "bytes": 1_000}
        self._db.execute("SET TimeZone = 'UTC'")
        self._db.execute("SET arrow_lossless_conversion = true")
        self._copy("warm", pa.table({"a": pa.array(["x"]).dictionary_encode(), "b": pa.array([1], pa.timestamp("us", "UTC"))}))
        wide = "SELECT *, 1::HUGEINT AS h, [1] AS l, b::VARCHAR AS v, 'a'::BLOB AS bl, b AT TIME ZONE 'Asia/Tokyo' AS z FROM warm"
        for query in (wide, "EXPLAIN SELECT 1", "SELECT", "SELECT no_such_function()", "SELECT 'x'::INTEGER"):
            self.answer(query)
        self._db.execute("DROP TABLE warm")


def _cut_to(rows: int, most_bytes: int) -> str:
    return f"only the first {rows:,} rows are shown, the limit is {most_bytes // 1_000_000} MB"


def _without_end(text: str) -> str:
    """Without the semicolons that end it and what is said behind them, which the engine does not expect in the middle of its own query."""
    written = text.encode()
    end = len(written)
    for at, kind in reversed(duckdb.tokenize(text)):
        if kind == duckdb.token_type.operator and written[at : at + 1] == b";":
            end = at
        elif kind != duckdb.token_type.comment:
            break
    return written[:end].decode()


def _bytes_of(batch: Any, syntax: int) -> int:
    return int(batch.nbytes) + len(batch) * syntax


def _rows_within(batch: Any, room: int, syntax: int) -> int:
    """How many of the first rows take at most `room` bytes."""
    if _bytes_of(batch, syntax) <= room:
        return len(batch)
    low, high = 0, len(batch)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _bytes_of(batch.slice(0, middle), syntax) <= room else (low, middle - 1)
    return low


def _stream(table: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return bytes(sink.getvalue())


def _failure(error: Exception, query: str) -> dict[str, Any]:
    """The engine's own words for the user's own query, without anything of this machine."""
    text = str(error).split("\n\nStack Trace")[0].strip()
    if isinstance(error, duckdb.InterruptException):
        return {"failed": "The time limit was reached."}
    if isinstance(error, (MemoryError, duckdb.OutOfMemoryException)):
        return {"failed": "The memory limit was reached.", "broken": True}  # what was taken may not come back
    if isinstance(error, (duckdb.InternalException, duckdb.FatalException)) or not isinstance(error, duckdb.Error):
        return {"failed": "The engine could not run this query.", "broken": True}
    if _MISSING in text:
        return {"failed": text[:4000], "missing": True}
    text = _PATH.sub(lambda found: found.group() if found.group() in query else "…", text)
    if "read-only mode" in text:
        return {"refused": _ONLY_SELECT}
    if isinstance(error, duckdb.IOException) or _FILE_AS_TABLE.match(text):
        return {"refused": "Files and addresses cannot be read here."}
    refused = isinstance(error, duckdb.PermissionException) or any(words in text for words in _REFUSALS)
    return {"refused" if refused else "failed": text[:4000]}
