"""The locked processes of one web process: one for each user who asks, loaded once and asked often, and a started one ahead.

A process serves one user and is never given to another. It ends when its user has been idle for a while, has signed out or is erased, and
when its place is needed; there are never more than `most`.

Copying a million records takes a second or two. A query that comes before they are there, or after they changed, is answered from a process
of its own that holds only the columns it names, and ends with it; there are never more than `quick` of these.
"""

import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from byok.errors import ByokError
from byok.store import named_columns
from byok.store.console import ColumnsMissing, ConsoleResult, ConsoleUnavailable, Limits, SqlFailed, Worker, check_size

MOST = 4
QUICK = 2  # processes beside those, for one query each
IDLE_S = 300.0
_LOOK_EVERY_S = 2.0

_log = structlog.get_logger()


class ConsoleBusy(ByokError):
    """As many people ask as there may be processes; nothing was run."""

    status, code = 503, "console_busy"

    def __init__(self) -> None:
        super().__init__("The SQL console is busy with the queries of others.", remedy="Try again in a few seconds.")


class SqlCancelled(SqlFailed):
    """The user, or the end of the user's session, stopped it."""

    def __init__(self) -> None:
        super().__init__("Cancelled before there was an answer.", remedy="Run it again when you want to.")


class Rows(Protocol):
    """What a user's process is to hold."""

    def load(self, worker: Worker, columns: Sequence[str] = ()) -> object:
        """Copy it, or only these columns of the records, into a started process; return what tells later whether it is still current."""

    def is_current(self, loaded: object) -> bool:
        """Whether what was loaded then is what would be loaded now."""


@dataclass(eq=False)
class _Seat:
    """A user's place: at most one process, at which one question is asked at a time."""

    used_at: float
    worker: Worker | None = None
    quick: set[Worker] = field(default_factory=set)  # with some columns, for one query each, while `worker` is being loaded
    loaded: object = None
    busy: int = 0
    whole: bool = False  # with the unusual hours
    ended: bool = False
    turn: threading.Lock = field(default_factory=threading.Lock)


class ConsolePool:
    """Thread-safe. `is_here` says whether a user is still signed in: the process of one who is not ends within seconds."""

    def __init__(
        self,
        *,
        is_here: Callable[[str], bool],
        limits: Limits = Limits(),  # noqa: B008  (frozen)
        most: int = MOST,
        quick: int = QUICK,
        idle_s: float = IDLE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits
        self._is_here, self._most, self._idle_s, self._clock = is_here, most, idle_s, clock
        self._quick = threading.BoundedSemaphore(quick) if quick else None
        self._lock = threading.Lock()
        self._seats: dict[str, _Seat] = {}
        self._spare: Worker | None = None
        self._spare_since, self._starting = 0.0, False
        self._watcher: threading.Thread | None = None
        self._closed = threading.Event()
        self._threads = ThreadPoolExecutor(2 * most, thread_name_prefix="sql")

    def begin(self, user_id: str, query: str, rows: Rows, *, walls: Collection[str] = ()) -> "Future[ConsoleResult]":
        """As `ask`, beside the caller; the errors come out of the future."""
        return self._threads.submit(self.ask, user_id, query, rows, walls=walls)

    def ask(self, user_id: str, query: str, rows: Rows, *, walls: Collection[str] = ()) -> ConsoleResult:
        """Answer one query of a user, in the user's process; it is loaded (anew) if `rows` are not current in it.

        `walls` are layers of `byok.store.sandbox` without which a process answers nothing. Raises SqlRefused, SqlFailed (SqlCancelled after
        `end`), ConsoleUnavailable, ConsoleBusy.
        """
        check_size(query)
        seat = self._take_seat(user_id)
        try:
            columns, whole = named_columns.named(query), named_columns.may_see_spikes(query)
            if columns and not whole and self._quick and not self._is_ready(seat, rows) and self._quick.acquire(blocking=False):
                try:
                    return self._quickly(seat, rows, walls, query, columns)
                except ColumnsMissing:
                    pass
                finally:
                    self._quick.release()
                    if seat.loaded is None and not seat.turn.locked():
                        self.prepare(user_id, rows, walls=walls, anew=True)
            with seat.turn:
                try:
                    return self._loaded(seat, rows, walls, whole=whole).query(query)
                except ColumnsMissing:
                    return self._loaded(seat, rows, walls, whole=True).query(query)
        except (SqlFailed, ConsoleUnavailable):
            if seat.ended:
                raise SqlCancelled from None
            raise
        finally:
            self._leave(seat)

    def prepare(self, user_id: str, rows: Rows, *, walls: Collection[str] = (), anew: bool = False) -> None:
        """Load a user's process beside the caller, so that the first answer need not wait for it; `anew`, also if the user has a place.

        A fault shows when a query comes.
        """
        with self._lock:
            if (user_id in self._seats and not anew) or self._closed.is_set():
                return
        self._threads.submit(self._prepare, user_id, rows, walls)

    def end(self, user_id: str) -> None:
        """End a user's processes at once, whatever they do: cancelled, signed out, erased."""
        with self._lock:
            seat = self._seats.pop(user_id, None)
            if seat is None:
                return
            seat.ended = True
            held = [worker for worker in (seat.worker, *seat.quick) if worker]
        for worker in held:
            worker.close()

    def close(self) -> None:
        """End every process, and wait for those that were talking to one."""
        self._closed.set()
        with self._lock:
            users = list(self._seats)
            spare, self._spare = self._spare, None
        for user_id in users:
            self.end(user_id)
        if spare:
            spare.close()
        self._threads.shutdown(cancel_futures=True)

    def pids(self) -> dict[str, int]:
        """The processes that hold rows, by user."""
        with self._lock:
            held = {user_id: seat.worker for user_id, seat in self._seats.items()}
        return {user_id: worker.pid for user_id, worker in held.items() if worker and worker.pid}

    def look_after(self) -> None:
        """End what is idle for too long and what belongs to users who are gone; the watching thread does so every few seconds."""
        with self._lock:
            now = self._clock()
            idle = [user_id for user_id, seat in self._seats.items() if not seat.busy and now - seat.used_at >= self._idle_s]
            others = [user_id for user_id in self._seats if user_id not in idle]
            spare = None
            if not others and self._spare and now - self._spare_since >= self._idle_s:
                spare, self._spare = self._spare, None
        if spare:
            spare.close()
        for user_id in [*idle, *(user_id for user_id in others if not self._still_here(user_id))]:
            self.end(user_id)

    def _still_here(self, user_id: str) -> bool:
        try:
            return self._is_here(user_id)
        except Exception as fault:  # it cannot be said: then nothing is held
            _log.warning("console_sessions_ended", exc_info=fault)
            return False

    def _prepare(self, user_id: str, rows: Rows, walls: Collection[str]) -> None:
        try:
            seat = self._take_seat(user_id)
        except ByokError:
            return
        try:
            with seat.turn:
                self._loaded(seat, rows, walls)
        except Exception as fault:
            _log.warning("console_not_prepared", exc_info=fault)
        finally:
            self._leave(seat)

    def _take_seat(self, user_id: str) -> _Seat:
        """The user's seat, counted as busy; an idle one of another user, the longest unused, gives way if all are taken."""
        with self._lock:
            if self._closed.is_set():
                raise ConsoleUnavailable("closing")
            seat, given_up = self._seats.get(user_id), None
            if seat is None:
                if len(self._seats) >= self._most:
                    idle = [name for name, other in self._seats.items() if not other.busy]
                    if not idle:
                        raise ConsoleBusy
                    given_up = self._seats.pop(min(idle, key=lambda name: self._seats[name].used_at))
                    given_up.ended = True
                seat = self._seats[user_id] = _Seat(self._clock())
            seat.busy += 1
            self._watch()
        if given_up and given_up.worker:
            given_up.worker.close()
        return seat

    def _is_ready(self, seat: _Seat, rows: Rows) -> bool:
        worker = seat.worker
        return worker is not None and worker.alive and seat.loaded is not None and rows.is_current(seat.loaded)

    def _quickly(self, seat: _Seat, rows: Rows, walls: Collection[str], query: str, columns: Sequence[str]) -> ConsoleResult:
        """Answer from a process of this query's own that holds the columns it names, while the others are still being copied."""
        worker = self._started()
        with self._lock:
            seat.quick.add(worker)  # before it is loaded, so that `end` finds it
            ended = seat.ended
        try:
            if ended:
                raise SqlCancelled
            rows.load(worker, columns)
            _check_walls(worker, walls)
            if seat.ended:
                raise SqlCancelled
            return worker.query(query)
        finally:
            worker.close()
            with self._lock:
                seat.quick.discard(worker)

    def _leave(self, seat: _Seat) -> None:
        """The next process is started now, not while somebody waits: a start takes half a second of a core."""
        with self._lock:
            seat.busy -= 1
            seat.used_at = self._clock()
            if self._spare is None and not self._starting and not self._closed.is_set():
                self._starting = True
                self._threads.submit(self._start_ahead)

    def _loaded(self, seat: _Seat, rows: Rows, walls: Collection[str], *, whole: bool = False) -> Worker:
        """The seat's process, holding what `rows` are now; with the unusual hours, which take long to work out, only if `whole`."""
        worker = seat.worker
        if worker and worker.alive and (seat.whole or not whole) and rows.is_current(seat.loaded):
            return worker
        if worker:
            worker.close()
        fresh = self._started()
        with self._lock:
            seat.worker = fresh  # before it is loaded, so that `end` finds it
            ended = seat.ended
        if ended:
            fresh.close()
            raise SqlCancelled
        try:
            seat.loaded = rows.load(fresh, () if whole else named_columns.NAMES)
            seat.whole = whole
            _check_walls(fresh, walls)
            if seat.ended:  # and perhaps started again behind `end`, by a loading that met a broken file
                raise SqlCancelled
        except BaseException:
            fresh.close()
            raise
        return fresh

    def _started(self) -> Worker:
        """A started process that has never held anything."""
        with self._lock:
            worker, self._spare = self._spare, None
        if worker is None or not worker.alive:
            worker = self._new()
        return worker

    def _start_ahead(self) -> None:
        try:
            worker = self._new()
        finally:
            self._starting = False
        with self._lock:
            if self._spare is None and not self._closed.is_set():
                self._spare, self._spare_since = worker, self._clock()
                return
        worker.close()

    def _new(self) -> Worker:
        worker = Worker(self.limits)
        worker.start()
        return worker

    def _watch(self) -> None:
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._keep_looking, name="sql-watcher", daemon=True)
            self._watcher.start()

    def _keep_looking(self) -> None:
        while not self._closed.wait(_LOOK_EVERY_S):
            self.look_after()


def _check_walls(worker: Worker, walls: Collection[str]) -> None:
    if lacking := [wall for wall in walls if wall not in worker.sandbox]:
        raise ConsoleUnavailable(f"without {' and '.join(lacking)}")
