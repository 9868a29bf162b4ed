"""Import books every row once, refuses what no record can be, and survives kills."""

import csv
import io
import json
import time

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from byok.recording.files import SCHEMA
from byok.recording.importer import FileUnreadable, Imported, Rounds, import_file
from byok.recording.reader import Reader
from byok.recording.table import Table
from tests.recording.forked import Forks
from tests.samples import usage_record

VENDORS = {"openai", "anthropic"}


class Place:
    """A table, and what is remembered about files."""

    def __init__(self, root):
        self.root, self.memory = root, {}
        self.table = Table(root / "usage")

    def book(self, path, users=("usr_ada1",), **options):
        rounds = Rounds(lambda digest: self.memory.get(digest, []), self.memory.__setitem__)
        options = {"still_known": set, "vendors": VENDORS, "safe_model": lambda name: name if name.startswith("gpt") else "other"} | options
        return import_file(path, self.table, rounds, known_users=lambda ids: ids & set(users), **options)

    def rows(self):
        parts = [pq.read_table(file.path, partitioning=None) for file in Reader(self.root / "usage", self.root / "journal").view().files]
        return sorted(pa.concat_tables([SCHEMA.empty_table(), *parts]).to_pylist(), key=lambda row: (row["ts"], row["user_id"]))


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def dicts(count, **fields):
    return [msgspec.structs.asdict(usage_record(n, **fields)) for n in range(count)]


def parquet(path, rows):
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path)
    return path


def text(row):
    return {name: value.isoformat() if name == "ts" else value for name, value in row.items()}


def jsonl(path, rows):
    path.write_text("".join(json.dumps(text(row)) + "\n" for row in rows))
    return path


def csv_file(path, rows):
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(text(row) for row in rows)
    path.write_text(out.getvalue())
    return path


@pytest.mark.parametrize("write", [parquet, jsonl, csv_file])
def test_every_format_gives_the_same_rows(place, write):
    rows = dicts(50)
    assert place.book(write(place.root / "file", rows)) == Imported(50, 50, 0, 0)
    assert place.rows() == rows


@pytest.mark.parametrize("write", [csv_file, jsonl, parquet])
def test_a_name_is_no_pattern(place, write):
    for number, name in enumerate(("usage1", "usage[1]", "usage*", "usage?")):
        write(place.root / name, dicts(number + 1))
        assert place.book(place.root / name).read == number + 1


def test_the_same_file_twice_books_nothing_twice_and_equal_rows_are_two_calls(place):
    path = parquet(place.root / "a.parquet", dicts(1) * 3 + dicts(10))
    assert place.book(path) == Imported(13, 13, 0, 0)
    assert place.book(path) == Imported(13, 0, 13, 0)
    assert len(place.rows()) == 13


def test_rows_of_unknown_users_are_refused_until_they_are_known(place):
    path = parquet(place.root / "a.parquet", dicts(5) + dicts(4, user_id="usr_bob1"))
    assert place.book(path) == Imported(9, 5, 0, 4)
    assert place.book(path, users=("usr_ada1", "usr_bob1")) == Imported(9, 4, 5, 0)
    assert place.book(path, users=("usr_ada1", "usr_bob1")) == Imported(9, 0, 9, 0)
    assert len(place.rows()) == 9


def test_missing_optional_columns_are_null_and_a_total_is_made_of_its_parts(place):
    path = place.root / "few.csv"
    path.write_text("ts,user_id,vendor,model,status,prompt_tokens,completion_tokens\n2026-11-20 10:00:00,usr_ada1,openai,gpt-4o,200,7,\n"
                    "2026-11-20T11:00:00+01:00,usr_ada1,openai,gpt-4o,200,7,3\n")  # fmt: skip
    assert place.book(path).booked == 2
    first, second = place.rows()
    assert first["ts"] == second["ts"], "a naive time is UTC"
    assert sorted([first["total_tokens"], second["total_tokens"]], key=str) == [10, None]
    assert (first["endpoint"], first["usage_source"], first["latency_ms"]) == ("other", "vendor", None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"vendor": "nobody"},
        {"endpoint": "telepathy"},
        {"usage_source": "rumour"},
        {"prompt_tokens": -1},
        {"total_tokens": 2**53, "prompt_tokens": None},
        {"cached_tokens": 2**62},
        {"status": 7},
        {"key_id": "sk-proj-secret"},
        {"user_id": None},
        {"ts": None},
        {"latency_ms": -5},
    ],
    ids=lambda wrong: f"{next(iter(wrong))}={next(iter(wrong.values()))}",
)
def test_a_row_that_no_record_can_be_is_refused(place, wrong):
    rows = dicts(3)
    rows[1] = rows[1] | wrong
    assert place.book(parquet(place.root / "a.parquet", rows)) == Imported(3, 2, 0, 1)


def test_a_small_file_of_huge_cells_stays_small_in_memory(place):
    huge, seen = "x" * 100_000, []
    columns = {name: [value] * 4 for name, value in dicts(1)[0].items()}
    columns |= {"model": [huge] * 4, "user_id": ["usr_ada1", huge, "usr_ada1", "usr_ada1"], "key_id": ["key_1", "key_1", huge, "key_1"]}
    pq.write_table(pa.table(columns, SCHEMA), place.root / "bomb.parquet")
    assert place.book(place.root / "bomb.parquet", safe_model=lambda name: seen.append(name) or "other") == Imported(4, 2, 0, 2)
    assert 96 < max(map(len, seen)) < 200, "long enough to be known for no name, and no longer"


@pytest.mark.parametrize("column", ["user_id", "model", "ts", "prompt_tokens"])
def test_a_cell_of_megabytes_is_refused_before_it_is_in_every_row(place, column):
    rows = 500
    columns = {name: [value] * rows for name, value in dicts(1)[0].items()}
    columns |= {column: pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["7" * 4_000_000]))}
    pq.write_table(pa.table(columns), place.root / "bomb.parquet", compression="zstd", dictionary_pagesize_limit=10_000_000)
    assert (place.root / "bomb.parquet").stat().st_size < 50_000
    with pytest.raises(FileUnreadable, match="a cell of 4,000,000 bytes"):
        place.book(place.root / "bomb.parquet")


@pytest.mark.parametrize("text", ['["a kept secret"]', '[{"ts": "a kept secret'])
def test_what_is_wrong_with_a_file_is_said_without_its_words(place, text):
    path = place.root / "wrong.json"
    path.write_text(text)
    with pytest.raises(FileUnreadable) as refused:
        place.book(path)
    assert "secret" not in refused.value.message


def deep(kind, value, levels):
    for _ in range(levels):
        kind, value = pa.list_(kind), [value]
    return pa.array([value], kind)


@pytest.mark.parametrize(
    "cells",
    [
        deep(pa.string(), "m", 60),
        deep(pa.string(), "m", 1),
        pa.array([{"a": "m"}]),
        pa.array([[("a", "m")]], pa.map_(pa.string(), pa.string())),
    ],
    ids=["lists sixty deep", "a list", "a struct", "a map"],
)
def test_cells_that_hold_more_than_one_value_are_refused_before_they_are_read(place, cells):
    columns = {name: [value] for name, value in dicts(1)[0].items()} | {"model": cells}
    pq.write_table(pa.table(columns), place.root / "nested.parquet")
    with pytest.raises(FileUnreadable, match=r"hold more than one value \(model\)"):
        place.book(place.root / "nested.parquet")


def test_a_row_whose_counts_no_total_can_hold_costs_no_other(place):
    rows = dicts(3)
    rows[1] = rows[1] | {"prompt_tokens": 2**63 - 1, "completion_tokens": 1}
    assert place.book(parquet(place.root / "a.parquet", rows)) == Imported(3, 2, 0, 1)


@pytest.mark.parametrize("cell", ["12.5", "many", "1e3", "99999999999999999999"])
def test_an_unreadable_count_is_refused_not_rounded(place, cell):
    path = place.root / "a.csv"
    path.write_text(f"ts,user_id,vendor,model,status,prompt_tokens\n2026-11-20,usr_ada1,openai,gpt-4o,200,{cell}\n")
    done = place.book(path)
    assert done.refused == 1 or place.rows()[0]["prompt_tokens"] == 1000


def test_a_model_that_is_not_safe_to_store_becomes_other(place):
    path = parquet(place.root / "a.parquet", dicts(2) + dicts(2, model="=HYPERLINK(1)"))
    assert place.book(path).booked == 4
    assert sorted(row["model"] for row in place.rows()) == ["gpt-4o-mini", "gpt-4o-mini", "other", "other"]


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"PAR1 but not really", b"ts,user_id,vendor,model,status,prompt\n"])
def test_a_file_that_is_none_of_ours_is_named_as_such(place, content):
    path = place.root / "odd"
    path.write_bytes(content)
    with pytest.raises(FileUnreadable, match="odd cannot be imported"):
        place.book(path)
    assert place.rows() == []


def test_a_first_row_where_the_header_should_be_is_not_repeated(place):
    path = place.root / "headless.csv"
    path.write_text("2026-11-20T10:00:00Z,usr_ada1,key_one,openai,gpt-4o,chat,200,vendor\n")  # "vendor" is a column's name, too
    with pytest.raises(FileUnreadable, match="it lacks columns") as refused:
        place.book(path)
    assert "ada1" not in refused.value.message


HEADER = "ts,user_id,vendor,model,status,prompt_tokens"


def line(second, model="gpt-4o", end=",10"):
    return f"2026-11-20T10:00:0{second}Z,usr_ada1,openai,{model},200{end}"


@pytest.mark.parametrize(
    "broken",
    [line(1, end=""), line(1, end=",10,7"), line(1, '"gpt"-4o'), "2026-11-20", line(1, "caf\xe9"), f'{{"ts": "{line(1)}"'],
    ids=["short", "long", "quote", "one cell", "not UTF-8", "JSON"],
)
def test_a_broken_line_costs_itself_and_no_other(place, broken):
    path = place.root / "ragged"
    lines = [HEADER, line(0), broken, line(2)]
    if broken.startswith("{"):
        lines = [json.dumps(dict(zip(HEADER.split(","), row.split(","), strict=True))) if row[0] == "2" else row for row in lines[1:]]
    path.write_text("\n".join(lines), encoding="latin-1")
    assert place.book(path) == Imported(3, 2, 0, 1)
    assert place.book(path) == Imported(3, 0, 2, 1)
    assert [row["ts"].second for row in place.rows()] == [0, 2]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([HEADER, line(0), line(1, '"gpt'), line(2)], "line 3 opens a quotation mark"),
        ([HEADER, *[line(1, end="")] * 10_001], "more than 10,000 of its lines"),
        ([f"{HEADER},status", line(1)], "twice"),
        ([line(1), line(2)], "its header may be missing"),
    ],
)
def test_a_file_whose_lines_cannot_be_told_apart_is_refused_whole_and_not_repeated(place, lines, said):
    path = place.root / "odd"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(FileUnreadable, match=said) as caught:
        place.book(path)
    assert "gpt" not in caught.value.message and "usr_ada1" not in caught.value.message
    assert place.rows() == []


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_header_in_capitals_below_comments_and_other_marks_between_cells(place, mark):
    path = place.root / "a.csv"
    path.write_text(f"# exported\n\n{HEADER.upper()}\n{line(0)}\n\n{line(1)}\n".replace(",", mark), encoding="utf-8-sig")
    assert place.book(path) == Imported(2, 2, 0, 0)


def test_a_parquet_file_with_columns_in_capitals(place):
    rows = pa.Table.from_pylist(dicts(3), SCHEMA)
    pq.write_table(rows.rename_columns([name.upper() for name in rows.column_names]), place.root / "a.parquet")
    assert place.book(place.root / "a.parquet") == Imported(3, 3, 0, 0)
    assert place.rows() == rows.to_pylist()


@pytest.mark.parametrize("head", [HEADER, ""], ids=["CSV", "JSON"])
def test_a_line_of_many_megabytes_is_not_passed_over_in_silence(place, head):
    path, rows = place.root / "long", [line(0), line(1, "x" * (33 << 20)), line(2)]
    if not head:
        rows = [json.dumps(dict(zip(HEADER.split(","), row.split(","), strict=True))) for row in rows]
    path.write_text("\n".join([head, *rows]).lstrip() + "\n")
    with pytest.raises(FileUnreadable, match="a line of more than 16 MB"):
        place.book(path)
    assert place.rows() == []


IMPORTER = """
import sys, json
from pathlib import Path
from byok.recording.importer import Rounds, import_file
from byok.recording.table import Table
print("ready", flush=True)
root = Path(sys.argv[1]); memory = root / "rounds.json"
rounds = Rounds(lambda d: [set(r) for r in json.loads(memory.read_text())] if memory.exists() else [],
                lambda d, plan: memory.write_text(json.dumps([sorted(r) for r in plan])))
done = import_file(root / "big.parquet", Table(root / "usage"), rounds, known_users=lambda ids: ids, still_known=set, vendors={"openai"},
                   safe_model=lambda name: name, chunk_rows=500)
print(done.read, done.booked + done.duplicates)
"""


@pytest.mark.slow
def test_an_import_killed_again_and_again_books_every_row_once(place):
    parquet(place.root / "big.parquet", dicts(20_000))
    kills = 0
    with Forks() as forks:
        while (said := _imported(forks.start(IMPORTER, str(place.root)), within_s=0.1 * 1.3**kills)) is None:
            kills += 1
    assert said == "20000 20000\n"
    assert kills > 0, "it was never killed, so this proves nothing"
    assert [row["prompt_tokens"] for row in place.rows()] == [100 + n for n in range(20_000)]


def test_a_user_who_is_erased_meanwhile_leaves_no_row(place):
    rows = [msgspec.structs.asdict(usage_record(n, user_id=f"usr_{'bob1' if n % 2 else 'ada1'}")) for n in range(6)]
    there = {"usr_ada1", "usr_bob1"}
    done = place.book(
        jsonl(place.root / "a.jsonl", rows),
        users=("usr_ada1", "usr_bob1"),
        chunk_rows=2,
        still_known=lambda ids: ids & there,
        progress=lambda _: there.discard("usr_bob1"),
    )
    assert done == Imported(6, 4, 0, 2)
    assert [row["user_id"] for row in place.rows()].count("usr_bob1") == 1  # of before: the erasure itself takes it


def _imported(run, within_s: float) -> str | None:
    """What it said at its end; None: it was killed before."""
    until = time.monotonic() + within_s
    while run.is_running():
        if time.monotonic() > until:
            run.kill()
            return None
        time.sleep(0.002)
    return run.end()


def test_a_file_is_booked_chunk_by_chunk(place):
    path = parquet(place.root / "a.parquet", dicts(1000))
    place.book(path, chunk_rows=100)
    assert place.table.snapshot().version == 10
    assert len(place.rows()) == 1000
