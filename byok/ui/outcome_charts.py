"""The figures of how calls end: the error rate over its volume, failures by kind and time, and the week's hours. As plain dicts."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from byok import in_words
from byok.ui import charts, figure, theme
from byok.ui.outcomes import Endings
from byok.ui.periods import Grain

HEIGHT = 240
RATE_HEIGHT = 280
MOST_TICKS = 5  # half a page wide
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
WEEK_WORDS: Mapping[str, str] = {"failed": "failed calls", "calls": "calls", "rate": "error rate"}
_FAINT = 0.16  # a single failure must be seen beside a burst of hundreds
Row = Mapping[str, Any]


def rate_over_volume(found: Endings, *, grain: Grain, mode: str | None, running: bool) -> dict[str, Any]:
    """The error rate as a line, and all calls as pale bars behind it. A bucket without calls is a gap in the line."""
    colours = theme.palette(mode)
    x = [bucket.isoformat() for bucket in found.buckets]
    names = _names(found.buckets, grain, running)
    rates = [None if rate is None else 100 * rate for rate in found.rates]
    told = [
        [in_words.percent(rate), f"{in_words.count(bad)} of {in_words.plural(calls, 'call')}", name]
        for rate, bad, calls, name in zip(found.rates, found.failed, found.calls, names, strict=True)
    ]
    size = 5 if len(x) <= 60 else 3
    bars = {
        "type": "bar",
        "name": "Calls",
        "x": x,
        "y": list(found.calls),
        "yaxis": "y2",
        "marker": {"color": colours.border, "opacity": charts.strengths(len(x), running=running), "line": {"width": 0}},
        "customdata": told,
        "hovertemplate": "<b>%{y:,}</b>  calls<br>%{customdata[2]}<extra></extra>",
    }
    line = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "Error rate",
        "x": x,
        "y": rates,
        "line": {"color": colours.bad, "width": 2},
        "marker": {"color": colours.bad, "size": size},
        "customdata": told,
        "hovertemplate": "<b>%{customdata[0]}</b>  %{customdata[1]} failed<br>%{customdata[2]}<extra></extra>",
    }
    top = max((rate for rate in rates if rate is not None), default=0)
    axis = figure.axis(colours)
    at, text = charts.ticks(found.buckets, grain, most=MOST_TICKS)
    layout = figure.frame(colours, RATE_HEIGHT) | {
        "bargap": 0.25 if len(x) <= 45 else 0.1,
        "showlegend": True,
        "legend": figure.LEGEND,
        "xaxis": axis | _time_axis(x, at, text),
        # The line lies above the bars: the axis that is drawn last is on top.
        "yaxis2": axis
        | {
            "tickvals": [mark for mark in _marks(max(found.calls, default=0)) if mark == int(mark)],
            "range": [0, 1.15 * max(found.calls, default=0) or 1],
            "tickformat": "~s",
        }
        | {"showgrid": False, "side": "right", "automargin": "width"},
        "yaxis": axis
        | {"overlaying": "y2", "range": [0, _headroom(top)], "tickvals": _marks(_headroom(top))}
        | {"ticktext": [f"{mark} %" for mark in _marks(_headroom(top))], "gridcolor": colours.border}
        | {"automargin": "width", "side": "left"},
    }
    if running and found.calls[-1:] > (0,):
        layout["annotations"] = [charts.so_far(x, found.calls, colours, axis="y2")]
    return {"data": [bars, line], "layout": layout}


def failures_by_kind(found: Endings, *, grain: Grain, mode: str | None, running: bool) -> dict[str, Any]:
    """A row per kind of failure that occurred, a column per bucket; the stronger the colour, the larger the share of its calls."""
    colours = theme.palette(mode)
    kinds = [kind for kind, counts in found.by_kind.items() if any(counts)][::-1]  # the first at the top
    names = _names(found.buckets, grain, running)
    shares = [[bad / calls if calls else 0.0 for bad, calls in zip(found.by_kind[kind], found.calls, strict=True)] for kind in kinds]
    told = [
        [[in_words.count(bad), in_words.percent(share), name] for bad, share, name in zip(found.by_kind[kind], row, names, strict=True)]
        for kind, row in zip(kinds, shares, strict=True)
    ]
    x = [bucket.isoformat() for bucket in found.buckets]
    at, text = charts.ticks(found.buckets, grain, most=MOST_TICKS)
    trace = _cells(x, kinds, shares, told, "<b>%{customdata[0]}</b>  %{y} (%{customdata[1]})<br>%{customdata[2]}<extra></extra>", colours)
    frame = figure.frame(colours, HEIGHT)
    layout = frame | {
        "margin": frame["margin"] | {"r": 10},  # the last day's label is wider than its cell
        "xaxis": figure.axis(colours) | _time_axis(x, at, text),
        "yaxis": figure.axis(colours) | {"type": "category", "showgrid": False, "automargin": "width"},
    }
    return {"data": [trace], "layout": layout}


def hours_of_the_week(rows: Sequence[Row], *, metric: str, mode: str | None) -> dict[str, Any]:
    """A row per weekday, a column per hour of the day: `metric` is failed, calls or rate. From rows of `reliability.week`."""
    colours = theme.palette(mode)
    values, told = _week(rows, metric)
    hours = [f"{hour:02d}" for hour in range(24)]
    ink = colours.series[0] if metric == "calls" else colours.bad
    template = "<b>%{customdata[0]}</b>  %{y} %{x}:00<br>%{customdata[1]}<extra></extra>"
    trace = _cells(hours, WEEKDAYS[::-1], values[::-1], told[::-1], template, colours, ink)
    layout = figure.frame(colours, HEIGHT) | {
        "xaxis": figure.axis(colours)
        | {"type": "category", "tickvals": hours[::3], "tickangle": 0, "showgrid": False, "automargin": "height"},
        "yaxis": figure.axis(colours) | {"type": "category", "showgrid": False, "automargin": "width"},
    }
    return {"data": [trace], "layout": layout}


def rate_described(found: Endings, *, grain: Grain) -> str:
    """The first figure in a sentence."""
    calls, failed = sum(found.calls), sum(found.failed)
    worst = max(zip(found.rates, found.buckets, strict=True), key=lambda pair: pair[0] or 0, default=None)
    peak = f" Highest: {in_words.percent(worst[0])}, {figure.bucket_name(worst[1], grain)}." if worst and worst[0] else ""
    return f"Error rate per {grain} over calls: {in_words.count(failed)} of {in_words.plural(calls, 'call')} failed.{peak}"


def kinds_described(found: Endings, *, grain: Grain) -> str:
    """The second figure in a sentence."""
    parts = [f"{kind} {in_words.count(sum(counts))}" for kind, counts in found.by_kind.items() if any(counts)]
    return f"Failed calls per {grain} by kind. {', '.join(parts)}."


def week_described(rows: Sequence[Row], *, metric: str) -> str:
    """The third figure in a sentence."""
    values, _ = _week(rows, metric)
    day, hour = max(((d, h) for d in range(7) for h in range(24)), key=lambda place: values[place[0]][place[1]])
    return f"{WEEK_WORDS[metric].capitalize()} by weekday and hour of the day; most on {WEEKDAYS[day]} at {hour:02d}:00."


def _week(rows: Sequence[Row], metric: str) -> tuple[list[list[float]], list[list[list[str]]]]:
    values = [[0.0] * 24 for _ in range(7)]
    told = [[["0", "no calls"] for _ in range(24)] for _ in range(7)]
    for row in rows:
        day, hour = row["weekday"] - 1, row["hour_of_day"]
        rate = row["failed"] / row["calls"]
        values[day][hour] = rate if metric == "rate" else float(row[metric])
        shown = in_words.percent(rate) if metric == "rate" else in_words.count(row[metric])
        told[day][hour] = [shown, f"{in_words.count(row['failed'])} of {in_words.plural(row['calls'], 'call')} failed"]
    return values, told


def _cells(
    x: Sequence[str], y: Sequence[str], values: Any, told: Any, template: str, colours: theme.Palette, ink: str | None = None
) -> dict[str, Any]:
    """A heatmap whose cells of 0 are the surface; shades go with the square root, so that little is seen beside much."""
    strongest = max((value for row in values for value in row), default=0) or 1
    shades = [[_FAINT + (1 - _FAINT) * math.sqrt(value / strongest) if value else 0.0 for value in row] for row in values]
    return {
        "type": "heatmap",
        "x": list(x),
        "y": list(y),
        "z": shades,
        "zmin": 0,
        "zmax": 1,
        "customdata": told,
        "hovertemplate": template,
        "showscale": False,
        "xgap": 1 if len(x) <= 60 else 0,
        "ygap": 2,
        "colorscale": [[0, colours.surface], [1, ink or colours.bad]],
        "hoverongaps": False,
    }


def _names(buckets: Sequence[datetime], grain: Grain, running: bool) -> list[str]:
    names = [figure.bucket_name(bucket, grain) for bucket in buckets]
    if running and names:
        names[-1] += ", so far"
    return names


def _headroom(top: float) -> float:
    return min(100.0, max(top * 1.15, 1.0)) if top < 100 else 104.0


def _marks(top: float) -> list[float]:
    """Round values from 0 to at most `top`, four or so.

    >>> _marks(6.2), _marks(100), _marks(0.9)
    ([0, 2, 4, 6], [0, 50, 100], [0, 0.5])
    """
    if top <= 0:
        return [0]
    size = 10 ** math.floor(math.log10(top))
    step = next(step for step in (size / 2, size, 2 * size, 5 * size) if top / step < 4)
    return [int(value) if value == int(value) else value for value in (step * number for number in range(int(top / step) + 1))]


def _time_axis(x: Sequence[str], at: Sequence[int], text: Sequence[str]) -> dict[str, Any]:
    marks = {"tickmode": "array", "tickvals": [x[i] for i in at], "ticktext": list(text), "tickangle": 0}
    return {"type": "category", "showgrid": False, "automargin": "height", "range": [-0.6, len(x) - 0.4]} | marks
