"""The SQL console: how long the first answer takes, when nothing of a user's records has been copied into a locked process yet.

One user owns a whole year's records; 1,000,000 and 10,000,000 of them, of which the newest two million are copied. The process itself is
started already, as it is when a page is opened. `BYOK_BENCH_DIR` keeps the years for the next run.
"""

import statistics
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.store import years
from benchmarks.store_year import END, year_of
from byok.pricing import catalogue
from byok.recording.files import SCHEMA, write_month
from byok.recording.reader import Reader
from byok.recording.table import Table
from byok.store.console_pool import ConsolePool
from byok.store.engine import Engine
from byok.store.own_rows import OwnRows

SIZES, ROUNDS, START_S = (1_000_000, 10_000_000), 5, 2.5
USER = SimpleNamespace(id="usr_one1", tz="UTC", retention_days=366)
OTHER = SimpleNamespace(id="usr_other1", tz="UTC", retention_days=1)
QUERIES = {
    "cost by model": "select model, count(*) as calls, sum(total_tokens) as tokens, sum(cost_usd) as usd from usage_priced group by model",
    "select * from usage": "select * from usage order by ts desc limit 100",
    "select * from usage_priced": "select * from usage_priced order by ts desc limit 100",
}


def main() -> int:
    print(f"Seconds to the first answer (median of {ROUNDS}, longest), and to the next one")
    with years() as kept:
        for size in SIZES:
            root = _of_one_user(kept, size)
            for name, query in QUERIES.items():
                took = [_first_and_next(root, query) for _ in range(ROUNDS)]
                first, following = ([pair[at] for pair in took] for at in (0, 1))
                print(
                    f"  {size:>12,} {name:28}{statistics.median(first):>8.2f}{max(first):>8.2f}{statistics.median(following):>8.2f}",
                    flush=True,
                )
    return 0


def _first_and_next(root: Path, query: str) -> tuple[float, float]:
    limits = {USER.id: USER.retention_days}
    engine = Engine(
        Reader(root / "usage", root / "journal"), catalogue.load(), retention=lambda: limits, retention_of=limits.get, keys=list,
        now=lambda: END + timedelta(hours=6),
    )  # fmt: skip
    pool = ConsolePool(is_here=lambda _: True)
    rows = OwnRows(engine, USER, keys=list, now=END)
    try:
        engine.view()
        pool.ask(
            "usr_other1", "select 1", OwnRows(engine, SimpleNamespace(id="usr_other1", tz="UTC", retention_days=1), keys=list, now=END)
        )
        time.sleep(START_S)  # until the next process is ready, as it is when somebody has opened the page
        took = [_seconds(pool, query, rows)]
        pool.prepare(USER.id, rows, anew=True)
        time.sleep(START_S * 2)
        return took[0], _seconds(pool, query, rows)
    finally:
        pool.close()
        engine.close()


def _seconds(pool: ConsolePool, query: str, rows: OwnRows) -> float:
    begun = time.perf_counter()
    pool.ask(USER.id, query, rows)
    return time.perf_counter() - begun


def _of_one_user(kept: Path, size: int) -> Path:
    """A year of `year_of` in which everything was called by one user."""
    root = kept / f"one-user-{size}"
    if (root / "journal").exists():
        return root
    months: dict[str, list[str]] = {}
    for file in year_of(kept / str(size), size).snapshot().files:
        months.setdefault(Path(file.path).parent.name.split("=")[1], []).append(file.path)
    table = Table(root / "usage")
    with table.writing():
        for month, paths in sorted(months.items()):
            rows = pa.concat_tables([pq.read_table(path, partitioning=None).cast(SCHEMA) for path in paths]).sort_by("ts")
            for at, name, value in ((1, "user_id", USER.id), (2, "key_id", "key_one1")):
                rows = rows.set_column(at, name, pa.repeat(value, rows.num_rows))
            written = write_month(table.directory, month, rows.cast(SCHEMA).to_batches())
            table.commit([written] if written else [])
    (root / "journal").mkdir()
    return root
