"""Records in and out by command: import, usage, sql, export."""

import csv
import io
import json
import signal
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import duckdb
import pyarrow.parquet as pq
import pytest

from byok.usage import COLUMN_NAMES

UNKNOWN = dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"))
VIEWS = {"sum(cost_usd)": "usage_priced", "count(*)": "usage", "max(label)": "keys", "count(price_source)": "prices"}
DAY = (datetime.now(UTC) - timedelta(days=3)).replace(hour=0, minute=0, second=0, microsecond=0)


def at(hour: int) -> str:
    return (DAY + timedelta(hours=hour, microseconds=123456)).isoformat().replace("+00:00", "Z")


@pytest.fixture
def booked(ada):
    """Three calls of Ada: two models, one failed."""
    user = ada.user_id("ada@example.org")
    done = ada.import_rows(
        {"ts": at(1), "user_id": user},
        {"ts": at(2), "user_id": user, "model": "gpt-4o-mini", "prompt_tokens": 1000, "completion_tokens": 1, "total_tokens": 1001},
        {"ts": at(3), "user_id": user, "status": 429, "usage_source": "none"} | UNKNOWN,
    )
    assert done["booked"] == 3
    return ada


def test_import_prints_exactly_the_promised_counts(ada):
    user = ada.user_id("ada@example.org")
    rows = [{"ts": at(1), "user_id": user}, {"ts": at(1), "user_id": user}, {"ts": at(2), "user_id": "usr_stranger1"}]
    first = ada.import_rows(*rows)
    assert list(first) == ["read", "booked", "duplicates", "refused", "seconds"]
    assert (first["read"], first["booked"], first["duplicates"], first["refused"]) == (3, 2, 0, 1)
    again = ada.import_rows(*rows, name="the-same-bytes.jsonl")
    assert (again["read"], again["booked"], again["duplicates"], again["refused"]) == (3, 0, 2, 1)


def test_import_can_make_the_users_it_meets(ada):
    done = ada.import_rows({"ts": at(1), "user_id": "usr_stranger1"}, options=("--create-users", "team"))
    assert done["booked"] == 1
    made = ada.json("user", "show", "usr_stranger1@import.invalid", "--json")
    assert (made["id"], made["plan"]) == ("usr_stranger1", "team")


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "sk-proj-9f8e7d6c5b4a3f2e1d0c", "a b", "x" * 97, ""])
def test_import_stores_other_for_a_model_that_is_no_name(ada, name):
    ada.import_rows({"ts": at(1), "user_id": ada.user_id("ada@example.org"), "model": name})
    assert ada.json("sql", "select distinct model from usage", "--format", "json") == [{"model": "other"}]


def test_import_keeps_a_name_that_no_catalogue_knows(ada):
    ada.import_rows({"ts": at(1), "user_id": ada.user_id("ada@example.org"), "model": "my/finetune:v2"})
    assert ada.json("sql", "select model from usage", "--format", "json") == [{"model": "my/finetune:v2"}]


def test_import_of_something_else_is_one_line(ada, tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    done = ada.run("import", str(tmp_path / "x.csv"))
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1


def test_usage_json_is_the_body_of_the_api(booked):
    answer = json.loads(booked.ok("usage", "ada@example.org", "--json", "--cost"), parse_float=Decimal)
    assert (answer["total_calls"], answer["success"], answer["failed"], answer["total_tokens"]) == (3, 2, 1, 1121)
    assert [(row["model"], row["calls"], row["failed"]) for row in answer["usage"]] == [("gpt-4o-mini", 1, 0), ("gpt-4o", 2, 1)]
    assert answer["usage"][0]["cost_usd"] == Decimal("0.0001506")


def test_usage_takes_a_period_and_groups(booked):
    since = (DAY + timedelta(hours=2)).isoformat()
    answer = booked.json("usage", "ada@example.org", "--json", "--since", since, "--by", "day")
    assert [(row["day"], row["calls"]) for row in answer["usage"]] == [(DAY.date().isoformat(), 2)]
    assert booked.run("usage", "ada@example.org", "--by", "colour").exit_code == 1
    assert booked.run("usage", "ada@example.org", "--since", "yesterday").exit_code == 1


def test_usage_on_a_terminal_ends_with_the_sums(booked):
    assert booked.ok("usage", "ada@example.org").endswith("3 calls, 1 failed, 1,121 tokens\n")
    last = booked.ok("usage", "ada@example.org", "--cost").splitlines()[-1]
    assert last.startswith("3 calls, 1 failed, 1,121 tokens, $0.00060")


def test_sql_json_has_every_digit_and_utc_instants(booked):
    query = "select ts, cost_usd from usage_priced where model = 'gpt-4o-mini'"
    assert booked.ok("sql", query, "--format", "json") == f'[{{"ts":"{at(2)}","cost_usd":0.000150600}}]\n'


def test_sql_reads_the_query_from_standard_input(booked):
    for arguments in ((), ("-",)):
        assert booked.ok("sql", *arguments, "--format", "csv", stdin="select count(*) as n from usage") == "n\n3\n"


@pytest.mark.parametrize("user", [(), ("--user", "ada@example.org")], ids=["operator", "user"])
def test_sql_takes_both_ways_to_write_a_lambda(booked, user):
    query = "select list_sum(list_transform([1, 2], x -> x + 1)) as a, len(list_filter([1, 2], lambda x: x > 1)) as b"
    assert booked.json("sql", query, *user, "--format", "json") == [{"a": 5, "b": 1}]


def test_sql_parquet_goes_to_standard_output(booked):
    done = booked.run("sql", "select model from usage", "--format", "parquet")
    assert pq.read_table(io.BytesIO(done.stdout_bytes)).num_rows == 3


def test_sql_parquet_numbers_columns_that_occur_twice(booked):
    done = booked.run("sql", "select 1 as a, 2 as a, status from usage limit 1", "--format", "parquet")
    assert pq.read_table(io.BytesIO(done.stdout_bytes)).to_pylist() == [{"a": 1, "a_1": 2, "status": 200}]


def test_sql_of_the_operator_sees_everybody_and_says_what_failed(booked):
    booked.import_rows({"ts": at(1), "user_id": "usr_stranger1"}, name="b.jsonl", options=("--create-users", "team"))
    assert booked.json("sql", "select count(distinct user_id) as n from usage", "--format", "json") == [{"n": 2}]
    done = booked.run("sql", "selec 1")
    assert done.exit_code == 1
    assert done.stderr.startswith("sql_failed: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("damage", ["short", "missing"])
@pytest.mark.parametrize("which", [0, 1])
def test_sql_of_the_operator_leaves_a_broken_file_out_and_says_so(booked, damage, which):
    booked.import_rows({"ts": at(4), "user_id": booked.user_id("ada@example.org"), "model": "gpt-4.1"}, name="another.jsonl")
    bad = sorted((booked.data / "usage").glob("month=*/*.parquet"), key=lambda file: file.stat().st_mtime_ns)[which]
    bad.write_bytes(bad.read_bytes()[:500])
    if damage == "missing":
        bad.unlink()
    done = booked.run("sql", "select model from usage_priced order by ts", "--format", "json")
    assert done.exit_code == 0, done.stderr
    assert [row["model"] for row in json.loads(done.stdout)] == [["gpt-4.1"], ["gpt-4o", "gpt-4o-mini", "gpt-4o"]][which]
    assert "incomplete: a usage file is broken" in done.stderr
    wrong = booked.run("sql", "select no_such_column from usage")
    assert wrong.exit_code == 1
    assert "sql_failed: " in wrong.stderr


@pytest.mark.slow
def test_sql_with_user_sees_only_that_user_and_is_locked(booked):
    booked.import_rows({"ts": at(1), "user_id": "usr_stranger1"}, name="b.jsonl", options=("--create-users", "team"))
    assert booked.json("sql", "select count(*) as n from usage", "--user", "ada@example.org", "--format", "json") == [{"n": 3}]
    refused = booked.run("sql", "select * from read_csv('/etc/passwd')", "--user", "ada@example.org")
    assert (refused.exit_code, refused.stderr.startswith("sql_refused: "), refused.stderr.count("\n")) == (1, True, 1)
    failed = booked.run("sql", "select no_such_column from usage", "--user", "ada@example.org")
    assert (failed.exit_code, failed.stderr.startswith("sql_failed: ")) == (1, True)


@pytest.mark.slow
def test_sql_with_user_says_what_was_cut(booked):
    done = booked.run("sql", "select * from range(20000)", "--user", "ada@example.org", "--format", "json")
    assert done.exit_code == 0
    assert len(json.loads(done.stdout)) == 10_000
    assert done.stderr.startswith("truncated: ")


def test_sql_init_gives_any_duckdb_the_same_views(booked):
    booked.ok("key", "add", "ada@example.org", "--vendor", "openai", "--label", "it's mine", stdin="sk-invented-1234\n")
    with duckdb.connect() as shell:
        shell.execute(booked.ok("sql", "--init"))
        for value, view in VIEWS.items():
            query = f"select ({value})::varchar as x from {view}"
            assert [{"x": shell.execute(query).fetchall()[0][0]}] == booked.json("sql", query, "--format", "json")


def test_sql_init_hides_what_retention_hides(ada):
    ada.import_rows({"ts": "2020-01-01T00:00:00Z", "user_id": ada.user_id("ada@example.org")})
    with duckdb.connect() as shell:
        shell.execute(ada.ok("sql", "--init"))
        assert shell.execute("select count(*) from usage").fetchall() == [(0,)]


def test_a_session_answers_statement_after_statement(booked, monkeypatch):
    typed = iter(["select count(*) as n", "from usage;", "selec;", "select 7 as seven;"])

    def type_in(_prompt: str) -> str:
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", type_in)
    monkeypatch.setattr("byok.cli.sql._is_terminal", lambda: True)
    done = booked.run("sql")
    assert done.exit_code == 0
    assert "3" in done.stdout
    assert "7" in done.stdout
    assert "sql_failed" in done.stderr


@pytest.mark.parametrize("kind", ["csv", "json", "jsonl", "parquet"])
def test_export_writes_the_columns_of_the_record_in_order_of_time(booked, tmp_path, kind):
    out = tmp_path / f"out.{kind}"
    booked.ok("export", "ada@example.org", "--format", kind, "--out", str(out))
    if kind == "parquet":
        rows = pq.read_table(out).to_pylist()
    elif kind == "csv":
        rows = list(csv.DictReader(io.StringIO(out.read_text())))
    else:
        rows = json.loads(out.read_text()) if kind == "json" else [json.loads(line) for line in out.read_text().splitlines()]
    assert tuple(rows[0]) == COLUMN_NAMES
    assert [str(row["status"]) for row in rows] == ["200", "200", "429"]
    assert list(tmp_path.glob(".out*")) == []


def test_export_goes_to_standard_output_as_csv(booked):
    lines = booked.ok("export", "ada@example.org").splitlines()
    assert lines[0] == ",".join(COLUMN_NAMES)
    assert lines[1].startswith(at(1) + ",")
    assert len(lines) == 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_export_that_is_stopped_says_so_and_leaves_no_file(booked, tmp_path, monkeypatch, number):
    def stopped(*_, **__):
        yield b"half"
        signal.raise_signal(number)
        yield b"a half more"

    monkeypatch.setattr("byok.export.write", stopped)
    folder = tmp_path / "out"
    folder.mkdir()
    done = booked.run("export", "ada@example.org", "--out", str(folder / "x.csv"))
    assert (done.exit_code, done.stderr) == (1, "Stopped. Run the same command again to go on: nothing is done twice.\n")
    assert list(folder.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_an_empty_data_directory_is_not_the_working_directory(booked, tmp_path):
    done = booked.run("user", "list", "--data", "")
    assert done.exit_code == 2 and "it is empty" in done.stderr
    assert not (tmp_path / "accounts.db").exists()


def test_a_failed_export_leaves_no_file(booked, tmp_path, monkeypatch):
    def broken(*_: object) -> object:
        yield b"ts\n"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("byok.export.write", broken)
    assert booked.run("export", "ada@example.org", "--out", str(tmp_path / "out.csv")).exit_code == 1
    assert list(tmp_path.glob("*out.csv*")) == []
