"""The usage table on real S3 servers: several machines at once, kills, erasures, a store that goes away, and nothing secret anywhere."""

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from byok import settings as settings_room
from byok.accounts import database, users
from byok.erasures import kept_after
from byok.pricing import catalogue
from byok.recording import places, remote, segments
from byok.recording.files import SCHEMA
from byok.recording.journal import Journal
from byok.recording.places import StoreAway, StoreUnsafe
from byok.recording.publisher import merge, publish, write_by_month
from byok.recording.reader import Reader
from byok.recording.table import Overtaken, Table
from byok.retention import Retention
from byok.settings import RemoteStore
from byok.store import questions
from byok.store.engine import Engine
from byok.store.scope import EveryonesScope
from byok.zones import EARLIEST, LATEST
from tests.e2e.installation import Installation, wait_until
from tests.samples import NOON, usage_record
from tests.scale.s3_servers import ACCESS_KEY, SECRET_KEY, S3Server

EVERYTHING = EveryonesScope(EARLIEST, LATEST)


def nobody(_: object) -> dict[str, datetime]:
    return {}


class Machine:
    """One host: a journal of its own, and its copies of the shared table's files."""

    def __init__(self, root: Path, url: str, *, cache_mb: int = 1000) -> None:
        self.root, self.journal_dir = root, root / "journal"
        self.store = RemoteStore(url, root / "usage-copies", cache_mb)
        self.table = Table(self.store)

    def write(self, *numbers: int, **fields: object) -> None:
        journal = Journal(self.journal_dir)
        for number in numbers:
            assert journal.append(usage_record(number, **fields))
        journal.close()

    def publish(self, keep_after: Callable[..., dict[str, datetime]] = nobody) -> None:
        publish(self.table, self.journal_dir, keep_after)

    def add(self, *numbers: int, **fields: object) -> None:
        rows = [usage_record(number, **fields) for number in numbers]
        with self.table.writing():
            self.table.commit(write_by_month(self.table.directory, as_table(rows)))

    def numbers(self) -> list[int]:
        """The numbers of all records, as a reader of this machine sees them."""
        view = Reader(self.store, self.journal_dir).view()
        self.table.place.fetch(file.path for file in view.files)
        parts = [pq.read_table(file.path, partitioning=None).select(["prompt_tokens"]) for file in view.files]
        return sorted(n - 100 for n in pa.concat_tables([*parts, view.tail.select(["prompt_tokens"])])["prompt_tokens"].to_pylist())


def holding(folder: Path, text: str) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def as_table(rows: list) -> pa.Table:
    return pa.Table.from_pylist([{name: getattr(row, name) for name in SCHEMA.names} for row in rows], SCHEMA)


@pytest.fixture
def at(any_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    for name, value in any_s3.env.items():
        monkeypatch.setenv(name, value)
    return any_s3


@pytest.fixture
def real(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    return s3


def test_what_one_machine_publishes_another_reads(at, tmp_path):
    url = at.url()
    one, two = Machine(tmp_path / "1", url), Machine(tmp_path / "2", url)
    one.write(1, 2, 3)
    assert one.numbers() == [1, 2, 3]  # from its journal
    assert two.numbers() == []
    one.publish()
    assert one.numbers() == two.numbers() == [1, 2, 3]
    two.write(4)
    two.publish()
    merge(one.table)
    assert len(two.table.snapshot().files) == 1
    assert one.numbers() == two.numbers() == [1, 2, 3, 4]
    assert segments.listed(one.journal_dir) == segments.listed(two.journal_dir) == []


def test_machines_that_publish_and_merge_at_once_lose_and_double_nothing(at, tmp_path):
    url = at.url()
    machines = [Machine(tmp_path / str(number), url) for number in range(3)]
    faults: list[BaseException] = []

    def work(machine: Machine, first: int) -> None:
        try:
            for round_ in range(4):
                machine.write(*range(first + 10 * round_, first + 10 * round_ + 10))
                machine.publish()
                with contextlib.suppress(Overtaken):  # another one merged the same files: nothing happened
                    merge(machine.table)
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(machine, 1000 * number)) for number, machine in enumerate(machines)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert faults == []
    expected = sorted(1000 * number + step for number in range(3) for step in range(40))
    assert [machine.numbers() for machine in machines] == [expected] * 3


def test_an_answer_that_is_lost_on_the_way_doubles_nothing(real, tmp_path, monkeypatch):
    machine = Machine(tmp_path, real.url())
    machine.write(1, 2)
    commit = Table._commit

    def lost(self, *words):
        commit(self, *words)
        raise StoreAway("TimeoutError")

    monkeypatch.setattr(Table, "_commit", lost)
    with pytest.raises(StoreAway):
        machine.publish()
    monkeypatch.undo()
    for name, value in real.env.items():
        monkeypatch.setenv(name, value)
    assert machine.numbers() == [1, 2]
    machine.publish()
    assert machine.numbers() == [1, 2]
    assert segments.listed(machine.journal_dir) == []


def test_no_table_is_made_on_a_store_that_lets_a_second_writer_overwrite_the_first(any_s3, tmp_path, monkeypatch):
    if any_s3.kind != "moto":
        pytest.skip("moto takes a request whose signature does not fit any more")
    with forgetful(any_s3.port) as address:
        for name, value in (any_s3.env | {"AWS_ENDPOINT_URL": address}).items():
            monkeypatch.setenv(name, value)
        url = any_s3.url()
        with pytest.raises(StoreUnsafe):
            Machine(tmp_path, url).add(1)
        assert any_s3.names(url) == []
    monkeypatch.setenv("AWS_ENDPOINT_URL", any_s3.env["AWS_ENDPOINT_URL"])
    machine = Machine(tmp_path, url)
    machine.add(1)
    machine.table.place.vouch()
    assert machine.numbers() == [1]
    assert [name for name in any_s3.names(url) if "probe" in name] == []


@contextlib.contextmanager
def forgetful(port: int) -> Iterator[str]:
    """The address of a store before that one which knows no conditions."""
    command = [sys.executable, "-m", "tests.scale.forgetful_store", str(port)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def test_a_put_that_was_done_and_reported_as_failed_counts_as_done(real, tmp_path, monkeypatch):
    machine = Machine(tmp_path, real.url())
    machine.add(1)
    from deltalake import DeltaTable
    from deltalake.exceptions import CommitFailedError

    put = DeltaTable.create_write_transaction

    def done_and_refused(self, *words, **more):
        put(DeltaTable(self.table_uri, storage_options=machine.table.place.options), *words, **more)
        raise CommitFailedError

    monkeypatch.setattr(DeltaTable, "create_write_transaction", done_and_refused)
    machine.write(2)
    machine.publish()
    monkeypatch.undo()
    for name, value in real.env.items():
        monkeypatch.setenv(name, value)
    assert machine.numbers() == [1, 2]


def test_what_another_machine_had_written_and_not_committed_when_an_erasure_began_is_never_committed(at, tmp_path):
    url = at.url()
    slow, other = Machine(tmp_path / "slow", url), Machine(tmp_path / "other", url)
    slow.add(1)
    with slow.table.writing():
        written = write_by_month(slow.table.directory, as_table([usage_record(2)]))
        with other.table.writing():
            other.table.begin_erasure()
        with pytest.raises(Overtaken):
            slow.table.commit(written)
    assert other.numbers() == [1]


def test_an_erasure_on_one_machine_leaves_nothing_at_the_store_nor_in_its_copies(at, tmp_path, now=NOON):
    url = at.url()
    here, there = Machine(tmp_path / "here", url), Machine(tmp_path / "there", url)
    with database.open_database("sqlite://") as db:
        zoe = users.add(db, "zoe@example.org", now=now).id
        for machine, first in ((here, 0), (there, 10)):
            machine.write(first, user_id=zoe)
            machine.write(first + 1)
            machine.publish()
        there.write(20, user_id=zoe)  # not published yet when the erasure begins
        there.write(21)
        (there.root / "orphan").mkdir()
        assert zoe.encode() in b"".join(at.read(url, name) for name in at.names(url))
        receipt = Retention(db, here.store, here.journal_dir, here.root / "exports").erase_user(zoe, now=now)
        assert receipt["rows"] == 2
        there.publish(lambda ids: kept_after(db, ids))
        assert here.numbers() == there.numbers() == [1, 11, 21]
        assert [name for name in at.names(url) if zoe.encode() in at.read(url, name)] == []
        assert holding(here.root, zoe) == []
        there.table.tidy(older_than_s=0)
        assert holding(there.root, zoe) == []


def test_files_that_were_merged_away_are_swept_and_others_are_not(at, tmp_path):
    url = at.url()
    one, two = Machine(tmp_path / "1", url), Machine(tmp_path / "2", url)
    one.add(1)
    two.add(2)
    merge(one.table)
    before = len([name for name in at.names(url) if name.endswith(".parquet")])
    with two.table.writing():
        assert two.table.sweep(older_than_s=900) == 0
        assert two.table.sweep(older_than_s=0) == 2
    assert before == 3
    assert len([name for name in at.names(url) if name.endswith(".parquet")]) == 1
    assert one.numbers() == two.numbers() == [1, 2]


def test_questions_are_answered_as_from_a_local_table(real, tmp_path):
    """The same rows, the same answers, also from remembered sums."""
    rows = as_table([usage_record(number, status=200 if number % 7 else 429) for number in range(5000)])
    answers = []
    for place in (tmp_path / "local", RemoteStore(real.url(), tmp_path / "copies", 1000)):
        table = Table(place)
        with table.writing():
            table.commit(write_by_month(table.directory, rows))
        reader = Reader(place, tmp_path / "journal")
        ids = pc.unique(rows["user_id"]).to_pylist()
        engine = Engine(
            reader,
            catalogue.load(),
            retention=lambda ids=ids: dict.fromkeys(ids, 100_000),
            keys=list,
            now=lambda: NOON,
            remember_from_rows=1000,
        )
        for _ in range(2):
            answers.append((questions.usage(engine, EVERYTHING, cost=True), questions.summary(engine, EVERYTHING)))
        engine.close()
    assert answers[0][0].totals["total_calls"] == 5000
    assert all(answer == answers[0] for answer in answers)


def test_copies_are_kept_within_their_bound_and_fetched_again(real, tmp_path, monkeypatch):
    machine = Machine(tmp_path, real.url())
    for number in range(4):
        machine.add(number)
    assert machine.numbers() == [0, 1, 2, 3]
    monkeypatch.setattr(remote, "IN_USE_S", -1.0)
    machine.table.place._most_bytes = 1
    machine.table.place._keep_within_bounds()
    assert list((tmp_path / "usage-copies" / "files").rglob("*.parquet")) == []
    machine.table.place._most_bytes = 1_000_000
    assert machine.numbers() == [0, 1, 2, 3]


def test_a_store_that_is_away_is_said_in_words_without_its_address(real, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(remote, "REQUEST_S", 2)
    machine = Machine(tmp_path, real.url())
    machine.write(1)
    with pytest.raises(StoreAway) as caught:
        machine.publish()
    assert "127.0.0.1" not in caught.value.message
    assert len(segments.listed(machine.journal_dir)) == 1


@pytest.mark.parametrize(
    "url", ["s3://key:secret@bucket/prefix", "s3://bucket/prefix?secret=1", "s3://", "gs://bucket/prefix", "s3://Bucket"]
)
def test_an_address_with_anything_else_in_it_is_refused(url):
    with pytest.raises(settings_room.SettingsInvalid, match="BYOK_STORE_URL"):
        settings_room.load({"BYOK_STORE_URL": url})


def test_a_local_table_needs_nothing_of_this(tmp_path):
    import subprocess
    import sys

    code = "import sys; from pathlib import Path; from byok.recording.table import Table; Table(Path(sys.argv[1])).snapshot()"
    done = subprocess.run([sys.executable, "-c", f"{code}; print(*sys.modules)", str(tmp_path)], capture_output=True, text=True, check=True)
    assert {"byok.recording.remote", "psycopg", "sqlglot", "pyspark"}.isdisjoint(done.stdout.split())


@pytest.mark.slow
def test_while_the_store_is_away_calls_go_on_and_all_are_published_afterwards(real, tmp_path):
    home = Installation(tmp_path, BYOK_STORE_URL=real.url(), BYOK_PUBLISH_EVERY_S="1", **real.env)
    body = {"model": "echo-1", "messages": [{"role": "user", "content": "one two"}]}

    def call() -> None:
        headers = {"authorization": f"Bearer {token}"}
        assert httpx.post(f"{home.gateway}/v1/chat/completions", json=body, headers=headers, timeout=30).status_code == 200

    def told(path: str) -> httpx.Response:
        return httpx.get(f"{home.web}{path}", headers={"authorization": f"Bearer {token}"}, timeout=60)

    try:
        token = home.add_user("ada@example.org")
        home.start("gateway", "web", "keeper")
        call()
        wait_until(lambda: real.names(home.env["BYOK_STORE_URL"]), 60)
        wait_until(lambda: told("/usage").json().get("total_calls") == 1, 60)
        real.stop()
        try:
            for _ in range(5):
                call()
            assert httpx.get(f"{home.gateway}/readyz").status_code == 200
            assert told("/readyz").status_code == 503
            assert told("/usage").status_code == 503
            assert told("/usage").json()["error"]["code"] == "store_away"
            assert "byok_store_reachable 0.0" in told("/metrics").text
        finally:
            real.start()
        wait_until(lambda: told("/readyz").status_code == 200, 90)
        wait_until(lambda: told("/usage").json().get("total_calls") == 6, 60)
        wait_until(lambda: not [s for s in segments.listed(home.data / "journal") if s.path.stat().st_size], 60)
        assert told("/usage").json()["total_calls"] == 6
        assert "byok_store_reachable 1.0" in told("/metrics").text
        logs = "".join((home.root / f"{name}.log").read_text() for name in ("gateway", "web", "keeper"))
        assert json.dumps(SECRET_KEY)[1:-1] not in logs
        assert ACCESS_KEY not in logs
    finally:
        home.close()


def test_a_commit_gives_up_when_others_are_always_first(real, tmp_path, monkeypatch):
    machine = Machine(tmp_path, real.url())
    machine.add(1)
    from deltalake import DeltaTable
    from deltalake.exceptions import CommitFailedError

    def refused(*_, **__):
        raise CommitFailedError

    monkeypatch.setattr(DeltaTable, "create_write_transaction", refused)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with pytest.raises(Overtaken):
        machine.add(2)
    monkeypatch.undo()
    for name, value in real.env.items():
        monkeypatch.setenv(name, value)
    assert machine.numbers() == [1]
    assert places.epoch_of("month=2026-11/part-000003-0a.parquet") == 3
    assert machine.table.place.unnamed({machine.table.place.name_of(file.path) for file in machine.table.snapshot().files}) == []
