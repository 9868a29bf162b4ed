"""One exact view of all records: the table's newest version, and the journal lines that are not in it yet.

A record is read as journal or as Parquet, never both: the version is looked at before and after the journal, and again if it changed.
"""

import threading
from collections.abc import Hashable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from byok.recording import segments
from byok.recording.files import SCHEMA, TableFile, records_of
from byok.recording.table import Snapshot, Table
from byok.settings import RemoteStore

__all__ = ["Reader", "TableFile", "View"]

_FEW = 32  # pieces are read as quickly as one
_Read = tuple[str, int, int]  # of a segment: its writer and number, and how far it was read


class View(NamedTuple):
    """Everything there is to read at one moment. `stamp` changes exactly when anything else does."""

    version: int
    files: tuple[TableFile, ...]
    tail: pa.Table
    stamp: Hashable
    newest_ts: datetime | None
    bad_lines: int


class _Followed:
    """What was read of one segment so far."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.end = 0
        self.bad = 0
        self.parts: list[pa.Table] = []

    def read_on(self, segment: segments.Segment) -> None:
        size = segment.path.stat().st_size
        if size < self.end:  # its writer took lines back after a disk fault
            self.forget()
        if size == self.end:
            return
        lines = segments.read_lines(segment.path, self.end)
        records, odd = records_of(lines.good)
        self._add(records)
        self.end, self.bad = lines.end, self.bad + len(lines.bad) + len(odd)

    def _add(self, records: pa.Table) -> None:
        """Keep parts few, each larger than the next: a table in as many pieces as it was looked at times is slow to read."""
        if not records.num_rows:
            return
        while self.parts and self.parts[-1].num_rows <= records.num_rows:
            records = pa.concat_tables([self.parts.pop(), records]).combine_chunks()
        self.parts.append(records)


class _Joined:
    """Segments that others follow, in one piece: hours of them wait where no keeper can publish, a new one every few seconds."""

    def __init__(self) -> None:
        self._of: frozenset[_Read] = frozenset()
        self._rows = SCHEMA.empty_table()

    def with_others(self, followed: Mapping[tuple[str, int], _Followed]) -> pa.Table:
        """All records of the segments `followed`."""
        last = dict(sorted(followed))  # the number of each writer's newest segment
        read = {(*key, one.end): one for key, one in followed.items()}
        filled = {(writer, number, end): one for (writer, number, end), one in read.items() if number < last[writer]}
        if not self._of <= filled.keys():  # published, or lines were taken back
            self._of, self._rows = frozenset(), SCHEMA.empty_table()
        if len(filled) - len(self._of) > _FEW:
            self._join(filled)
        return pa.concat_tables([self._rows, *(part for key, one in read.items() if key not in self._of for part in one.parts)])

    def _join(self, filled: Mapping[_Read, _Followed]) -> None:
        rows = pa.concat_tables([SCHEMA.empty_table(), *(part for one in filled.values() for part in one.parts)]).combine_chunks()
        at = 0
        for one in filled.values():
            count = sum(part.num_rows for part in one.parts)
            one.parts, at = [rows.slice(at, count)], at + count
        self._of, self._rows = frozenset(filled), rows


class Reader:
    """Reads what the keeper published and what the gateways have written since. Thread-safe; cheap when nothing changed."""

    def __init__(self, usage_dir: Path | RemoteStore, journal_dir: Path) -> None:
        self._table = Table(usage_dir)
        self.shared = self._table.place.shared  # then what lies here are copies, which come and go
        self._journal_dir = journal_dir
        self._followed: dict[tuple[str, int], _Followed] = {}
        self._joined = _Joined()
        self._view: View | None = None
        self._lock = threading.Lock()

    def view(self) -> View:
        """The records acknowledged up to now, each exactly once."""
        with self._lock:
            while True:
                waiting = segments.listed(self._journal_dir)
                snapshot = self._table.snapshot([segment.writer for segment in waiting])
                pending = [segment for segment in waiting if segment.number > snapshot.done.get(segment.writer, -1)]
                try:
                    self._read(pending)
                except FileNotFoundError:  # published and deleted just now
                    continue
                # A new segment may hold lines that a failed sync moved out of one that was read after they went.
                appeared = set(segments.listed(self._journal_dir)).difference(waiting)
                if not appeared and not self._table.changed_since(snapshot.version):
                    return self._assemble(snapshot, pending)

    def fetch(self, paths: Iterable[str]) -> None:
        """Have these files of a view on this machine. Raises `StoreAway`."""
        self._table.place.fetch(paths)

    def _read(self, pending: list[segments.Segment]) -> None:
        wanted = {(segment.writer, segment.number) for segment in pending}
        self._followed = {key: followed for key, followed in self._followed.items() if key in wanted}
        for segment in pending:
            self._followed.setdefault((segment.writer, segment.number), _Followed()).read_on(segment)

    def _assemble(self, snapshot: Snapshot, pending: list[segments.Segment]) -> View:
        ends = tuple((s.writer, s.number, f.end) for s in pending if (f := self._followed[s.writer, s.number]).end)
        stamp = (snapshot.version, ends)
        if self._view is None or self._view.stamp != stamp:
            tail = self._joined.with_others(self._followed)
            newest = [file.last_ts for file in snapshot.files]
            if tail.num_rows:
                newest.append(pc.max(tail["ts"]).as_py())
            bad = sum(followed.bad for followed in self._followed.values())
            self._view = View(snapshot.version, snapshot.files, tail, stamp, max(newest, default=None), bad)
        return self._view
