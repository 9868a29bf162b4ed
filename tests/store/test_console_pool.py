"""Locked processes ahead and kept: one user each, few, not for long, and gone with their user."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest

from byok.store import sandbox
from byok.store.console import ConsoleUnavailable, Limits, SqlFailed, SqlRefused, Worker
from byok.store.console_pool import ConsoleBusy, ConsolePool, SqlCancelled
from byok.store.named_columns import NAMES
from byok.store.tables import SPIKES
from tests.store import console_world as world

ENDLESS = "SELECT count(*) FROM range(1_000_000) a, range(1_000_000) b"
SUM = "SELECT min(user_id) AS who, count(*) AS n FROM usage"


class Rows:
    """`count` calls of a user; loading may be held up."""

    def __init__(self, user: str, count: int = 10, gate: threading.Event | None = None) -> None:
        self.user, self.count, self.gate = user, count, gate
        self.loads = self.slow_loads = 0
        self.quick_loads: list[tuple[str, ...]] = []

    def load(self, worker: Worker, columns: Sequence[str] = ()) -> object:
        self.loads += 1
        if columns and columns != NAMES:
            self.quick_loads.append(tuple(columns))
        slow = {} if columns else {"spikes": SPIKES.empty_table()}
        self.slow_loads += len(slow)
        worker.load(self._batches(), {name: table for name, table in world.TABLES.items() if name != "spikes"} | slow, columns=columns)
        return self.count

    def is_current(self, loaded: object) -> bool:
        return loaded == self.count

    def _batches(self):
        for batch in world.rows(self.count, user=self.user):
            if self.gate:
                self.gate.wait(20)
            yield batch


@pytest.fixture
def make() -> Iterator[Callable[..., ConsolePool]]:
    made: list[ConsolePool] = []

    def pool(**wishes) -> ConsolePool:
        made.append(ConsolePool(**({"is_here": lambda _: True, "quick": 0} | wishes)))
        return made[-1]

    yield pool
    for one in made:
        one.close()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def until(true: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not true():
        time.sleep(0.02)
    return true()


def test_a_user_keeps_one_process_and_no_other_user_gets_it(make):
    pool, ada, bob = make(), Rows("usr_ada1"), Rows("usr_bob1", 20)
    for _ in range(3):
        assert pool.ask("usr_ada1", SUM, ada).rows.to_pylist() == [{"who": "usr_ada1", "n": 10}]
    assert ada.loads == 1
    assert pool.ask("usr_bob1", SUM, bob).rows.to_pylist() == [{"who": "usr_bob1", "n": 20}]
    seen = pool.pids()
    assert set(seen) == {"usr_ada1", "usr_bob1"} and len(set(seen.values())) == 2
    pool.end("usr_ada1")
    assert not is_running(seen["usr_ada1"])
    assert pool.ask("usr_ada1", SUM, ada).rows.to_pylist() == [{"who": "usr_ada1", "n": 10}]
    assert pool.pids()["usr_ada1"] not in seen.values(), "a process that has held rows is never used again"


def test_rows_that_changed_are_loaded_into_a_new_process(make):
    pool, rows = make(), Rows("usr_ada1")
    pool.ask("usr_ada1", SUM, rows)
    before = pool.pids()["usr_ada1"]
    rows.count = 11
    assert pool.ask("usr_ada1", SUM, rows).rows["n"].to_pylist() == [11]
    assert pool.pids()["usr_ada1"] != before and not is_running(before)


def test_a_process_is_started_ahead_and_holds_nothing_yet(make):
    pool = make()
    pool.ask("usr_ada1", SUM, Rows("usr_ada1"))
    assert until(lambda: pool._spare is not None)
    ahead = pool._spare.pid
    pool.ask("usr_bob1", SUM, Rows("usr_bob1"))
    assert pool.pids()["usr_bob1"] == ahead
    assert until(lambda: pool._spare is not None and pool._spare.pid != ahead)


def test_prepared_rows_are_there_when_the_first_query_comes(make):
    pool, rows = make(), Rows("usr_ada1")
    pool.prepare("usr_ada1", rows)
    assert until(lambda: "usr_ada1" in pool.pids())
    assert pool.ask("usr_ada1", SUM, rows).rows["n"].to_pylist() == [10]
    pool.prepare("usr_ada1", rows)
    assert rows.loads == 1


def test_the_longest_unused_gives_way_and_a_busy_one_never(make):
    ticks = iter(range(1_000_000))
    pool = make(most=2, clock=lambda: float(next(ticks)))
    for user in ("usr_ada1", "usr_bob1", "usr_cyd1"):
        pool.ask(user, SUM, Rows(user))
    assert set(pool.pids()) == {"usr_bob1", "usr_cyd1"}
    running = [pool.begin(user, ENDLESS, Rows(user)) for user in ("usr_bob1", "usr_cyd1")]
    assert until(lambda: all(seat.busy for seat in pool._seats.values()))
    with pytest.raises(ConsoleBusy) as busy:
        pool.ask("usr_ada1", SUM, Rows("usr_ada1"))
    assert (busy.value.code, busy.value.status) == ("console_busy", 503)
    for user in ("usr_bob1", "usr_cyd1"):
        pool.end(user)
    assert all(isinstance(run.exception(10), SqlCancelled) for run in running)


def test_who_is_idle_or_gone_loses_the_process(make):
    clock, here = [0.0], {"usr_ada1", "usr_bob1"}
    pool = make(idle_s=60, clock=lambda: clock[0], is_here=lambda user_id: user_id in here)
    pool.ask("usr_ada1", SUM, Rows("usr_ada1"))
    clock[0] = 50
    pool.ask("usr_bob1", SUM, Rows("usr_bob1"))
    held = pool.pids()
    pool.look_after()
    assert pool.pids() == held
    clock[0] = 61
    pool.look_after()
    assert set(pool.pids()) == {"usr_bob1"} and not is_running(held["usr_ada1"])
    here.clear()
    assert until(lambda: not pool.pids(), 5), "the watching thread finds it by itself, within seconds"
    assert until(lambda: not is_running(held["usr_bob1"]))


def test_a_spare_process_does_not_wait_for_ever(make):
    clock = [0.0]
    pool = make(idle_s=60, clock=lambda: clock[0])
    pool.ask("usr_ada1", SUM, Rows("usr_ada1"))
    assert until(lambda: pool._spare is not None)
    spare = pool._spare.pid
    clock[0] = 61
    pool.look_after()
    assert not pool.pids() and pool._spare is None and not is_running(spare)


def test_it_fails_closed_when_nobody_can_say_who_is_signed_in(make):
    def unknown(_: str) -> bool:
        raise OSError

    pool = make(is_here=unknown)
    pool.ask("usr_ada1", SUM, Rows("usr_ada1"))
    pool.look_after()
    assert not pool.pids()


@pytest.mark.parametrize("held_up", ["in the query", "in loading"])
def test_end_stops_it_wherever_it_is(make, held_up):
    pool, gate = make(), threading.Event()
    rows = Rows("usr_ada1", gate=gate if held_up == "in loading" else None)
    run: Future = pool.begin("usr_ada1", ENDLESS, rows)
    assert until(lambda: "usr_ada1" in pool.pids() and rows.loads == 1)
    pid = pool.pids()["usr_ada1"]
    if held_up == "in the query":
        time.sleep(0.3)
    begun = time.monotonic()
    pool.end("usr_ada1")
    assert not is_running(pid)
    gate.set()
    with pytest.raises(SqlCancelled):
        run.result(10)
    assert time.monotonic() - begun < 3
    assert not pool.pids()


def test_a_loading_that_begins_again_does_not_outlive_end(make):
    pool, workers = make(), []

    class Again(Rows):
        def load(self, worker: Worker, columns: Sequence[str] = ()) -> object:
            workers.append(worker)
            pool.end(self.user)
            worker.start()
            return super().load(worker, columns)

    with pytest.raises(SqlCancelled):
        pool.ask("usr_ada1", SUM, Again("usr_ada1"))
    assert len(workers) == 1 and not workers[0].alive and not pool.pids()


def test_pipes_are_not_closed_under_a_thread_that_is_at_them():
    """Their numbers would be given to the next process: rows of one user would go to another's."""
    gate, worker = threading.Event(), Worker()
    worker.start()
    numbers = [pipe.fileno() for pipe in worker._pipes]
    failed: list[BaseException] = []

    def load() -> None:
        try:
            Rows("usr_ada1", gate=gate).load(worker)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=load)
    thread.start()
    assert until(lambda: not _free(worker))
    worker.close()
    assert all(Path(f"/proc/self/fd/{number}").exists() for number in numbers) or sys.platform != "linux"
    gate.set()
    thread.join(10)
    assert isinstance(failed[0], ConsoleUnavailable)
    assert all(pipe.closed for pipe in worker._pipes)


def _free(worker: Worker) -> bool:
    got = worker._at_pipes.acquire(blocking=False)
    if got:
        worker._at_pipes.release()
    return got


def test_without_the_walls_that_are_asked_for_nothing_is_answered(make):
    pool = make()
    with pytest.raises(ConsoleUnavailable, match="without moat"):
        pool.ask("usr_ada1", SUM, Rows("usr_ada1"), walls=("moat",))
    assert not pool.pids()


def test_a_query_that_kills_its_process_costs_the_user_a_new_one_only(make):
    pool, rows = make(limits=Limits(seconds=1)), Rows("usr_ada1")
    with pytest.raises(SqlFailed, match="limit"):
        pool.ask("usr_ada1", "SELECT levenshtein(repeat('ab', 200_000), repeat('ba', 200_000))", rows)
    assert pool.ask("usr_ada1", SUM, rows).rows["n"].to_pylist() == [10]
    with pytest.raises(SqlRefused):
        pool.ask("usr_ada1", " ", rows)


def test_close_leaves_no_process_behind(make):
    pool = make()
    for user in ("usr_ada1", "usr_bob1"):
        pool.ask(user, SUM, Rows(user))
    assert until(lambda: pool._spare is not None)
    pids = [*pool.pids().values(), pool._spare.pid]
    pool.close()
    assert not any(is_running(pid) for pid in pids)
    with pytest.raises(ConsoleUnavailable):
        pool.ask("usr_ada1", SUM, Rows("usr_ada1"))


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_kernel_says_that_a_kept_process_is_locked(make):
    pool = make()
    said = pool.ask("usr_ada1", SUM, Rows("usr_ada1")).sandbox
    assert set(sandbox.missing_walls()) == {"landlock", "seccomp"} - set(said), "what the page expects is what the process reports"
    status = world.status_of(pool.pids()["usr_ada1"])
    assert (status["NoNewPrivs"], status["Seccomp"], status["Seccomp_filters"], status["Threads"]) == ("1", "2", "1", "1")
    # Landlock has no line in /proc; its rule set is a descriptor that is closed once it is in force, so only the pipes are open.
    assert len(list(Path(f"/proc/{pool.pids()['usr_ada1']}/fd").iterdir())) <= 5


# Before all columns are there


def test_a_query_that_comes_first_is_answered_from_the_columns_it_names(make):
    gate = threading.Event()
    pool, slow, ada = make(quick=1), Rows("usr_ada1", 10, gate), Rows("usr_ada1")
    pool.prepare("usr_ada1", slow)
    assert until(lambda: bool(pool.pids()))
    asked = "SELECT model, count(*) AS n, sum(prompt_tokens) AS t FROM usage GROUP BY ALL ORDER BY ALL"
    quickly = pool.ask("usr_ada1", asked, ada)
    assert ada.quick_loads == [("ts", "user_id", "model", "prompt_tokens")]
    assert set(quickly.sandbox) >= {"rlimits"}
    gate.set()
    assert until(lambda: not slow.gate or pool._seats["usr_ada1"].loaded == 10)
    later = pool.ask("usr_ada1", asked, ada)
    assert later.rows.to_pylist() == quickly.rows.to_pylist()
    assert len(ada.quick_loads) == 1, "now the other one is there"


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM usage ORDER BY ts LIMIT 3",
        "FROM usage ORDER BY ts LIMIT 3",
        "SELECT u FROM usage u ORDER BY ts LIMIT 3",
        "SELECT #1, #9 FROM usage ORDER BY 1 LIMIT 3",
        "SELECT COLUMNS('to.*ns') FROM usage ORDER BY ts LIMIT 3",
        "SELECT try(any_value(u)) AS a FROM usage u",
        "SELECT ts FROM usage NATURAL JOIN (SELECT 'gpt-4o' AS model) ORDER BY ts",
        "SELECT count(u) AS n, max(u).status AS s FROM usage u",
        'SELECT "Prompt_Tokens" FROM usage ORDER BY 1',
        "SELECT sum(prompt_tokens * 2) AS t FROM usage",
        "SELECT first(x) FROM (SELECT unnest(list(u)) AS x FROM (FROM usage ORDER BY ts) u)",
        "SELECT count(*) AS n FROM usage WHERE ts IN (SELECT ts FROM usage_priced WHERE cost_usd > 0)",
        "SELECT n FROM (SELECT count(*) AS n FROM prices) UNION ALL SELECT count(*) FROM keys ORDER BY n",
        "DESCRIBE usage",
        "SELECT data_type FROM duckdb_columns() WHERE table_name = 'usage_priced' ORDER BY column_name",
        "SELECT no_such_column FROM usage",
        "SELECT 1 +",
        "SELECT error('column not copied') FROM usage",
    ],
)
def test_a_first_answer_is_never_another_one(make, query):
    said = []
    for quick in (0, 1):
        try:
            said.append(make(quick=quick).ask("usr_ada1", query, Rows("usr_ada1")).rows.to_pylist())
        except (SqlFailed, SqlRefused) as error:
            said.append(error.message)
    assert said[0] == said[1]


def test_after_a_first_answer_the_rest_is_copied_without_being_asked_for(make):
    pool, ada = make(quick=1), Rows("usr_ada1")
    pool.ask("usr_ada1", "SELECT count(*) FROM usage", ada)
    assert until(lambda: bool(pool.pids()) and pool._seats["usr_ada1"].loaded == 10)
    assert ada.loads == 2


def test_rows_that_change_all_the_time_are_copied_by_the_column(make):
    pool, ada = make(quick=1), Rows("usr_ada1")
    pool.ask("usr_ada1", "SELECT * FROM usage_priced", ada)
    for count in (11, 12):
        ada.count = count
        assert pool.ask("usr_ada1", SUM, ada).rows.to_pylist() == [{"who": "usr_ada1", "n": count}]
    assert ada.quick_loads == [("ts", "user_id")] * 2
    assert ada.loads == 3


def test_unusual_hours_are_worked_out_for_those_who_look_at_them(make):
    """However they do; and once, until something changes."""
    pool, ada = make(), Rows("usr_ada1")
    pool.ask("usr_ada1", "SELECT * FROM usage", ada)
    assert (ada.loads, ada.slow_loads) == (1, 0)
    for query in ("SELECT count(*) AS n FROM spikes", "SELECT count(*) AS n FROM query_table('spi' || 'kes')", "FROM (SELECT 0 AS n)"):
        assert pool.ask("usr_ada1", query, ada).rows.to_pylist() == [{"n": 0}]
        assert (ada.loads, ada.slow_loads) == (2, 1)
    other, bob = make(), Rows("usr_bob1")
    assert other.ask("usr_bob1", "SELECT count(*) AS n FROM query_table('spi' || 'kes')", bob).rows.to_pylist() == [{"n": 0}]
    assert (bob.loads, bob.slow_loads) == (2, 1)


def test_a_first_answer_ends_with_its_user_and_leaves_no_process(make):
    gate = threading.Event()
    pool, ada = make(quick=1), Rows("usr_ada1", 10, gate)
    asked = pool.begin("usr_ada1", "SELECT count(*) FROM usage", ada)
    assert until(lambda: bool(pool._seats.get("usr_ada1") and pool._seats["usr_ada1"].quick))
    [worker] = pool._seats["usr_ada1"].quick
    pid = worker.pid
    pool.end("usr_ada1")
    gate.set()
    with pytest.raises(SqlCancelled):
        asked.result(60)
    assert until(lambda: not is_running(pid))


def test_without_the_walls_there_is_no_first_answer_either(make):
    pool = make(quick=1)
    with pytest.raises(ConsoleUnavailable, match="without no_such_wall"):
        pool.ask("usr_ada1", "SELECT count(*) FROM usage", Rows("usr_ada1"), walls=("no_such_wall",))
