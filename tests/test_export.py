import csv
import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byok import export
from byok.recording.files import SCHEMA

TS = datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC)
ROWS = [
    dict.fromkeys(SCHEMA.names) | {"ts": TS, "user_id": "usr_a", "model": "gpt-4o", "prompt_tokens": 2**53 + 1, "status": 200},
    dict.fromkeys(SCHEMA.names) | {"ts": TS.replace(microsecond=0), "user_id": "usr_a", "model": 'a,"b"\n\\', "status": 429},
]


def batch(rows=ROWS, schema=SCHEMA) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(rows, schema)


def written(fmt, *batches) -> bytes:
    return b"".join(export.write(fmt, iter(batches)))


def cells(blob: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(blob.decode(), newline="")))


def test_csv_has_the_columns_of_the_record_and_empty_cells_for_null():
    head, first, second = cells(written("csv", batch()))
    assert head == SCHEMA.names
    assert (first[0], first[6], first[7]) == ("2026-11-22T10:00:00.123456Z", "9007199254740993", "")
    assert (second[0], second[4], second[12]) == ("2026-11-22T10:00:00.000000Z", 'a,"b"\n\\', "429")


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\t=1", "\r=1"])
def test_no_csv_cell_begins_a_formula(text):
    table = pa.RecordBatch.from_pydict({text: [text, "plain"]})
    assert [row[0] for row in cells(written("csv", table))] == [f"'{text}", f"'{text}", "plain"]


def test_negative_numbers_are_no_formulas():
    assert written("csv", pa.RecordBatch.from_pydict({"n": [-1]})) == b"n\r\n-1\r\n"


@pytest.mark.parametrize("fmt", ["json", "jsonl"])
def test_json_keeps_every_digit_and_null(fmt):
    blob = written(fmt, batch(), batch(ROWS[:1]))
    rows = json.loads(blob) if fmt == "json" else [json.loads(line) for line in blob.splitlines()]
    assert len(rows) == 3 and [list(row) for row in rows] == [SCHEMA.names] * 3
    assert rows[0]["ts"] == "2026-11-22T10:00:00.123456Z"
    assert rows[0]["prompt_tokens"] == 2**53 + 1 and rows[0]["completion_tokens"] is None
    assert rows[1]["model"] == 'a,"b"\n\\'


def test_decimals_keep_all_their_places_and_never_an_exponent():
    costs = pa.array([Decimal("0.000000002"), Decimal("12.5"), None, Decimal("-0.000000001")], pa.decimal128(18, 9))
    blob = written("jsonl", pa.RecordBatch.from_arrays([costs], ["cost_usd"]))
    assert blob.split() == [b'{"cost_usd":0.000000002}', b'{"cost_usd":12.500000000}', b'{"cost_usd":null}', b'{"cost_usd":-0.000000001}']


def test_the_columns_of_an_ad_hoc_question_are_written_too():
    row = {
        "f": 0.1,
        "nan": float("nan"),
        "d": date(2026, 1, 2),
        "b": True,
        "l": [1, None],
        "naive": datetime(2026, 1, 2, 3),  # noqa: DTZ001 - what a question of the console may give
        "raw": b"\x01",
    }
    columns = {name: pa.array([value]) for name, value in row.items()}
    table = pa.RecordBatch.from_pydict(columns)
    assert json.loads(written("json", table)) == [
        {"f": 0.1, "nan": None, "d": "2026-01-02", "b": True, "l": [1, None], "naive": "2026-01-02T03:00:00.000000", "raw": "\\x01"}
    ]
    assert cells(written("csv", table))[1] == ["0.1", "nan", "2026-01-02", "true", "[1,null]", "2026-01-02T03:00:00.000000", "\\x01"]


def test_parquet_reads_back_as_it_was():
    blob = written("parquet", batch(), batch(ROWS[:1]))
    table = pq.read_table(io.BytesIO(blob))
    assert table.schema.equals(SCHEMA)
    assert table.to_pylist() == pa.Table.from_batches([batch(), batch(ROWS[:1])]).to_pylist()


@pytest.mark.parametrize(("fmt", "empty"), [("json", b"[]\n"), ("jsonl", b""), ("csv", (",".join(SCHEMA.names) + "\r\n").encode())])
def test_nothing_is_a_file_without_rows(fmt, empty):
    assert written(fmt, batch([])) == empty


def test_an_empty_parquet_file_still_names_its_columns():
    assert pq.read_table(io.BytesIO(written("parquet", batch([])))).column_names == SCHEMA.names


def test_a_slice_of_a_batch_is_written_as_the_slice():
    assert written("jsonl", pa.RecordBatch.from_pydict({"n": [1, 2, 3], "t": ["a", None, "c"]}).slice(1)).split() == [
        b'{"n":2,"t":null}',
        b'{"n":3,"t":"c"}',
    ]


@pytest.mark.parametrize("fmt", export.FORMATS)
def test_pieces_come_before_all_batches_are_read(fmt):
    taken = []

    def batches():
        for number in range(40):
            taken.append(number)
            yield pa.RecordBatch.from_pydict({"n": range(30_000)})

    next(export.write(fmt, batches()))
    assert len(taken) < 10


def test_an_unknown_format_is_refused_before_anything_is_read():
    with pytest.raises(export.FormatUnknown):
        export.write("xls", iter([]))


@given(texts=st.lists(st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]))), min_size=1))
def test_any_text_survives_json_and_csv(texts):
    table = pa.RecordBatch.from_pydict({"t": pa.array(texts, pa.string()), "n": pa.array(range(len(texts)))})
    assert [row["t"] for row in json.loads(written("json", table))] == texts
    read = [row[0] for row in cells(written("csv", table))[1:]]
    expected = ["" if text is None else f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text for text in texts]
    assert read == expected


def test_a_row_with_nothing_in_it_is_still_a_line_that_readers_see():
    blob = written("csv", pa.RecordBatch.from_pydict({"t": pa.array(["a", None, ""], pa.string())}))
    assert cells(blob) == [["t"], ["a"], [""], [""]]


def test_rows_too_large_for_one_array_of_texts_are_written_in_parts(monkeypatch):
    monkeypatch.setattr("byok.store.csv_json._AT_ONCE_BYTES", 100)
    whole = pa.RecordBatch.from_pydict({"n": range(50), "t": [str(n) * n for n in range(50)]})
    assert json.loads(written("json", whole)) == whole.to_pylist()
    assert len(list(export.write("jsonl", iter([whole])))) > 5
