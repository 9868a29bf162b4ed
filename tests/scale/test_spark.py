"""Every question on Spark: its SQL can be said in Spark's dialect, and the answers are DuckDB's, row by row."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from byok.pricing import catalogue
from byok.recording.publisher import write_by_month
from byok.recording.reader import Reader
from byok.recording.table import Table
from byok.store.engine import Engine
from byok.store.scope import EveryonesScope, Scope
from tests.samples import NOON, usage_record
from tests.scale.test_s3 import as_table

HAS_SQLGLOT, HAS_SPARK = find_spec("sqlglot") is not None, find_spec("pyspark") is not None and shutil.which("java") is not None
needs_sqlglot = pytest.mark.skipif(not HAS_SQLGLOT, reason="sqlglot is not installed (make install-scale)")
needs_spark = pytest.mark.skipif(not HAS_SPARK, reason="pyspark or Java is not installed (make install-scale)")
ADA, BOB = "usr_ada1", "usr_bob1"
SINCE, UNTIL = NOON - timedelta(days=40), NOON + timedelta(days=40)
EVERYTHING = EveryonesScope(SINCE, UNTIL)
ADAS = Scope(ADA, SINCE, UNTIL)
TIMED = ("usage_by_time", "waits", "usage")  # asked in every scope; the others of one and of everyone
SCOPES = {
    "everyone": EVERYTHING,
    "one": ADAS,
    "filtered": EveryonesScope(SINCE, UNTIL, vendors=("openai",), statuses=(200, 429), user_ids=(ADA, BOB)),
    "berlin": EveryonesScope(SINCE, UNTIL, tz="Europe/Berlin"),
    "kathmandu": Scope(ADA, SINCE, UNTIL, tz="Asia/Kathmandu"),
    "nobody": Scope("usr_nobody", SINCE, UNTIL),
}
STARTS = [SINCE, NOON, NOON + timedelta(minutes=10), NOON + timedelta(minutes=20)]
SWAPPED = {"from_vendors": ["openai"], "from_models": ["gpt-4o"], "to_vendors": ["anthropic"], "to_models": ["claude-haiku-4"]}
ASKED: list[tuple[str, dict[str, Any]]] = [
    ("usage", {"group_by": ("vendor", "model")}),
    ("usage", {"group_by": ("vendor", "model"), "priced": True}),
    ("usage", {"group_by": ()}),
    ("usage_by_time", {"group_by": ("day",)}),
    ("usage_by_time", {"group_by": ("hour", "model"), "priced": True}),
    ("usage_by_time", {"group_by": ("month", "status")}),
    ("summary", {}),
    ("facets", {}),
    ("extent", {}),
    ("records_per_hour", {}),
    ("moment_of_nth_newest", {"place": 3}),
    ("records", {"priced": True}),
    ("records", {}),
    ("records_as_they_lie", {"priced": True}),
    ("hourly", {}),
    ("price_list", {"at": NOON, "scope": None}),
    ("all_prices", {"scope": None}),
    ("speeds", {}),
    ("speeds_over_time", {"starts": STARTS}),
    ("sources", {}),
    ("recent_failures", {"most": 20}),
    ("hours_of_keys", {"hours": [int(NOON.timestamp()) // 3600]}),
    ("price_sources", {}),
    ("first_uses", {"asked_since": NOON, "newcomers_h": 0}),
    ("what_if", SWAPPED | {"cached_share": None}),
    ("what_if", SWAPPED | {"cached_share": 0.5}),
    ("waits", {"group_by": ("model",), "starts": STARTS}),
    ("cached_input", {"group_by": (), "starts": STARTS}),
]
IN_NO_ORDER = ("records_as_they_lie", "hourly", "hours_of_keys", "all_prices")


def names() -> list[str]:
    folder = resources.files("byok.store").joinpath("sql")
    return sorted(Path(str(entry)).stem for entry in folder.iterdir() if str(entry).endswith(".sql"))


@needs_sqlglot
@pytest.mark.parametrize("name", names())
def test_every_question_can_be_said_in_sparks_dialect(name):
    from byok.store import spark_sql, wording

    if name in spark_sql.NOT_FOR_SPARK:
        return
    said = spark_sql.transpile(wording.text(name)).lower()
    for word in ("epoch_us", "make_timestamptz", "asof", "int128", "hugeint", "quantile", "unnest", "approx", "to_hours", "replace ("):
        assert word not in said


@needs_sqlglot
def test_every_question_is_asked_below_or_is_not_for_spark():
    from byok.store import spark_sql

    asked = {name for name, _ in ASKED} | {f"view_{name}" for name in ("prices", "usage", "usage_costed", "usage_priced")}
    assert set(names()) - spark_sql.NOT_FOR_SPARK - asked == set()


@pytest.fixture(scope="module")
def engines(tmp_path_factory) -> Iterator[tuple[Engine, Engine]]:
    """DuckDB and Spark over one table (two files) and a journal tail."""
    from byok.store.spark import SparkEngine, SparkTables

    place = tmp_path_factory.mktemp("spark") / "usage"
    table = Table(place)
    models = ["gpt-4o", "gpt-4o-mini", "claude-haiku-4", "unpriced-model"]
    vendors = {"claude-haiku-4": "anthropic"}
    for part in range(2):
        rows = []
        for number in range(part * 400, part * 400 + 400):
            model = models[number % 4]
            fields: dict[str, Any] = {"model": model, "vendor": vendors.get(model, "openai"), "user_id": (ADA, BOB, "usr_eve1")[number % 3]}
            fields |= {"status": (200, 200, 429, 502)[number % 4], "ts": NOON + timedelta(seconds=number * 7, microseconds=number)}
            if number % 5 == 0:
                fields |= {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None, "usage_source": "none"}
            if number % 7 == 0:
                fields |= {"cached_tokens": 3, "cache_write_tokens": 2, "ttft_ms": None, "latency_ms": number}
            if number == 42:
                fields |= {"prompt_tokens": 4_000_000_000_001, "completion_tokens": 9_999_999_999, "total_tokens": 4_009_999_999_9}
            rows.append(usage_record(number, **fields))
        with table.writing():
            table.commit(write_by_month(table.directory, as_table(rows)))
    reader = Reader(place, place.with_name("journal"))
    common: dict[str, Any] = {
        "retention": lambda: {ADA: 30, BOB: 100, "usr_gone1": 5},
        "keys": list,
        "now": lambda: datetime(2026, 12, 20, 12, tzinfo=UTC),
    }
    duck = Engine(reader, catalogue.load(), **common)
    spark = SparkEngine(reader, catalogue.load(), spark=SparkTables("local[2]", place), **common)
    yield duck, spark
    spark.close()
    duck.close()


def rows_of(table: pa.Table, *, ordered: bool) -> list[dict[str, Any]]:
    from byok.store.spark import exact

    rows = [{name: exact(value) for name, value in row.items()} for row in table.to_pylist()]
    return rows if ordered else sorted(rows, key=repr)


@needs_spark
@needs_sqlglot
@pytest.mark.slow
def test_every_question_is_answered_as_by_duckdb(engines):
    duck, spark = engines
    differ = []
    for question, words in ASKED:
        for name, scope in SCOPES.items():
            if question not in TIMED and name not in ("one", "filtered"):
                continue
            given = {"scope": scope} | words
            asked = {key: value for key, value in given.items() if key != "scope"}
            mine, theirs = (engine.ask(question, given["scope"], **asked) for engine in (duck, spark))
            ordered = question not in IN_NO_ORDER
            if mine.column_names != theirs.column_names or rows_of(mine, ordered=ordered) != rows_of(theirs, ordered=ordered):
                differ.append((question, name, words, mine.slice(0, 3).to_pylist(), theirs.slice(0, 3).to_pylist()))
            if given["scope"] is None:
                break
    assert differ == []
    assert pc.sum(duck.ask("usage", EVERYTHING, group_by=("vendor",))["calls"]).as_py() > 300


@pytest.mark.skipif(find_spec("polars") is None, reason="polars is not installed (make test-scale)")
def test_another_engine_reads_the_table_as_it_is(tmp_path):
    import polars

    table = Table(tmp_path / "usage")
    with table.writing():
        table.commit(write_by_month(table.directory, as_table([usage_record(number) for number in range(50)])))
    found = polars.scan_delta(str(tmp_path / "usage")).select(polars.col("prompt_tokens").sum()).collect()
    assert found.item() == sum(100 + number for number in range(50))
