"""What one run measured, and the medians that are asked of it."""

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class JsonRun:
    """One target, one number of connections, one round of whole answers."""

    name: str
    connections: int
    per_s: float
    p50_ms: float
    p99_ms: float
    bad: int
    calls: int  # that reached the vendor
    cpu_ms: float | None  # a call; none where no process of ours is in between
    core: float | None  # the share of its core that the target used


@dataclass(frozen=True)
class SlowRun:
    """One target, one round of many slow streams open at once."""

    name: str
    streams: int
    ended: int  # with every event
    late: float | None  # the worst stream's latest event, as a share of the nominal duration; of those that ended
    grown_kib: float | None  # a stream, above what was resident before the first round; none when not all were open


@dataclass
class Figures:
    """Round by round; what is not there was not measured, and `missing` says why."""

    json: list[JsonRun] = field(default_factory=list)
    first_ms: dict[str, float] = field(default_factory=dict)
    event_us: dict[str, list[float]] = field(default_factory=dict)
    slow: list[SlowRun] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    calls: int = 0  # of whole answers that our gateway relayed, warm-up included
    recorded: int = 0  # rows in its books after them

    def names(self) -> list[str]:
        return list(dict.fromkeys(run.name for run in self.json))

    def json_median(self, name: str, connections: int, figure: Callable[[JsonRun], float | None]) -> float | None:
        return _median(figure(run) for run in self._json(name, connections))

    def json_ratio(self, name: str, of: str, connections: int, figure: Callable[[JsonRun], float | None]) -> float | None:
        """The median of the rounds' ratios: the two of a round had the same neighbours. Rounds that only one of them had are left out."""
        pairs = zip(self._json(name, connections), self._json(of, connections), strict=False)
        return _median(_ratio(figure(one), figure(other)) for one, other in pairs)

    def added_p50_ms(self, name: str, connections: int) -> float | None:
        """Beyond a call that goes straight to the vendor, in the same round."""
        pairs = zip(self._json(name, connections), self._json("direct", connections), strict=False)
        return _median(one.p50_ms - straight.p50_ms for one, straight in pairs)

    def cpu_share(self, name: str, of: str, connections: int) -> float | None:
        mine, its = (self.json_median(each, connections, lambda run: run.cpu_ms) for each in (name, of))
        return _ratio(mine, its)

    def added_first_ms(self, name: str) -> float | None:
        there = name in self.first_ms and "direct" in self.first_ms
        return self.first_ms[name] - self.first_ms["direct"] if there else None

    def event_median_us(self, name: str) -> float | None:
        return _median(self.event_us.get(name, []))

    def slow_of(self, name: str) -> list[SlowRun]:
        return [run for run in self.slow if run.name == name]

    def later(self, name: str) -> float | None:
        """How much later than straight from the vendor the worst stream is, as a share of its duration: the median of the rounds.

        None when a stream did not come to its end.
        """
        mine = self.slow_of(name)
        if any(run.ended < run.streams for run in mine):
            return None
        pairs = zip(mine, self.slow_of("direct"), strict=False)
        known = ((run.late, straight.late) for run, straight in pairs)
        return _median(late - straight for late, straight in known if late is not None and straight is not None)

    def grown_kib(self, name: str) -> float | None:
        """The most of all rounds."""
        return max((run.grown_kib for run in self.slow_of(name) if run.grown_kib is not None), default=None)

    def _json(self, name: str, connections: int) -> list[JsonRun]:
        return [run for run in self.json if (run.name, run.connections) == (name, connections)]


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None
