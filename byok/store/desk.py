"""One DuckDB connection with the views laid out on it. Not thread-safe: whoever holds a desk is alone at it."""

from collections.abc import Collection, Mapping

import duckdb
import pyarrow as pa

from byok.recording.reader import View
from byok.store import wording

_GLOB = str.maketrans({"[": "[[]", "*": "[*]", "?": "[?]"})
_VIEWS = ("usage", "usage_priced")


class Desk:
    """Views `usage`, `usage_priced` and `prices` over exactly one `View`; laid out again only if that changed."""

    def __init__(self, database: duckdb.DuckDBPyConnection, prices: pa.Table, spans: pa.Table) -> None:
        self.database = database
        self.connection = connection = database.cursor()
        self._laid: object = None
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set parquet_metadata_cache = true")
        connection.register("usage_prices", prices)
        connection.register("usage_price_spans", spans)
        connection.execute(wording.text("view_prices"))

    def lay_out(self, view: View, without: Collection[str], kept: pa.Table) -> None:
        """Make the views answer from `view`, but for the files in `without`, and only rows that `kept` lets pass."""
        self.connection.register("usage_kept", kept)
        files = [file.path for file in view.files if file.path not in without]
        stamp = (view.stamp, tuple(files))
        if self._laid != stamp:
            self._laid = None
            self.connection.register("usage_tail", view.tail)
            self.connection.execute("set variable usage_files = $files", {"files": [path.translate(_GLOB) for path in files]})
            self.connection.execute(wording.text("view_rows" if files else "view_rows_tail_only"))
            for name in _VIEWS:
                self.connection.execute(wording.text(f"view_{name}"))
            self._laid = stamp

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
