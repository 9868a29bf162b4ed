"""DuckDB over the usage table: one database per process, and for each question a desk whose views lie over exactly one snapshot."""

import contextlib
import os
import threading
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import duckdb
import pyarrow as pa

from byok import zones
from byok.errors import ByokError
from byok.recording.reader import View
from byok.store import answers, tables, wording
from byok.store.answers import Answers
from byok.store.aside import Aside
from byok.store.broken_files import BrokenFiles, is_there
from byok.store.desk import Desk
from byok.store.held import MOST_ROWS, Held
from byok.store.remembered import BUSY_ROWS, FROM_ROWS, Asked, Remembered
from byok.store.scope import AnyScope, Scope
from byok.store.seating import Seating, Wanted, Words, among, extent, may_be_summed, may_be_summed_by_user, values_of
from byok.store.spill import Spill
from byok.zones import EARLIEST, LATEST

if TYPE_CHECKING:
    from byok.pricing.catalogue import Catalogue
    from byok.recording.reader import Reader

MEMORY_LIMIT_MB = 768
BATCH_ROWS = 32_768
_TRIES = 5
_IDLE_DESKS = 8
_CRASHES = (duckdb.InternalException, duckdb.FatalException)
_UNLIKE = (duckdb.InvalidInputException, duckdb.BinderException)
_NO_FILES_FAULT = (
    duckdb.ConversionException,
    duckdb.OutOfRangeException,
    duckdb.OutOfMemoryException,
    duckdb.InterruptException,
    duckdb.ParserException,
    duckdb.CatalogException,
)

T = TypeVar("T")


class StoreUnreadable(ByokError):
    """The usage files changed or failed under every attempt."""

    status, code = 503, "store_unreadable"

    def __init__(self) -> None:
        super().__init__("The usage files cannot be read just now.", remedy="Try again; if it persists, run: byok doctor")


class Engine:
    """Answers the questions in sql/. Thread-safe.

    `retention` gives each known user's days and is asked for every question, so that a shorter plan hides rows at once; rows of users
    it does not name are hidden. `retention_of` gives one user's (None: not known), if that is cheaper. `zones_of` and `labels_of` give the
    time zones of users and the labels of keys, for those that have one; `keys` gives the rows of that view. `catalogue_now`, asked for
    every question, gives the prices: another object than before means that they changed. Files of at least `remember_from_rows` rows are
    remembered as sums for questions about everyone; after `remember_aside`, a user's rows are held in memory, up to `hold_rows`. `spill` is
    the folder below which large questions lay rows on disk. A broken file that the table names is left out, remembered in `quarantined`,
    and read again when it changes.
    """

    def __init__(
        self,
        reader: "Reader",
        catalogue: "Catalogue",
        *,
        retention: Callable[[], Mapping[str, int]],
        keys: Callable[[], list[dict[str, object]]],
        now: Callable[[], datetime],
        retention_of: Callable[[str], int | None] | None = None,
        zones_of: Callable[[Collection[str]], Mapping[str, str]] = lambda _: {},
        labels_of: Callable[[Collection[str]], Mapping[str, str]] = lambda _: {},
        catalogue_now: "Callable[[], Catalogue] | None" = None,
        spill: Path | None = None,
        memory_limit_mb: int = MEMORY_LIMIT_MB,
        remember_from_rows: int = FROM_ROWS,
        busy_rows: int = BUSY_ROWS,
        hold_rows: int = MOST_ROWS,
    ) -> None:
        self._reader, self._retention, self._keys, self._now = reader, retention, keys, now
        self._retention_of = retention_of
        self.zones_of, self.labels_of = zones_of, labels_of
        self._remember_from_rows, self._busy_rows, self._hold_rows = remember_from_rows, busy_rows, hold_rows
        self._catalogue, self._catalogue_now, self._prices = catalogue, catalogue_now, catalogue.tables
        self._alike = True  # until a file is met that was written before a column existed
        self._spill = Spill(spill)
        self._memory_limit_mb = memory_limit_mb
        self._lock = threading.Lock()
        self._idle: list[Desk] = []
        self._broken = BrokenFiles()
        self._days: tuple[dict[str, int], pa.Table] | None = None
        self._aside: Aside | None = None
        self._answers: Answers | None = None
        self._opened = 0
        self._database, self._remembered, self._held = self._open()

    @property
    def catalogue(self) -> "Catalogue":
        """The prices that answers are made with now."""
        self._reprice()
        return self._catalogue

    @property
    def quarantined(self) -> list[str]:
        """Paths of files that the table names and that cannot be read: what is answered lacks their rows."""
        named = {file.path for file in self._reader.view().files}
        return sorted(path for path in self._broken.paths() if path in named)

    def ask(
        self,
        question: str,
        scope: AnyScope | None = None,
        *,
        group_by: Sequence[str] | None = None,
        priced: bool = False,
        split: bool = False,
        over: View | None = None,
        **values: object,
    ) -> pa.Table:
        """The answer of sql/<question>.sql within `scope`; `values` are its other parameters. Raises `StoreUnreadable`.

        `over` is the view to answer from; the newest one without it, or when its files have been merged away since.
        """
        how = {"question": question, "group_by": group_by and tuple(group_by), "priced": priced, "split": split, **values}
        known = self._known_as(scope, how) if over is None else None
        if known and self._answers and (found := self._answers.get(*known)) is not None:
            return found
        say = partial(wording.question, question, scope, group_by=group_by, priced=priced, split=split)
        asked = question, scope, group_by
        wanted = Wanted(scope, over, summed=may_be_summed(*asked), by_user=may_be_summed_by_user(*asked), hold=True)
        table = tables.whole_numbers(self._table(Words(say, values, wanted)))
        if known and self._answers and self._known_as(scope, how) == known:  # nothing changed while it was worked out
            self._answers.put(*known, table)
        return table

    def stream(
        self,
        question: str,
        scope: AnyScope,
        *,
        priced: bool = False,
        over: View | None = None,
        columns: Sequence[str] = (),
        **values: object,
    ) -> Iterator[pa.RecordBatch]:
        """As `ask`, in batches of at most `BATCH_ROWS`; the first comes when all input has been read, at least one (maybe empty) comes."""
        yield from self._batches(
            Words(partial(wording.question, question, scope, priced=priced, columns=columns), values, Wanted(scope, over))
        )

    def connection(self) -> duckdb.DuckDBPyConnection:
        """A connection of one's own for the operator: `usage`, `usage_priced`, `prices`, `keys` over all that is kept, as of now."""
        _, desk = self._at_a_desk(lambda *_: None, Wanted(alike=False))  # what is asked here is not tried again
        desk.connection.register("keys", tables.keys(self._keys()))
        desk.connection.execute("set lambda_syntax = 'ENABLE_SINGLE_ARROW'")  # `x -> x + 1`, as on the dashboard
        return desk.connection

    def view(self) -> View:
        """What the reader sees now."""
        return self._reader.view()

    def now(self) -> datetime:
        """The engine's clock."""
        return self._now()

    def remember_aside(self) -> Aside:
        """From now on keep what one user asks for, too: in threads of their own, after the answer. For processes that live long."""
        with self._lock:
            if self._aside is None:
                self._aside = Aside()
                self._database, self._remembered, self._held = self._open()
                self._idle.clear()
            return self._aside

    def keep_answers(self) -> None:
        """From now on answer what one user asks again from memory, as long as nothing changed. For the process that shows pages."""
        self._answers = Answers()

    def close(self) -> None:
        """End the database and remove what it spilled to disk."""
        if self._aside is not None:
            self._remembered.interrupt()
            self._aside.close()
        with self._lock:
            self._idle.clear()
            self._database.close()
        self._spill.close()

    def _view(self) -> View:
        """What the reader sees now. Where a file of it was damaged or put back meanwhile, nothing that was read before counts any more."""
        view = self._reader.view()
        changed = set() if self._reader.shared else self._broken.changed(file.path for file in view.files)
        if changed and any(file.path in changed for file in self._reader.view().files):  # else: merged away just now
            self._reopen()
        return view

    def _table(self, words: Words) -> pa.Table:
        def answer(desk: Desk, seating: Seating) -> pa.Table:
            sql = words.say(known=seating.known)
            return desk.answer(sql, {**values_of(words.wanted.scope, sql, seating), **words.values})

        with self._aside.answering() if self._aside else contextlib.nullcontext():
            table, desk = self._at_a_desk(answer, words.wanted)
            self._leave(desk)
        return table

    def _batches(self, words: Words) -> Iterator[pa.RecordBatch]:
        def begin(desk: Desk, seating: Seating) -> tuple[pa.RecordBatch, pa.RecordBatchReader]:
            sql = words.say()
            batches = desk.ask(sql, {**values_of(words.wanted.scope, sql, seating), **words.values}).to_arrow_reader(BATCH_ROWS)
            first = next(batches, None)
            return pa.RecordBatch.from_pylist([], batches.schema) if first is None else first, batches

        (first, rest), desk = self._at_a_desk(begin, words.wanted)
        yield first
        yield from rest
        self._leave(desk)

    def _open(self) -> tuple[duckdb.DuckDBPyConnection, Remembered, Held]:
        database = duckdb.connect(
            ":memory:",
            config={
                "threads": str(min(4, os.cpu_count() or 1)),
                "memory_limit": f"{self._memory_limit_mb}MiB",
                "temp_directory": str(self._spill.folder),
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "allow_persistent_secrets": "false",
            },
        )
        self._opened += 1
        if self._aside is not None:
            self._aside.soon(self._warm_up)
        sit_down = partial(Desk, database, self._prices, self._reader.fetch)
        limits = {"from_rows": self._remember_from_rows, "busy_rows": self._busy_rows}
        return database, Remembered(database, sit_down, **limits, aside=self._aside), Held(self._rows_of, most_rows=self._hold_rows)

    def _at_a_desk(self, work: Callable[[Desk, Seating], T], wanted: Wanted) -> tuple[T, Desk]:
        """What `work` returns at a desk over a view, and that desk, still taken. A file fault is mended and tried over the newest."""
        self._reprice()
        for attempt in range(_TRIES):
            view = wanted.over if wanted.over and not attempt else self._view()
            seating = None
            try:
                if view is not wanted.over:
                    self._remembered.forget_all_but(view)
                    self._held.forget_all_but(view)
                seating = self._seating(view, wanted)
                held = self._rows_held(view, wanted.scope, seating) if wanted.hold else None
                desk = self._sit_down(holds=held is not None)
                if held is None:
                    desk.lay_out(seating.files, view.tail, alike=wanted.alike and self._alike)
                else:
                    desk.lay_held(held)
                desk.keep(seating.kept)
                done = work(desk, seating)
                if not seating.known or seating.mark is self._remembered.mark:
                    return done, desk
            except duckdb.Error as error:
                if self._alike and isinstance(error, _UNLIKE):
                    self._alike = False
                elif not (seating and seating.known and isinstance(error, duckdb.CatalogException)):  # else: the database was opened anew
                    self.mend(error, view)
        raise StoreUnreadable

    def _seating(self, view: View, wanted: Wanted) -> Seating:
        """Which files a question must read, and what is remembered of the others."""
        scope = wanted.scope
        now, without = self._now(), self._broken.paths()
        files = [file for file in view.files if file.path not in without]
        user_id = scope.user_id if isinstance(scope, Scope) else None
        days = self._days_kept(user_id)
        kept = tables.kept(among(days, scope), now)
        if scope is None:
            return Seating([file.path for file in files], [], None, frozenset(), kept, EARLIEST, (EARLIEST, LATEST))
        since = max([scope.since, *kept["keep_after"].to_pylist()]) if user_id else scope.since
        if user_id and not kept.num_rows:
            files = []  # not known: nothing is shown, remembered or not
        files = [file for file in files if file.last_ts >= since and file.first_ts < scope.until]
        span = extent(scope, since, files, view)
        asked = Asked(since, scope.until, zones.step(zones.offsets(scope.tz), span[0]), user_id)
        if wanted.by_user:
            part = self._remembered.part_by_user(files, asked, days, now)
        elif user_id or not wanted.summed:
            learn = user_id is not None and self._held.refuses(user_id, [file.path for file in files])
            part = self._remembered.part(files, asked, summed=wanted.summed, learn=learn)
        else:
            part = self._remembered.part_of_all(files, asked, days, now)
        return Seating(*part, kept, since, span)

    def _known_as(self, scope: AnyScope | None, how: Mapping[str, object]) -> tuple[Hashable, Hashable] | None:
        """The state of all that an answer is made of, and what is asked; None where answers are not kept."""
        if self._answers is None or not isinstance(scope, Scope):
            return None
        self._reprice()
        view, kept = self._view(), tables.kept(self._days_kept(scope.user_id), self._now())
        if not kept.num_rows:
            return None
        asked = answers.asked_for(scope, view, kept["keep_after"][0].as_py(), how)
        return None if asked is None else ((view.stamp, self._opened, frozenset(self._broken.paths())), asked)

    def _rows_held(self, view: View, scope: AnyScope | None, seating: Seating) -> pa.Table | None:
        """One user's rows, if they are in memory; else they will be for the next question."""
        if self._aside is None or not isinstance(scope, Scope) or not seating.kept.num_rows:
            return None
        which = scope.user_id, seating.files, view
        rows = self._held.rows(*which, without=seating.summed)
        if rows is None and not self._held.refuses(scope.user_id, seating.files):
            self._aside.soon(partial(self._held.hold, *which, without=seating.summed))
        return rows

    def _rows_of(self, user_id: str, files: Sequence[str], tail: pa.Table, most: int) -> pa.Table | None:
        """One user's rows with cost, also what the plan hides; None if there are more than `most`."""
        desk = self._sit_down()
        desk.lay_out(files, tail, alike=self._alike)
        desk.keep(pa.table({"user_id": [user_id], "keep_after": pa.array([EARLIEST], pa.timestamp("us", "UTC"))}))
        batches, found, rows = desk.ask(wording.text("held_rows"), {"user_id": user_id}).to_arrow_reader(BATCH_ROWS), [], 0
        for batch in batches:
            found.append(batch)
            rows += batch.num_rows
            if rows > most:
                return None
        self._leave(desk)
        return pa.Table.from_batches(found, batches.schema)

    def _warm_up(self) -> None:
        """Before the first question comes: lay a desk of both kinds, read the footers of the files that are on this machine, and have large
        ones remembered."""
        view, desk, other = self._reader.view(), self._sit_down(), self._sit_down(holds=True)
        here = [file for file in view.files if is_there(file.path)]
        desk.lay_out([file.path for file in here], view.tail, alike=self._alike)
        other.lay_held(desk.answer(wording.text("held_rows"), {"user_id": ""}))
        for laid in (desk, other):
            self._leave(laid)
        self._remembered.learn_ahead(here)

    def _sit_down(self, *, holds: bool = False) -> Desk:
        with self._lock:
            for desk in reversed(self._idle):
                if desk.holds == holds:
                    self._idle.remove(desk)
                    return desk
            database = self._database
        return Desk(database, self._prices, self._reader.fetch)

    def _leave(self, desk: Desk) -> None:
        """Keep a desk for the next question; one whose work failed or was left early never comes here."""
        with self._lock:
            if desk.database is self._database and len(self._idle) < _IDLE_DESKS:
                self._idle.append(desk)

    def _days_kept(self, user_id: str | None) -> pa.Table:
        """How long the rows of one user or of all are kept; the same table again as long as nothing changed."""
        if user_id is not None and self._retention_of is not None:
            days = self._retention_of(user_id)
            return tables.days_kept({} if days is None else {user_id: days})
        retention = dict(self._retention())
        if user_id is not None:
            return tables.days_kept({user_id: retention[user_id]} if user_id in retention else {})
        known = self._days
        if known is None or known[0] != retention:
            known = self._days = (retention, tables.days_kept(retention))
        return known[1]

    def mend(self, error: duckdb.Error, view: View | None = None) -> None:
        """Find out why a question failed: return if another try can succeed (a broken file is left out from now on), else raise."""
        view = view or self._reader.view()
        if isinstance(error, _NO_FILES_FAULT):
            raise error
        if isinstance(error, _CRASHES):
            self._reopen()
        files = [file.path for file in view.files if file.path not in self._broken.paths()]
        if any(not is_there(path) for path in files) and self._reader.view().stamp != view.stamp:
            return  # compacted or erased between view and question
        if not self._broken.search(files, self._database.cursor()):
            raise error

    def _reprice(self) -> None:
        """Work with other prices from now on if they changed; what is remembered was worked out with the old ones."""
        found = self._catalogue_now() if self._catalogue_now else self._catalogue
        if found is not self._catalogue:
            tables_now = found.tables
            with self._lock:
                self._idle.clear()
                self._catalogue, self._prices = found, tables_now
                self._database, self._remembered, self._held = self._open()

    def _reopen(self) -> None:
        with self._lock:
            self._idle.clear()
            self._database, self._remembered, self._held = self._open()
