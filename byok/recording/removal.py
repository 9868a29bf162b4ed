"""Taking rows out of the table's files: each file that holds some is written again without them, and the old one goes for good."""

from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import chain
from pathlib import Path

import pyarrow as pa
import structlog

from byok.recording.cut import Cut
from byok.recording.files import TableFile, WrittenFile
from byok.recording.rewriting import FilesUnreadable, Limits, Past, count_past, users_in, without
from byok.recording.table import Overtaken, Table

_AT_A_TIME = 2
_TRIES = 20  # of a removal on a table that other machines change, too
log = structlog.get_logger("byok.removal")


class Removal:
    """Removals from one table. `Limits` say what goes."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def past(self, limits: Limits, *, tail: pa.Table | None = None, skip: Collection[TableFile] = ()) -> list[Past]:
        """Rows that go, also those of a `tail`; only files that may hold some are opened, and those that can be read."""
        if not limits:
            return []
        files = [file for file in self._table.snapshot().files if _may_hold(file, limits) and file not in skip]
        self._table.fetch(files)
        try:
            return count_past(files, limits, tail=tail)
        except FilesUnreadable as fault:
            for file in fault.files:
                log.error("usage_file_unreadable", file=Path(file.path).name)
            return self.past(limits, tail=tail, skip=[*skip, *fault.files])

    def users(self) -> set[str]:
        """Whoever has rows. What cannot be read of a damaged file may be anybody's: it goes."""
        files = self._table.snapshot().files
        self._table.fetch(files)
        try:
            return users_in(files)
        except FilesUnreadable as fault:
            with self._table.writing():  # within it nobody else merges or erases, which takes files away, too
                named = {file.path for file in self._table.snapshot().files}
                list(self._rewrite([file for file in fault.files if file.path in named], {}, whatever_it_takes=True))
            return self.users()

    def remove(
        self,
        limits: Limits,
        begin: Callable[[list[Past]], None] = lambda _: None,
        *,
        overdue: timedelta = timedelta(0),
        whatever_it_takes: bool = False,
    ) -> tuple[list[Past], int]:
        """Rewrite the files that hold rows before their user's moment; what went, and how many files did. Leaves nothing behind.

        `begin` is told what will go before anything does. `whatever_it_takes`: damaged files are not left as they are.
        """
        gone: dict[str, list[Past]] = {}
        for left in reversed(range(_TRIES if self._table.place.shared else 1)):
            try:
                self._remove_now(limits, begin, overdue, whatever_it_takes, gone)
                break
            except Overtaken:  # another machine merged a file or began an erasure: what is left is looked for anew
                if not left:
                    raise
        return list(chain.from_iterable(gone.values())), len(gone)

    def _remove_now(
        self,
        limits: Limits,
        begin: Callable[[list[Past]], None],
        overdue: timedelta,
        whatever_it_takes: bool,
        gone: dict[str, list[Past]],
    ) -> None:
        """One try of `remove`; notes in `gone`, by file, what went."""
        with self._table.writing():
            if whatever_it_takes:
                self._mend_damaged(limits)
            past = self.past(limits)
            due = {found.path for found in past if isinstance(limits, Cut) or limits[found.user_id] - found.oldest >= overdue}
            begin([found for found in past if found.path in due])
            for path in self._rewrite([file for file in self._table.snapshot().files if file.path in due], limits, whatever_it_takes):
                gone[path] = [found for found in past if found.path == path]
            if gone or whatever_it_takes:
                self._table.sweep(older_than_s=-1)
        if gone or whatever_it_takes:
            self._table.tidy(older_than_s=0)

    def _rewrite(self, files: Iterable[TableFile], limits: Limits, whatever_it_takes: bool) -> Iterator[str]:
        """Two at a time, as a file is written by one thread; each is a commit of its own, so that a kill loses little work.

        Gives the path of each file that went.
        """

        def filtered(file: TableFile) -> tuple[TableFile, WrittenFile | None] | None:
            self._table.fetch([file])
            try:
                month = Path(file.path).parent.name.partition("=")[2]
                return file, without(self._table.directory, month, file, limits, what_can_be_read=whatever_it_takes)
            except FilesUnreadable:
                log.error("usage_file_unreadable", file=Path(file.path).name)
                return None

        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            for file, kept in filter(None, pool.map(filtered, files)):
                self._table.commit([kept] if kept else [], remove=[file])
                yield file.path

    def _mend_damaged(self, limits: Limits) -> None:
        files = [file for file in self._table.snapshot().files if _may_hold(file, limits)]
        self._table.fetch(files)
        try:
            users_in(files)
        except FilesUnreadable as fault:
            list(self._rewrite(fault.files, {}, whatever_it_takes=True))


def _may_hold(file: TableFile, limits: Limits) -> bool:
    """Whether a file's span of time has anything that goes."""
    if isinstance(limits, Cut):
        return file.first_ts < limits.until and file.last_ts >= limits.since
    return bool(limits) and file.first_ts < max(limits.values())
