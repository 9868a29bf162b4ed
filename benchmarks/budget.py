"""`python -m benchmarks budget`: what a hard budget costs a call, and how soon it stops one.

Calls of a user with two hard budgets and of a user with none go through the same gateway in turn, so that a busy machine slows both alike;
the difference is taken pair by pair. Then calls go on until a budget that they use up refuses one.
"""

import base64
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from benchmarks.gateway import vendor
from benchmarks.gateway.figures import JsonRun
from benchmarks.gateway.json_load import JsonLoad
from benchmarks.gateway.processes import Cores, Machine
from benchmarks.gateway.target import PATH, Endpoint, json_body
from benchmarks.gateway.vendor import Vendor
from tests.e2e.installation import Installation

CONNECTIONS, PAIRS, SECONDS, PATIENCE_S = 16, int(os.environ.get("BYOK_BENCH_PAIRS", "20")), 2, 120
WITHOUT, WITH, STOPPED = "without", "with", "stopped"


def main() -> int:
    if sys.platform != "linux":
        print("budget: this reads /proc, so it runs on Linux only")
        return 0
    with contextlib.ExitStack() as opened:
        root = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="byok-budget-")))
        machine = Machine()
        mock = opened.enter_context(vendor.running(root, Cores.choose()))
        endpoints = opened.enter_context(_users(root, mock))
        load = JsonLoad(root, mock)
        for name in (WITHOUT, WITH):
            load.run(name, endpoints[name], CONNECTIONS, 1)
        pairs = [_pair(load, endpoints, turned=bool(number % 2)) for number in range(PAIRS)]
        for name in (WITHOUT, WITH):
            runs = [pair[name] for pair in pairs]
            rate, cpu = (statistics.median(getattr(run, part) or 0 for run in runs) for part in ("per_s", "cpu_ms"))
            print(
                f"{name} hard budgets: {rate:,.0f} calls/s, {1000 * cpu:.1f} µs of processor time a call, {sum(r.bad for r in runs)} errors"
            )
        dearer = [budgeted / without - 1 for without, budgeted in ((_us(p[WITHOUT]), _us(p[WITH])) for p in pairs)]
        error = statistics.stdev(dearer) / len(dearer) ** 0.5
        print(f"median pair: {statistics.median(dearer):+.1%} (standard error {error:.1%}, {PAIRS} pairs; {machine.stolen():.0%} stolen)")
        print(f"a used-up budget refuses after {_stops_after(endpoints[STOPPED]):.1f} s")
    return 0


def _pair(load: JsonLoad, endpoints: dict[str, Endpoint], *, turned: bool) -> dict[str, JsonRun]:
    names = (WITH, WITHOUT) if turned else (WITHOUT, WITH)
    return {name: load.run(name, endpoints[name], CONNECTIONS, SECONDS) for name in names}


def _us(run: JsonRun) -> float:
    return 1000 * (run.cpu_ms or 0)


def _stops_after(endpoint: Endpoint) -> float:
    """Seconds from the first call, which is more than the budget allows, to the first that is refused."""
    began, url = time.monotonic(), f"http://127.0.0.1:{endpoint.port}{PATH}"
    while time.monotonic() - began < PATIENCE_S:
        answer = httpx.post(url, json=json_body(endpoint), headers=endpoint.headers, timeout=60)
        if answer.status_code == 429:
            return time.monotonic() - began
        time.sleep(0.1)
    raise TimeoutError


@contextlib.contextmanager
def _users(root: Path, mock: Vendor) -> Iterator[dict[str, Endpoint]]:
    """One gateway and its keeper, and three users of it."""
    installation = Installation(root, BYOK_OPENAI_BASE_URL=f"http://127.0.0.1:{mock.json_port}/v1")
    budgets = {WITHOUT: [], WITH: [["--tokens", "1000000000000"], ["--usd", "1000000000"]], STOPPED: [["--tokens", "1"]]}
    tokens = {}
    for name, limits in budgets.items():
        email = f"{name}@example.org"
        tokens[name] = installation.add_user(email)
        secret = "sk-bench-" + base64.b32encode(os.urandom(10)).decode()
        installation.command("key", "add", email, "--vendor", "openai", stdin=secret)
        for limit in limits:
            installation.command("budget", "set", email, *limit, "--hard")
    try:
        installation.start("gateway", "keeper")
        pid = installation.pid("gateway")
        yield {name: Endpoint(installation.gateway_port, {"authorization": f"Bearer {token}"}, pid=pid) for name, token in tokens.items()}
    finally:
        installation.close()
