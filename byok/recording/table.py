"""The usage table: a Delta Lake table by month. One commit adds files, removes files and says which journal segments they replace."""

import contextlib
import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Field, Schema, Transaction
from deltalake.exceptions import CommitFailedError
from deltalake.schema import PrimitiveType
from deltalake.transaction import AddAction, RemoveAction

from byok.errors import ByokError
from byok.recording.files import PARTITION, SCHEMA, TableFile, WrittenFile

_LOG = "_delta_log"
_LOCK = "_writer.lock"
_CONFIGURATION = {
    "delta.logRetentionDuration": "interval 1 days",
    "delta.enableExpiredLogCleanup": "true",
    "delta.checkpointInterval": "20",
}


class Snapshot(NamedTuple):
    """The table at one version: its files, and per writer the number of the last segment that is in them. Version -1: no table yet."""

    version: int
    files: tuple[TableFile, ...]
    done: Mapping[str, int]


class Overtaken(ByokError):
    """Another process has written to the table what this one was about to, although it held the lock."""

    status, code = 409, "table_overtaken"

    def __init__(self) -> None:
        super().__init__("Another process changed the usage table at the same time; nothing was written.", remedy="Try again.")


class Table:
    """Opens the table lazily and follows its commits; thread-safe."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._delta: DeltaTable | None = None
        self._files: tuple[TableFile, ...] = ()
        self._mutex = threading.Lock()

    def snapshot(self, writers: Sequence[str] = ()) -> Snapshot:
        """The newest version; `done` for those of `writers` that ever published."""
        with self._mutex:
            if not self._follow() or self._delta is None:
                return Snapshot(-1, (), {})
            done = {writer: number for writer in writers if (number := self._delta.transaction_version(writer)) is not None}
            return Snapshot(self._delta.version(), self._files, done)

    def changed_since(self, version: int) -> bool:
        """Whether a newer commit exists; costs two looks at the disk. A version whose own entry was cleaned away is an old one."""
        return self._entry(version + 1).exists() or (version >= 0 and not self._entry(version).exists())

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the table's writer lock; waits for another process that holds it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.directory / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            with self._mutex:
                if not self._follow():
                    self._delta = DeltaTable.create(
                        str(self.directory), _delta_schema(), partition_by=[PARTITION], configuration=_CONFIGURATION
                    )
            yield
        finally:
            os.close(fd)

    def commit(
        self,
        add: Sequence[WrittenFile] = (),
        *,
        remove: Sequence[TableFile] = (),
        done: Mapping[str, int] | None = None,
        rewrite: bool = False,
    ) -> None:
        """Publish in one atomic step. Call it within `writing()`. `rewrite`: the rows only moved.

        Raises `Overtaken` if another process did the same work meanwhile: locks can be deleted, the table's versions cannot.
        """
        done = done or {}
        transactions = [Transaction(writer, number) for writer, number in done.items()]
        properties = CommitProperties(app_transactions=transactions, max_commit_retries=0)
        with self._mutex:
            self._follow()
            assert self._delta is not None  # noqa: S101 - writing() made it
            self._refuse_if_overtaken(add, remove, done)
            actions: list[AddAction | RemoveAction] = [
                *(self._removal(file, data_change=not rewrite) for file in remove),
                *(_addition(file, data_change=not rewrite) for file in add),
            ]
            try:
                self._delta.create_write_transaction(actions, "append", _delta_schema(), [PARTITION], commit_properties=properties)
            except CommitFailedError:
                raise Overtaken from None
            self._follow(force=True)
            self._make_durable(self._delta.version())
        for file in remove:
            with contextlib.suppress(FileNotFoundError):
                os.utime(file.path)  # its change time now says since when it is unused: see Retention.sweep

    def unreferenced(self) -> list[Path]:
        """Files below the table that the newest version does not name: left by rewrites and by processes that were killed."""
        named = {file.path for file in self.snapshot().files}
        return [path for path in self.directory.glob(f"{PARTITION}=*/*") if str(path) not in named]

    def _follow(self, *, force: bool = False) -> bool:
        if self._delta is None:
            if not DeltaTable.is_deltatable(str(self.directory)):
                return False
            self._delta = DeltaTable(str(self.directory))
        elif force or self.changed_since(self._delta.version()):
            self._delta.update_incremental()
        else:
            return True
        self._files = self._list()
        return True

    def _refuse_if_overtaken(self, add: Sequence[WrittenFile], remove: Sequence[TableFile], done: Mapping[str, int]) -> None:
        """A process that was stopped for long may find its locks gone and its work done, or its new files swept away."""
        assert self._delta is not None  # noqa: S101
        named = {file.path for file in self._files}
        published = ((number, self._delta.transaction_version(writer)) for writer, number in done.items())
        if (
            any(last is not None and last >= number for number, last in published)
            or any(file.path not in named for file in remove)
            or any(not (self.directory / file.path).exists() for file in add)
        ):
            raise Overtaken

    def _entry(self, version: int) -> Path:
        return self.directory / _LOG / f"{version:020}.json"

    def _make_durable(self, version: int) -> None:
        """The journal is deleted on the strength of this commit, so it must outlive a power cut."""
        for path in (self._entry(version), self.directory / _LOG):
            fd = os.open(path, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def _list(self) -> tuple[TableFile, ...]:
        assert self._delta is not None  # noqa: S101
        adds = pa.table(self._delta.get_add_actions(flatten=True))
        return tuple(
            TableFile(str(self.directory / row["path"]), row["num_records"], row["min.ts"], row["max.ts"], row["size_bytes"])
            for row in adds.to_pylist()
        )

    def _removal(self, file: TableFile, *, data_change: bool) -> RemoveAction:
        path = Path(file.path).relative_to(self.directory)
        return RemoveAction(str(path), data_change, _now_ms(), file.bytes, {PARTITION: path.parent.name.partition("=")[2]})


def _addition(file: WrittenFile, *, data_change: bool) -> AddAction:
    # No statistics of user_id: an erased id must not live on in the log.
    stats = {
        "numRecords": file.rows,
        "minValues": {"ts": _stamp(file.first_ts, up=False)},
        "maxValues": {"ts": _stamp(file.last_ts, up=True)},
        "nullCount": {"ts": 0},
    }
    return AddAction(file.path, file.bytes, {PARTITION: file.month}, _now_ms(), data_change, json.dumps(stats))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _stamp(ts: datetime, *, up: bool) -> str:
    """Milliseconds are what other readers of the log understand: round outwards."""
    whole = ts.replace(microsecond=ts.microsecond // 1000 * 1000)
    if up and whole != ts:
        whole += timedelta(milliseconds=1)
    return whole.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{whole.microsecond // 1000:03}Z"


def _delta_schema() -> Schema:
    return Schema([*Schema.from_arrow(SCHEMA).fields, Field(PARTITION, PrimitiveType("string"), nullable=False)])
