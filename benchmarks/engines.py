"""`python -m benchmarks engines`: every question on DuckDB over local files, on DuckDB over S3 and on Spark: do they agree, and times.

Wants the packages of `make test-scale` and Java. `BYOK_BENCH_RECORDS` names the sizes (1,000,000 and 10,000,000 by default); with
`BYOK_BENCH_ONCE=1` each question is asked once only, of everyone where it can be. SeaweedFS is the S3 server, a standalone cluster with
one worker the Spark, all on this machine beside each other. The worker reads the local files: Spark's own S3 connector is not among
Python's packages. A first question opens each engine and is not counted.

Times are processor time of ours and of every process that we started (the store's and Spark's), which a busy machine does not change much.
"""

import contextlib
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.gateway.processes import cpu_s, family
from benchmarks.store_year import END, people, write_year
from byok.pricing import catalogue
from byok.recording.files import WrittenFile, month_of
from byok.recording.reader import Reader
from byok.recording.table import Table
from byok.settings import RemoteStore
from byok.store.engine import Engine
from tests.scale import agreement, s3_servers, spark_cluster
from tests.scale.asked import World, asked
from tests.scale.s3_servers import S3Server
from tests.scale.spark_cluster import SparkCluster

SIZES = "1000000,10000000"
FEW, ROUNDS = 2_000_000, 3  # times that DuckDB is asked, up to so many records


def main() -> int:
    if reason := s3_servers.missing("seaweed") or spark_cluster.missing():
        print(f"engines: {reason}")
        return 1
    differ = 0
    for size in os.environ.get("BYOK_BENCH_RECORDS", SIZES).split(","):
        with tempfile.TemporaryDirectory(prefix="byok-bench-", dir=os.environ.get("BYOK_BENCH_DIR")) as folder:
            differ += _compare(Path(folder), int(size))
    return min(differ, 1)


def _compare(root: Path, size: int) -> int:
    """How many answers differ from those of DuckDB over local files."""
    who = people()
    most = who.ranked(0)
    world = World(most, who.ranked(100), who.keys[who.ids.index(most)][:1], END - timedelta(days=365), END, END - timedelta(hours=2))
    write_year(root, size)
    took: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    differ = rows = 0
    with _engines(root, dict.fromkeys(who.ids, 366)) as engines:
        for engine in engines.values():
            agreement.answer(engine, world, "summary", "one", {})
        others = family(os.getpid())[1:]
        for question, scope, words in _asked(world):
            answers = {}
            for name, engine in engines.items():
                for number in range(1 if name == "Spark" or size > FEW else ROUNDS):
                    began = _processor_s(others)
                    answers[name] = agreement.answer(engine, world, question, scope, words)
                    if number == 0:
                        took[f"{question}, {_whose(scope)}"][f"{name}, first"].append(_processor_s(others) - began)
                took[f"{question}, {_whose(scope)}"][name].append(_processor_s(others) - began)
            mine = answers["DuckDB, local"]
            rows += mine.num_rows
            print(f"{time.process_time():,.0f} s: {question} ({scope}, {words}): {mine.num_rows:,} rows", file=sys.stderr, flush=True)
            for name, theirs in answers.items():
                if found := agreement.difference(question, mine, theirs):
                    differ += 1
                    print(f"{question} ({scope}, {words}) on {name}: {found}", flush=True)
    print(f"\n{size:,} records, {len(_asked(world))} answers of {rows:,} rows on each engine: {differ} differ\n")
    _show(took)
    return differ


def _asked(world: World) -> list[tuple[str, str, dict[str, Any]]]:
    every = list(asked(world))
    once = {question: (question, scope, words) for question, scope, words in reversed(every)}
    return list(once.values()) if os.environ.get("BYOK_BENCH_ONCE") else every


def _show(took: dict[str, dict[str, list[float]]]) -> None:
    columns = ("DuckDB, local", "DuckDB, S3", "Spark")
    print(f"| median processor ms of | {' | '.join(columns)} |\n|---{'|---' * len(columns)}|")
    for question, by_engine in sorted(took.items()):
        print(f"| {question} | {' | '.join(f'{statistics.median(by_engine[name]) * 1000:,.0f}' for name in columns)} |")
    print(
        f"\nDuckDB, S3, while its copies were fetched: {max(max(one['DuckDB, S3, first']) for one in took.values()):,.1f} s at most",
        flush=True,
    )


def _processor_s(others: list[int]) -> float:
    return time.process_time() + cpu_s(others)


def _whose(scope: str) -> str:
    return scope.split(",")[0] or "everyone"


@contextlib.contextmanager
def _engines(root: Path, days: dict[str, int]) -> Iterator[dict[str, Engine]]:
    from byok.store.spark import SparkEngine, SparkTables

    with contextlib.ExitStack() as opened:
        server = S3Server("seaweed")
        opened.callback(server.close)
        os.environ |= server.env
        remote = RemoteStore(server.url(), root / "copies", 20_000)
        _upload(Table(root / "usage"), Table(RemoteStore(remote.url, root / "writer", 20_000)))
        cluster = SparkCluster()
        opened.callback(cluster.close)
        os.environ |= cluster.env
        words: dict[str, Any] = {"retention": lambda: days, "retention_of": days.get, "keys": list, "now": lambda: END}
        local = Reader(root / "usage", root / "journal")
        spark = SparkTables(cluster.url, root / "usage")
        engines = {
            "DuckDB, local": Engine(local, catalogue.load(), **words),
            "DuckDB, S3": Engine(Reader(remote, root / "journal"), catalogue.load(), **words),
            "Spark": SparkEngine(local, catalogue.load(), spark=spark, **words),
        }
        for engine in engines.values():
            opened.callback(engine.close)
        yield engines


def _upload(local: Table, remote: Table) -> None:
    """The same files, as another writer would have written them."""
    for file in local.snapshot().files:
        with remote.writing():
            name = Path(file.path).relative_to(local.directory)
            copy = remote.directory / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.path, copy)
            remote.commit([WrittenFile(str(name), month_of(file.first_ts), file.rows, file.bytes, file.first_ts, file.last_ts)])
