"""The goals, each with what was measured and whether it holds. Without a figure none does."""

from dataclasses import dataclass

from benchmarks.gateway.figures import Figures

CONNECTIONS = (1, 16, 64)


@dataclass(frozen=True)
class Goal:
    text: str
    measured: str = "not measured"
    holds: bool | None = None


def judge(figures: Figures) -> list[Goal]:
    return [
        _rate(figures),
        _added(figures),
        _first_event(figures),
        _cpu(figures, "litellm", "LiteLLM's", 100),
        _cpu(figures, "portkey", "Portkey's", 10),
        _lateness(figures),
        _memory(figures),
    ]


def _rate(figures: Figures) -> Goal:
    text = "JSON at 64 connections: at least 1/8 of nginx's calls a second"
    share = figures.json_ratio("gateway", "nginx", 64, lambda run: run.per_s)
    return Goal(text, f"1/{1 / share:.1f}", share >= 1 / 8) if share else Goal(text)


def _added(figures: Figures) -> Goal:
    """At one connection: with more, a median says how many calls wait, which is the rate once more."""
    text = "JSON at 1 connection: at most 4 times the p50 that nginx adds"
    mine, nginx = figures.added_p50_ms("gateway", 1), figures.added_p50_ms("nginx", 1)
    if mine is None or not nginx:
        return Goal(text)
    return Goal(text, f"{mine / nginx:.1f} times ({mine:.2f} ms, nginx {nginx:.2f})", mine <= 4 * nginx)


def _first_event(figures: Figures) -> Goal:
    text = "First event of a stream: at most 1 ms added"
    added = figures.added_first_ms("gateway")
    return Goal(text) if added is None else Goal(text, f"{added:.2f} ms", added <= 1)


def _cpu(figures: Figures, peer: str, whose: str, times: int) -> Goal:
    """At every number of connections, so that none is chosen to please."""
    text = f"CPU a JSON call at 1, 16 and 64 connections: at most 1/{times} of {whose}"
    shares = [figures.cpu_share("gateway", peer, connections) for connections in CONNECTIONS]
    known = [share for share in shares if share]
    if len(known) < len(CONNECTIONS):
        return Goal(text)
    return Goal(text, ", ".join(f"1/{1 / share:.0f}" for share in known), max(known) <= 1 / times)


def _lateness(figures: Figures) -> Goal:
    text = "1,000 slow streams: none later than 20 % of its duration"
    runs = figures.slow_of("gateway")
    if cut := sum(run.streams - run.ended for run in runs):
        return Goal(text, f"{cut:,} did not come to their end", False)
    later = figures.later("gateway")
    return Goal(text) if later is None else Goal(text, f"{later:.1%}", later <= 0.2)


def _memory(figures: Figures) -> Goal:
    text = "1,000 slow streams: at most 40 KiB for each"
    grown = figures.grown_kib("gateway")
    return Goal(text) if grown is None else Goal(text, f"{grown:.1f} KiB", grown <= 40)
