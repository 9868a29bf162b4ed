"""Deleting some of one's records: exactly those that were named go, from every file, whatever is killed and whenever calls end."""

from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byok import erasures
from byok.accounts import jobs, users
from byok.erasures import publish
from byok.recording.cut import Cut
from byok.recording.files import CODED, SCHEMA
from byok.recording.journal import Journal
from byok.recording.reader import Reader
from byok.recording.rewriting import kept_rows
from byok.zones import EARLIEST
from tests.samples import NOON, usage_record
from tests.test_retention import House, Killed, killed

SOON = NOON + timedelta(hours=1)
ADA, BOB = "usr_ada1", "usr_bob1"


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path / "data")
    house.add("ada", plan="enterprise"), house.add("bob", plan="enterprise")
    yield house
    house.db.close()


def cut(**words) -> Cut:
    return Cut(**({"user_id": ADA, "since": EARLIEST, "until": SOON} | words))


def left(house: House) -> list[tuple[str, str, str, datetime]]:
    view = Reader(house.root / "usage", house.root / "journal").view()
    rows = pa.concat_tables([view.tail, *(pq.read_table(file.path, partitioning=None) for file in view.files)])
    return sorted((row["user_id"], row["model"], row["key_id"], row["ts"]) for row in rows.to_pylist())


def log(house: House, *rows) -> None:
    journal = Journal(house.root / "journal")
    for row in rows:
        journal.append(row)
    journal.close()


ROWS = [
    (user, model, key, NOON - timedelta(days=age))
    for user in (ADA, BOB)
    for model in ("gpt-4o", "gpt-4o-mini")
    for key in ("key_one1", "key_two2")
    for age in (0, 3, 40)
]
MOMENTS = st.sampled_from([EARLIEST, *(NOON - timedelta(days=age) for age in (41, 40, 3, 0)), SOON])
SOME = st.sets(st.sampled_from(["gpt-4o", "gpt-4o-mini", "o3"]), max_size=2).map(tuple)
KEYS = st.sets(st.sampled_from(["key_one1", "key_two2"]), max_size=2).map(tuple)


@settings(max_examples=60, deadline=None)
@given(user=st.sampled_from([ADA, "usr_nobody1"]), since=MOMENTS, until=MOMENTS, models=SOME, key_ids=KEYS, coded=st.booleans())
def test_exactly_the_rows_that_are_named_go(user, since, until, models, key_ids, coded):
    records = [usage_record(0, user_id=u, model=m, key_id=k, ts=ts) for u, m, k, ts in ROWS]
    table = pa.Table.from_pylist([{f: getattr(row, f) for f in row.__struct_fields__} for row in records], SCHEMA)
    one = Cut(user, since, until, (), models, key_ids)
    assert Cut.parse(user, one.text()) == one
    kept = kept_rows(table.cast(CODED) if coded else table, one).to_pylist()
    expected = [
        (u, m, k, ts)
        for u, m, k, ts in ROWS
        if not (u == user and since <= ts < until and (not models or m in models) and (not key_ids or k in key_ids))
    ]
    assert [(row["user_id"], row["model"], row["key_id"], row["ts"]) for row in kept] == expected


def test_preview_receipt_and_what_is_left_agree_in_files_and_journal(house):
    for user in (ADA, BOB):
        house.store(user, [1, 10, 40], model="gpt-4o")
        house.store(user, [1, 10, 40], model="gpt-4o-mini", key_id="key_other2")
    log(house, usage_record(0, model="gpt-4o"), usage_record(1, model="gpt-4o-mini"), usage_record(2, user_id=BOB, model="gpt-4o"))
    one = cut(since=NOON - timedelta(days=20), models=("gpt-4o",))
    assert house.retention.preview_cut(one, now=SOON) == 3
    receipt = house.retention.erase_cut(one, now=SOON)
    assert (receipt["rows"], receipt["kind"], receipt["dry_run"]) == (3, "erase", False)
    assert house.rows() == {ADA: 5, BOB: 7}
    assert [(model, ts < NOON - timedelta(days=20)) for user, model, _, ts in left(house) if user == ADA and model == "gpt-4o"] == [
        ("gpt-4o", True)
    ]
    assert house.retention.preview_cut(one, now=SOON) == 0


def test_what_only_those_rows_held_is_in_no_file_afterwards(house):
    house.store(ADA, [1, 2])
    house.store(ADA, [1], key_id="key_longgone1", model="a-strange-model")
    house.store(BOB, [1])
    assert house.bytes_with("a-strange-model")
    house.retention.erase_cut(cut(key_ids=("key_longgone1",)), now=SOON)
    assert house.bytes_with("a-strange-model") == []
    assert [hit for hit in house.bytes_with("key_longgone1") if "accounts.db" not in hit] == []
    house.retention.finish(now=SOON + timedelta(days=2))
    assert jobs.named(house.db, "erase") == {}


@pytest.mark.parametrize(
    "step", ["retention.erasures.publish", "recording.removal.without", "recording.table.Table.commit", "retention.receipts.keep"]
)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_cut_that_was_killed_is_finished_and_takes_nothing_else(house, monkeypatch, step, after):
    house.store(ADA, [1, 10], model="gpt-4o")
    house.store(ADA, [1, 10])
    house.store(BOB, [1, 10], model="gpt-4o")
    with monkeypatch.context() as patch:
        patch.setattr(f"byok.{step}", killed(f"byok.{step}", after))
        with pytest.raises(Killed):
            house.retention.erase_cut(cut(models=("gpt-4o",)), now=SOON)
    assert jobs.deletion_pending(house.db)
    house.retention.finish(now=SOON + timedelta(minutes=1))
    assert not jobs.deletion_pending(house.db)
    assert house.rows() == {ADA: 2, BOB: 2}
    assert {model for user, model, _, _ in left(house) if user == ADA} == {"gpt-4o-mini"}


def test_a_call_that_was_open_leaves_no_row_if_it_is_of_the_cut(house):
    house.store(ADA, [1], model="gpt-4o")
    house.retention.erase_cut(cut(models=("gpt-4o",)), now=SOON)
    late = {"ts": SOON - timedelta(minutes=1)}
    log(house, usage_record(0, model="gpt-4o", **late), usage_record(0, **late), usage_record(0, model="gpt-4o", ts=SOON))
    publish(house.table, house.root / "journal", house.db)
    assert sorted((model, ts) for _, model, _, ts in left(house)) == [("gpt-4o", SOON), ("gpt-4o-mini", late["ts"])]


def test_a_cut_that_lies_back_is_not_remembered(house):
    house.store(ADA, [10])
    house.retention.erase_cut(cut(until=NOON - timedelta(days=5)), now=SOON)
    assert erasures.cuts(house.db, [ADA]) == []
    assert house.rows() == {}


def test_a_user_who_is_erased_takes_the_cuts_along(house):
    house.store(ADA, [1])
    erasures.begin_cut(house.db, cut(models=("gpt-4o",)))
    house.retention.erase_user(ADA, now=SOON)
    assert users.by_id(house.db, ADA) is None
    assert jobs.named(house.db, "erase") == {}
    assert house.bytes_with(ADA) == []
