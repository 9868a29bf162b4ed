"""Charts over time beside the stacked bars: lines, and what has added up."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from byok.ui import charts, figure
from byok.ui.breakdown import Breakdown, Part
from byok.ui.charts import Earlier, Style
from byok.ui.measures import MEASURES, Value

VIEWS = ("bars", "lines", "share", "cumulative", "table")
# What a value that is no sum can be shown as: parts of it do not make the whole.
VIEWS_OF_RATIOS = ("lines", "table")


def lines(
    series: Breakdown, style: Style, *, earlier: Earlier | None = None, whole: Sequence[Value | None] | None = None
) -> dict[str, Any]:
    """A line per entity; a bucket without a value is a gap. `whole` is drawn dashed, `earlier` dotted."""
    x = [bucket.isoformat() for bucket in series.buckets]
    parts = series.drawn if MEASURES[style.metric].additive else series.parts
    traces = [_line(part, series, x, style) for part in parts]
    if whole is not None and len(series.parts) > 1:
        everything = Part("", tuple(whole))
        traces.append(_line(everything, series, x, replace(style, shown=lambda _: "all of them")))
        traces[-1]["line"] = {"width": 2, "color": style.colours.muted, "dash": "dash"}
        traces[-1]["marker"] = {"size": 5, "color": style.colours.muted}
    if earlier:
        traces.append(charts.dotted(earlier, x, style))
        traces[-1]["y"] = [None if y is None else y * scale(style.metric) for y in traces[-1]["y"]]
    known = [[trace["y"][at] for trace in traces if at < len(trace["y"]) and trace["y"][at] is not None] for at in range(len(x))]
    tops = [max(values, default=0.0) for values in known]
    layout = charts.layout(series.buckets, style, tops)
    return {"data": traces, "layout": layout | {"hoverdistance": 30}}


def cumulative(series: Breakdown, style: Style, *, earlier: Earlier | None = None) -> dict[str, Any]:
    """Areas of what has added up since the period began, one on the other."""
    summed = Breakdown(series.buckets, tuple(Part(part.name, tuple(_running(part.values))) for part in series.drawn))
    x = [bucket.isoformat() for bucket in series.buckets]
    traces = [_line(part, summed, x, style) | {"stackgroup": "all"} for part in summed.parts]
    for trace, part in zip(traces, summed.parts, strict=True):
        trace["fillcolor"] = figure.faint(style.looks.of(part.name).colour(style.mode), 0.55)
        trace["mode"] = "lines+markers"
        trace["marker"] = trace["marker"] | {"size": 4}
    tops = [float(total) for total in summed.totals]
    top = 0.0
    if earlier:
        before = Earlier(earlier.name, _running(earlier.values), earlier.buckets)
        traces.append(charts.dotted(before, x, style))
        top = max([float(value or 0) for value in before.values[: len(x)]], default=0.0)
    return {"data": traces, "layout": charts.layout(series.buckets, style, tops, top=top)}


def scale(metric: str) -> float:
    """From a value to what the axis shows: seconds and per cent."""
    measure = MEASURES[metric]
    return 0.001 if measure.timing else 1.0 if measure.additive else 100.0


def _line(part: Part, series: Breakdown, x: list[str], style: Style) -> dict[str, Any]:
    look = style.looks.of(part.name)
    known = sum(value is not None for value in part.values)
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(x) <= 62 or known < 3 else "lines",
        **charts.named(style.shown(part.name)),
        "x": x,
        "y": [None if value is None else float(value) * scale(style.metric) for value in part.values],
        "customdata": charts.said(part, series.buckets, style),
        "hovertemplate": charts.HOVER,
        "line": {"width": 2, "color": look.colour(style.mode), "dash": "solid" if not look.fill else "longdashdot"},
        "marker": {"size": 6, "color": look.colour(style.mode), "symbol": _SYMBOLS.get(look.fill, "circle")},
        **charts.STEADY,
    }


_SYMBOLS = {"": "circle", "/": "square", "x": "diamond", ".": "triangle-up"}


def _running(values: Sequence[Value | None]) -> list[Value]:
    found: list[Value] = []
    for value in values:
        before: Any = found[-1] if found else 0
        found.append(before + (value or 0))
    return found
