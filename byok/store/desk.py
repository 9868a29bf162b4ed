"""One DuckDB connection with the views laid out on it. Not thread-safe: whoever holds a desk is alone at it."""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence

import duckdb
import pyarrow as pa

from byok.pricing.tables import PriceTables
from byok.store import wording
from byok.usage import COLUMN_NAMES

_GLOB = str.maketrans({"[": "[[]", "*": "[*]", "?": "[?]"})
_VIEWS = ("view_usage", "view_usage_costed", "view_usage_priced", "view_summed", "view_summed_priced")
# The first file tells what columns are in all, so the others are opened when they are read, not before.
_ALIKE = {"read": f"select {', '.join(COLUMN_NAMES)} from read_parquet(getvariable('usage_files'), hive_partitioning = false)"}  # noqa: S608
_NOBODY = pa.table({"user_id": pa.array([], pa.string()), "keep_after": pa.array([], pa.timestamp("us", "UTC"))})

# A copy of an answer's few rows costs less than what spares it, a relation, which is planned when it is made and once more when it runs.
warnings.filterwarnings("ignore", "Arrow output on a DB-API result", UserWarning)


class Desk:
    """Views `usage`, `usage_priced` and `prices` over chosen files and a journal tail; laid out again only if those changed."""

    def __init__(self, database: duckdb.DuckDBPyConnection, prices: PriceTables, fetch: Callable[[Iterable[str]], None]) -> None:
        self.database, self._fetch = database, fetch
        self.connection = connection = database.cursor()
        self._files: tuple[str, ...] = ()
        self._tail: pa.Table | None = None
        self._over = ""  # the text of the view of which the others are made
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set parquet_metadata_cache = true")
        connection.execute("set streaming_buffer_size = '32MB'")
        connection.register("usage_prices", prices.prices)
        connection.register("usage_price_spans", prices.spans)
        connection.register("usage_price_steps", prices.steps)
        connection.execute(wording.text("macros"))
        connection.execute(wording.text("view_prices"))

    def keep(self, kept: pa.Table) -> None:
        """Let only rows pass that `kept` names: user_id and from when on."""
        self.connection.register("usage_kept", kept)

    @property
    def holds(self) -> bool:
        """Whether the views lie over one user's held rows."""
        return self._over == wording.text("view_held_costed")

    def lay_out(self, files: Sequence[str], tail: pa.Table, *, alike: bool = False) -> None:
        """Make the views answer from exactly these files and this tail. `alike`: all files have all columns, so that not all need be opened
        before a question is planned."""
        self._fetch(files)
        chosen = tuple(files)
        if self._tail is not tail:
            self.connection.register("usage_tail", tail)
            self._tail = tail
        rows = wording.text("view_rows_tail_only") if not chosen else wording.filled("view_rows", _ALIKE if alike else {})
        if rows != self._over:
            self._choose(chosen[:1])  # enough to lay the views
        self._lay(rows, *_VIEWS)
        self._choose(chosen)

    def lay_held(self, rows: pa.Table) -> None:
        """Make the views answer from one user's rows, cost and all, and nothing else."""
        self.connection.register("usage_held", rows)
        self._lay(wording.text("view_held_costed"), "view_held_usage", *_VIEWS[2:])

    def _choose(self, files: tuple[str, ...]) -> None:
        if files != self._files:
            self.connection.execute("set variable usage_files = $files", {"files": [path.translate(_GLOB) for path in files]})
            self._files = files

    def _lay(self, over: str, *views: str) -> None:
        if over == self._over:
            return
        self._over = ""
        self.keep(_NOBODY)
        self.connection.execute(over)
        for name in views:
            self.connection.execute(wording.text(name))
        self._over = over

    def answer(self, sql: str, values: Mapping[str, object]) -> pa.Table:
        """The answer, whole."""
        return self.connection.execute(sql, wording.values(sql, values)).to_arrow_table()

    def ask(self, sql: str, values: Mapping[str, object]) -> duckdb.DuckDBPyRelation:
        """The relation that answers; it runs when it is fetched, and need not be held whole."""
        return self.connection.sql(sql, params=wording.values(sql, values))

    def gather(self, name: str, sql: str, values: Mapping[str, object]) -> None:
        """Keep an answer as a table of this desk's own."""
        self.connection.execute(f"create or replace temp table {name} as {sql}", wording.values(sql, values))


def reads_whole(connection: duckdb.DuckDBPyConnection, path: str) -> bool:
    """Whether every value of a file can be decoded."""
    try:
        connection.execute(wording.text("read_whole_file"), {"path": path.translate(_GLOB)}).fetchall()
    except duckdb.Error:
        return False
    return True
