"""One DuckDB connection with the views laid out on it. Not thread-safe: whoever holds a desk is alone at it."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import duckdb
import pyarrow as pa

from byok.pricing.tables import PriceTables
from byok.store import wording

_GLOB = str.maketrans({"[": "[[]", "*": "[*]", "?": "[?]"})
_VIEWS = ("usage", "usage_costed", "usage_priced", "summed", "summed_priced")
_NOBODY = pa.table({"user_id": pa.array([], pa.string()), "keep_after": pa.array([], pa.timestamp("us", "UTC"))})


class Desk:
    """Views `usage`, `usage_priced` and `prices` over chosen files and a journal tail; laid out again only if those changed."""

    def __init__(self, database: duckdb.DuckDBPyConnection, prices: PriceTables, fetch: Callable[[Iterable[str]], None]) -> None:
        self.database, self._fetch = database, fetch
        self.connection = connection = database.cursor()
        self._files: tuple[str, ...] = ()
        self._tail: pa.Table | None = None
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set parquet_metadata_cache = true")
        connection.register("usage_prices", prices.prices)
        connection.register("usage_price_spans", prices.spans)
        connection.register("usage_price_steps", prices.steps)
        connection.execute(wording.text("macros"))
        connection.execute(wording.text("view_prices"))

    def keep(self, kept: pa.Table) -> None:
        """Let only rows pass that `kept` names: user_id and from when on."""
        self.connection.register("usage_kept", kept)

    def lay_out(self, files: Sequence[str], tail: pa.Table) -> None:
        """Make the views answer from exactly these files and this tail."""
        self._fetch(files)
        chosen, before, laid = tuple(files), self._files, self._tail is not None
        if self._tail is not tail:
            self.connection.register("usage_tail", tail)
        if chosen != before:
            self.connection.execute("set variable usage_files = $files", {"files": [path.translate(_GLOB) for path in chosen]})
        if not laid or bool(chosen) != bool(before):
            self.keep(_NOBODY)
            self.connection.execute(wording.text("view_rows" if chosen else "view_rows_tail_only"))
            for name in _VIEWS:
                self.connection.execute(wording.text(f"view_{name}"))
        self._files, self._tail = chosen, tail

    def ask(self, sql: str, values: Mapping[str, object]) -> duckdb.DuckDBPyRelation:
        """The relation that answers; it runs when it is fetched."""
        return self.connection.sql(sql, params=wording.values(sql, values))


def reads_whole(connection: duckdb.DuckDBPyConnection, path: str) -> bool:
    """Whether every value of a file can be decoded."""
    try:
        connection.execute(wording.text("read_whole_file"), {"path": path.translate(_GLOB)}).fetchall()
    except duckdb.Error:
        return False
    return True
