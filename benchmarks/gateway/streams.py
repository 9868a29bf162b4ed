"""Streams: the first event's delay, the CPU a relayed event costs, and many slow streams open at once."""

import asyncio
import statistics

from benchmarks.gateway.figures import SlowRun
from benchmarks.gateway.processes import cpu_s, family, memory_kib, settle
from benchmarks.gateway.stream_load import Connection, Plan, connect, open_at_once
from benchmarks.gateway.target import Endpoint

_SHORT = Plan(events=4, apart_ms=3)
_QUICK = Plan(events=300, apart_ms=5)
_AT_ONCE = 32
_PATIENCE_S = 10
SLOW_STREAMS = 1000
_SAMPLE_S = 0.25


async def first_events_ms(endpoints: dict[str, Endpoint], times: int) -> dict[str, float]:
    """Medians, one connection each, call by call in turns. A target without an answer is not in it."""
    connections: dict[str, Connection] = {}
    seen: dict[str, list[float]] = {name: [] for name in endpoints}
    for _ in range(times):
        for name, endpoint in endpoints.items():
            if name not in connections or connections[name].is_closed():  # on a busy machine a turn can outlast a keep-alive
                connections[name] = await connect(endpoint, _SHORT)
            await asyncio.wait([connections[name].send()], timeout=_PATIENCE_S)
            if (first_s := connections[name].stream.first_s) is not None:
                seen[name].append(first_s * 1000)
    for connection in connections.values():
        connection.close()
    return {name: statistics.median(all_ms) for name, all_ms in seen.items() if all_ms}


async def event_cpu_us(endpoint: Endpoint) -> float | None:
    """CPU per relayed event; none where there is no process to watch, or events are missing."""
    pids = family(endpoint.pid) if endpoint.pid else []
    before = cpu_s(pids)
    streams = await open_at_once(endpoint, _QUICK, _AT_ONCE, within_s=_QUICK.nominal_s + 20)
    settle(pids)
    events = sum(stream.events for stream in streams)
    return (cpu_s(pids) - before) * 1e6 / events if pids and events == _AT_ONCE * _QUICK.events else None


class SlowStreams:
    """Rounds of many slow streams; memory is compared with what was resident when this was made."""

    def __init__(self, name: str, endpoint: Endpoint, plan: Plan) -> None:
        self._name, self._endpoint, self._plan = name, endpoint, plan
        self._pids = family(endpoint.pid) if endpoint.pid else []
        self._before_kib = memory_kib(self._pids)

    async def round(self) -> SlowRun:
        watching = asyncio.create_task(self._watch())
        streams = await open_at_once(self._endpoint, self._plan, SLOW_STREAMS, within_s=self._plan.nominal_s * 2 + _PATIENCE_S)
        watching.cancel()
        settle(self._pids)
        ended = [stream for stream in streams if stream.ended and stream.events == self._plan.events]
        late = max((stream.late_s / self._plan.nominal_s for stream in ended), default=None)
        all_open = all(stream.first_s is not None for stream in streams)
        grown = (self._most_kib - self._before_kib) / SLOW_STREAMS if self._pids and all_open else None
        return SlowRun(self._name, SLOW_STREAMS, len(ended), late, grown)

    async def _watch(self) -> None:
        self._most_kib = self._before_kib
        while True:
            await asyncio.sleep(_SAMPLE_S)
            self._most_kib = max(self._most_kib, memory_kib(self._pids))
