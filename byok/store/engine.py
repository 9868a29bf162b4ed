"""DuckDB over the usage table: one database per process, and for each question a desk whose views lie over exactly one snapshot."""

import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import duckdb
import pyarrow as pa
import structlog

from byok.errors import ByokError
from byok.recording.reader import View
from byok.store import tables, wording, zones
from byok.store.desk import Desk, reads_whole
from byok.store.scope import AnyScope

if TYPE_CHECKING:
    from byok.pricing.catalogue import Catalogue
    from byok.recording.reader import Reader

MEMORY_LIMIT_MB = 768
BATCH_ROWS = 32_768
_TRIES = 5
_IDLE_DESKS = 8
_CRASHES = (duckdb.InternalException, duckdb.FatalException)
_NO_FILES_FAULT = (
    duckdb.ConversionException,
    duckdb.OutOfRangeException,
    duckdb.OutOfMemoryException,
    duckdb.InterruptException,
    duckdb.ParserException,
    duckdb.CatalogException,
)

_log = structlog.get_logger()
T = TypeVar("T")


class StoreUnreadable(ByokError):
    """The usage files changed or failed under every attempt."""

    status, code = 503, "store_unreadable"

    def __init__(self) -> None:
        super().__init__("The usage files cannot be read just now.", remedy="Try again; if it persists, run: byok doctor")


class Engine:
    """Answers the questions in sql/. Thread-safe.

    `retention` gives each known user's days and is asked for every question, so that a shorter plan hides rows at once; rows of
    users it does not name are hidden. `keys` gives the rows of the view `keys`. A broken file that the table names is left out,
    remembered in `quarantined`, and read again when it changes.
    """

    def __init__(
        self,
        reader: "Reader",
        catalogue: "Catalogue",
        *,
        retention: Callable[[], Mapping[str, int]],
        keys: Callable[[], list[dict[str, object]]],
        now: Callable[[], datetime],
        memory_limit_mb: int = MEMORY_LIMIT_MB,
    ) -> None:
        self._reader, self._retention, self._keys, self._now = reader, retention, keys, now
        self._prices = catalogue.table()
        self._spans = tables.spans(self._prices)
        self._spill = Path(tempfile.mkdtemp(prefix="byok-store-"))  # readable by this user only
        self._clear_spill = weakref.finalize(self, shutil.rmtree, self._spill, ignore_errors=True)  # also when nobody calls close
        self._memory_limit_mb = memory_limit_mb
        self._lock = threading.Lock()
        self._idle: list[Desk] = []
        self._broken: dict[str, object] = {}
        self._days: tuple[dict[str, int], pa.Table] | None = None
        self._database = self._open()

    @property
    def quarantined(self) -> list[str]:
        """Paths of files that the table names and that cannot be read: what is answered lacks their rows."""
        named = {file.path for file in self._reader.view().files}
        return sorted(path for path in self._without() if path in named)

    def ask(
        self,
        question: str,
        scope: AnyScope | None = None,
        *,
        group_by: Sequence[str] | None = None,
        priced: bool = False,
        **values: object,
    ) -> pa.Table:
        """The answer of sql/<question>.sql within `scope`; `values` are its other parameters. Raises `StoreUnreadable`."""
        sql = wording.question(question, scope, group_by=group_by, priced=priced)
        offered = _values(scope, sql) | values
        table, desk = self._at_a_desk(lambda desk: desk.ask(sql, offered).to_arrow_table())
        self._leave(desk)
        return tables.whole_numbers(table)

    def stream(self, question: str, scope: AnyScope, *, priced: bool = False, **values: object) -> Iterator[pa.RecordBatch]:
        """As `ask`, in batches of at most `BATCH_ROWS`; the first comes when all input has been read, at least one (maybe empty) comes."""
        sql = wording.question(question, scope, priced=priced)
        offered = _values(scope, sql) | values

        def begin(desk: Desk) -> tuple[pa.RecordBatch, pa.RecordBatchReader]:
            batches = desk.ask(sql, offered).to_arrow_reader(BATCH_ROWS)
            first = next(batches, None)
            return pa.RecordBatch.from_pylist([], batches.schema) if first is None else first, batches

        (first, rest), desk = self._at_a_desk(begin)
        yield first
        yield from rest
        self._leave(desk)

    def connection(self) -> duckdb.DuckDBPyConnection:
        """A connection of one's own for the operator: `usage`, `usage_priced`, `prices`, `keys` over all that is kept, as of now."""
        _, desk = self._at_a_desk(lambda _: None)
        desk.connection.register("keys", tables.keys(self._keys()))
        return desk.connection

    def view(self) -> View:
        """What the reader sees now."""
        return self._reader.view()

    def now(self) -> datetime:
        """The engine's clock."""
        return self._now()

    def close(self) -> None:
        """End the database and remove what it spilled to disk."""
        with self._lock:
            self._idle.clear()
            self._database.close()
        self._clear_spill()

    def _open(self) -> duckdb.DuckDBPyConnection:
        return duckdb.connect(
            ":memory:",
            config={
                "threads": str(min(4, os.cpu_count() or 1)),
                "memory_limit": f"{self._memory_limit_mb}MiB",
                "temp_directory": str(self._spill),
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "allow_persistent_secrets": "false",
            },
        )

    def _at_a_desk(self, work: Callable[[Desk], T]) -> tuple[T, Desk]:
        """What `work` returns at a desk over the newest snapshot, and that desk, still taken. A file fault is mended and tried again."""
        for _ in range(_TRIES):
            view = self._reader.view()
            try:
                desk = self._sit_down()
                desk.lay_out(view, self._without(), self._kept())
                return work(desk), desk
            except duckdb.Error as error:
                self._mend(error, view)
        raise StoreUnreadable

    def _sit_down(self) -> Desk:
        with self._lock:
            if self._idle:
                return self._idle.pop()
            database = self._database
        return Desk(database, self._prices, self._spans)

    def _leave(self, desk: Desk) -> None:
        """Keep a desk for the next question; one whose work failed or was left early never comes here."""
        with self._lock:
            if desk.database is self._database and len(self._idle) < _IDLE_DESKS:
                self._idle.append(desk)

    def _kept(self) -> pa.Table:
        retention = dict(self._retention())
        known = self._days
        if known is None or known[0] != retention:
            known = self._days = (retention, tables.days_kept(retention))
        return tables.kept(known[1], self._now())

    def _without(self) -> set[str]:
        return {path for path, seen in list(self._broken.items()) if _print_of(path) == seen}

    def _mend(self, error: duckdb.Error, view: View) -> None:
        """Find out why a question failed: return if another try can succeed, else raise."""
        if isinstance(error, _NO_FILES_FAULT):
            raise error
        if isinstance(error, _CRASHES):
            self._reopen()
        files = [file.path for file in view.files if file.path not in self._without()]
        if any(not Path(path).exists() for path in files) and self._reader.view().stamp != view.stamp:
            return  # compacted or erased between view and question
        scratch = self._database.cursor()
        broken = [path for path in files if not reads_whole(scratch, path)]
        if not broken:
            raise error
        for path in broken:
            _log.error("usage_file_quarantined", file=Path(path).name)
            self._broken[path] = _print_of(path)

    def _reopen(self) -> None:
        with self._lock:
            self._idle.clear()
            self._database = self._open()


def _values(scope: AnyScope | None, sql: str) -> dict[str, object]:
    if scope is None:
        return {}
    found = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(scope).items()}
    if "$zone_starts" in sql:
        spans = zones.offsets(scope.tz)
        found |= {f"zone_{name}": values for name, values in spans._asdict().items()} | {"step_s": zones.step(spans, scope.since)}
    return found


def _print_of(path: str) -> object:
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
