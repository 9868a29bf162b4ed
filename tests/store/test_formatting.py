"""Answers as text keep every digit, every instant and every name."""

import csv
import io
import json
import time
from decimal import Decimal

import duckdb
import pytest

from byok.store import csv_json, exact, formatting


@pytest.fixture
def db():
    with duckdb.connect() as made:
        made.execute("SET TimeZone = 'UTC'; SET arrow_lossless_conversion = true")
        yield made


def answer(db, query):
    return exact.narrow(exact.batches(db.sql(query), 1000).read_all())


def text(fmt, table):
    if fmt == "table":
        return "".join(formatting.table(table.schema.names, table.to_batches()))
    return b"".join(csv_json.write(fmt, table.schema, table.to_batches(), line_end="\n")).decode()


ODD = (
    "SELECT TIMESTAMPTZ '2026-11-22 10:00:00.123456+00' AS ts, TIMESTAMP '2026-01-02' AS bare, DATE '2026-01-02' AS day,"
    " 0.000000001::DECIMAL(18,9) AS cost, 9007199254740993 AS big, 0.1::FLOAT AS small, 0.1 + 0.2::DOUBLE AS sum, 'NaN'::DOUBLE AS none,"
    " NULL AS nothing, false AS no, 'say \"hi\"\n' AS said, '=1+1' AS formula, -5 AS below, 1 AS big, '100000-01-01'::DATE AS far"
)


def test_json_has_all_digits_and_no_name_twice(db):
    out = text("json", answer(db, ODD))
    assert '"cost":0.000000001,"big":9007199254740993,"small":0.1,"sum":0.30000000000000004,"none":null' in out
    row = json.loads(out, parse_float=Decimal)[0]
    assert row["ts"] == "2026-11-22T10:00:00.123456Z"
    assert (row["bare"], row["day"], row["far"]) == ("2026-01-02T00:00:00.000000", "2026-01-02", "100000-01-01")
    assert (row["nothing"], row["no"], row["said"], row["big_1"]) == (None, False, 'say "hi"\n', 1)


def test_many_columns_of_one_name_cost_no_more_than_others():
    began = time.process_time()
    names = formatting.unique(["1", "1_2"] + ["1"] * 20_000)
    assert len(set(names)) == 20_002 and names[:4] == ["1", "1_2", "1_1", "1_3"]
    assert time.process_time() - began < 2  # once it was a matter of hours


def test_csv_has_empty_cells_and_no_formulas(db):
    head, row = csv.reader(io.StringIO(text("csv", answer(db, ODD))))
    cells = dict(zip(head, row, strict=True))
    assert cells["nothing"] == "" and cells["formula"] == "'=1+1" and cells["below"] == "-5"
    assert cells["ts"] == "2026-11-22T10:00:00.123456Z" and cells["said"] == 'say "hi"\n' and cells["cost"] == "0.000000001"


def test_a_table_shows_names_and_no_control_signs(db):
    lines = text("table", answer(db, "SELECT 'a' || chr(27) || '[2J' AS name, 12 AS n UNION ALL SELECT NULL, 3")).splitlines()
    assert lines == ["name    n", "─────  ──", "a·[2J  12", "        3"]


def test_an_answer_without_rows_is_still_an_answer(db):
    empty = answer(db, "SELECT 1 AS a LIMIT 0")
    assert text("json", empty) == "[]\n"
    assert text("csv", empty) == "a\n"


def test_nested_arrow_values_become_json(db):
    db.execute("SET arrow_lossless_conversion = false")
    nested = db.sql(
        "SELECT [1.50::DECIMAL(3,2), NULL] l, {'t': TIMESTAMPTZ '2026-01-02 00:00:00+00', 'e': 'x'::ENUM('x')} s, MAP {1: [2]} m"
    )
    assert text("json", nested.to_arrow_table()) == '[{"l":[1.50,null],"s":{"t":"2026-01-02T00:00:00.000000Z","e":"x"},"m":{"1":[2]}}]\n'


def test_every_type_of_the_engine_can_be_written(db):
    everything = answer(db, "SELECT * EXCLUDE (medium_enum, large_enum) FROM test_all_types()")
    rows = json.loads(text("json", everything), parse_int=str)
    assert [row["hugeint"] for row in rows] == [str(-(2**127)), str(2**127 - 1), None]
    assert [row["uhugeint"] for row in rows] == ["0", str(2**128 - 1), None]
    assert len(list(csv.reader(io.StringIO(text("csv", everything))))) == 4
    assert set(rows[2].values()) == {None}
