"""The usage table: a Delta Lake table by month. One commit adds files, removes files and says which journal segments they replace."""

import contextlib
import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from byok.recording.places import StoreAway, epoch_of, place_of
from byok.settings import RemoteStore

_ERASURES = "byok-erasures"  # an application transaction: how many erasures began, see `begin_erasure`
_LEASE = "byok-lease"  # an application transaction: the highest number of a lease under which files were rewritten
_TRIES = 25  # of a commit that other machines come before
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


class TableLost(ByokError):
    """A new table beside the files of a lost one would name none of them, and so they would be swept away."""

    status, code = 503, "table_lost"

    def __init__(self) -> None:
        super().__init__(
            "There are usage files, and the table's log (_delta_log), which names them, is missing.",
            remedy="Restore _delta_log from a backup (docs/operations.md), or move the files away. Records wait in the journal until then.",
        )


class Table:
    """Opens the table lazily and follows its commits; thread-safe. `place` is what `Settings.usage_dir` names."""

    def __init__(self, place: Path | RemoteStore) -> None:
        self.place = place_of(place)
        self.directory = self.place.directory
        self._delta: DeltaTable | None = None
        self._files: tuple[TableFile, ...] = ()
        self._done: dict[str, int | None] = {}  # of this version, by writer: asking for one costs 2 ms
        self._epoch = 0
        self.fence: Callable[[], int] = lambda: 0  # the number of the lease under which files are rewritten; 0: under none
        self._mutex = threading.Lock()

    def snapshot(self, writers: Sequence[str] = ()) -> Snapshot:
        """The newest version; `done` for those of `writers` that ever published."""
        with self._mutex:
            if not self._follow() or self._delta is None:
                return Snapshot(-1, (), {})
            for writer in writers:
                if writer not in self._done:
                    self._done[writer] = self._delta.transaction_version(writer)
            done = {writer: number for writer in writers if (number := self._done[writer]) is not None}
            return Snapshot(self._delta.version(), self._files, done)

    def changed_since(self, version: int) -> bool:
        """Whether a newer commit exists; costs a look or two at the place."""
        return self.place.changed_since(version)

    def fetch(self, files: Iterable[TableFile]) -> None:
        """Have these files on this machine before they are read."""
        self.place.fetch(file.path for file in files)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the writer lock of this machine; waits for another process that holds it.

        Erasures that begin on other machines from here on are noticed by `commit`: what says which rows are written must be asked within.
        """
        with self.place.writing():
            with self._mutex:
                if not self._follow():
                    self._create()
                self._epoch = self._erasures()
            yield

    def commit(
        self,
        add: Sequence[WrittenFile] = (),
        *,
        remove: Sequence[TableFile] = (),
        done: Mapping[str, int] | None = None,
        rewrite: bool = False,
    ) -> None:
        """Publish in one atomic step. Call it within `writing()`. `rewrite`: the rows only moved.

        Raises `Overtaken` if another process did the same work meanwhile, or on another machine an erasure began: locks can be deleted,
        the table's versions cannot.
        """
        done = done or {}
        delivered = self.place.deliver(add, self._epoch)
        try:
            with self._mutex:
                self._follow()
                self._commit(delivered, remove, done, rewrite)
                self._follow(force=True)
                assert self._delta is not None  # noqa: S101 - writing() made it
                version = self._delta.version()
        except Overtaken:
            self.place.withdraw(delivered)
            raise
        self.place.committed(version, remove)

    def begin_erasure(self) -> None:
        """What is written by now and not committed never will be; what is written later knows whose rows must go. Within `writing()`."""
        if not self.place.shared:
            return  # within the lock nobody else has unfinished files
        with self._mutex:
            self._follow()
            self._epoch = self._erasures()
            self._commit([], [], {_ERASURES: self._epoch + 1}, False)
            self._follow(force=True)
            self._epoch += 1

    def sweep(self, *, older_than_s: float) -> int:
        """Delete files that no version names and that were not used for so long; returns how many. Within `writing()`.

        On a shared place another machine's newest file may be one that it has not named yet: those of before this moment's epoch are not.
        """
        snapshot = self.snapshot()
        before = time.time() - older_than_s
        unnamed = self.place.unnamed({self.place.name_of(file.path) for file in snapshot.files})
        gone = [name for name in unnamed if self.place.unused_since(name) <= before]
        if gone and self.place.shared:
            self.begin_erasure()
            named = {self.place.name_of(file.path) for file in self.snapshot().files}
            gone = [name for name in gone if name not in named and epoch_of(name) < self._epoch]
        with self.place.reaching():
            for name in gone:
                self.place.delete(name)
        return len(gone)

    def tidy(self, *, older_than_s: float) -> None:
        """Drop this machine's copies of files that the table has not named for so long."""
        if self.place.shared:
            files = self.snapshot().files
            with self.place.writing():
                self.place.tidy({self.place.name_of(file.path) for file in files}, older_than_s=older_than_s)

    def unreferenced(self) -> list[Path]:
        """Files below the table that the newest version does not name: left by rewrites and by processes that were killed."""
        return [Path(self.place.path_of(name)) for name in self.place.unnamed({self.place.name_of(f.path) for f in self.snapshot().files})]

    def _create(self) -> None:
        self.place.vouch()
        with self.place.reaching():
            there = any(name.endswith(".parquet") for name in self.place.unnamed(()))
        if there:
            if self._follow():  # another machine was first
                return
            raise TableLost
        try:
            with self.place.reaching():
                self._delta = DeltaTable.create(
                    self.place.uri,
                    _delta_schema(),
                    partition_by=[PARTITION],
                    configuration=_CONFIGURATION,
                    storage_options=self.place.options,
                )
        except (CommitFailedError, StoreAway):
            if not self._follow():  # else another machine was first
                raise

    def _follow(self, *, force: bool = False) -> bool:
        place = self.place
        with place.reaching():
            if self._delta is None:
                if not DeltaTable.is_deltatable(place.uri, storage_options=place.options):
                    return False
                self._delta = DeltaTable(place.uri, storage_options=place.options)
            elif force or place.changed_since(self._delta.version()):
                self._delta.update_incremental()
            else:
                return True
            self._files, self._done = self._list(), {}
        return True

    def _erasures(self) -> int:
        assert self._delta is not None  # noqa: S101
        return (self._delta.transaction_version(_ERASURES) or 0) if self.place.shared else 0

    def _commit(self, add: Sequence[WrittenFile], remove: Sequence[TableFile], done: Mapping[str, int], rewrite: bool) -> None:
        assert self._delta is not None  # noqa: S101
        transactions = [Transaction(writer, number) for writer, number in done.items()]
        fence = self.fence() if remove and self.place.shared else 0
        if fence:
            transactions.append(Transaction(_LEASE, fence))
        properties = CommitProperties(app_transactions=transactions, max_commit_retries=0)
        actions: list[AddAction | RemoveAction] = [
            *(self._removal(file, data_change=not rewrite) for file in remove),
            *(_addition(file, data_change=not rewrite) for file in add),
        ]
        for attempt in range(_TRIES if self.place.shared else 1):
            self._refuse_if_overtaken(add, remove, done)
            if fence and (self._delta.transaction_version(_LEASE) or 0) > fence:
                raise Overtaken
            try:
                with self.place.reaching():
                    self._delta.create_write_transaction(actions, "append", _delta_schema(), [PARTITION], commit_properties=properties)
            except CommitFailedError:  # this version's number is taken
                if not self.place.shared:
                    raise Overtaken from None
                self._follow(force=True)
                if self._is_ours(add, done):  # by us: only the answer was lost
                    return
                time.sleep(random.uniform(0, 0.05 * min(attempt + 1, 10)))  # noqa: S311 - spreads the writers
            else:
                return
        raise Overtaken

    def _is_ours(self, add: Sequence[WrittenFile], done: Mapping[str, int]) -> bool:
        assert self._delta is not None  # noqa: S101
        named = {file.path for file in self._files}
        if add:
            return all(self.place.path_of(file.path) in named for file in add)
        return bool(done) and _ERASURES not in done and all(self._delta.transaction_version(one) == number for one, number in done.items())

    def _refuse_if_overtaken(self, add: Sequence[WrittenFile], remove: Sequence[TableFile], done: Mapping[str, int]) -> None:
        """A process that was stopped for long may find its locks gone and its work done, or its new files swept away."""
        assert self._delta is not None  # noqa: S101
        named = {file.path for file in self._files}
        published = ((number, self._delta.transaction_version(writer)) for writer, number in done.items())
        if (
            any(last is not None and last >= number for number, last in published)
            or any(file.path not in named for file in remove)
            or self.place.lacks(add)
            or self._erasures() != self._epoch
        ):
            raise Overtaken

    def _list(self) -> tuple[TableFile, ...]:
        assert self._delta is not None  # noqa: S101
        adds = pa.table(self._delta.get_add_actions(flatten=True))
        return tuple(
            TableFile(
                self.place.path_of(row["path"]),
                row["num_records"],
                row["min.ts"],
                row["max.ts"],
                row["size_bytes"],
                row["modification_time"] if isinstance(row["modification_time"], int) else _ms(row["modification_time"]),
            )
            for row in adds.to_pylist()
        )

    def _removal(self, file: TableFile, *, data_change: bool) -> RemoveAction:
        name = self.place.name_of(file.path)
        month = Path(name).parent.name.partition("=")[2]
        return RemoveAction(name, data_change, _now_ms(), file.bytes, {PARTITION: month})


def _addition(file: WrittenFile, *, data_change: bool) -> AddAction:
    # No statistics of user_id: an erased id must not live on in the log.
    stats = {
        "numRecords": file.rows,
        "minValues": {"ts": _stamp(file.first_ts, up=False)},
        "maxValues": {"ts": _stamp(file.last_ts, up=True)},
        "nullCount": {"ts": 0},
    }
    return AddAction(file.path, file.bytes, {PARTITION: file.month}, _now_ms(), data_change, json.dumps(stats))


def _ms(moment: datetime) -> int:
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


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
