"""The SQL console: what it answers, what it refuses, and what its process cannot do."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from byok import export
from byok.store import console
from byok.store.console import Limits, SqlFailed, SqlRefused, Worker
from tests.store import console_world as world

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def started(count: int = 1000, limits: Limits = Limits()) -> Worker:  # noqa: B008
    worker = Worker(limits)
    worker.start()
    worker.load(world.rows(count), world.TABLES)
    return worker


@pytest.fixture(scope="module")
def sessions() -> Iterator[list[Worker]]:
    made: list[Worker] = []
    yield made
    for worker in made:
        worker.close()


@pytest.fixture
def session(sessions) -> Worker:
    """One process for many tests, as for many queries of one user."""
    if not sessions or not sessions[-1].alive:
        sessions.append(started())
    return sessions[-1]


def one(worker: Worker, query: str) -> object:
    return worker.query(query).rows.to_pylist()[0]


def test_answers_over_the_users_own_rows_exactly(session):
    answer = session.query("SELECT count(*) n, sum(prompt_tokens) t, sum(cost_usd) c, max(ts) m, min(price_source) p FROM usage_priced")
    assert answer.columns == ("n", "t", "c", "m", "p")
    last = world.START + timedelta(seconds=999)
    assert answer.rows.to_pylist() == [{"n": 1000, "t": Decimal(499500), "c": Decimal("0.000001000"), "m": last, "p": "list 2026-06-06"}]
    assert answer.rows.schema.field("m").type == pa.timestamp("us", "UTC")
    assert answer.truncated is None


def test_the_views_have_the_columns_of_the_contract(session):
    usage = [name for name in console.USAGE_PRICED.names if name not in ("cost_usd", "price_source")]
    assert list(session.query("FROM usage").columns) == usage
    assert list(session.query("FROM usage_priced").columns) == console.USAGE_PRICED.names
    assert session.query("FROM spikes").columns == (
        "hour", "user_id", "vendor", "model", "metric", "actual", "usual", "times", "score", "why",
    )  # fmt: skip
    assert one(session, "SELECT last_four, model FROM keys, prices") == {"last_four": "wxyz", "model": "gpt-4o"}


def test_wide_odd_and_nested_values_come_back_whole(session):
    answer = session.query(
        "SELECT 170141183460469231731687303715884105727::HUGEINT a, 340282366920938463463374607431768211455::UHUGEINT b,"
        " 9007199254740993 c, 12345678901234567890.123456789::DECIMAL(38,9) d, [1, 2] e, {'k': [TIMESTAMPTZ '2026-01-02 03:04:05+00']} f,"
        " true g, NULL h, 'x'::BLOB i, 'infinity'::TIMESTAMPTZ j, uuid() IS NOT NULL k, TIME '24:00:00' l, 1 a"
    )
    text = b"".join(export.file("json", answer.rows)).decode()
    assert '"a":170141183460469231731687303715884105727,"b":340282366920938463463374607431768211455,"c":9007199254740993' in text
    assert '"d":12345678901234567890.123456789,"e":"[1,2]"' in text
    assert '"g":true,"h":null,"i":"x","j":"infinity","k":true,"l":"24:00:00","a_1":1' in text
    json.loads(text)


def test_order_of_the_query_is_kept(session):
    answer = session.query("SELECT prompt_tokens, [prompt_tokens] l FROM usage ORDER BY hash(prompt_tokens) DESC")
    assert answer.rows["prompt_tokens"].to_pylist() == sorted(range(1000), key=lambda n: one_hash(session)[n], reverse=True)


def one_hash(worker: Worker, cache: dict[int, list[int]] = {}) -> list[int]:  # noqa: B006
    if id(worker) not in cache:
        cache[id(worker)] = worker.query("SELECT hash(i::BIGINT) h FROM range(1000) t(i) ORDER BY i").rows["h"].to_pylist()
    return cache[id(worker)]


@pytest.mark.parametrize(
    "query",
    [
        "EXPLAIN SELECT model FROM usage",
        "/* a */ -- b\n explain SELECT 1",
        "DESCRIBE usage",
        "SUMMARIZE usage",
        "SHOW TABLES",
        "FROM usage SELECT model LIMIT 3;",
        "SELECT 'ü;'; -- done; it's",
        "-- ü\nSELECT $$;$$ -- a;\n;; /* b */ ;",
        "SELECT COLUMNS(c -> c LIKE '%_tokens'), list_transform([1, 2], x -> x + 1), list_filter([1, 2], lambda x: x > 1) FROM usage",
        "WITH a AS (FROM usage) SELECT count(*) FROM a",
        "PIVOT usage ON model IN ('gpt-4o') USING sum(total_tokens) GROUP BY vendor",
        "SELECT ts AT TIME ZONE 'Europe/Berlin', date_trunc('day', ts), strftime(ts, '%H') FROM usage LIMIT 1",
        "SELECT regexp_extract(model, '[a-z]+'), model LIKE 'gpt%', 1.5::DECIMAL(9,3) / 3, '{\"a\": 1}'::JSON -> 'a' FROM usage LIMIT 1",
        "SELECT model, sum(total_tokens) OVER (PARTITION BY model ORDER BY ts) FROM usage LIMIT 5",
    ],
)
def test_harmless_queries_work(session, query):
    assert session.query(query).rows.num_rows > 0


@pytest.mark.parametrize(
    "query",
    [
        "", "  ", "-- only a comment", "SELECT 1; SELECT 2", "SELECT 1\0", "SELECT '\ud800'", "SELECT '" + "x" * 100_000 + "'",
        "SET threads = 4", "RESET enable_external_access", "PRAGMA database_list", "CALL pragma_version()", "COPY usage TO 'x.csv'",
        "ATTACH ':memory:' AS a", "CREATE TABLE t AS SELECT 1", "CREATE TEMP VIEW v AS SELECT 1", "DROP VIEW usage", "INSTALL httpfs",
        "LOAD httpfs", "INSERT INTO prices SELECT 1", "UPDATE keys SET last_four = ''", "DELETE FROM stored.part_0", "CHECKPOINT",
        "EXPLAIN ANALYZE SELECT 1", "EXPLAIN /* x */ ANALYZE SELECT 1", "EXPLAIN (ANALYZE) SELECT 1", "EXPLAIN DELETE FROM prices",
        "BEGIN", "PREPARE p AS SELECT 1", "CREATE SECRET s (TYPE s3)", "PIVOT usage ON model USING sum(total_tokens)",
        "WITH gone AS (DELETE FROM stored.part_0 RETURNING *) SELECT count(*) FROM gone",
        "WITH more AS (INSERT INTO keys VALUES ('a', 'b', 'c') RETURNING *) FROM more", "FROM enable_logging()",
        "SELECT * FROM '/etc/passwd'", "FROM read_text('/etc/passwd')", "FROM read_csv('/dev/stdin')", "FROM glob('*')",
        "UPDATE EXTENSIONS",
    ],
)  # fmt: skip
def test_everything_else_is_refused_and_changes_nothing(session, query):
    with pytest.raises(SqlRefused) as refusal:
        session.query(query)
    assert refusal.value.status == 400 and refusal.value.code == "sql_refused" and refusal.value.remedy
    assert one(session, "SELECT (SELECT count(*) FROM usage) u, (SELECT count(*) FROM keys) k") == {"u": 1000, "k": 1}


@pytest.mark.parametrize(
    "query",
    ["SELEC 1", "SELECT nothing FROM usage", "SELECT * FROM no_such_table", "SELECT 'x'::INTEGER", "SELECT error('mine')", "FROM sys",
     "SELECT getenv('PATH')", "SELECT * FROM pandas_scan(1)"],
)  # fmt: skip
def test_errors_are_the_engines_words_without_a_path(session, query):
    with pytest.raises(SqlFailed) as failure:
        session.query(query)
    message = failure.value.message
    assert message and sys.prefix not in message and str(Path.home()) + "/" not in message and "byok" not in message


def test_rows_beyond_the_limit_are_cut_and_said(session):
    answer = session.query("SELECT i FROM range(1_000_000_000) t(i)")
    assert answer.rows["i"].to_pylist() == list(range(10_000))
    assert answer.truncated == "only the first 10,000 rows are shown"
    assert session.query("SELECT i FROM range(10_000) t(i)").truncated is None


def test_bytes_beyond_the_limit_are_cut_and_said(session):
    answer = session.query("SELECT repeat('x', 20_000) x FROM range(5_000)")
    assert 350 <= answer.rows.num_rows < 400
    assert "8 MB" in answer.truncated
    assert len(b"".join(export.file("json", answer.rows))) <= 8_000_000


@pytest.mark.parametrize(
    "query",
    ["SELECT repeat(chr(1), 7_000_000) x", "SELECT repeat(chr(1), 700) x FROM range(10_000)", "SELECT repeat('\"', 6_000_000) x",
     "SELECT repeat(chr(1), 7_000)::BLOB x FROM range(1_000)", 'SELECT 1 AS "' + "\1" * 60_000 + '" FROM range(10_000)',
     "SELECT " + ", ".join(["now()"] * 60) + " FROM range(10_000)"],
)  # fmt: skip
def test_the_limit_is_of_what_is_written(session, query):
    answer = session.query(query)
    assert "8 MB" in answer.truncated
    assert sum(map(len, export.file("json", answer.rows))) <= 8_000_000


def test_a_single_value_beyond_the_limit_leaves_no_row(session):
    answer = session.query("SELECT repeat('x', 9_000_000) x")
    assert answer.rows.num_rows == 0 and "8 MB" in answer.truncated


def test_only_the_newest_rows_are_kept_whatever_the_order():
    limits = Limits(usage_rows=100_000)
    oldest_first = list(world.rows(400_000))
    newest_first = [batch.take(pa.array(range(len(batch) - 1, -1, -1))) for batch in reversed(oldest_first)]
    for batches in (oldest_first, newest_first):
        with Worker(limits) as worker:
            worker.start()
            worker.load(iter(batches), world.TABLES)
            answer = worker.query("SELECT count(*) n, min(prompt_tokens) a, max(prompt_tokens) b FROM usage")
        assert answer.rows.to_pylist() == [{"n": 100_000, "a": 300_000, "b": 399_999}]
        assert answer.truncated == "usage holds only your newest 100,000 records"


def test_a_user_without_rows_has_empty_tables():
    answer = console.run(iter(()), world.TABLES, "SELECT count(*) n, sum(cost_usd) c FROM usage_priced")
    assert answer.rows.to_pylist() == [{"n": 0, "c": None}]


def test_names_with_quotes_and_nulls_survive_the_copy():
    batch = next(world.rows(3))
    batch = batch.set_column(4, batch.schema.field(4), pa.array(["it's", None, 'say "x"; --']))
    answer = console.run([batch], world.TABLES, "SELECT model FROM usage")
    assert answer.rows["model"].to_pylist() == ["it's", None, 'say "x"; --']


def test_rows_of_two_users_never_reach_a_process():
    for mixed in ([*world.rows(5), *world.rows(5, user="usr_bob")], [*world.rows(5, user="usr_bob"), *world.rows(5)]):
        with pytest.raises(ValueError, match="more than one user"):
            console.run(mixed, world.TABLES, "SELECT 1")


def test_no_process_and_no_directory_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    worker = started(10)
    pid = worker.pid
    worker.close()
    worker.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SqlFailed, match="has ended"):
        worker.query("SELECT 1")


def test_time_is_limited_and_the_session_goes_on():
    with started(10, Limits(seconds=1)) as worker:
        begin = time.monotonic()
        with pytest.raises(SqlFailed, match="time limit"):
            worker.query("SELECT count(*) FROM range(1_000_000) a, range(1_000_000) b")
        assert time.monotonic() - begin < 2.5
        assert worker.alive and one(worker, "SELECT 1 AS a") == {"a": 1}


def test_a_call_that_cannot_be_interrupted_is_killed():
    with started(10, Limits(seconds=1)) as worker:
        begin = time.monotonic()
        with pytest.raises(SqlFailed, match="limit"):
            worker.query("SELECT levenshtein(repeat('ab', 200_000), repeat('ba', 200_000))")
        assert time.monotonic() - begin < 3
        assert not worker.alive
        with pytest.raises(SqlFailed, match="has ended"):
            worker.query("SELECT 1")


def test_memory_is_limited():
    with started(10) as worker:
        with pytest.raises(SqlFailed):
            worker.query("SELECT length(string_agg(repeat('x', 1_000_000), '')) FROM range(2_000)")
        assert not worker.alive, "memory that was taken may not come back, and the next query would pay for it"


def test_the_parent_survives_a_killed_process():
    with started(10) as worker:
        threading.Timer(0.3, os.kill, (worker.pid, signal.SIGKILL)).start()
        with pytest.raises(SqlFailed, match="has ended"):
            worker.query("SELECT count(*) FROM range(1_000_000) a, range(1_000_000) b")
        with pytest.raises(SqlFailed):
            worker.query("SELECT 1")


def test_another_thread_can_cancel():
    worker = started(10)
    threading.Timer(0.3, worker.close).start()
    begin = time.monotonic()
    with pytest.raises(SqlFailed):
        worker.query("SELECT count(*) FROM range(1_000_000) a, range(1_000_000) b")
    assert time.monotonic() - begin < 3


def test_the_process_lives_on_when_the_thread_that_started_it_ends():
    made: list[Worker] = []
    thread = threading.Thread(target=lambda: made.append(started(10)))
    thread.start()
    thread.join()
    time.sleep(0.2)
    with made[0] as worker:
        assert one(worker, "SELECT 1 AS a") == {"a": 1}


LAYERS = {"rlimits", "no_capabilities", "no_new_privs", "not_dumpable", "dies_with_parent", "landlock", "seccomp"}


@linux
def test_the_kernel_says_the_process_is_locked(session):
    assert set(session.sandbox) <= LAYERS
    status = world.status_of(session.pid)
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert status["Threads"] == "1"
    assert {status[name] for name in ("CapEff", "CapPrm", "CapInh")} == {"0" * 16}
    limits = Path(f"/proc/{session.pid}/limits").read_text(encoding="ascii")
    for name in ("Max core file size", "Max file size"):
        assert next(line for line in limits.splitlines() if line.startswith(name)).split()[-3:-1] == ["0", "0"]
    own = int(next(line for line in limits.splitlines() if line.startswith("Max data size")).split()[-2])
    assert own <= Limits().memory_bytes * 0.85, "the rest is for the program itself, which is mapped and shared"


@linux
def test_the_process_inherits_no_environment_and_no_descriptors(monkeypatch):
    monkeypatch.setenv("CANARY_ENV", "canary-in-the-environment")
    inherited = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(inherited, True)
    try:
        with started(10) as worker:
            assert Path(f"/proc/{worker.pid}/environ").read_bytes() == b""
            held = {int(path.name): os.readlink(path) for path in Path(f"/proc/{worker.pid}/fd").iterdir()}
            assert held.keys() == {0, 1, 2, 3}
            assert held[0].startswith("pipe:") and held[3].startswith("pipe:") and held[1] == held[2] == "/dev/null"
            assert os.readlink(f"/proc/{worker.pid}/cwd").endswith("(deleted)")
    except PermissionError:
        pytest.skip("only root may look into a process that is not dumpable")
    finally:
        os.close(inherited)


def test_only_a_clean_interpreter_is_started(monkeypatch):
    seen = []
    monkeypatch.setattr(console, "_spawn", lambda command, directory: seen.append(command) or (_ for _ in ()).throw(OSError("none")))
    with pytest.raises(console.ConsoleUnavailable) as failure:
        Worker().start()
    assert failure.value.status == 503
    assert seen[0][1:4] == ["-I", "-S", "-B"]


def test_a_setting_that_does_not_hold_stops_the_console(monkeypatch):
    from byok.store import console_session

    monkeypatch.setattr(console_session, "_FINAL", (*console_session._FINAL, ("threads", "64")))
    with pytest.raises(console_session.SettingNotHeld, match="threads"):
        console_session.Session().lock({"seconds": 5})
    monkeypatch.setattr(console_session, "_LOCKS", (("no_such_setting", "1"),))
    with pytest.raises(duckdb.CatalogException):
        console_session.Session().lock({"seconds": 5})


def test_a_console_that_cannot_lock_itself_runs_nothing(monkeypatch):
    imports = "import sys; sys.path += sys.argv[2:]; from byok.store import console_worker;"
    monkeypatch.setattr(console, "_START", imports + " console_worker._answer(sys.stdout.buffer, {'broken': 'SettingNotHeld'})")
    with pytest.raises(console.ConsoleUnavailable):
        console.run(world.rows(1), world.TABLES, "SELECT 1")


def test_no_row_count_of_the_process_is_believed():
    from byok.store.console_wire import Arrived, read_table

    def stream(table: pa.Table, **options: object) -> bytes:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
            writer.write_table(table)
        return bytes(sink.getvalue())

    good = pa.table({"a": [1, 2, 3], "b": ["x", None, "z"]})
    assert read_table(stream(good), 3) == good
    for body in (
        stream(pa.table({"a": [1] * 4})),
        stream(pa.table({"a": [[1]]})),
        stream(pa.table({"a": pa.array(["x"]).dictionary_encode()})),
        stream(pa.table({"a": ["x" * 1_000_000]}), compression="zstd"),
        stream(good)[:-40],
        b"",
        b"\xff" * 64,
    ):
        with pytest.raises(Arrived):
            read_table(body, 3)


def test_an_instant_is_utc(session):
    assert one(session, "SELECT TIMESTAMPTZ '2026-11-22 11:00:00.123456+01' AS t") == {"t": datetime(2026, 11, 22, 10, 0, 0, 123456, UTC)}
    assert one(session, "SELECT current_setting('TimeZone') AS z") == {"z": "UTC"}
