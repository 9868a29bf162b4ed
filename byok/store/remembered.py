"""The sums of large usage files, kept in memory. A file never changes, so its sums cannot go stale; a file that is gone takes them along.

A question about everyone waits until they are there. One user's does not, and most people's few records are kept as they are
(`byok.store.held`): for who has many, they are worked out after the answer, for the next. In a process that lives long those of the largest
files are worked out before the first question.

A file's sums are kept per step of time (an hour, or less where a zone's hours begin off ours), vendor, model and status: once for all
users, and once more for each user who is busy in it. Retention hides rows one by one, so those that it hides already or within a day are
kept apart, and those hidden by now are taken off again. What cannot be answered so is read from the file.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from byok.recording.files import SCHEMA, TableFile
from byok.recording.reader import View
from byok.store import wording
from byok.store.aside import Aside
from byok.store.desk import Desk
from byok.store.edges import Edge, Edges
from byok.store.shelf import Shelf, rows_of

FROM_ROWS = 10_000
AHEAD_ROWS = 500_000  # whose first question takes long enough to be spared: learned before it
BUSY_SHARE, BUSY_ROWS = 400, 500  # so at most 400 users are busy in a file: with a 400th of its rows each, and not just a few
SHORTEST_STEP_S = 900
LONGEST_STEP_S = 3600
_AHEAD = timedelta(days=1)
_MOST_LEAVING = 1_000_000
_MOST_BOUNDS = 4
_DAY_US = 86_400_000_000
_UNKNOWN_DAYS = -400_000  # a user that is not known: hidden long ago
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_TOKENS = ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens")
_TAKEN_OFF = ", ".join(
    ("ts", "vendor", "model", "status", *(f"-coalesce({name}, 0) as {name}" for name in (*_TOKENS, *wording.NANOS)), "-1 as calls",
     "-(cost_nano is null)::int as unpriced_calls")
)  # fmt: skip


class Part(NamedTuple):
    """How to answer: read the files `direct`, and add the rows of `known`, SQL texts of sums (of no user's words) of the files `summed`.
    The answer holds if the `mark` of what is remembered is still the same after it."""

    direct: list[str]
    known: list[str]
    mark: object
    summed: frozenset[str] = frozenset()


class Asked(NamedTuple):
    """What decides about a part: the bounds of time, the zone's step, and whose rows (None: everyone's)."""

    since: datetime
    until: datetime
    step_s: int
    user_id: str | None


@dataclass
class _Leaving:
    """The part of the table `leaving` that has the rows which retention hides before `horizon` (None: too many to keep)."""

    part: int | None
    horizon: datetime


@dataclass
class _File:
    """What is known of one file. `users` has their rows and first ts; `sums` and `all` the parts of busy and of all users' sums by step."""

    users: pa.Table
    names: frozenset[str]
    busy: frozenset[str]
    edges: Edges
    sums: dict[int, int] = field(default_factory=dict)
    all: dict[int, int] = field(default_factory=dict)
    judged: pa.Table | None = None
    days: pa.Array | None = None
    hides_from_us: int = 0
    leaving: _Leaving | None = None
    of_users: dict[tuple[datetime, datetime], int] = field(default_factory=dict)  # by bounds, the latest last


class Remembered:
    """The sums of one DuckDB database's files; they live in a database of their own beside it. Thread-safe."""

    def __init__(
        self,
        database: duckdb.DuckDBPyConnection,
        sit_down: Callable[[], Desk],
        *,
        from_rows: int,
        busy_rows: int,
        aside: Aside | None = None,
    ) -> None:
        self._shelf = Shelf(database)
        self._aside = aside
        self._begun: set[tuple[str, int, tuple[str, datetime] | None]] = set()
        self._learning: Desk | None = None
        self._sit_down = sit_down
        self._from_rows, self._busy_rows = from_rows, busy_rows
        self._files: dict[str, _File] = {}
        self._lock = threading.Lock()

    @property
    def mark(self) -> object:
        """Another object once anything was forgotten."""
        return self._shelf.mark

    def part(self, files: Sequence[TableFile], asked: Asked, *, summed: bool, learn: bool = False) -> Part:
        """One user's: only what is remembered already is used. `summed`: sums will do, else only files without the user are left out.

        `learn`: have what is missing for the next time, if there is anyone who does it aside.
        """
        mark, direct, parts, done = self.mark, [], [], set()
        edges: list[str] = []
        for file in files:
            mine, edge = self._files.get(file.path), _edge(file, asked)
            fits = edge is None and _fits(file, asked)
            if learn and summed and file.rows >= self._from_rows and (fits or edge):
                self._learn_aside(file, asked.step_s, edge)
            if mine is None or asked.user_id is None:
                direct.append(file.path)
                continue
            by_step = mine.sums.get(asked.step_s) if summed and asked.user_id in mine.busy else None
            rest = mine.edges.rows(edge) if edge else None
            if by_step is not None and (fits or rest):
                parts.append(by_step)
                edges += [rest] if rest else []
                done.add(file.path)
            elif asked.user_id in mine.names:
                direct.append(file.path)
        return Part(direct, [*([rows_of(f"sums_{asked.step_s}", parts)] if parts else []), *edges], mark, frozenset(done))

    def part_of_all(self, files: Sequence[TableFile], asked: Asked, days: pa.Table, now: datetime) -> Part:
        """Everyone's: large files are remembered now if they are not yet. `days` says how long each user's rows are kept."""
        direct, parts, leaving = [], [], []
        now_us = (now - _EPOCH) // timedelta(microseconds=1)
        with self._lock:
            for file in files:
                mine = self._learn(file, asked.step_s) if file.rows >= self._from_rows and _fits(file, asked) else None
                hidden = self._hidden(file, mine, days, now) if mine else None
                if mine is None or hidden is None:
                    direct.append(file.path)
                else:
                    parts.append(mine.all[asked.step_s])
                    leaving += hidden
            known = [rows_of(f"all_{asked.step_s}", parts)] if parts else []
            known += [f"{rows_of('leaving', leaving, _TAKEN_OFF)} and hidden_after_us < {now_us:d}"] if leaving else []
            return Part(direct, known, self.mark)

    def part_by_user(self, files: Sequence[TableFile], asked: Asked, days: pa.Table, now: datetime) -> Part:
        """Everyone's, each user apart, for just these bounds: days begin where zones say. A file of which retention hides any is read."""
        direct, parts = [], []
        now_us = (now - _EPOCH) // timedelta(microseconds=1)
        with self._lock:
            for file in files:
                mine = self._learn(file, LONGEST_STEP_S) if file.rows >= self._from_rows else None
                if mine:
                    self._judge(mine, days)
                number = self._learn_users(file, mine, asked) if mine and now_us <= mine.hides_from_us else None
                if number is None:
                    direct.append(file.path)
                else:
                    parts.append(number)
            return Part(direct, [rows_of("users", parts)] if parts else [], self.mark)

    def forget_all_but(self, view: View) -> None:
        """Drop the sums of files that the table does not name any more."""
        named = {file.path for file in view.files}
        if self._files.keys() <= named or not self._lock.acquire(blocking=False):  # else: something is being learned, there is time
            return
        try:
            self._begun = {begun for begun in self._begun if begun[0] in named}
            for path in self._files.keys() - named:
                gone = self._files.pop(path)
                for kind, parts in (("sums", gone.sums), ("all", gone.all)):
                    for step_s, part in parts.items():
                        self._shelf.drop(f"{kind}_{step_s}", [part])
                self._forget_leaving(gone)
                gone.edges.forget()
                self._shelf.drop("users", gone.of_users.values())
        finally:
            self._lock.release()

    def learn_ahead(self, files: Sequence[TableFile]) -> None:
        """Remember large files before anybody asks, the newest first, in steps that fit nearly every zone."""
        for file in sorted(files, key=lambda file: file.last_ts, reverse=True):
            if file.rows >= AHEAD_ROWS:
                self._learn_aside(file, LONGEST_STEP_S)

    def _learn_aside(self, file: TableFile, step_s: int, edge: Edge | None = None) -> None:
        mine, begun = self._files.get(file.path), (file.path, step_s, edge and (edge.user_id, edge.day))
        if self._aside is None or (mine and step_s in mine.sums and (edge is None or mine.edges.rows(edge))) or begun in self._begun:
            return
        self._begun.add(begun)

        def learn() -> None:
            too_large = False
            with self._lock:
                try:
                    mine = self._learn(file, step_s)
                    too_large = mine is None
                    if mine and edge and edge.user_id in mine.busy:
                        self._learn_edge(file, mine, edge)
                finally:
                    self._learning = None
                    if not too_large:  # what failed, or is dropped for others, may be wanted again
                        self._begun.discard(begun)

        self._aside.later(learn)

    def _learn_edge(self, file: TableFile, mine: _File, edge: Edge) -> None:
        desk = self._desk(file)
        self._everything_kept(desk, mine)
        mine.edges.keep(desk, edge)

    def interrupt(self) -> None:
        """End what is being learned just now: the process is stopping."""
        if (desk := self._learning) is not None:
            desk.connection.interrupt()

    def _learn(self, file: TableFile, step_s: int) -> _File | None:
        """What is remembered of a file, after asking it if need be; None if its numbers are too large to be kept."""
        mine = self._files.get(file.path)
        if mine and step_s in mine.sums:
            return mine
        desk = self._learning = self._desk(file)
        if mine is None:
            users = desk.answer(wording.text("users_of_file"), {})
            least = max(self._busy_rows, file.rows // BUSY_SHARE)
            busy = users.filter(pc.greater_equal(users["rows"], least))["user_id"].to_pylist()
            mine = _File(users, frozenset(users["user_id"].to_pylist()), frozenset(busy), Edges(self._shelf))
        self._everything_kept(desk, mine)
        try:
            desk.gather("learned", wording.text("sums_of_file"), {"step_s": step_s, "busy": sorted(mine.busy)})
            all_users, _ = self._shelf.put(desk, f"all_{step_s}", wording.filled("sums_of_all", {"sums": "learned"}))
        except (duckdb.ConversionException, duckdb.OutOfRangeException):
            return None
        busy_users, _ = self._shelf.put(desk, f"sums_{step_s}", "select * from learned where user_id is not null")
        self._shelf.compress(desk)
        mine.all[step_s], mine.sums[step_s] = all_users, busy_users
        self._files[file.path] = mine
        return mine

    def _learn_users(self, file: TableFile, mine: _File, asked: Asked) -> int | None:
        """Each user's sums within the bounds, asked for if need be; None if its numbers are too large to be kept."""
        bounds = max(asked.since, file.first_ts), min(asked.until, file.last_ts + _SECOND)
        number = mine.of_users.pop(bounds, None)
        if number is None:
            desk = self._desk(file)
            self._everything_kept(desk, mine)
            try:
                number, _ = self._shelf.put(desk, "users", wording.text("sums_of_users"), {"since": bounds[0], "until": bounds[1]})
            except (duckdb.ConversionException, duckdb.OutOfRangeException):
                return None
            if len(mine.of_users) >= _MOST_BOUNDS:
                self._shelf.drop("users", [mine.of_users.pop(next(iter(mine.of_users)))])
            self._shelf.compress(desk)
        mine.of_users[bounds] = number
        return number

    def _hidden(self, file: TableFile, mine: _File, days: pa.Table, now: datetime) -> list[int] | None:
        """The part with the rows to take off again, if there are such; None if they are too many."""
        self._judge(mine, days)
        if (now - _EPOCH) // timedelta(microseconds=1) <= mine.hides_from_us:
            return []
        if mine.leaving is None or now >= mine.leaving.horizon:
            self._collect_leaving(file, mine, now + _AHEAD)
        return None if mine.leaving is None or mine.leaving.part is None else [mine.leaving.part]

    def _judge(self, mine: _File, days: pa.Table) -> None:
        """Work out how long each of the file's users is kept, and from when on the first row of it is hidden."""
        if mine.judged is days:
            return
        found = pc.fill_null(days["days"].combine_chunks().take(_positions(mine.users["user_id"], days["user_id"])), _UNKNOWN_DAYS)
        if mine.days is None or not mine.days.equals(found):
            mine.days = found
            ends = pc.add(_first_us(mine), pc.multiply(found, _DAY_US))
            mine.hides_from_us = pc.min(ends).as_py()
            self._forget_leaving(mine)
        mine.judged = days

    def _collect_leaving(self, file: TableFile, mine: _File, horizon: datetime) -> None:
        horizon_us = (horizon - _EPOCH) // timedelta(microseconds=1)
        desk = self._desk(file)
        self._everything_kept(desk, mine)
        leaves = pc.less(pc.add(_first_us(mine), pc.multiply(mine.days, _DAY_US)), horizon_us)
        desk.connection.register("leaving", pa.table({"user_id": mine.users["user_id"], "days": mine.days}).filter(leaves))
        self._forget_leaving(mine)
        part, rows = self._shelf.put(desk, "leaving", wording.text("leaving_of_file"), {"horizon_us": horizon_us})
        mine.leaving = _Leaving(part, horizon)
        if rows > _MOST_LEAVING:
            self._forget_leaving(mine)
            mine.leaving = _Leaving(None, horizon)
        self._shelf.compress(desk)

    def _forget_leaving(self, mine: _File) -> None:
        if mine.leaving is not None and mine.leaving.part is not None:
            self._shelf.drop("leaving", [mine.leaving.part])
        mine.leaving = None

    def _desk(self, file: TableFile) -> Desk:
        desk = self._sit_down()
        desk.lay_out((file.path,), SCHEMA.empty_table())
        return desk

    def _everything_kept(self, desk: Desk, mine: _File) -> None:
        always = pa.repeat(pa.scalar(_EPOCH - timedelta(days=700_000), pa.timestamp("us", "UTC")), mine.users.num_rows)
        desk.keep(pa.table({"user_id": mine.users["user_id"], "keep_after": always}))


def _fits(file: TableFile, asked: Asked) -> bool:
    """Whether neither bound cuts a step of this file in two."""
    return asked.step_s >= SHORTEST_STEP_S and not any(_cuts(bound, file, asked.step_s) for bound in (asked.since, asked.until))


def _cuts(bound: datetime, file: TableFile, step_s: int) -> bool:
    step = step_s * _SECOND
    first, last = (moment - (moment - _EPOCH) % step for moment in (file.first_ts, file.last_ts))
    return first < bound < last + step and bool((bound - _EPOCH) % step)


def _edge(file: TableFile, asked: Asked) -> Edge | None:
    """Where one user's period begins within a step of this file; None if it does not, or also ends within one."""
    if asked.user_id is None or asked.step_s < SHORTEST_STEP_S or _cuts(asked.until, file, asked.step_s):
        return None
    step = asked.step_s * _SECOND
    ends = asked.since - (asked.since - _EPOCH) % step + step
    return Edge(asked.user_id, asked.since, ends) if _cuts(asked.since, file, asked.step_s) else None


def _first_us(mine: _File) -> pa.ChunkedArray:
    return mine.users["first_ts"].cast(pa.int64())


def _positions(wanted: pa.ChunkedArray, within: pa.ChunkedArray) -> pa.Array:
    return pc.index_in(wanted.combine_chunks(), value_set=within.combine_chunks())
