"""The store: bytes a record, import, how long questions take as the records grow, and PostgreSQL beside it.

`BYOK_BENCH_RECORDS` names the sizes, e.g. "10000000,100000000". `BYOK_BENCH_DIR` is a directory in which the years stay for the next run
(1.6 GB at a hundred million; PostgreSQL at ten million takes 10 GB while it runs).
"""

import contextlib
import gc
import math
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import store_postgres
from benchmarks.store_year import END, MODELS, People, people, sample, year_of
from byok.pricing import catalogue
from byok.recording.importer import Rounds, import_file
from byok.recording.reader import Reader
from byok.recording.table import Table
from byok.store import questions
from byok.store.engine import Engine
from byok.store.scope import AnyScope, EveryonesScope, Scope

SIZES = "1000000,10000000"
IMPORTED, ROUNDS, COMPARED_MOST = 1_000_000, 7, 20_000_000
MONTH, YEAR = timedelta(days=30), timedelta(days=365)
PLACES = {"heaviest user": 0, "100th user": 100, "5,000th user": 5000}


class Took(NamedTuple):
    """Milliseconds: the first answer of a process that has just begun (everyone's is not asked: it would wait for what is remembered), and
    the first to somebody of one that has run for a while; the median of later ones, and their processor time."""

    cold: float
    new: float
    warm: float
    cpu: float


def main() -> int:
    sizes = [int(size) for size in os.environ.get("BYOK_BENCH_RECORDS", SIZES).split(",")]
    who = people()
    print("Milliseconds: cold is the first answer of a process that has just begun (files in the system's cache), new the first to a")
    print("user of one that has run for a while, warm the median of", ROUNDS - 1)
    with years() as folder:
        _print_import(folder)
        measured = {}
        for size in sizes:
            table = year_of(folder / str(size), size)
            files = table.snapshot().files
            print(
                f"\n{size:,} records of 10,000 users, a year: {sum(f.bytes for f in files) / sum(f.rows for f in files):.2f} bytes a record"
            )
            measured[size] = _questions(folder / str(size), who)
            print(f"highest memory of this process so far: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")
        _print_growth(measured)
        _print_postgres(folder, [size for size in sizes if size <= COMPARED_MOST], measured, who)
    return 0


@contextlib.contextmanager
def years() -> Iterator[Path]:
    """Where the years are: a directory that stays, if one is named."""
    if kept := os.environ.get("BYOK_BENCH_DIR"):
        Path(kept).mkdir(parents=True, exist_ok=True)
        yield Path(kept)
        return
    with tempfile.TemporaryDirectory(prefix="byok-bench-") as folder:
        yield Path(folder)


def _engine(root: Path, who: People) -> Engine:
    limits = dict.fromkeys(who.ids, 365)
    clock = END + timedelta(hours=6)  # the year's first hours are past retention already: hidden, not purged yet
    return Engine(
        Reader(root / "usage", root / "journal"), catalogue.load(), retention=lambda: limits, retention_of=limits.get, keys=list,
        now=lambda: clock,
    )  # fmt: skip


def _asked(who: People) -> dict[str, Callable[[Engine], object]]:
    found: dict[str, Callable[[Engine], object]] = {}
    for span, length in (("30 days", MONTH), ("a year", YEAR)):
        for name, place in PLACES.items():
            found |= _of_scope(f"{name}, {span}", Scope(who.ranked(place), END - length, END, "Europe/Berlin"))
        found |= _of_scope(f"everyone, {span}", EveryonesScope(END - length, END, "Europe/Berlin"))
    everyone = EveryonesScope(END - MONTH, END)
    found["everyone, 30 days: by user"] = lambda engine: questions.usage(engine, everyone, group_by=("user_id",))
    five_weeks = EveryonesScope(END - timedelta(weeks=5), END)
    found["every series hour by hour, five weeks"] = lambda engine: sum(batch.num_rows for batch in questions.hourly(engine, five_weeks))
    return found


def _of_scope(name: str, scope: AnyScope) -> dict[str, Callable[[Engine], object]]:
    return {
        f"{name}: usage": lambda engine: questions.usage(engine, scope),
        f"{name}: usage with cost": lambda engine: questions.usage(engine, scope, cost=True),
        f"{name}: series by day and model": lambda engine: questions.series(engine, scope, grain="day", by="model"),
        f"{name}: summary": lambda engine: questions.summary(engine, scope),
    }


def _questions(root: Path, who: People) -> dict[str, Took]:
    took = {}
    engine, began = _engine(root, who), time.process_time()
    aside = engine.remember_aside()
    aside.settle()
    print(f"  warming up: {time.process_time() - began:.1f} s of processor time; then cold, new, warm, and the processor time of warm")
    for name, ask in _asked(who).items():
        cold = math.nan if name.startswith("every") else _cold(root, who, ask)
        engine._held.forget_all_but(engine.view()._replace(files=()))  # nobody is known any more
        runs = []
        for _ in range(ROUNDS):
            runs.append(_ms(lambda ask=ask: ask(engine)))  # type: ignore[misc]
            aside.settle()
        warm, cpu = (statistics.median(part) for part in zip(*runs[1:], strict=True))
        took[name] = Took(cold, runs[0][0], warm, cpu)
        print(f"  {name:55}" + "".join(f"{figure:>10,.1f}" for figure in took[name]), flush=True)
        gc.collect()
    engine.close()
    return took


def _cold(root: Path, who: People, ask: Callable[[Engine], object]) -> float:
    engine = _engine(root, who)
    engine.remember_aside()
    engine.view()
    took = _ms(lambda: ask(engine))[0]
    engine.close()
    return took


def _ms(ask: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    ask()
    return (time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000


def _print_import(kept: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="import-", dir=kept) as folder:
        _import_into(Path(folder))


def _import_into(folder: Path) -> None:
    rows = sample(IMPORTED)
    pq.write_table(rows.take(pa.array(np.random.default_rng(1).permutation(rows.num_rows))), folder / "records.parquet")
    wall, cpu = time.perf_counter(), time.process_time()
    done = import_file(
        folder / "records.parquet", Table(folder / "imported"), Rounds(lambda _: [], lambda *_: None), known_users=set, still_known=set,
        vendors={vendor for vendor, _ in MODELS}, safe_model=str,
    )  # fmt: skip
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"import, Parquet in no order: {done.booked / wall:,.0f} records/s, {done.booked / cpu:,.0f} per second of processor time")


def _print_growth(measured: dict[int, dict[str, Took]]) -> None:
    small, large = min(measured), max(measured)
    if small == large:
        return
    print(f"\nProcessor time, {large:,} over {small:,} records:")
    for name, took in measured[large].items():
        print(f"  {name:55}{took.cpu / measured[small][name].cpu:>10,.1f} x")


def _print_postgres(folder: Path, sizes: list[int], measured: dict[int, dict[str, Took]], who: People) -> None:
    if not sizes or not store_postgres.installed():
        print("\nPostgreSQL 15 is not compared: " + ("it is not installed" if sizes else "no size is small enough"))
        return
    size = max(sizes)
    files = Table(folder / str(size) / "usage").snapshot().files
    print(f"\nPostgreSQL 15, {size:,} records, median ms beside ours")
    with store_postgres.loaded([file.path for file in files]) as server:
        ours, theirs = sum(file.bytes for file in files), server.bytes()
        print(f"  {theirs / size:,.0f} bytes a record with its indexes, {theirs / ours:,.0f} x ours")
        print("  with LiteLLM's own indexes:")
        _print_beside(server, measured[size], who, everyone=True)
        server.favour()
        print("  and with one by user and time, which it does not have:")
        _print_beside(server, measured[size], who, everyone=False)


def _print_beside(server: store_postgres.Postgres, measured: dict[str, Took], who: People, *, everyone: bool) -> None:
    for span, length in (("30 days", MONTH), ("a year", YEAR)):
        during = f"\"startTime\" >= '{END - length:%Y-%m-%d}' and \"startTime\" < '{END:%Y-%m-%d}'"
        asked = {name: f"\"user\" = '{who.ranked(place)}' and {during}" for name, place in PLACES.items()}
        for name, where in (asked | ({"everyone": during} if everyone else {})).items():
            for question, mine in (("usage", "usage"), ("series", "series by day and model")):
                found = statistics.median(server.ms(question, where)[1:])
                own = measured[f"{name}, {span}: {mine}"].warm
                print(
                    f"    {name + ', ' + span + ': ' + mine:53}{found:>10,.1f}{own:>10,.1f}   theirs / ours {found / own:,.1f}", flush=True
                )
