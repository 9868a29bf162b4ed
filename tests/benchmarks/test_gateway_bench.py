"""The gateway's benchmark: its load and its mock vendor count alike, and no goal holds without a figure that says so."""

import asyncio
import contextlib
from dataclasses import replace

import pytest

from benchmarks.gateway.figures import Figures, JsonRun, SlowRun
from benchmarks.gateway.goals import CONNECTIONS, judge
from benchmarks.gateway.stream_load import Plan, open_at_once
from benchmarks.gateway.stream_vendor import Connection as VendorConnection
from benchmarks.gateway.target import Endpoint

PLAN = Plan(events=12, apart_ms=10)


@contextlib.asynccontextmanager
async def listening(protocol):
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    async with server:
        yield Endpoint(server.sockets[0].getsockname()[1])


async def relay(reader, writer, vendor: Endpoint, *, hold_s: float, cut: int) -> None:
    """A gateway that holds every piece back and writes it on in small ones."""
    up_reader, up_writer = await asyncio.open_connection("127.0.0.1", vendor.port)
    up_writer.write(await reader.readuntil(b"\r\n\r\n") + await reader.readuntil(b"}]}"))
    data = b""
    while not data.endswith(b"0\r\n\r\n"):
        data = await up_reader.read(65536)
        await asyncio.sleep(hold_s)
        for start in range(0, len(data), cut):
            writer.write(data[start : start + cut])
            await writer.drain()
            await asyncio.sleep(0)
    up_writer.close()


def test_every_event_is_counted_and_an_idle_vendor_is_in_time():
    async def measure():
        async with listening(VendorConnection) as vendor:
            return await open_at_once(vendor, PLAN, 5, within_s=20)

    streams = asyncio.run(measure())
    assert [(stream.events, stream.ended) for stream in streams] == [(12, True)] * 5
    assert all(0 < stream.first_s <= stream.late_s + 0.001 < PLAN.nominal_s + 5 for stream in streams)


def test_an_event_cut_into_pieces_is_one_event_and_holding_it_back_is_lateness():
    async def measure():
        async with listening(VendorConnection) as vendor:
            server = await asyncio.start_server(lambda *ends: relay(*ends, vendor, hold_s=0.15, cut=7), "127.0.0.1", 0)
            async with server:
                return await open_at_once(Endpoint(server.sockets[0].getsockname()[1]), PLAN, 1, within_s=20)

    (stream,) = asyncio.run(measure())
    assert (stream.events, stream.ended) == (12, True)
    assert stream.late_s >= 0.15 and stream.first_s >= 0.15


def test_a_stream_that_does_not_end_is_cut_and_not_called_ended():
    async def measure():
        async with listening(VendorConnection) as vendor:
            return await open_at_once(vendor, Plan(events=1000, apart_ms=50), 2, within_s=0.5)

    assert [stream.ended for stream in asyncio.run(measure())] == [False, False]


def run_of(name: str, connections: int, per_s: float, p50_ms: float, cpu_ms: float | None) -> JsonRun:
    return JsonRun(name, connections, per_s, p50_ms, p99_ms=1, bad=0, calls=1, cpu_ms=cpu_ms, core=None)


def good_figures() -> Figures:
    """Every goal holds, each exactly at its limit."""
    figures = Figures(first_ms={"direct": 1.0, "gateway": 2.0})
    for connections in CONNECTIONS:
        figures.json += [
            run_of("direct", connections, 9000, 1.0, None),
            run_of("gateway", connections, 1000, 5.0, 0.25),
            run_of("nginx", connections, 8000, 2.0, 0.1),
            run_of("litellm", connections, 8, 99, 25.0),
            run_of("portkey", connections, 80, 9, 2.5),
        ]
    figures.slow = [SlowRun("direct", 1000, 1000, 0.0, None), SlowRun("gateway", 1000, 1000, 0.2, 40.0)]
    return figures


def test_each_goal_holds_up_to_its_limit():
    assert [goal.holds for goal in judge(good_figures())] == [True] * 7


def test_without_figures_no_goal_is_said_to_hold_or_to_fail():
    assert [(goal.measured, goal.holds) for goal in judge(Figures())] == [("not measured", None)] * 7


def worse(figures: Figures, name: str, connections: int, **changes: float) -> None:
    figures.json = [replace(run, **changes) if (run.name, run.connections) == (name, connections) else run for run in figures.json]


@pytest.mark.parametrize(
    ("goal", "spoil"),
    [
        (0, lambda figures: worse(figures, "gateway", 64, per_s=999)),
        (1, lambda figures: worse(figures, "gateway", 1, p50_ms=5.1)),
        (2, lambda figures: figures.first_ms.update(gateway=2.1)),
        (3, lambda figures: worse(figures, "litellm", 16, cpu_ms=24)),
        (4, lambda figures: worse(figures, "portkey", 1, cpu_ms=2.4)),
        (5, lambda figures: figures.slow.append(SlowRun("gateway", 1000, 999, 0.1, 1.0))),
        (6, lambda figures: figures.slow.append(SlowRun("gateway", 1000, 1000, 0.1, 40.1))),
    ],
)
def test_one_figure_over_its_limit_fails_its_goal_alone(goal, spoil):
    figures = good_figures()
    spoil(figures)
    assert [judged.holds for judged in judge(figures)] == [number != goal for number in range(7)]
