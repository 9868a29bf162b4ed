"""One run: start everything, let the rounds alternate, report."""

import contextlib
import os
import resource
import tempfile
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks.gateway import litellm, nginx_proxy, ours, portkey, report, vendor
from benchmarks.gateway.figures import Figures
from benchmarks.gateway.goals import CONNECTIONS
from benchmarks.gateway.json_load import JsonLoad
from benchmarks.gateway.processes import Cores, Machine, Unavailable, find_program
from benchmarks.gateway.stream_load import Plan
from benchmarks.gateway.streams import SLOW_STREAMS, SlowStreams, event_cpu_us, first_events_ms
from benchmarks.gateway.target import REQUEST_BYTES, Endpoint, Target, check

PEERS = {"nginx": nginx_proxy, "litellm": litellm, "portkey": portkey}
SOON_READY = ("nginx", "portkey")


@dataclass(frozen=True)
class Effort:
    """How long to look. Targets that are slow get fewer, longer rounds."""

    rounds: int
    seconds: int
    slow_rounds: int
    slow_seconds: int
    warm_seconds: int
    first_events: int
    stream_rounds: int
    slow_streams: Plan


FULL = Effort(
    rounds=5, seconds=2, slow_rounds=2, slow_seconds=5, warm_seconds=6, first_events=100, stream_rounds=3, slow_streams=Plan(50, 100)
)
QUICK = Effort(
    rounds=2, seconds=1, slow_rounds=1, slow_seconds=2, warm_seconds=2, first_events=20, stream_rounds=1, slow_streams=Plan(20, 100)
)


def main(only: Collection[str] | None = None, *, quick: bool = False) -> int:
    """Measure beside the peers in `only`; without it beside all, or when it must be quick beside those that start soon."""
    peers = only if only is not None else SOON_READY if quick else tuple(PEERS)
    if missing := [name for name in ("nginx", "wrk") if not find_program(name)]:
        print(f"gateway: not measured, {', '.join(missing)} not found (Debian: apt-get install nginx-light wrk)")
        return 0
    began = time.monotonic()
    cores, effort, figures, machine = Cores.choose(), QUICK if quick else FULL, Figures(), Machine()
    _allow_many_files()
    with contextlib.ExitStack() as running:
        root = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="byok-bench-")))
        mock = running.enter_context(vendor.running(root, cores))
        gateway = ours.OurGateway(root)
        targets = [Target("direct", Endpoint(mock.json_port), Endpoint(mock.stream_port))]
        targets += _start(peers, running, figures, root, mock, cores)
        targets.insert(1, running.enter_context(gateway.running(mock, cores.measured)))
        targets = [target for target in targets if _is_ready(target, figures)]
        with _on_core(cores.load):
            _measure_json(JsonLoad(root, mock), targets, effort, figures)
            figures.recorded = gateway.recorded()
            uvloop.run(_measure_streams(targets, effort, figures))
    report.show(figures, _circumstances(figures, peers, cores, effort, machine, began))
    return 0


def _circumstances(figures: Figures, peers: Collection[str], cores: Cores, effort: Effort, machine: Machine, began: float) -> list[str]:
    alone = "one core for what is measured, another for vendor and load" if cores.measured != cores.load else "ONE CORE FOR EVERYTHING"
    return [
        f"{alone}; requests of {REQUEST_BYTES} bytes",
        f"medians of {effort.rounds} alternating rounds, {effort.slow_rounds} for slow targets; of streams {effort.stream_rounds} and 1",
        f"{machine.stolen():.0%} of the machine's time went to other machines; load average {os.getloadavg()[2]:.1f}{_starved(figures)}",
        f"gateway: {ours.CONDITIONS}; after the JSON rounds {figures.recorded:,} rows, {figures.calls:,} calls had reached the vendor",
        *(f"{name}: {figures.missing.get(name) or PEERS[name].CONDITIONS}" for name in peers),
        f"{time.monotonic() - began:.0f} s in all, installing included",
        f"slow streams: {effort.slow_streams.events} events, {effort.slow_streams.apart_ms} ms apart, {SLOW_STREAMS:,} opened at once",
    ]


def _start(
    peers: Collection[str], running: contextlib.ExitStack, figures: Figures, root: Path, mock: vendor.Vendor, cores: Cores
) -> Iterator[Target]:
    for name in peers:
        try:
            yield running.enter_context(PEERS[name].running(root, mock, cores.measured))
        except Unavailable as why:
            figures.missing[name] = str(why)


def _is_ready(target: Target, figures: Figures) -> bool:
    try:
        target.wait()
        check(target)
    except Unavailable as why:
        figures.missing[target.name] = str(why)
    return target.name not in figures.missing


def _measure_json(load: JsonLoad, targets: list[Target], effort: Effort, figures: Figures) -> None:
    for target in targets:
        warm = load.run(target.name, target.json, 16, effort.warm_seconds if target.slow else 1)
        figures.calls += warm.calls if target.name == "gateway" else 0
    for round_ in range(effort.rounds):
        _say(f"JSON, round {round_ + 1} of {effort.rounds}")
        for connections in CONNECTIONS:
            for target in targets:
                if round_ < effort.slow_rounds or not target.slow:
                    seconds = effort.slow_seconds if target.slow else effort.seconds
                    run = load.run(target.name, target.json, connections, seconds)
                    figures.json.append(run)
                    figures.calls += run.calls if target.name == "gateway" else 0


async def _measure_streams(targets: list[Target], effort: Effort, figures: Figures) -> None:
    """Many slow streams first: no earlier streams have left memory behind that these would fill unseen."""
    slow = [(target, SlowStreams(target.name, target.streams, effort.slow_streams)) for target in targets]
    for round_ in range(effort.stream_rounds):
        _say(f"streams, round {round_ + 1} of {effort.stream_rounds}")
        measured_now = [target for target in targets if round_ == 0 or not target.slow]
        figures.slow += [await streams.round() for target, streams in slow if target in measured_now]
        for target in measured_now:
            if (cpu_us := await event_cpu_us(target.streams)) is not None:
                figures.event_us.setdefault(target.name, []).append(cpu_us)
    figures.first_ms = await first_events_ms({target.name: target.streams for target in targets}, effort.first_events)


def _starved(figures: Figures) -> str:
    core = figures.json_median("gateway", CONNECTIONS[-1], lambda run: run.core)
    if core is None or core > 0.8:
        return ""
    return f"; THE GATEWAY GOT {core:.0%} OF ITS CORE: other work ran beside it, trust CPU and memory only"


@contextlib.contextmanager
def _on_core(core: int) -> Iterator[None]:
    """The load is ours or our children's."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _allow_many_files() -> None:
    """Each relayed stream takes two; children inherit the limit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _say(what: str) -> None:
    print(f"gateway: {what} ...", flush=True)
