"""`python -m benchmarks workers`: whole answers through 1, 2 and 4 processes of our gateway (BYOK_GATEWAY_WORKERS), recording on.

Vendor, load and gateway share the machine's cores, so calls a second grow only as far as there are cores: CPU a call, which should not grow
with the processes, says what more cores would carry. Rounds alternate, so that a busy machine slows all of them alike.
"""

import base64
import contextlib
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.gateway import vendor
from benchmarks.gateway.figures import JsonRun
from benchmarks.gateway.json_load import JsonLoad
from benchmarks.gateway.processes import Cores, Machine, family, memory_kib
from benchmarks.gateway.target import Endpoint
from benchmarks.gateway.vendor import Vendor
from tests.e2e.installation import Installation

WORKERS, CONNECTIONS, ROUNDS, SECONDS = (1, 2, 4), 64, 5, 3


def main() -> int:
    if sys.platform != "linux":
        print("workers: this reads /proc, so it runs on Linux only")
        return 0
    with contextlib.ExitStack() as opened:
        root = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="byok-workers-")))
        machine = Machine()
        mock = opened.enter_context(vendor.running(root, Cores.choose()))
        load = JsonLoad(root, mock)
        gateways = {workers: opened.enter_context(_gateway(root, mock, workers)) for workers in WORKERS}
        for endpoint in gateways.values():
            load.run("warm", endpoint, CONNECTIONS, 1)
        runs: dict[int, list[JsonRun]] = {workers: [] for workers in WORKERS}
        for _ in range(ROUNDS):
            for workers, endpoint in gateways.items():
                runs[workers].append(load.run("gateway", endpoint, CONNECTIONS, SECONDS))
        print(f"{CONNECTIONS} connections, {ROUNDS} rounds of {SECONDS} s, {os.cpu_count()} cores ({machine.stolen():.0%} stolen)\n")
        names = ("processes", "calls/s", "cores used", "CPU ms a call", "p50, p99 ms", "memory MB", "errors")
        print(f"| {' | '.join(names)} |\n{'|---' * len(names)}|")
        for workers, found in runs.items():
            print(_row(workers, found, memory_kib(family(gateways[workers].pid or 0)) / 1024))
    return 0


def _row(workers: int, runs: list[JsonRun], memory_mb: float) -> str:
    rate, cores, cpu = (statistics.median(getattr(run, name) or 0 for run in runs) for name in ("per_s", "core", "cpu_ms"))
    p50, p99 = (statistics.median(getattr(run, name) for run in runs) for name in ("p50_ms", "p99_ms"))
    cells = (f"{workers}", f"{rate:,.0f}", f"{cores:.2f}", f"{cpu:.3f}", f"{p50:.1f}, {p99:.1f}", f"{memory_mb:,.0f}")
    return f"| {' | '.join(cells)} | {sum(run.bad for run in runs)} |"


@contextlib.contextmanager
def _gateway(root: Path, mock: Vendor, workers: int) -> Iterator[Endpoint]:
    folder = root / f"workers{workers}"
    folder.mkdir()
    address = f"http://127.0.0.1:{mock.json_port}/v1"
    installation = Installation(folder, BYOK_GATEWAY_WORKERS=str(workers), BYOK_OPENAI_BASE_URL=address)
    token = installation.add_user("bench@example.org")
    secret = "sk-bench-" + base64.b32encode(os.urandom(10)).decode()
    installation.command("key", "add", "bench@example.org", "--vendor", "openai", stdin=secret)
    try:
        installation.start("gateway")
        yield Endpoint(installation.gateway_port, {"authorization": f"Bearer {token}"}, pid=installation.pid("gateway"))
    finally:
        installation.close()
