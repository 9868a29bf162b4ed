"""The table under hands that ought not to be there: stale readers, processes that lost their lock, files of an older version."""

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from byok.recording.files import PARTITION, SCHEMA
from byok.recording.journal import Journal
from byok.recording.publisher import merge, publish, write_by_month
from byok.recording.reader import Reader
from byok.recording.rewriting import without
from byok.recording.table import Overtaken, Table, TableLost
from tests.samples import usage_record


def rows_of(*numbers: int, **fields: object) -> pa.Table:
    records = [usage_record(number, **fields) for number in numbers]
    return pa.Table.from_pylist([{name: getattr(record, name) for name in SCHEMA.names} for record in records], SCHEMA)


def book(table: Table, *numbers: int, done: dict[str, int] | None = None) -> None:
    with table.writing():
        table.commit(write_by_month(table.directory, rows_of(*numbers)), done=done)


def count(table: Table) -> int:
    return sum(file.rows for file in table.snapshot().files)


@pytest.fixture
def table(tmp_path):
    return Table(tmp_path / "usage")


def test_a_log_that_cannot_be_read_is_named(table, monkeypatch):
    book(table, 1)
    entry = table.directory / "_delta_log" / "00000000000000000001.json"
    entry.unlink()
    entry.mkdir()  # what root cannot read either

    def refuse(*_: object, **__: object) -> None:
        raise OSError("Generic LocalFileSystem error: Unable to open file")

    monkeypatch.setattr("byok.recording.table.DeltaTable", refuse)
    refuse.is_deltatable = refuse  # type: ignore[attr-defined]
    with pytest.raises(IsADirectoryError) as fault:
        Table(table.directory).snapshot()
    assert fault.value.filename == str(entry)


def test_a_publisher_that_lost_its_lock_cannot_publish_a_second_time(table):
    """Stopped between reading the journal and committing; its lock was deleted, another keeper did the work; then it wakes up."""
    with table.writing():
        mine = write_by_month(table.directory, rows_of(1, 2))
        (table.directory / "_writer.lock").unlink()
        book(Table(table.directory), 1, 2, done={"w1": 7})
        with pytest.raises(Overtaken):
            table.commit(mine, done={"w1": 7})
    assert count(Table(table.directory)) == 2
    book(table, 3, done={"w1": 8})
    assert count(table) == 3


def test_a_merge_that_was_overtaken_changes_nothing(table):
    for number in range(3):
        book(table, number)
    stale = table.snapshot().files
    with table.writing():
        mine = write_by_month(table.directory, rows_of(0, 1, 2))
        (table.directory / "_writer.lock").unlink()
        merge(Table(table.directory))
        with pytest.raises(Overtaken):
            table.commit(mine, remove=stale, rewrite=True)
    assert (count(table), len(table.snapshot().files)) == (3, 1)


def test_files_that_were_swept_away_meanwhile_are_not_committed(table):
    book(table, 1)
    with table.writing():
        mine = write_by_month(table.directory, rows_of(2))
        for path in table.unreferenced():
            path.unlink()
        with pytest.raises(Overtaken):
            table.commit(mine)
    assert count(table) == 1


def test_a_reader_that_slept_while_the_log_was_cleaned_up_sees_the_newest_version(table):
    book(table, 0)
    idle = Table(table.directory)
    assert count(idle) == 1
    log = table.directory / "_delta_log"
    for number in range(1, 45):
        book(table, number)
        long_ago = time.time() - 3 * 86_400
        for path in log.iterdir():
            os.utime(path, (long_ago, long_ago))
    assert not (log / f"{1:020}.json").exists(), "nothing was cleaned up, so this test would prove nothing"
    assert len(list(log.glob("*.json"))) < 30
    assert idle.changed_since(0) and count(idle) == 45


OPTIONAL = ("cache_write_tokens", "reasoning_tokens", "ttft_ms")


def test_a_table_of_an_older_version_is_read_merged_purged_and_written_to(tmp_path, table):
    """Its schema and its files lack columns that came later."""
    old = rows_of(1, 2, user_id="usr_old1").drop_columns(list(OPTIONAL))
    old = old.append_column(PARTITION, pa.array([f"{row:%Y-%m}" for row in old["ts"].to_pylist()]))
    for _ in range(2):
        write_deltalake(str(table.directory), old, partition_by=[PARTITION], mode="append")
    journal = Journal(tmp_path / "journal")
    journal.append(usage_record(3))
    journal.close()
    assert publish(table, tmp_path / "journal", lambda _: {}).rows == 1
    assert merge(table) == 3
    (file,) = Reader(table.directory, tmp_path / "journal").view().files
    stored = pq.ParquetFile(file.path)
    assert stored.schema_arrow.names == SCHEMA.names
    rows = stored.read().to_pylist()
    assert [(row["user_id"], row["prompt_tokens"], row["ttft_ms"]) for row in rows] == [
        ("usr_ada1", 103, 200),
        *[("usr_old1", number, None) for number in (101, 101, 102, 102)],
    ]


def test_one_old_file_alone_can_be_filtered(table):
    old = rows_of(1, user_id="usr_old1").drop_columns(list(OPTIONAL)).append_column(PARTITION, pa.array(["2026-11"]))
    write_deltalake(str(table.directory), old, partition_by=[PARTITION])
    (file,) = table.snapshot().files
    written = without(table.directory, "2026-11", file, {"usr_other1": datetime.max.replace(tzinfo=UTC)})
    assert written is not None
    assert pq.ParquetFile(table.directory / written.path).read().to_pylist()[0]["ttft_ms"] is None


def test_what_was_filtered_is_nowhere_in_the_new_file(table):
    """Texts are moved as codes; the book of codes must not keep the one that went."""
    with table.writing():
        both = pa.concat_tables([rows_of(*range(50), user_id="usr_gone1", key_id="key_gone1"), rows_of(*range(50), user_id="usr_stays1")])
        table.commit(write_by_month(table.directory, both))
    (file,) = table.snapshot().files
    assert b"usr_gone1" in Path(file.path).read_bytes()
    written = without(table.directory, "2026-11", file, {"usr_gone1": datetime.max.replace(tzinfo=UTC)})
    assert written is not None and written.rows == 50
    raw = (table.directory / written.path).read_bytes()
    assert b"usr_gone1" not in raw and b"key_gone1" not in raw and b"usr_stays1" in raw
    assert pq.ParquetFile(table.directory / written.path).schema_arrow.equals(SCHEMA)


def test_files_whose_table_was_lost_are_not_swept_away_by_a_new_one(table):
    book(table, 1, 2)
    log, safe = table.directory / "_delta_log", table.directory.parent / "kept"
    log.rename(safe)
    new = Table(table.directory)
    with pytest.raises(TableLost):
        book(new, 3)
    assert len(list(table.directory.glob("month=*/*.parquet"))) == 1
    safe.rename(log)
    book(new, 3)
    assert count(new) == 3
