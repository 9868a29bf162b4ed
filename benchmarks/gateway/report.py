"""What is printed at the end: circumstances, one table for JSON, one for streams, and the goals."""

from collections.abc import Iterable, Sequence

from benchmarks.gateway.figures import Figures
from benchmarks.gateway.goals import CONNECTIONS, judge


def show(figures: Figures, circumstances: Sequence[str]) -> None:
    names = figures.names()
    print("\n" + "\n".join(f"- {line}" for line in circumstances) + "\n")
    _table(
        ("JSON", "connections", "calls/s", "of nginx's", "p50 ms", "added ms", "p99 ms", "CPU ms a call", "core used", "failed"),
        (_json_row(figures, name, connections) for connections in CONNECTIONS for name in names),
    )
    _table(
        ("Streams", "first event ms", "added ms", "CPU µs an event", "slow streams", "ended", "worst late", "than direct", "KiB a stream"),
        (_stream_row(figures, name) for name in names),
    )
    answer = {True: "yes", False: "no", None: "not measured"}
    _table(("Goal", "measured", "holds"), ((goal.text, goal.measured, answer[goal.holds]) for goal in judge(figures)))


def _json_row(figures: Figures, name: str, connections: int) -> tuple[str, ...]:
    failed = sum(run.bad for run in figures.json if (run.name, run.connections) == (name, connections))
    return (
        name,
        str(connections),
        _number(figures.json_median(name, connections, lambda run: run.per_s), ",.0f"),
        _number(figures.json_ratio(name, "nginx", connections, lambda run: run.per_s), ".3f"),
        _number(figures.json_median(name, connections, lambda run: run.p50_ms), ",.2f"),
        _number(figures.added_p50_ms(name, connections), ",.2f"),
        _number(figures.json_median(name, connections, lambda run: run.p99_ms), ",.2f"),
        _number(figures.json_median(name, connections, lambda run: run.cpu_ms), ".3f"),
        _number(figures.json_median(name, connections, lambda run: run.core), ".0%"),
        str(failed),
    )


def _stream_row(figures: Figures, name: str) -> tuple[str, ...]:
    runs = figures.slow_of(name)
    return (
        name,
        _number(figures.first_ms.get(name), ".2f"),
        _number(figures.added_first_ms(name), ".2f"),
        _number(figures.event_median_us(name), ".1f"),
        f"{sum(run.streams for run in runs):,}",
        f"{sum(run.ended for run in runs):,}",
        _number(max((run.late for run in runs if run.late is not None), default=None), ".1%"),
        _number(figures.later(name), ".1%"),
        ", ".join(_number(run.grown_kib, ".1f") for run in runs),  # round by round: what stays behind shows
    )


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    """Markdown, aligned for reading as it is."""
    lines = [heads, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    rule = "|".join("-" * (width + 2) for width in widths)
    for number, line in enumerate(lines):
        cells = (
            f" {cell:<{width}} " if column == 0 else f" {cell:>{width}} "
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        print(f"|{'|'.join(cells)}|")
        if number == 0:
            print(f"|{rule}|")
    print()
