"""Every question on Spark: its SQL can be said in Spark's dialect, and the answers are DuckDB's, row by row."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest

from byok.pricing import catalogue
from byok.recording.journal import Journal
from byok.recording.publisher import merge, write_by_month
from byok.recording.reader import Reader
from byok.recording.table import Table
from byok.settings import RemoteStore
from byok.store.engine import Engine
from byok.store.scope import EveryonesScope
from byok.store.seating import Wanted
from tests.samples import NOON, usage_record
from tests.scale import agreement, spark_cluster
from tests.scale.asked import DUCKDBS_OWN, VIEWS, World, asked, questions
from tests.scale.s3_servers import free_port
from tests.scale.spark_cluster import SparkCluster, SparkConnect
from tests.scale.test_s3 import as_table

needs_sqlglot = pytest.mark.skipif(find_spec("sqlglot") is None, reason="sqlglot is not installed (make install-scale)")
needs_spark = pytest.mark.skipif(bool(spark_cluster.missing()), reason=spark_cluster.missing())
ADA, BOB = "usr_ada1", "usr_bob1"
WORLD = World(ADA, BOB, ("key_main0",), NOON - timedelta(days=60), NOON + timedelta(days=40), NOON)
EVERYTHING = EveryonesScope(WORLD.since, WORLD.until)


def test_every_question_is_asked_of_both_engines_or_is_duckdbs_own():
    assert set(questions()) - DUCKDBS_OWN - VIEWS == {question for question, _, _ in asked(WORLD)}


@needs_sqlglot
@pytest.mark.parametrize("name", sorted(set(questions()) - DUCKDBS_OWN))
def test_every_question_can_be_said_in_sparks_dialect(name):
    from byok.store import spark_sql, wording

    said = spark_sql.transpile(wording.text(name)).lower()
    for word in (
        "epoch_us",
        "make_timestamptz",
        "asof",
        "int128",
        "hugeint",
        "quantile",
        "unnest",
        "approx",
        "to_hours",
        "replace (",
        "list_",
    ):
        assert word not in said


def records() -> Iterator[list[Any]]:
    """A day with everything that can be odd in a record, and eight weeks before it for what is usual."""
    models = ["gpt-4o", "gpt-4o-mini", "claude-haiku-4", "unpriced-model"]
    vendors, eleven = {"claude-haiku-4": "anthropic"}, NOON - timedelta(hours=1)
    for part in range(2):
        rows = []
        for number in range(part * 400, part * 400 + 400):
            model = models[number % 4]
            fields: dict[str, Any] = {"model": model, "vendor": vendors.get(model, "openai")}
            fields |= {"user_id": (ADA, BOB, "usr_eve1")[number % 3], "key_id": f"key_main{number % 2}"}
            fields |= {"status": (200, 200, 429, 502)[number % 4], "ts": NOON + timedelta(seconds=number * 7, microseconds=number)}
            if number % 5 == 0:
                fields |= {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None, "usage_source": "none"}
            if number % 7 == 0:
                fields |= {"cached_tokens": 3, "cache_write_tokens": 2, "ttft_ms": None, "latency_ms": number}
            if number == 42:
                fields |= {"prompt_tokens": 4_000_000_000_001, "completion_tokens": 9_999_999_999, "total_tokens": 4_009_999_999_9}
            rows.append(usage_record(number, **fields))
        yield rows
    yield [
        usage_record(
            week,
            user_id=user,
            vendor=vendors.get(model, "openai"),
            model=model,
            ts=eleven
            - timedelta(weeks=week)
            + timedelta(seconds=300 * call + place, microseconds=calls),  # no two at once: they have an order
        )
        for week in range(1, 9)
        for user, calls in ((ADA, 2), (BOB, 60 + week))
        for place, model in enumerate(models)
        for call in range(calls)
    ]


@pytest.fixture(scope="module")
def cluster() -> Iterator[SparkCluster]:
    found = SparkCluster(brief=True)
    yield found
    found.close()


@pytest.fixture
def engines(tmp_path: Path, cluster: SparkCluster, monkeypatch) -> Iterator[tuple[Engine, Engine]]:
    """DuckDB and a cluster of Spark over one table (three files)."""
    for name, value in cluster.env.items():
        monkeypatch.setenv(name, value)
    reader, common = table_and_words(tmp_path)
    duck, spark = Engine(reader, catalogue.load(), **common), over(reader, tmp_path, cluster.url, **common)
    yield duck, spark
    spark.close()
    duck.close()


def table_and_words(root: Path) -> tuple[Reader, dict[str, Any]]:
    """A reader of `records`, and what an engine over it must know of their users."""
    table = Table(root / "usage")
    for rows in records():
        with table.writing():
            table.commit(write_by_month(table.directory, as_table(rows)))
    days = {ADA: 61, BOB: 100, "usr_gone1": 5}
    common: dict[str, Any] = {"retention": lambda: days, "keys": list, "now": lambda: datetime(2026, 12, 20, 12, tzinfo=UTC)}
    return Reader(root / "usage", root / "journal"), common


@needs_spark
@pytest.mark.slow
def test_every_question_is_answered_by_a_cluster_as_by_duckdb(engines, cluster, tmp_path, monkeypatch):
    from byok.store import spark_session
    from byok.store.spark import SparkTables
    from byok.store.spark_session import SparkFailed, SparkReadsNoS3

    duck, spark = engines
    differ, empty = [], set(questions()) - DUCKDBS_OWN - VIEWS
    for question, scope, words in asked(WORLD):
        mine, theirs = (agreement.answer(engine, WORLD, question, scope, words) for engine in (duck, spark))
        print(f"{question}, {scope or 'no scope'}, {words}: {mine.num_rows} rows", flush=True)
        if mine.num_rows:
            empty.discard(question)
        if found := agreement.difference(question, mine, theirs):
            differ.append((question, scope, words, found))
            print(differ[-1], flush=True)
    assert differ == []
    assert empty == set()
    assert pc.sum(duck.ask("usage", EVERYTHING, group_by=("vendor",))["calls"]).as_py() > 300
    assert cluster.applications() == ["byok"]
    monkeypatch.setattr(spark_session, "LONGEST_S", 10.0)
    cluster.freeze_its_worker()
    with pytest.raises(SparkFailed):
        spark.ask("summary", EVERYTHING)
    with pytest.raises(SparkReadsNoS3):  # without hadoop-aws
        reads_s3 = SparkTables(cluster.url, RemoteStore("s3://bucket/prefix", tmp_path, 1000))
        seating = spark._seating(spark.view(), Wanted(EVERYTHING))
        reads_s3.ask(
            "select 1 as x", {}, seating._replace(files=[str(tmp_path / "files" / "month=2026-11" / "part-1.parquet")]), spark.view(), {}
        )


@needs_spark
@pytest.mark.slow
def test_spark_reads_the_tail_of_a_journal_within_one_process_and_its_driver_may_be_killed(tmp_path):
    from pyspark import SparkContext

    reader, journal = with_a_journal(tmp_path)
    spark = over(reader, tmp_path, "local[1]")
    try:
        assert spark.ask("summary", EVERYTHING)["calls"].to_pylist() == [5]
        table = Table(tmp_path / "usage")
        for number in (7, 8):
            with table.writing():
                table.commit(write_by_month(table.directory, as_table([usage_record(number)])))
        before = spark.view()
        merge(table)
        with table.writing():
            assert table.sweep(older_than_s=-1) == 2
        assert spark.ask("summary", EVERYTHING, over=before)["calls"].to_pylist() == [7]
        gateway: Any = SparkContext._gateway
        gateway.proc.kill()
        gateway.proc.wait()
        assert spark.ask("summary", EVERYTHING)["calls"].to_pylist() == [7]
    finally:
        spark.close()
        journal.close()


@needs_spark
@pytest.mark.slow
@pytest.mark.skipif(find_spec("grpc") is None, reason="grpcio is not installed (make install-scale)")
def test_spark_connect_answers_as_duckdb_does_also_after_its_server_was_killed(tmp_path, monkeypatch):
    from byok.store.spark_session import SparkFailed

    server = SparkConnect()
    duck = spark = None
    try:
        reader, common = table_and_words(tmp_path)
        duck = Engine(reader, catalogue.load(), **common)
        spark = over(reader, tmp_path, server.url, **common)
        seen: set[str] = set()
        for question, scope, words in asked(WORLD):
            if (scope == "two, filtered" or question in ("all_prices", "price_list")) and question not in seen:
                seen.add(question)
                mine, theirs = (agreement.answer(engine, WORLD, question, scope, words) for engine in (duck, spark))
                assert agreement.difference(question, mine, theirs) == "", question
        server.kill()
        with pytest.raises(SparkFailed):
            spark.ask("summary", EVERYTHING)
        server.start()
        assert agreement.difference("summary", duck.ask("summary", EVERYTHING), spark.ask("summary", EVERYTHING)) == ""
    finally:
        for engine in (spark, duck):
            if engine is not None:
                engine.close()
        server.close()


@needs_spark
@pytest.mark.parametrize("scheme", ["sc", "spark"])
def test_a_master_that_nobody_listens_at_is_told_within_seconds(tmp_path, scheme):
    from byok.store.spark_session import SparkFailed

    reader, journal = with_a_journal(tmp_path)
    journal.close()
    with pytest.raises(SparkFailed, match="ConnectionRefusedError"):
        over(reader, tmp_path, f"{scheme}://127.0.0.1:{free_port()}").ask("summary", EVERYTHING)


def with_a_journal(root: Path) -> tuple[Reader, Journal]:
    journal = Journal(root / "journal")
    for number in range(5):
        journal.append(usage_record(number))
    return Reader(root / "usage", root / "journal"), journal


def over(reader: Reader, root: Path, master: str, **words: Any) -> Any:
    from byok.store.spark import SparkEngine, SparkTables

    common: dict[str, Any] = {"retention": lambda: {ADA: 30}, "keys": list, "now": lambda: NOON + timedelta(days=1)}
    return SparkEngine(reader, catalogue.load(), spark=SparkTables(master, root / "usage"), **common | words)


@pytest.mark.skipif(find_spec("polars") is None, reason="polars is not installed (make test-scale)")
def test_another_engine_reads_the_table_as_it_is(tmp_path):
    import polars

    table = Table(tmp_path / "usage")
    with table.writing():
        table.commit(write_by_month(table.directory, as_table([usage_record(number) for number in range(50)])))
    found = polars.scan_delta(str(tmp_path / "usage")).select(polars.col("prompt_tokens").sum()).collect()
    assert found.item() == sum(100 + number for number in range(50))
