"""`python -m benchmarks scale`: what a day of so many calls takes past one machine, from unit costs that are measured here, now.

Measured: processor time to publish and to merge a record, and bytes a record. Taken from docs/decisions.md: processor time of the gateway
a call. Simulated second by second over a day whose peak is three times its mean: gateways, commits of all keepers on one table and how
often they meet, requests to the store. Prices are a list price of 2026; change them at the top.
"""

import math
import random
import resource
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from byok.recording.files import SCHEMA
from byok.recording.journal import Journal
from byok.recording.publisher import merge, publish, write_by_month
from byok.recording.table import Table
from byok.usage import UsageRecord

CALLS_A_DAY = (1_000_000, 10_000_000, 100_000_000, 1_000_000_000)
GATEWAY_CPU_MS = 0.19  # of a JSON call at 64 connections (docs/decisions.md)
LOAD = 0.5  # of a gateway's core at the peak
PEAK = 3.0
WORKERS = 2  # gateway processes a machine
PUBLISH_EVERY_S, COMMIT_S = 5.0, 0.1  # a look, an upload and a conditional put on a store 10 ms away
REWRITES = 3  # how often a record is merged: tiers of like size, then its month
USD_A_PUT, USD_A_GET, USD_A_GB_MONTH = 5e-6, 4e-7, 0.023
QUESTIONS_A_S = 2.0
_DAY_S = 86_400


@dataclass(frozen=True)
class Costs:
    """Processor time in µs and bytes, of one record."""

    publish_us: float
    merge_us: float
    record_bytes: float


@dataclass(frozen=True)
class Plan:
    calls: int
    machines: int
    peak_a_s: float
    commits_a_s: float
    retries: float
    puts: int
    gets: int
    leader_h: float
    keeper_cores: float
    gb_a_day: float


def measure(records: int = 200_000) -> Costs:
    """Publish a journal and merge eight files on this machine's disk; single numbers, by processor time."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        journal = Journal(root / "journal", seal_every_s=3600)
        for number in range(records):
            journal.append(_record(number))
        journal.close()
        table = Table(root / "usage")
        began = _cpu_s()
        publish(table, root / "journal", lambda _: {})
        publish_us = (_cpu_s() - began) / records * 1e6
        for part in range(7):
            rows = [_record(part * records // 8 + number) for number in range(records // 8)]
            listed = pa.Table.from_pylist([{name: getattr(row, name) for name in SCHEMA.names} for row in rows], SCHEMA)
            with table.writing():
                table.commit(write_by_month(table.directory, listed))
        total = sum(file.rows for file in table.snapshot().files)
        began = _cpu_s()
        merge(table)
        merge_us = (_cpu_s() - began) / total * 1e6
        (file,) = table.snapshot().files
        return Costs(publish_us, merge_us, file.bytes / file.rows)


def plan(calls: int, costs: Costs, *, seed: int = 1) -> Plan:
    """What a day of `calls` takes."""
    peak = calls / _DAY_S * PEAK
    cores = peak * GATEWAY_CPU_MS / 1000 / LOAD
    machines = max(1, math.ceil(cores / WORKERS))
    commits, retries = _commits(machines, seed)
    publications = machines * int(_DAY_S / PUBLISH_EVERY_S)
    questions = int(QUESTIONS_A_S * _DAY_S)
    puts = int(publications * 2 * (1 + retries))  # a file and an entry of the log
    gets = publications * (2 + machines) + questions * 2  # each keeper looks, and reads what the others committed
    return Plan(
        calls, machines, peak, commits, retries, puts, gets,
        calls * REWRITES * costs.merge_us / 1e6 / 3600, peak * costs.publish_us / 1e6, calls * costs.record_bytes / 1e9,
    )  # fmt: skip


def _commits(machines: int, seed: int) -> tuple[float, float]:
    """Commits a second, and tries that came second per commit: keepers at their own times, one number to win at a time."""
    dice, free, tries, done = random.Random(seed), 0.0, 0, 0
    begins = sorted(number * PUBLISH_EVERY_S + dice.uniform(0, PUBLISH_EVERY_S) for _ in range(machines) for number in range(720))
    for begin in begins:
        now = begin
        while now < free:  # somebody else's commit came between the look and the put
            tries += 1
            now = max(now + COMMIT_S / 2 + dice.uniform(0, 0.05), now)
        free = now + COMMIT_S / 2
        done += 1
    return done / 3600, tries / done


def _record(number: int) -> UsageRecord:
    dice = random.Random(number)
    ts = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(milliseconds=number * 37)
    prompt, completion = dice.randrange(20, 8000), dice.randrange(1, 1500)
    user = f"usr_{dice.randrange(2000):08}"
    model = dice.choice(("gpt-4o-mini", "gpt-4o", "claude-haiku-4"))
    values = (
        ts, user, f"key_{user[4:]}", "openai", model, "chat", prompt, completion, prompt + completion, None, None, None, 200, "vendor",
        dice.randrange(200, 9000), dice.randrange(90, 900),
    )  # fmt: skip
    return UsageRecord(**dict(zip(SCHEMA.names, values, strict=True)))


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> int:
    costs = measure()
    times = f"publishing {costs.publish_us:.1f} µs, merging {costs.merge_us:.1f} µs"
    print(f"Measured: {times}, {costs.record_bytes:.1f} bytes a record.\n")
    names = ("Calls a day", "peak/s", "machines", "commits/s (tries lost)", "PUT, GET a day", "requests, USD a month", "keeper cores",
             "leader, h a day", "GB a day")  # fmt: skip
    print(f"| {' | '.join(names)} |\n{'|---' * len(names)}|")
    for calls in CALLS_A_DAY:
        found = plan(calls, costs)
        usd = 30 * (found.puts * USD_A_PUT + found.gets * USD_A_GET)
        cells = [f"{found.calls:,}", f"{found.peak_a_s:,.0f}", f"{found.machines}", f"{found.commits_a_s:.1f} ({found.retries:.2f})"]
        cells += [f"{found.puts:,}, {found.gets:,}", f"{usd:,.0f}", f"{found.keeper_cores:.2f}", f"{found.leader_h:.2f}"]
        print(f"| {' | '.join([*cells, f'{found.gb_a_day:.2f}'])} |")
    print(f"\nStorage: {USD_A_GB_MONTH} USD a GB and month. A machine has {WORKERS} gateway processes, each at {LOAD:.0%} at the peak.")
    return 0
