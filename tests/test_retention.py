"""What a plan stops keeping is gone from every file, and so is what somebody wanted gone; also when the deletion was killed half-way."""

import hashlib
import pkgutil
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from byok.accounts import jobs, receipts, users
from byok.accounts.database import open_database
from byok.erasures import publish
from byok.leaps import Leaps
from byok.recording.files import SCHEMA
from byok.recording.importer import Rounds, import_file
from byok.recording.journal import Journal
from byok.recording.reader import Reader
from byok.recording.table import Table
from byok.retention import ClockSuspicious, Retention
from tests.samples import NOON, usage_record


class House:
    """A data directory with accounts, journal and table."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.db = open_database(f"sqlite:///{root / 'accounts.db'}")
        self.table = Table(root / "usage")
        self.retention = Retention(self.db, root / "usage", root / "journal", root / "exports")

    def add(self, name: str, **plan: object) -> str:
        return users.add(self.db, f"{name}@example.org", now=NOON, user_id=f"usr_{name}1", **plan).id  # type: ignore[arg-type]

    def store(self, user_id: str, ages: list[float], **fields: object) -> None:
        """Book rows that are so many days old at NOON."""
        rows = [usage_record(n, user_id=user_id, ts=NOON - timedelta(days=age), **fields) for n, age in enumerate(ages)]
        path = self.root.parent / f"{hashlib.sha256(repr(rows).encode()).hexdigest()}.parquet"
        pq.write_table(pa.Table.from_pylist([{f: getattr(row, f) for f in row.__struct_fields__} for row in rows], SCHEMA), path)
        rounds = Rounds(lambda _: [], lambda *_: None)
        done = import_file(path, self.table, rounds, known_users=set, still_known=set, vendors={"openai"}, safe_model=str)
        assert done.booked == len(ages)

    def log(self, user_id: str, count: int) -> None:
        journal = Journal(self.root / "journal")
        for number in range(count):
            journal.append(usage_record(number, user_id=user_id))
        journal.close()

    def rows(self) -> dict[str, int]:
        view = Reader(self.root / "usage", self.root / "journal").view()
        found = pa.concat_tables([view.tail, *(pq.read_table(file.path, partitioning=None) for file in view.files)])
        return {row["values"]: row["counts"] for row in found["user_id"].combine_chunks().value_counts().to_pylist()}

    def bytes_with(self, needle: str) -> list[str]:
        """Files below the data directory that hold the text, raw or in decoded Parquet columns."""
        hits = []
        for path in self.root.rglob("*"):
            if path.is_file():
                raw = path.read_bytes()
                decoded = str(pq.ParquetFile(path).read().to_pylist()).encode() if raw[:4] == b"PAR1" else b""
                hits += [str(path)] if needle.encode() in raw + decoded + str(path).encode() else []
        return hits


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path / "data")
    yield house
    house.db.close()


def test_a_purge_removes_what_each_plan_no_longer_keeps(house):
    for name, plan in (("free", "free"), ("indie", "indie"), ("team", "team")):
        house.store(house.add(name, plan=plan), [1, 8, 31, 91])
    house.store(house.add("own", plan="enterprise", retention_days=10), [9.9, 10.1])
    dry = house.retention.purge(now=NOON, dry_run=True)
    assert (dry["rows"], dry["dry_run"], sum(house.rows().values())) == (7, True, 14)
    receipt = house.retention.purge(now=NOON, force=True)
    assert (receipt["rows"], receipt["kind"], receipt["files"] >= 1) == (7, "purge", True)
    assert house.rows() == {"usr_free1": 1, "usr_indie1": 2, "usr_team1": 3, "usr_own1": 1}
    assert {row["user_id"]: row["rows"] for row in receipt["users"]} == {"usr_free1": 3, "usr_indie1": 2, "usr_team1": 1, "usr_own1": 1}
    assert house.retention.purge(now=NOON)["rows"] == 0
    (kept,) = receipts.latest(house.db, 10)
    assert "users" not in kept and kept["rows"] == 7


def test_the_limit_is_an_instant_and_is_kept_itself(house):
    user = house.add("edge", plan="free")
    house.store(user, [7, 7 + 1e-6])
    assert house.retention.purge(now=NOON, force=True)["rows"] == 1


def test_nothing_that_a_purge_removed_lies_in_any_file(house):
    user = house.add("old", plan="free")
    house.store(user, [1])
    house.store(user, [50], key_id="key_longgone1")
    assert house.bytes_with("key_longgone1")
    house.retention.purge(now=NOON)
    assert house.bytes_with("key_longgone1") == []


def test_a_purge_publishes_first_what_lies_in_the_journal(house):
    user = house.add("late", plan="free")
    house.log(user, 5)
    assert house.retention.purge(now=NOON + timedelta(days=30), force=True)["rows"] == 5
    assert house.rows() == {}


def test_a_clock_that_jumped_does_not_empty_the_store(house):
    house.store(house.add("ada", plan="free"), [1, 2, 3])
    future = NOON + timedelta(days=4000)
    with pytest.raises(ClockSuspicious):
        house.retention.purge(now=future)
    assert house.rows() == {"usr_ada1": 3}
    assert house.retention.purge(now=future, force=True)["rows"] == 3


def test_a_clock_that_leaps_while_calls_go_on_does_not_empty_the_store_and_is_believed_in_the_end(house):
    house.store(house.add("ada", plan="free"), [1, 2, 3, -365])  # the last is of after the leap
    clock = {"wall": 0.0, "steady": 0.0}
    leaps = Leaps(wall=lambda: clock["wall"], steady=lambda: clock["steady"])
    later = NOON + timedelta(days=365)
    for hours, ahead_days, doubtful in ((1, 0, False), (1, 365, True), (11, 365, True), (1, 365, False), (1, 365, False)):
        clock["steady"] += hours * 3600
        clock["wall"] = clock["steady"] + ahead_days * 86_400
        assert leaps.doubtful() is doubtful
    with pytest.raises(ClockSuspicious, match="leapt"):
        house.retention.purge(now=later, leapt=True)
    assert house.rows() == {"usr_ada1": 4}
    assert house.retention.purge(now=later)["rows"] == 3


def test_a_clock_that_is_set_back_after_a_leap_is_no_leap():
    clock = {"wall": 0.0}
    leaps = Leaps(wall=lambda: clock["wall"], steady=lambda: 0.0)
    for wall, doubtful in ((4e6, True), (0.0, False), (-4e6, False), (0.0, True)):
        clock["wall"] = wall
        assert leaps.doubtful() is doubtful


def test_an_erased_user_leaves_no_byte_and_others_stay(house):
    gone, stays = house.add("gone", plan="team"), house.add("stays", plan="team")
    for user in (gone, stays):
        house.store(user, [1, 40], key_id=f"key_{user[4:]}")
        house.log(user, 3)
    (house.root / "exports").mkdir()
    (house.root / "exports" / "old.csv").write_text(gone)
    (house.root / "journal" / "quarantine").mkdir()
    (house.root / "journal" / "quarantine" / "w.bad").write_text(gone)
    receipt = house.retention.erase_user(gone, now=NOON)
    assert (receipt["kind"], receipt["rows"]) == ("erase", 5)
    assert house.rows() == {stays: 5}
    assert house.bytes_with(gone) == [] and house.bytes_with("gone@example.org") == [] and house.bytes_with("key_gone1") == []
    assert gone not in str(receipts.latest(house.db, 10))


def test_a_late_record_of_an_erased_user_is_dropped(house):
    user = house.add("late")
    house.retention.erase_user(user, now=NOON)
    house.log(user, 2)
    publish(house.table, house.root / "journal", house.db)
    assert house.rows() == {} and house.bytes_with(user) == []


STEPS = [
    "byok.retention.users.remove",
    "byok.retention.erasures.publish",
    "byok.recording.removal.without",
    "byok.recording.table.Table.commit",
    "byok.retention.scrub",
]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_an_erasure_killed_at_any_step_is_finished_later(house, monkeypatch, step, after):
    gone, stays = house.add("gone", plan="team"), house.add("stays", plan="team")
    for user in (gone, stays):
        house.store(user, [1])
        house.log(user, 2)
    with monkeypatch.context() as patch:
        patch.setattr(step, killed(step, after))
        with pytest.raises(Killed):
            house.retention.erase_user(gone, now=NOON)
    done = house.retention.finish(now=NOON)
    if step == "byok.retention.users.remove" and not after:  # killed before anything was decided
        users.remove(house.db, gone, now=NOON)
        house.retention.erase_user(gone, now=NOON)
    else:
        assert len(done) == 1
    assert house.rows() == {stays: 3}
    assert house.bytes_with(gone) == [] and house.bytes_with("gone@example.org") == []
    assert house.retention.finish(now=NOON) == []


class Killed(BaseException):
    """Stands for kill -9: nothing of the program may catch it."""


def killed(step, after):
    target = pkgutil.resolve_name(step)

    def stop(*args, **kwargs):
        if after:
            target(*args, **kwargs)
        raise Killed

    return stop


def test_own_records_can_be_erased_up_to_a_moment_or_all(house):
    user, other = house.add("ada", plan="team"), house.add("bob", plan="team")
    house.store(user, [1, 10, 20])
    house.store(other, [1, 10, 20])
    house.log(user, 2)
    assert house.retention.erase_usage(user, now=NOON + timedelta(hours=1), before=NOON - timedelta(days=5))["rows"] == 2
    assert house.rows() == {user: 3, other: 3}
    assert house.retention.erase_usage(user, now=NOON + timedelta(hours=1))["rows"] == 3
    assert house.rows() == {other: 3}
    assert house.bytes_with(user) == [str(house.root / "accounts.db")] or all("accounts.db" in hit for hit in house.bytes_with(user))


def test_an_erasure_of_records_that_was_killed_is_finished(house, monkeypatch):
    user = house.add("ada", plan="team")
    house.store(user, [1, 10])
    with monkeypatch.context() as patch:
        patch.setattr("byok.recording.removal.without", killed("byok.recording.removal.without", False))
        with pytest.raises(Killed):
            house.retention.erase_usage(user, now=NOON)
    assert jobs.named(house.db, "erase_usage:")
    (receipt,) = house.retention.finish(now=NOON + timedelta(days=1))
    assert (receipt["rows"], house.rows(), jobs.named(house.db, "erase_usage:")) == (2, {}, {})


def test_files_that_were_merged_away_stay_readable_for_a_while(house):
    from byok.recording.publisher import merge

    user = house.add("ada")
    for age in (1, 2, 3):
        house.store(user, [age])
    old = [Path(file.path) for file in house.table.snapshot().files]
    merge(house.table, files_per_month=1)
    assert house.retention.sweep(older_than_s=60) == 0 and all(path.exists() for path in old)
    assert house.retention.sweep() == 3 and not any(path.exists() for path in old)
