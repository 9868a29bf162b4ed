"""Few files, little rewriting: hot files are merged by size, a month that is over once more as a whole."""

import os
import random
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from byok.recording import publisher
from byok.recording.files import SCHEMA, TableFile
from byok.recording.publisher import _due, merge, merge_hot, write_by_month
from byok.recording.table import Table
from tests.samples import NOON, usage_record

LATER = NOON + timedelta(days=40)


def book(table: Table, rows: int, **fields: object) -> None:
    records = [usage_record(number, **fields) for number in range(rows)]
    listed = pa.Table.from_pylist([{name: getattr(record, name) for name in SCHEMA.names} for record in records], SCHEMA)
    with table.writing():
        table.commit(write_by_month(table.directory, listed))


def age(table: Table, moment: datetime) -> None:
    for file in table.snapshot().files:
        os.utime(file.path, (moment.timestamp(), moment.timestamp()))


@pytest.fixture
def table(tmp_path):
    return Table(tmp_path / "usage")


def test_hot_files_stay_few_and_a_row_is_rewritten_seldom():
    """A month of 20 million calls, one file of a few hundred rows every few seconds; only the bookkeeping runs."""
    rng = random.Random(20261122)
    files: list[TableFile] = []
    total = rewritten = most = 0
    for step in range(40_000):
        rows = rng.randint(100, 900)
        total += rows
        files.append(TableFile(f"{step}", rows, NOON, NOON, rows * 16))
        if step % 12 == 0:
            most = max(most, len(files))
            while due := _due("2026-11", files, NOON):
                together = sum(file.rows for file in due)
                rewritten += together
                files = [file for file in files if file not in due] + [TableFile(f"{step} merged", together, NOON, NOON, together * 16)]
    assert sum(file.rows for file in files) == total
    assert most <= 4 * (publisher.FILES_PER_TIER + 1) + 12, "a few dozen"
    assert rewritten / total < 7, "each row a few times in all"


def test_a_month_that_is_over_and_at_rest_becomes_one_file(table):
    for _ in range(3):
        book(table, 5)
    assert merge_hot(table, now=NOON + timedelta(hours=1)) == 0, "the month goes on"
    age(table, LATER - timedelta(minutes=1))
    assert merge_hot(table, now=LATER) == 0, "something was just added: an import may be under way"
    age(table, LATER - timedelta(hours=1))
    assert merge_hot(table, now=LATER) == 3
    (file,) = table.snapshot().files
    assert file.rows == 15
    assert merge_hot(table, now=LATER) == 0


def test_a_damaged_file_does_not_keep_the_others_from_being_merged(table):
    for _ in range(4):
        book(table, 5)
    broken = Path(table.snapshot().files[1].path)
    broken.write_bytes(broken.read_bytes()[:100])
    assert merge(table) == 3
    assert sorted(file.rows for file in table.snapshot().files) == [5, 15]
    assert merge(table) == 0, "and it is left alone from then on"


def test_a_merge_that_fails_leaves_no_file(table, monkeypatch):
    for _ in range(2):
        book(table, 5)
    before = sorted(table.directory.rglob("*.parquet"))

    def full(_path):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("byok.recording.files.disk.sync", full)
        with pytest.raises(OSError, match="No space"):
            merge(table)
    assert sorted(table.directory.rglob("*.parquet")) == before
    assert merge(table) == 2
