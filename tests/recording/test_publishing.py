"""From journal to Parquet: every record in exactly one place at every moment, also when the publisher is killed."""

import random
import time
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from byok.recording import publisher, segments
from byok.recording.files import SCHEMA
from byok.recording.journal import Journal
from byok.recording.publisher import merge, publish
from byok.recording.reader import Reader, View
from byok.recording.table import Table
from tests.recording.forked import Forks
from tests.samples import usage_record


def nobody(_ids):
    return {}


def rows(view: View) -> list[int]:
    """The numbers of all records in a view, as often as they occur."""
    parts = [pq.read_table(file.path, columns=["prompt_tokens"], partitioning=None) for file in view.files]
    table = pa.concat_tables([view.tail.select(["prompt_tokens"]), *parts])
    return sorted(table["prompt_tokens"].to_pylist())


@pytest.fixture
def place(tmp_path):
    return Table(tmp_path / "usage"), tmp_path / "journal", Reader(tmp_path / "usage", tmp_path / "journal")


def write(directory: Path, numbers, **fields):
    log = Journal(directory)
    for number in numbers:
        log.append(usage_record(number, **fields))
    log.close()


def test_nothing_there_is_an_empty_view(place):
    _, _, reader = place
    view = reader.view()
    assert (view.files, view.tail.num_rows, view.newest_ts, view.bad_lines) == ((), 0, None, 0)


def test_records_are_readable_before_and_after_publication(place):
    table, directory, reader = place
    write(directory, range(20))
    before = reader.view()
    assert (rows(before), len(before.files)) == ([100 + n for n in range(20)], 0)
    done = publish(table, directory, nobody)
    after = reader.view()
    assert (done.segments, done.rows) == (1, 20)
    assert (rows(after), after.tail.num_rows, segments.listed(directory)) == (rows(before), 0, [])
    assert before.stamp != after.stamp and after.stamp == reader.view().stamp


def test_a_view_costs_nothing_new_when_nothing_changed(place):
    _, directory, reader = place
    write(directory, range(3))
    assert reader.view() is reader.view()


def test_parquet_holds_the_columns_of_the_contract_sorted_by_user_and_time(place):
    table, directory, _ = place
    write(directory, [5, 3, 4], user_id="usr_zoe1")
    write(directory, [2, 1], user_id="usr_ada1")
    publish(table, directory, nobody)
    (file,) = table.snapshot().files
    stored = pq.ParquetFile(file.path)
    assert stored.schema_arrow.equals(SCHEMA)
    assert [(r["user_id"], r["prompt_tokens"]) for r in stored.read().to_pylist()] == [
        ("usr_ada1", 101),
        ("usr_ada1", 102),
        ("usr_zoe1", 103),
        ("usr_zoe1", 104),
        ("usr_zoe1", 105),
    ]
    assert stored.metadata.row_group(0).column(0).compression == "ZSTD"


def test_the_log_of_the_table_names_no_user(place):
    table, directory, _ = place
    write(directory, range(5))
    publish(table, directory, nobody)
    log = b"".join(path.read_bytes() for path in (table.directory / "_delta_log").iterdir())
    assert b"numRecords" in log and b"usr_" not in log


def test_months_lie_apart(place):
    table, directory, reader = place
    log = Journal(directory)
    for month in (9, 10, 11):
        log.append(usage_record(month, ts=usage_record().ts.replace(month=month)))
    log.close()
    publish(table, directory, nobody)
    assert [Path(file.path).parent.name for file in sorted(table.snapshot().files)] == ["month=2026-09", "month=2026-10", "month=2026-11"]
    assert rows(reader.view()) == [109, 110, 111]


def test_an_open_segment_stays_and_blocks_only_its_own_writer(place):
    table, directory, reader = place
    writing = Journal(directory)
    writing.append(usage_record(1))
    write(directory, [2])
    assert publish(table, directory, nobody).rows == 1
    view = reader.view()
    assert (rows(view), view.tail.num_rows) == ([101, 102], 1)
    writing.close()


def test_publishing_again_after_a_kill_before_the_clean_up_doubles_nothing(place, monkeypatch):
    table, directory, reader = place
    write(directory, range(10))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_, **__: None)  # killed between commit and deletion
        with table.writing():
            publisher._publish_some(table, directory, nobody, 1000)
    assert len(segments.listed(directory)) == 1
    assert rows(reader.view()) == [100 + n for n in range(10)]
    assert publish(table, directory, nobody).rows == 0
    assert (segments.listed(directory), rows(reader.view())) == ([], [100 + n for n in range(10)])


def test_a_backlog_is_published_in_bounded_commits(place):
    table, directory, reader = place
    for start in range(0, 50, 10):
        write(directory, range(start, start + 10))
    publish(table, directory, nobody, rows_per_commit=20)
    assert table.snapshot().version >= 3
    assert rows(reader.view()) == [100 + n for n in range(50)]


def test_rows_of_erased_users_are_dropped(place):
    table, directory, reader = place
    write(directory, range(3), user_id="usr_gone1")
    write(directory, [7])
    done = publish(table, directory, lambda ids: {user: datetime.max.replace(tzinfo=UTC) for user in ids if user == "usr_gone1"})
    assert (done.rows, done.dropped, rows(reader.view())) == (1, 3, [107])


def test_bad_lines_are_set_aside_and_counted(place):
    table, directory, reader = place
    write(directory, range(3))
    (segment,) = segments.listed(directory)
    damaged = segment.path.read_bytes().replace(b'"prompt_tokens":101', b'"prompt_tokens":191')
    segment.path.write_bytes(damaged)
    assert reader.view().bad_lines == 1
    assert publish(table, directory, nobody).bad_lines == 1
    assert rows(reader.view()) == [100, 102]
    (kept,) = (directory / "quarantine").iterdir()
    assert b'"prompt_tokens":191' in kept.read_bytes()


def test_whole_lines_that_are_no_records_of_today_stop_no_other(place):
    table, directory, reader = place
    log = Journal(directory)
    for number, odd in enumerate(({}, {"status": "of a newer version"}, {}, {"user_id": None}, {})):
        log.append(usage_record(number, **odd))
    log.close()
    assert (rows(reader.view()), reader.view().bad_lines) == ([100, 102, 104], 2)
    assert publish(table, directory, nobody).bad_lines == 2
    assert (rows(reader.view()), reader.view().bad_lines) == ([100, 102, 104], 0)
    (kept,) = (directory / "quarantine").iterdir()
    assert b"of a newer version" in kept.read_bytes()


def test_merging_leaves_one_sorted_file_and_the_same_rows(place):
    table, directory, reader = place
    for number in range(8):
        write(directory, [number])
        publish(table, directory, nobody)
    assert merge(table, files_per_month=4) == 8
    view = reader.view()
    assert (len(view.files), rows(view)) == (1, [100 + n for n in range(8)])


PUBLISHER = """
import sys
from pathlib import Path
from byok.recording.publisher import merge, publish
from byok.recording.table import Table
root = Path(sys.argv[1])
print("ready", flush=True)
while True:
    publish(Table(root / "usage"), root / "journal", lambda ids: set(), rows_per_commit=300)
    merge(Table(root / "usage"), files_per_month=3)
"""

WRITER = """
import sys, time
from pathlib import Path
from byok.recording.journal import Journal
from tests.samples import usage_record
log = Journal(Path(sys.argv[1]) / "journal", seal_every_s=0.2)
number = int(sys.argv[2])
print("ready", flush=True)
while True:
    for _ in range(10):
        assert log.append(usage_record(number)); print(number, flush=True); number += 1
    time.sleep(0.01)
"""


@pytest.mark.slow
def test_readers_see_every_record_once_while_publishers_and_writers_are_killed(place, tmp_path):
    """20 kills of each; a reader checks exactness all the time, and what was acknowledged before its look must be in it."""
    _, _, reader = place
    rng = random.Random(20261122)
    acknowledged: set[int] = set()
    looks = 0
    with Forks() as forks:
        for kill in range(1, 21):
            publishing, writing = forks.start(PUBLISHER, str(tmp_path)), forks.start(WRITER, str(tmp_path), str(kill * 1_000_000))
            end = time.monotonic() + rng.uniform(0.2, 0.6)
            # On a busy machine a look takes long: then the round does, too, so that the test proves as much there.
            while time.monotonic() < end or looks < 6 * kill or reader.view().version < kill // 3:
                found = rows(reader.view())
                looks += 1
                assert len(found) == len(set(found)), "a record was seen twice"
                assert acknowledged <= {n - 100 for n in found}, "an acknowledged record was missing"
            acknowledged |= {int(line) for line in writing.kill().split("\n")[:-1] if line.isdecimal()}
            publishing.kill()
    found = rows(reader.view())
    assert acknowledged <= {n - 100 for n in found} and len(found) == len(set(found))
    assert len(found) - len(acknowledged) <= 20, "at most the record that was under way at each kill"
    assert looks > 100 and len(acknowledged) > 1000, "too little happened for this test to prove anything"
    assert reader.view().version > 5
