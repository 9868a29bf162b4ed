"""A question as SQL text: run in the locked process over one's own rows it answers what the dashboard shows, whatever the filters say."""

import doctest
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from byok.store import console, courses, pasted, questions, tables
from byok.store.scope import Scope

SINCE, UNTIL = datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 11, 22, 13, tzinfo=UTC)
ODD = "it's -- a 'model'\\"


@pytest.fixture
def engine(world, record):
    models = ["gpt-4o", "gpt-4o-mini", ODD]
    world.reader.append(
        [
            record(
                SINCE + timedelta(minutes=20 * n),
                model=models[n % 3],
                status=[200, 429, 503, 200][n % 4],
                latency_ms=n,
            )
            for n in range(120)
        ]
    )
    return world.engine


@pytest.fixture
def run(engine):
    def answered(text: str) -> list[dict]:
        rows = list(engine.stream("records", Scope("usr_ada1", datetime(2026, 1, 1, tzinfo=UTC), UNTIL), priced=True))
        beside = {"prices": engine.ask("all_prices"), "keys": tables.keys([])}
        return console.run(rows, beside, text).rows.to_pylist()

    return answered


def scope(**words) -> Scope:
    return Scope("usr_ada1", **({"since": SINCE, "until": UNTIL, "tz": "Europe/Berlin"} | words))


def test_examples_hold():
    here = {"scope": Scope("usr_a", datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)), "as_sql": pasted.as_sql}
    (example,) = doctest.DocTestFinder().find(pasted.as_sql, "as_sql", globs=here)
    assert doctest.DocTestRunner().run(example).failed == 0


@pytest.mark.parametrize("grain", ["hour", "day", "month"])
def test_sums_are_those_of_the_dashboard_also_where_clocks_change(engine, run, grain):
    asked = scope(models=("gpt-4o", ODD), statuses=(200, 429))
    told = run(pasted.as_sql(asked, measure="cost", grain=grain, by=("model", "status"), title="Cost"))
    shown = courses.sums(engine, asked, grain=grain, by=("model", "status"))
    assert len(told) == len(shown) > 3
    key = "start" if grain == "hour" else "bucket"
    mine = {(row[key], row["model"], row["status"]): row["cost_usd"] for row in shown}
    assert {(row[grain], row["model"], row["status"]): row["cost_usd"] for row in told} == mine
    assert any(isinstance(value, Decimal) for value in mine.values())


@pytest.mark.parametrize(("measure", "column"), [("p50", "latency_p50_ms"), ("p95", "latency_p95_ms"), ("ttft", "ttft_p50_ms")])
def test_percentiles_are_those_of_the_dashboard(engine, run, measure, column):
    told = run(pasted.as_sql(scope(), measure=measure, grain="month", by=("vendor",), title="Latency"))
    (shown,) = courses.waits(engine, scope(), [datetime(2026, 10, 1, tzinfo=UTC)], by=("vendor",))
    assert [row[column] for row in told] == [shown[column]]


def test_no_cached_input_is_a_share_of_nothing_as_on_the_dashboard(world, record, run):
    world.reader.append([record("2026-11-20T10:00:00+00:00", vendor="groq", model="m", cached_tokens=None)])
    (told,) = run(pasted.as_sql(scope(vendors=("groq",)), measure="cached", grain="day", by=("model",), title="Cached"))
    assert told["cached_share"] == 0


@pytest.mark.parametrize("measure", pasted.MEASURES)
def test_every_measure_runs(run, measure):
    assert run(pasted.as_sql(scope(), measure=measure, grain="day", by=("key_id",), title="x"))


@pytest.mark.parametrize("word", ["') or 1=1 --", "x'; drop table usage; --", "a\0b", "\\'"])
def test_words_of_an_address_stay_values(run, word):
    text = pasted.as_sql(scope(vendors=(word,), models=(word,), key_ids=(word,)), measure="calls", grain="day", by=(), title="x")
    assert run(text) == []


def test_no_column_but_the_known_ones():
    with pytest.raises(KeyError):
        pasted.as_sql(scope(), measure="calls", grain="day", by=("user_id",), title="x")


def test_the_head_of_a_file_is_read_by_others(tmp_path):
    import duckdb

    from byok import export

    answer = export.with_head(pa.table({"model": ["=1+1", "b"], "calls": [1, 2]}), {"model": 'a "b", c', "period": "x\ny"})
    for fmt in ("csv", "json", "parquet"):
        (tmp_path / f"a.{fmt}").write_bytes(b"".join(export.file(fmt, answer)))
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines == ['"# model: a ""b"", c"', "# period: x y", "model,calls", "'=1+1,1", "b,2"]
    assert duckdb.sql(f"select rows[2].calls as n, filters.model as m from read_json('{tmp_path}/a.json')").fetchall() == [(2, 'a "b", c')]
    metadata = pq.read_metadata(tmp_path / "a.parquet").metadata
    assert b'"period": "x\\ny"' in metadata[b"byok"]


def test_questions_take_one_column_or_several(engine):
    one = questions.series(engine, scope(), grain="day", by="model").to_pylist()
    assert one == questions.series(engine, scope(), grain="day", by=("model",)).to_pylist()
