"""Other people's SQL over their own rows, in a locked process of its own; this is the side that does not trust that process.

Untrusted SQL cannot be made safe inside a process that holds other users' rows or secrets. So each session gets a process that starts by
exec with an empty environment, no inherited descriptors and an empty directory, receives copies of its user's rows through a pipe, locks
itself (`byok.store.sandbox`) and its engine, and is killed at the time limit. What it answers is checked before it is believed.
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import pyarrow as pa
import pyarrow.ipc

from byok.errors import ByokError
from byok.store.console_wire import Arrived, Pipe, Silent, read_table
from byok.store.tables import SPIKES
from byok.usage import COLUMNS

_TYPES = {
    "timestamptz": pa.timestamp("us", "UTC"),
    "varchar": pa.string(),
    "bigint": pa.int64(),
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "decimal(18,9)": pa.decimal128(18, 9),
}
USAGE_PRICED = pa.schema([(c.name, _TYPES[c.type]) for c in COLUMNS] + [("cost_usd", pa.decimal128(18, 9)), ("price_source", pa.string())])
_CODED = pa.schema([(f.name, pa.dictionary(pa.int32(), f.type) if f.type == pa.string() else f.type) for f in USAGE_PRICED])
_ALWAYS = frozenset(("ts", "user_id"))  # by which the rows are checked on their way
_TABLES = ("prices", "keys", "spikes")
_LONGEST_QUERY_BYTES = 100_000
_GRACE_S = 0.7  # the engine has this long to stop by itself; killed after that, all is over within a second of the limit
_PIPE_BYTES = 1 << 20
_AHEAD = 4  # batches
_LOADING_S = 60.0
_START = "import sys; sys.path += sys.argv[2:]; from byok.store.console_worker import main; main(int(sys.argv[1]))"
# The kernel ends a worker with the *thread* that started it, so all are started by one thread that lives as long as this process.
_STARTER = ThreadPoolExecutor(1, "console-starter")


class SqlRefused(ByokError):
    """Not a query that the console runs: more than one statement, not a SELECT, or a reach for files, settings or other tables' makers."""

    status, code = 400, "sql_refused"

    def __init__(self, message: str) -> None:
        super().__init__(message, remedy="Send one SELECT (or EXPLAIN of one) over usage, usage_priced, prices, keys and spikes.")


class SqlFailed(ByokError):
    """The engine's error for the user's own query, or a limit that it reached."""

    status, code = 400, "sql_failed"

    def __init__(self, message: str, *, remedy: str = "Correct the query, or ask for less at a time.") -> None:
        super().__init__(message, remedy=remedy)


class ColumnsMissing(SqlFailed):
    """The query needs columns that were not copied into this process."""

    def __init__(self) -> None:
        super().__init__("The records are not all there yet.", remedy="Run the query again.")


class ConsoleUnavailable(ByokError):
    """The locked process could not be made safe or did not start; nothing was run."""

    status, code = 503, "console_unavailable"

    def __init__(self, why: str) -> None:
        super().__init__(f"The SQL console could not be started ({why}).", remedy="Try again; if it persists, run: byok doctor")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one query may take (`seconds` of wall time, `rows` and `bytes` of its answer) and what one session holds.

    `usage_rows` are the newest that are copied; `memory_bytes` is what the process may have resident, the copied rows included.
    """

    seconds: float = 5.0
    rows: int = 10_000
    bytes: int = 8_000_000
    usage_rows: int = 2_000_000
    memory_bytes: int = 512_000_000


@dataclass(frozen=True, slots=True)
class ConsoleResult:
    """Answer to a query.

    `rows` holds flat types only: numbers, decimals (128-bit integers as decimals without a fraction), text, bytes, dates, times; nested
    values as JSON text. `truncated` says in words what was left out, or is None. `sandbox` names the layers in force in the process
    that answered (as `byok.store.sandbox.lock` does).
    """

    columns: tuple[str, ...]
    rows: pa.Table
    truncated: str | None
    seconds: float
    sandbox: tuple[str, ...]


def run(rows: Iterable[pa.RecordBatch], tables: Mapping[str, pa.Table], query: str, limits: Limits = Limits()) -> ConsoleResult:
    """Answer one query in a process of its own. Raises SqlRefused, SqlFailed, ConsoleUnavailable.

    `rows` are one user's priced records (columns of `USAGE_PRICED`) in order of time, either way; newest first spares reading what lies
    beyond `limits.usage_rows`. `tables` are `prices` and `keys` (that user's), perhaps `spikes`.
    """
    check_size(query)
    with Worker(limits) as worker:
        worker.start()
        worker.load(rows, tables)
        return worker.query(query)


def check_size(query: str) -> None:
    """Refuse what need not reach a process: empty, too long, or not text."""
    try:
        size = len(query.encode())
    except UnicodeEncodeError:
        raise SqlRefused("The query is not valid Unicode text.") from None
    if not query.strip():
        raise SqlRefused("The query is empty.")
    if size > _LONGEST_QUERY_BYTES:
        raise SqlRefused(f"The query is longer than {_LONGEST_QUERY_BYTES // 1000} kB.")


class Worker:
    """One locked process for one session of one user: start, load, query as often as wanted, close. One thread at a time, but `close`,
    which any thread may call to cancel. `start` returns at once, so a pool keeps started workers ready and loads when a user comes.
    """

    # A thread that is at the pipes when another closes them would go on with the same numbers, which may be another user's pipes by then.
    # So `close` only kills where somebody is at them, who finds them broken and closes them.

    def __init__(self, limits: Limits = Limits()) -> None:
        self.limits = limits
        self.sandbox: tuple[str, ...] = ()
        self._process: subprocess.Popen[bytes] | None = None
        self._pipes: list[IO[bytes]] = []
        self._at_pipes = threading.RLock()
        self._directory = ""
        self._left_out = ""

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        """Whether the process is there to answer."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process; it goes on importing while this returns."""
        self._directory = tempfile.mkdtemp(prefix="console-")
        paths = [
            str(Path(__file__).resolve().parents[2]),
            *(path for path in sys.path if path.endswith(("site-packages", "dist-packages"))),
        ]
        command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-c", _START, str(os.getpid()), *dict.fromkeys(paths)]
        try:
            self._process = _STARTER.submit(_spawn, command, self._directory).result()
        except OSError as error:
            self.close()
            raise ConsoleUnavailable(type(error).__name__) from error
        self._pipes = [stream for stream in (self._process.stdin, self._process.stdout) if stream]

    def load(
        self, rows: Iterable[pa.RecordBatch], tables: Mapping[str, pa.Table], *, left_out: bool = False, columns: Collection[str] = ()
    ) -> None:
        """Copy the user's rows and tables into the process; `left_out` says that `rows` are not all. ValueError if they are of more than
        one user.

        With `columns` only these are copied: a query that comes upon another one, or upon `spikes` if `tables` has none, raises
        `ColumnsMissing`.
        """
        schema = pa.schema([field for field in _CODED if not columns or field.name in _ALWAYS.union(columns)])
        with self._alone():
            self._load(rows, tables, left_out, schema, some=bool(columns))

    def _load(
        self, rows: Iterable[pa.RecordBatch], tables: Mapping[str, pa.Table], left_out: bool, schema: pa.Schema, *, some: bool
    ) -> None:
        pipe = self._pipe()
        deadline = time.monotonic() + _LOADING_S
        try:
            given = dict(tables)
            if not some:
                given.setdefault("spikes", SPIKES.empty_table())
            names = [name for name in _TABLES if name in given]
            absent = [] if "spikes" in given else SPIKES.names
            pipe.send_frame(_json(asdict(self.limits) | {"tables": names, "no_spikes": absent}), deadline)
            cut = self._send_rows(pipe, rows, deadline, schema)
            for name in names:
                _send_table(pipe, given[name], deadline)
            head, _ = pipe.receive(deadline, largest=0)
        except (Arrived, Silent) as error:
            self.close()
            raise ConsoleUnavailable(type(error).__name__) from error
        except BaseException:
            self.close()
            raise
        if not isinstance(head.get("ready"), list):
            self.close()
            raise ConsoleUnavailable(str(head.get("broken", "not ready"))[:100])
        shutil.rmtree(self._directory, ignore_errors=True)  # its own directory goes from under it: there is no place to write to
        self.sandbox = tuple(str(layer) for layer in head["ready"])
        if left_out or cut or head.get("rows_cut"):
            self._left_out = f"usage holds only your newest {self.limits.usage_rows:,} records"

    def query(self, query: str) -> ConsoleResult:
        """Run one query. Raises SqlRefused or SqlFailed; after a limit in time or memory the process may be gone (`alive`)."""
        check_size(query)
        with self._alone():
            return self._query(query)

    def _query(self, query: str) -> ConsoleResult:
        pipe, started = self._pipe(), time.monotonic()
        deadline = started + self.limits.seconds + _GRACE_S
        try:
            pipe.send_frame(query.encode(), deadline)
            head, body = pipe.receive(deadline, largest=2 * self.limits.bytes + 1_000_000)
            if "refused" in head or "failed" in head:
                self._raise(head)
            table = read_table(body, self.limits.rows)
        except Silent:
            self.close()
            raise SqlFailed(f"Stopped after {self.limits.seconds:g} s: the time limit was reached.") from None
        except Arrived as error:
            self.close()
            raise SqlFailed(f"Stopped: {error}") from None
        notes = [note for note in (str(head.get("truncated", ""))[:200], self._left_out) if note]
        return ConsoleResult(tuple(table.column_names), table, "; ".join(notes) or None, time.monotonic() - started, self.sandbox)

    def close(self) -> None:
        """End the process and all it could have started, at once; harmless if there is none."""
        process, self._process = self._process, None
        if process:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # its group has its number and cannot be another's before wait()
            process.wait()
        self._close_pipes()
        shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            with self._at_pipes:
                yield
        finally:
            if self._process is None:
                self._close_pipes()

    def _close_pipes(self) -> None:
        if self._at_pipes.acquire(blocking=False):
            try:
                for pipe in self._pipes:
                    with contextlib.suppress(OSError):
                        pipe.close()
            finally:
                self._at_pipes.release()

    def _pipe(self) -> Pipe:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise SqlFailed("The SQL session has ended.", remedy="Start a new one: run the query again.")
        return Pipe(process.stdin.fileno(), process.stdout.fileno())

    def _raise(self, head: Mapping[str, Any]) -> None:
        if head.get("broken"):
            self.close()
        if head.get("missing"):
            raise ColumnsMissing
        if "refused" in head:
            raise SqlRefused(str(head["refused"])[:4000])
        raise SqlFailed(str(head["failed"])[:4000])

    def _send_rows(self, pipe: Pipe, rows: Iterable[pa.RecordBatch], deadline: float, schema: pa.Schema) -> bool:
        """Send at most the rows that are kept if the newest come first, else all; True if some were not read."""
        owners: set[str] = set()
        sent, newest_first, previous = 0, True, None
        with pa.ipc.new_stream(pipe.as_file(deadline), schema) as writer, _written_behind(writer) as write:
            for batch in rows:
                if not batch.num_rows:
                    continue
                coded = _coded(batch, schema)
                owners.update(coded["user_id"].dictionary.to_pylist())
                if len(owners) > 1:
                    raise ValueError("the rows given to the SQL console belong to more than one user")
                first, last = (batch["ts"][at].value for at in (0, -1))
                newest_first = newest_first and first >= last and (previous is None or previous >= first)
                previous = last
                if newest_first and sent + batch.num_rows > self.limits.usage_rows:
                    write(coded.slice(0, self.limits.usage_rows - sent))
                    return True
                write(coded)
                sent += batch.num_rows
        return False


@contextlib.contextmanager
def _written_behind(writer: pa.RecordBatchStreamWriter) -> Iterator[Callable[[pa.RecordBatch], None]]:
    """Writes beside its caller, who has the next batches ready meanwhile; a fault shows at a later write or at the end."""
    under_way: deque[Future[None]] = deque()

    def write(batch: pa.RecordBatch) -> None:
        if len(under_way) >= _AHEAD:
            under_way.popleft().result()
        under_way.append(thread.submit(writer.write_batch, batch))

    with ThreadPoolExecutor(1, "console-rows") as thread:
        yield write
        while under_way:
            under_way.popleft().result()


def _spawn(command: list[str], directory: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=directory,
        env={},
        close_fds=True,
        start_new_session=True,
        bufsize=0,
    )
    for stream in (process.stdin, process.stdout):
        os.set_blocking(stream.fileno(), False)  # type: ignore[union-attr]
        with contextlib.suppress(OSError, AttributeError):  # rows by the megabyte; Linux only, and only within the user's allowance
            fcntl.fcntl(stream, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)  # type: ignore[arg-type,unused-ignore]
    return process


def _coded(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The columns of `schema`, text as codes: a quarter of the bytes, and no text to be read twice."""
    columns = [batch[name].cast(USAGE_PRICED.field(name).type) for name in schema.names]
    return pa.record_batch([c.dictionary_encode() if c.type == pa.string() else c for c in columns], schema=schema)


def _send_table(pipe: Pipe, table: pa.Table, deadline: float) -> None:
    with pa.ipc.new_stream(pipe.as_file(deadline), table.schema) as writer:
        writer.write_table(table)


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value).encode()
