"""Charts over time beside the stacked bars: lines, and what has added up."""

import html
from collections.abc import Callable, Sequence
from typing import Any

from byok.ui import charts, figure, theme
from byok.ui.breakdown import Breakdown, Part
from byok.ui.charts import Earlier
from byok.ui.measures import MEASURES, Value
from byok.ui.periods import Grain
from byok.ui.theme import Looks

VIEWS = ("bars", "lines", "share", "cumulative", "table")
# What a value that is no sum can be shown as: parts of it do not make the whole.
VIEWS_OF_RATIOS = ("lines", "table")


def lines(
    series: Breakdown,
    *,
    metric: str,
    grain: Grain,
    looks: Looks,
    shown: Callable[[str], str],
    mode: str | None,
    running: bool,
    earlier: Earlier | None = None,
    whole: Sequence[Value | None] | None = None,
) -> dict[str, Any]:
    """A line per entity; a bucket without a value is a gap. `whole` is drawn dashed, `earlier` dotted."""
    colours = theme.palette(mode)
    x = [bucket.isoformat() for bucket in series.buckets]
    traces = [_line(part, series, x, metric, grain, looks, shown, mode, running) for part in series.parts]
    if whole is not None and len(series.parts) > 1:
        everything = Part("", tuple(whole))
        traces.append(_line(everything, series, x, metric, grain, looks, lambda _: "all of them", mode, running))
        traces[-1]["line"] = {"width": 2, "color": colours.muted, "dash": "dash"}
        traces[-1]["marker"] = {"size": 5, "color": colours.muted}
    if earlier:
        traces.append(charts.dotted(earlier, x, metric, grain, colours))
        traces[-1]["y"] = [None if y is None else y * scale(metric) for y in traces[-1]["y"]]
    known = [[trace["y"][at] for trace in traces if at < len(trace["y"]) and trace["y"][at] is not None] for at in range(len(x))]
    tops = [max(values, default=0.0) for values in known]
    layout = charts.layout(series.buckets, grain, metric, colours, tops, running=running)
    return {"data": traces, "layout": layout | {"hoverdistance": 30}}


def cumulative(
    series: Breakdown,
    *,
    metric: str,
    grain: Grain,
    looks: Looks,
    shown: Callable[[str], str],
    mode: str | None,
    running: bool,
    earlier: Earlier | None = None,
) -> dict[str, Any]:
    """Areas of what has added up since the period began, one on the other."""
    summed = Breakdown(series.buckets, tuple(Part(part.name, tuple(_running(part.values))) for part in series.parts))
    colours = theme.palette(mode)
    x = [bucket.isoformat() for bucket in series.buckets]
    traces = [_line(part, summed, x, metric, grain, looks, shown, mode, running) | {"stackgroup": "all"} for part in summed.parts]
    for trace, part in zip(traces, summed.parts, strict=True):
        trace["fillcolor"] = figure.faint(looks.of(part.name).colour(mode), 0.55)
        trace["mode"] = "lines+markers"
        trace["marker"] = trace["marker"] | {"size": 4}
    tops = [float(total) for total in summed.totals]
    top = 0.0
    if earlier:
        before = Earlier(earlier.name, _running(earlier.values), earlier.buckets)
        traces.append(charts.dotted(before, x, metric, grain, colours))
        top = max([float(value or 0) for value in before.values[: len(x)]], default=0.0)
    return {"data": traces, "layout": charts.layout(series.buckets, grain, metric, colours, tops, running=running, top=top)}


def scale(metric: str) -> float:
    """From a value to what the axis shows: seconds and per cent."""
    measure = MEASURES[metric]
    return 0.001 if measure.timing else 1.0 if measure.additive else 100.0


def _line(
    part: Part,
    series: Breakdown,
    x: list[str],
    metric: str,
    grain: Grain,
    looks: Looks,
    shown: Callable[[str], str],
    mode: str | None,
    running: bool,
) -> dict[str, Any]:
    look = looks.of(part.name)
    known = sum(value is not None for value in part.values)
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(x) <= 62 or known < 3 else "lines",
        "name": html.escape(shown(part.name)),
        "x": x,
        "y": [None if value is None else float(value) * scale(metric) for value in part.values],
        "customdata": charts.said(part, series.buckets, metric, grain, running=running),
        "hovertemplate": charts.HOVER,
        "line": {"width": 2, "color": look.colour(mode), "dash": "solid" if not look.fill else "longdashdot"},
        "marker": {"size": 6, "color": look.colour(mode), "symbol": _SYMBOLS.get(look.fill, "circle")},
        **charts.STEADY,
    }


_SYMBOLS = {"": "circle", "/": "square", "x": "diamond", ".": "triangle-up"}


def _running(values: Sequence[Value | None]) -> list[Value]:
    found: list[Value] = []
    for value in values:
        before: Any = found[-1] if found else 0
        found.append(before + (value or 0))
    return found
