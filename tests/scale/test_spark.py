"""Every question on Spark: its SQL can be said in Spark's dialect, and the answers are DuckDB's, row by row."""

import inspect
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest

from byok.pricing import catalogue
from byok.recording.publisher import write_by_month
from byok.recording.reader import Reader
from byok.recording.table import Table
from byok.store.engine import Engine
from byok.store.scope import EveryonesScope
from tests.samples import NOON, usage_record
from tests.scale import agreement, spark_cluster
from tests.scale.asked import DUCKDBS_OWN, VIEWS, World, asked, questions
from tests.scale.spark_cluster import SparkCluster
from tests.scale.test_s3 import as_table

needs_sqlglot = pytest.mark.skipif(find_spec("sqlglot") is None, reason="sqlglot is not installed (make install-scale)")
needs_spark = pytest.mark.skipif(bool(spark_cluster.missing()), reason=spark_cluster.missing())
ADA, BOB = "usr_ada1", "usr_bob1"
WORLD = World(ADA, BOB, NOON - timedelta(days=60), NOON + timedelta(days=40), NOON)
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


@needs_sqlglot
@pytest.mark.parametrize("name", ["ask", "stream"])
def test_spark_is_asked_with_the_same_words(name):
    from byok.store.spark import SparkEngine

    assert inspect.signature(getattr(SparkEngine, name)) == inspect.signature(getattr(Engine, name))


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
    from byok.store.spark import SparkEngine, SparkTables

    for name, value in cluster.env.items():
        monkeypatch.setenv(name, value)
    table = Table(tmp_path / "usage")
    for rows in records():
        with table.writing():
            table.commit(write_by_month(table.directory, as_table(rows)))
    reader = Reader(tmp_path / "usage", tmp_path / "journal")
    common: dict[str, Any] = {
        "retention": lambda: {ADA: 61, BOB: 100, "usr_gone1": 5},
        "keys": list,
        "now": lambda: datetime(2026, 12, 20, 12, tzinfo=UTC),
    }
    duck = Engine(reader, catalogue.load(), **common)
    spark = SparkEngine(reader, catalogue.load(), spark=SparkTables(cluster.url, tmp_path / "usage"), **common)
    yield duck, spark
    spark.close()
    duck.close()


@needs_spark
@pytest.mark.slow
def test_every_question_is_answered_by_a_cluster_as_by_duckdb(engines, cluster):
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


@needs_spark
@pytest.mark.slow
def test_spark_reads_the_tail_of_a_journal_and_runs_within_one_process(tmp_path):
    from byok.recording.journal import Journal
    from byok.store.spark import SparkEngine, SparkTables

    journal = Journal(tmp_path / "journal")
    for number in range(5):
        journal.append(usage_record(number))
    reader = Reader(tmp_path / "usage", tmp_path / "journal")
    spark = SparkEngine(
        reader, catalogue.load(), spark=SparkTables("local[1]", tmp_path / "usage"), retention=lambda: {ADA: 30}, keys=list,
        now=lambda: NOON + timedelta(days=1),
    )  # fmt: skip
    try:
        assert spark.ask("summary", EVERYTHING)["calls"].to_pylist() == [5]
    finally:
        spark.close()
        journal.close()


@pytest.mark.skipif(find_spec("polars") is None, reason="polars is not installed (make test-scale)")
def test_another_engine_reads_the_table_as_it_is(tmp_path):
    import polars

    table = Table(tmp_path / "usage")
    with table.writing():
        table.commit(write_by_month(table.directory, as_table([usage_record(number) for number in range(50)])))
    found = polars.scan_delta(str(tmp_path / "usage")).select(polars.col("prompt_tokens").sum()).collect()
    assert found.item() == sum(100 + number for number in range(50))
