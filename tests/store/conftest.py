"""A small store one can see whole: Parquet files and a journal tail, behind a reader whose view a test can change."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from byok.pricing import catalogue
from byok.recording.files import SCHEMA
from byok.recording.reader import TableFile, View
from byok.store.engine import Engine

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ADA, BOB = "usr_ada1", "usr_bob1"


def _record(ts: datetime | str, user_id: str = ADA, **fields: Any) -> dict[str, Any]:
    """One record: an answered call of gpt-4o-mini with 10 + 5 tokens, unless told otherwise."""
    if isinstance(ts, str):
        ts = datetime.fromisoformat(ts)
    row: dict[str, Any] = dict.fromkeys(SCHEMA.names)
    row |= {"ts": ts, "user_id": user_id, "key_id": "key_one1", "vendor": "openai", "model": "gpt-4o-mini", "endpoint": "chat"}
    row |= {"prompt_tokens": 10, "completion_tokens": 5, "status": 200, "usage_source": "vendor", "latency_ms": 900, "ttft_ms": 100}
    row |= fields
    if "total_tokens" not in fields and None not in (row["prompt_tokens"], row["completion_tokens"]):
        row["total_tokens"] = row["prompt_tokens"] + row["completion_tokens"]
    return row


class FakeReader:
    """What the recording room's reader gives, from files that a test writes itself."""

    shared = False

    def __init__(self, folder: Path) -> None:
        self.folder, self.files, self.tail, self.version = folder, [], SCHEMA.empty_table(), 0
        self.before_view: Callable[[], None] = lambda: None

    def publish(self, rows: list[dict[str, Any]], *, without: tuple[str, ...] = (), month: str = "2026-11") -> Path:
        table = pa.Table.from_pylist(rows, SCHEMA).sort_by([("user_id", "ascending"), ("ts", "ascending")])
        folder = self.folder / f"month={month}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"part-{self.version}.parquet"
        pq.write_table(table.drop_columns(list(without)), path, compression="zstd")
        span = pc.min_max(table["ts"]).as_py()
        self.files.append(TableFile(str(path), table.num_rows, span["min"], span["max"], path.stat().st_size))
        self.version += 1
        return path

    def fetch(self, paths: object) -> None:
        """They are here."""

    def append(self, rows: list[dict[str, Any]]) -> None:
        self.tail = pa.concat_tables([self.tail, pa.Table.from_pylist(rows, SCHEMA)])
        self.version += 1

    def drop(self, path: Path) -> None:
        self.files = [file for file in self.files if file.path != str(path)]
        self.version += 1

    def view(self) -> View:
        self.before_view()
        newest = [file.last_ts for file in self.files] + ([pc.max(self.tail["ts"]).as_py()] if self.tail.num_rows else [])
        return View(self.version, tuple(self.files), self.tail, self.version, max(newest, default=None), 0)


class World:
    """A reader, an engine over it, the plans, and the clock."""

    def __init__(self, folder: Path) -> None:
        self.reader, self.now = FakeReader(folder), NOW
        self.retention, self.keys = {ADA: 365, BOB: 30}, []
        self.catalogue = catalogue.load()
        self.engine = Engine(self.reader, self.catalogue, retention=lambda: self.retention, keys=lambda: self.keys, now=lambda: self.now)


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path / "it's [usage] 100%")  # a folder's name must not be taken for SQL or a pattern
    yield made
    made.engine.close()


@pytest.fixture(scope="session")
def record():
    """Makes one record."""
    return _record
