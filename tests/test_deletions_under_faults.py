"""Deletions when files are damaged, clocks are odd, calls are still open and processes are killed: what must go goes, and nothing else."""

import errno
import os
import time
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from structlog.testing import capture_logs

from byok.accounts import jobs, plans, users
from byok.erasures import kept_after, publish
from byok.recording.journal import Journal
from byok.recording.publisher import merge
from byok.recording.reader import Reader
from byok.recording.removal import Removal
from byok.recording.rewriting import users_in
from byok.recording.segments import QUARANTINE
from byok.recording.table import Table
from byok.retention import ClockSuspicious
from tests.samples import NOON, usage_record
from tests.soak.steps import ERASING, Step, _resolve
from tests.test_retention import House, Killed

SOON = NOON + timedelta(hours=1)


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path / "data")
    yield house
    house.db.close()


def sums(house: House) -> dict[str, dict[str, int]]:
    """Rows and the sum of every counted column, by user."""
    view = Reader(house.root / "usage", house.root / "journal").view()
    rows = pa.concat_tables([view.tail, *(pq.read_table(file.path, partitioning=None) for file in view.files)])
    counted = ["prompt_tokens", "completion_tokens", "total_tokens", "latency_ms", "status"]
    grouped = rows.group_by("user_id").aggregate([("ts", "count"), *((name, "sum") for name in counted)])
    return {row.pop("user_id"): row for row in grouped.to_pylist()}


@pytest.mark.parametrize("plan", plans.PLANS)
@pytest.mark.parametrize("own_days", [None, 3, 400])
def test_every_plan_keeps_exactly_its_days(house, plan, own_days):
    days = own_days or plans.PLAN_DAYS[plan]
    house.store(house.add("ada", plan=plan, retention_days=own_days), [days - 0.001, days, days + 0.001, days + 100])
    assert house.retention.purge(now=NOON, force=True)["rows"] == 2
    assert house.rows() == {"usr_ada1": 2}


def test_the_zone_of_the_process_moves_no_limit(house, monkeypatch):
    house.store(house.add("ada", plan="free"), [6.99, 7.01])
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    try:
        assert house.retention.purge(now=NOON, force=True)["rows"] == 1
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_keeper_rewrites_a_file_only_when_something_in_it_is_long_overdue(house):
    house.store(house.add("ada", plan="free"), [1, 2, 3, 4, 5, 7.2])
    assert house.retention.purge(now=NOON, overdue=timedelta(hours=12))["rows"] == 0
    assert house.retention.purge(now=NOON + timedelta(hours=8), overdue=timedelta(hours=12))["rows"] == 1


def test_a_clock_set_back_purges_nothing(house):
    house.store(house.add("ada", plan="free"), [1, 2])
    assert house.retention.purge(now=NOON - timedelta(days=400))["rows"] == 0


def test_a_forced_purge_that_was_killed_is_finished_as_it_was_begun(house, monkeypatch):
    house.store(house.add("ada", plan="free"), [1])
    house.store(house.add("bob", plan="free"), [2], model="gpt-4o")
    future = NOON + timedelta(days=4000)
    with monkeypatch.context() as patch:
        patch.setattr("byok.recording.table.Table.commit", _dies)
        with pytest.raises(Killed):
            house.retention.purge(now=future, force=True)
    with pytest.raises(ClockSuspicious):
        house.retention.purge(now=future)
    (receipt,) = house.retention.finish(now=future)
    assert (receipt["rows"], house.rows(), jobs.deletion_pending(house.db)) == (2, {}, False)


def _dies(*_: object, **__: object) -> None:
    raise Killed


# -- damaged files --


def two_files(house: House, *, damaged: str) -> tuple[str, str, Path]:
    """gone and stays share both files; the second one is damaged."""
    gone, stays = house.add("gone", plan="free"), house.add("stays", plan="enterprise")
    for _ in range(2):
        for user in (gone, stays):
            house.log(user, 20)
        publish(house.table, house.root / "journal", house.db)
    path = Path(house.table.snapshot().files[1].path)
    whole = path.read_bytes()
    path.write_bytes({"cut": whole[: len(whole) // 2], "empty": b"", "page": whole[:4] + bytes(300) + whole[304:]}[damaged])
    if damaged == "empty":
        path.unlink()
    return gone, stays, path


@pytest.mark.parametrize("damaged", ["cut", "empty", "page"])
def test_a_purge_goes_round_a_damaged_file(house, damaged):
    _, stays, path = two_files(house, damaged=damaged)
    receipt = house.retention.purge(now=NOON + timedelta(days=8), force=True)
    assert (receipt["rows"], receipt["files"]) == (20, 1)
    assert str(path) in {file.path for file in house.table.snapshot().files}, "it may still be restored from a backup"
    good = [file for file in house.table.snapshot().files if file.path != str(path)]
    assert pc.unique(pq.read_table(good[0].path, partitioning=None)["user_id"]).to_pylist() == [stays]


@pytest.mark.parametrize("damaged", ["cut", "empty", "page"])
@pytest.mark.parametrize("kind", ["user", "records"])
def test_an_erasure_leaves_nothing_in_a_damaged_file_either(house, damaged, kind):
    gone, stays, path = two_files(house, damaged=damaged)
    if kind == "user":
        house.retention.erase_user(gone, now=SOON)
    else:
        house.retention.erase_usage(gone, now=SOON)
    assert not path.exists()
    assert [hit for hit in house.bytes_with(gone) if "accounts.db" not in hit] == []
    assert house.rows() == {stays: 20}, "what could not be read of others is gone, what could be read is there"


@pytest.mark.parametrize("why", [errno.EACCES, errno.EMFILE, errno.ENOMEM], ids=errno.errorcode.get)
def test_an_erasure_takes_no_file_that_we_may_not_read(house, monkeypatch, why):
    gone, stays = house.add("gone"), house.add("stays")
    house.store(gone, [1, 2])
    house.store(stays, [1, 2])
    merge(house.table)
    path = house.table.snapshot().files[0].path

    def refuse(*_: object) -> None:
        raise pa.ArrowMemoryError if why == errno.ENOMEM else OSError(why, "Failed to open local file")

    with monkeypatch.context() as patch:
        patch.setattr("byok.recording.rewriting.open_coded", refuse)
        with pytest.raises((OSError, MemoryError)) as fault:
            house.retention.erase_user(gone, now=SOON)
    assert why == errno.ENOMEM or (fault.value.strerror, fault.value.filename) == (os.strerror(why), path)
    assert house.rows() == {gone: 2, stays: 2}, "a file with a wrong owner or mode is whole"
    house.retention.finish(now=SOON)
    assert house.rows() == {stays: 2}


def test_files_that_another_process_took_away_are_not_given_up_as_damaged(house, monkeypatch):
    """A keeper that finishes an erasure beside the command that began it."""
    for name in ("gone", "stays"):
        house.store(house.add(name), [1, 2], model="gpt-4o")
    stale = house.table.snapshot().files
    merge(Table(house.root / "usage"))
    house.table.sweep(older_than_s=-1)
    late = [stale]
    monkeypatch.setattr("byok.recording.removal.users_in", lambda files: users_in(late.pop() if late else files))
    with capture_logs() as said:
        assert Removal(house.table).users() == {"usr_gone1", "usr_stays1"}
    assert said == []


# -- late records --


def test_a_call_that_was_open_while_its_records_were_erased_leaves_no_row(house):
    user = house.add("ada", plan="team")
    house.store(user, [1])
    house.retention.erase_usage(user, now=SOON)
    journal = Journal(house.root / "journal")
    for began in (SOON - timedelta(minutes=1), SOON + timedelta(minutes=1)):
        journal.append(usage_record(ts=began, user_id=user))
    journal.close()
    done = publish(house.table, house.root / "journal", house.db)
    assert (done.rows, done.dropped) == (1, 1)
    assert house.rows() == {user: 1}


def test_what_is_remembered_of_an_erasure_is_forgotten_a_day_later_and_with_its_user(house):
    for name in ("ada", "bob"):
        house.retention.erase_usage(house.add(name), now=NOON)
    house.retention.erase_usage("usr_ada1", now=NOON, before=NOON - timedelta(days=3))
    assert kept_after(house.db, ["usr_ada1", "usr_bob1", "usr_eve1"]) == {"usr_ada1": NOON, "usr_bob1": NOON}
    users.remove(house.db, "usr_bob1", now=NOON)
    assert jobs.named(house.db, "erased_before:").keys() == {"erased_before:usr_ada1"}
    house.retention.finish(now=NOON + timedelta(days=2))
    assert jobs.named(house.db, "erased_before:") == {}


# -- kills --


def dying(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name = _resolve(step.place)
    original = getattr(owner, name)

    def stop(*args, **kwargs):
        if step.when == "after":
            original(*args, **kwargs)
        raise Killed

    monkeypatch.setattr(owner, name, stop)


@pytest.mark.parametrize("step", ERASING, ids=lambda step: step.name)
@pytest.mark.parametrize("finished_by", ["any process", "the same command"])
def test_an_erasure_killed_at_any_named_step_leaves_no_byte_and_changes_nobody_else(house, monkeypatch, step, finished_by):
    gone, stays = house.add("gone", plan="team"), house.add("stays", plan="team")
    for user in (gone, stays):
        house.store(user, [1, 40], key_id=f"key_{user[4:]}")
        house.log(user, 5)
    publish(house.table, house.root / "journal", house.db)
    merge(house.table)
    for user in (gone, stays):
        house.log(user, 3)
    for place in (house.root / "exports" / "old.csv", house.root / "journal" / QUARANTINE / "w.bad"):
        place.parent.mkdir(exist_ok=True)
        place.write_text(gone)
    before = sums(house)
    with monkeypatch.context() as patch:
        dying(step, patch)
        with pytest.raises(Killed):
            house.retention.erase_user(gone, now=SOON)
    decided = users.by_id(house.db, gone) is None
    if decided and finished_by == "any process":
        house.retention.finish(now=SOON)
    else:
        house.retention.erase_user(gone, now=SOON)
    assert house.bytes_with(gone) == [] and house.bytes_with("gone@example.org") == [] and house.bytes_with("key_gone1") == []
    assert sums(house) == {stays: before[stays]}
    assert not jobs.deletion_pending(house.db)


def test_an_erased_user_is_not_brought_back_by_a_foreign_or_a_hidden_file(house):
    gone = house.add("gone", plan="team")
    house.store(gone, [1])
    month = next((house.root / "usage").glob("month=*"))
    (month / ".writing-part-0.parquet").write_bytes(gone.encode())  # of a keeper that was killed
    (month / "part-0.parquet").write_bytes(gone.encode())  # written, never committed
    os.utime(month / "part-0.parquet", (0, 0))
    house.retention.erase_user(gone, now=SOON)
    assert house.bytes_with(gone) == []
