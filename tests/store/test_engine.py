import errno
import gc
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from byok.store import questions
from byok.store.engine import Engine, StoreUnreadable
from byok.store.scope import EveryonesScope, Scope
from byok.usage import COLUMNS
from byok.zones import EARLIEST, LATEST

ADA, BOB = "usr_ada1", "usr_bob1"
HERS = Scope(ADA, EARLIEST, LATEST)
EVERYONE = EveryonesScope(EARLIEST, LATEST)


def calls(world, scope=HERS) -> int:
    return questions.usage(world.engine, scope).totals["total_calls"]


def test_an_empty_store_answers(world):
    assert calls(world) == 0
    assert world.engine.connection().execute("select count(*) from usage_priced").fetchall() == [(0,)]


def test_files_and_tail_are_one_table_and_what_is_new_is_seen(world, record):
    world.reader.publish([record("2026-11-01T00:00:00Z")])
    assert calls(world) == 1
    world.reader.append([record("2026-11-02T00:00:00Z")])
    assert calls(world) == 2
    world.reader.publish([record("2026-11-03T00:00:00Z")])
    assert calls(world) == 3


def test_the_views_have_exactly_the_columns_of_the_record(world, record):
    world.reader.publish([record("2026-11-01T00:00:00Z")])
    shown = world.engine.connection().execute("describe usage").fetchall()
    spelled = {"timestamptz": "timestamp with time zone"}
    assert [(name, kind.lower()) for name, kind, *_ in shown] == [(c.name, spelled.get(c.type, c.type)) for c in COLUMNS]
    priced = world.engine.connection().execute("describe usage_priced").fetchall()
    assert [(name, kind.lower()) for name, kind, *_ in priced[16:]] == [("cost_usd", "decimal(18,9)"), ("price_source", "varchar")]


def test_a_file_written_before_a_column_existed_reads_as_null(world, record):
    optional = ("cache_write_tokens", "reasoning_tokens", "ttft_ms")
    world.reader.publish([record("2026-11-01T00:00:00Z", reasoning_tokens=7)], without=optional)
    assert questions.summary(world.engine, HERS)["reasoning_tokens"] == 0
    world.reader.publish([record("2026-11-02T00:00:00Z", reasoning_tokens=7)])
    assert questions.summary(world.engine, HERS)["reasoning_tokens"] == 7
    rows = [row["ttft_ms"] for batch in questions.records(world.engine, HERS) for row in batch.to_pylist()]
    assert rows == [None, 100]


def test_rows_past_retention_are_hidden_from_everyone_at_once(world, record):
    border = world.now - timedelta(days=7)
    rows = [record(border - timedelta(microseconds=1)), record(border), record(border + timedelta(days=1)), record(border, "usr_erased1")]
    world.reader.publish(rows[::2])
    world.reader.append(rows[1::2])
    assert calls(world) == calls(world, EVERYONE) == 3
    world.retention = {ADA: 7}
    assert calls(world) == calls(world, EVERYONE) == 2
    assert world.engine.connection().execute("select count(*) from usage_priced").fetchall() == [(2,)]
    world.now += timedelta(microseconds=1)
    assert calls(world) == 1
    world.retention = {}
    assert calls(world) == 0


def test_absurd_retention_is_no_fault(world, record):
    world.retention = {ADA: 10**9}
    world.reader.publish([record("2026-11-01T00:00:00Z")])
    assert calls(world) == 1


def test_a_file_compacted_between_view_and_question_is_no_fault(world, record):
    rows = [record(f"2026-11-0{day}T00:00:00Z") for day in range(1, 5)]
    parts = [world.reader.publish([row]) for row in rows]
    stale, fresh = [world.reader.view()], world.reader.view
    world.reader.view = lambda: stale.pop() if stale else fresh()
    world.reader.publish(rows)
    for part in parts:
        world.reader.drop(part)
        part.unlink()
    assert calls(world) == 4
    assert stale == [] and world.engine.quarantined == []


@pytest.mark.parametrize("damage", ["truncated", "empty", "garbage", "footer", "page", "missing"])
def test_a_broken_file_is_set_aside_and_all_else_is_answered(world, record, damage):
    good = world.reader.publish([record("2026-11-01T00:00:00Z")])
    bad = world.reader.publish([record(f"2026-11-02T00:00:{n:02d}Z", model=f"m{n}") for n in range(60)])
    world.reader.append([record("2026-11-03T00:00:00Z")])
    whole = bad.read_bytes()
    damaged = {"missing": b"", "truncated": whole[: len(whole) // 2], "empty": b"", "garbage": os.urandom(500)}
    damaged["footer"] = whole[:4] + bytes(len(whole) - 2000) + whole[len(whole) - 1996 :]
    damaged["page"] = whole[:4] + bytes(200) + whole[204:]
    bad.write_bytes(damaged[damage])
    if damage == "missing":
        bad.unlink()
    answer = questions.usage(world.engine, HERS, cost=True)
    assert (answer.totals["total_calls"], answer.incomplete) == (2, True)
    assert world.engine.quarantined == [str(bad)]
    assert questions.freshness(world.engine).quarantined == 1
    assert sum(batch.num_rows for batch in questions.records(world.engine, HERS)) == 2
    assert world.engine.connection().execute("select count(*) from usage").fetchall() == [(2,)]
    bad.write_bytes(whole)
    assert (calls(world), world.engine.quarantined) == (62, [])
    assert good.exists()


@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_a_file_that_breaks_after_it_was_read_is_no_longer_answered_from_memory(world, record, damage):
    world.reader.publish([record("2026-11-01T00:00:00Z")])
    bad = world.reader.publish([record("2026-11-02T00:00:00Z")])
    engine = Engine(
        world.reader, world.catalogue, retention=lambda: world.retention, keys=list, now=lambda: world.now, remember_from_rows=1
    )
    aside = engine.remember_aside()
    engine.keep_answers()

    def said():
        aside.settle()
        mine, all_ = questions.usage(engine, HERS), questions.summary(engine, EVERYONE)
        return mine.totals["total_calls"], all_["calls"], mine.incomplete

    assert [said() for _ in range(3)] == [(2, 2, False)] * 3
    whole = bad.read_bytes()
    bad.write_bytes(whole[: len(whole) // 2])
    if damage == "missing":
        bad.unlink()
    assert [said() for _ in range(3)] == [(1, 1, True)] * 3
    bad.write_bytes(whole)
    assert [said() for _ in range(3)] == [(2, 2, False)] * 3
    engine.close()


def test_a_file_where_we_may_not_look_is_set_aside_like_a_broken_one(world, record, monkeypatch):
    world.reader.publish([record("2026-11-01T00:00:00Z")])
    hidden = world.reader.publish([record("2026-10-01T00:00:00Z")])
    hidden.rename(away := hidden.with_name("away"))
    look = os.stat

    def refused(path: str | Path, **options: object) -> os.stat_result:
        if path == str(hidden):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return look(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", refused)
        assert (calls(world), world.engine.quarantined) == (1, [str(hidden)])
    away.rename(hidden)
    assert (calls(world), world.engine.quarantined) == (2, [])


def test_files_that_change_under_every_try_are_said_to_be_unreadable(world, record):
    world.reader.publish([record("2026-11-01T00:00:00Z")])
    view = world.reader.view()

    def always_stale():
        world.reader.version += 1
        return view._replace(files=tuple(file._replace(path=file.path + "x") for file in view.files), stamp=world.reader.version)

    world.reader.view = always_stale
    with pytest.raises(StoreUnreadable):
        calls(world)


def test_a_broken_file_is_found_while_records_stream(world, record):
    world.reader.publish([record("2026-11-01T00:00:00Z")])
    bad = world.reader.publish([record("2026-11-02T00:00:00Z")])
    bad.write_bytes(bad.read_bytes()[:50])
    assert sum(batch.num_rows for batch in questions.records(world.engine, HERS)) == 1


def test_a_question_that_is_wrong_itself_sets_no_file_aside(world, record):
    world.reader.publish([record("2026-11-01T00:00:00Z")])
    with pytest.raises(duckdb.Error):
        world.engine.ask("extent", HERS, since="no instant")
    assert (calls(world), world.engine.quarantined) == (1, [])


def test_counts_as_large_as_the_column_still_sum(world, record):
    world.reader.publish([record("2026-11-01T00:00:00Z", prompt_tokens=2**62, completion_tokens=2**62 - 1) for _ in range(3)])
    for group_by in (("vendor",), ("day",)):
        answer = questions.usage(world.engine, EVERYONE, group_by=group_by, cost=True)
        assert answer.rows[0]["total_tokens"] == answer.totals["total_tokens"] == 3 * (2**63 - 1)
        assert (answer.totals["total_calls"], answer.totals["cost_usd"], answer.totals["unpriced_calls"]) == (3, None, 3)
    assert questions.summary(world.engine, HERS)["prompt_tokens"] == 3 * 2**62
    assert questions.series(world.engine, HERS, grain="day").num_rows == 1


def test_many_threads_ask_while_the_store_changes(world, record):
    world.reader.publish([record(f"2026-11-01T00:00:{n:02d}Z") for n in range(50)])
    least, stop = 50, threading.Event()

    def grow():
        while not stop.wait(0.02):
            world.reader.append([record("2026-11-02T00:00:00Z")])

    grower = threading.Thread(target=grow)
    grower.start()
    try:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: questions.usage(world.engine, HERS, cost=True).totals, range(32)))
    finally:
        stop.set()
        grower.join()
    assert all(answer["total_calls"] >= least and answer["total_calls"] * 15 == answer["total_tokens"] for answer in answers)


def test_a_stream_that_is_left_early_disturbs_nobody(world, record):
    world.reader.publish([record(f"2026-11-01T00:00:{n:02d}Z") for n in range(50)])
    stream = questions.records(world.engine, HERS)
    next(stream)
    assert calls(world) == 50
    stream.close()
    assert calls(world) == 50


def test_keys_show_names_and_last_four_only(world):
    world.keys = [{"key_id": "key_1", "user_id": ADA, "vendor": "openai", "label": "work", "last_four": "abcd", "secret": "sk-no"}]
    shown = world.engine.connection().sql("select * from keys").to_arrow_table()
    assert shown.column_names == ["key_id", "user_id", "vendor", "label", "last_four", "is_default", "created_at", "last_used_at"]
    assert "sk-no" not in str(shown.to_pylist())


def test_the_process_zone_changes_nothing(world, record, monkeypatch):
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    world.reader.publish([record("2026-11-01T23:30:00Z")])
    assert [row["day"] for row in questions.usage(world.engine, HERS, group_by=("day",)).rows] == ["2026-11-01"]
    assert world.engine.connection().execute("select ts::varchar from usage").fetchall() == [("2026-11-01 23:30:00+00",)]


def test_closing_leaves_nothing_behind(tmp_path, world, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    engine = Engine(world.reader, world.catalogue, retention=dict, keys=list, now=lambda: world.now)
    assert isinstance(engine.ask("extent", HERS), pa.Table)
    engine.close()
    Engine(world.reader, world.catalogue, retention=dict, keys=list, now=lambda: world.now)  # and nobody closes it
    gc.collect()
    assert [path for path in Path(tmp_path).iterdir() if path.name.startswith("byok-store-")] == []
