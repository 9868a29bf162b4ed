"""Charts: a Plotly figure as a plain dict, drawn by one helper (building one with plotly's own classes costs ten times as much)."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import streamlit as st

from byok.ui import format, theme
from byok.ui.breakdown import Breakdown
from byok.ui.measures import MEASURES, Value
from byok.ui.periods import Grain
from byok.ui.theme import OTHER, Looks

HERO_HEIGHT = 320
_CONFIG = {"displayModeBar": False, "scrollZoom": False, "showTips": False, "responsive": True, "doubleClick": False}
_MOST_TICKS = 7  # fits a phone
LEGEND = {
    "orientation": "h",
    "x": 0,
    "xanchor": "left",
    "y": 1.04,
    "yanchor": "bottom",
    "traceorder": "normal",
    "itemclick": False,
    "itemdoubleclick": False,
    "itemwidth": 30,
}


def draw(figure: Mapping[str, Any], *, alt: str, key: str, on_select: Callable[[], None] | None = None) -> None:
    """Show a figure. `alt` says in a sentence what it shows; `on_select` is called when a mark is clicked (see `clicked`)."""
    st.plotly_chart(
        dict(figure),
        key=key,
        alt=alt,
        config=_CONFIG,
        theme=None,
        width="stretch",
        height=figure["layout"]["height"],
        on_select=on_select or "ignore",
        selection_mode="points",
    )


def clicked(key: str) -> str | None:
    """The entity of the mark that was clicked, from the first item of its `customdata`."""
    chosen = st.session_state.get(key) or {}
    points = chosen.get("selection", {}).get("points", [])
    data = points[0].get("customdata") if points else None
    return str(data[0]) if data else None


def stacked_bars(
    series: Breakdown, *, metric: str, grain: Grain, looks: Looks, shown: Callable[[str], str], mode: str | None, running: bool
) -> dict[str, Any]:
    """Bars over time, one colour per entity. With `running`, the last bucket is drawn lighter and named "so far"."""
    colours = theme.palette(mode)
    x = [bucket.isoformat() for bucket in series.buckets]
    strength = [1.0] * (len(x) - 1) + [0.55 if running else 1.0]
    names = [_bucket_name(bucket, grain) for bucket in series.buckets]
    if running and names:
        names[-1] += ", so far"
    write = MEASURES[metric].write
    traces = [
        {
            "type": "bar",
            "name": shown(part.name),
            "x": x,
            "y": [None if value is None else float(value) for value in part.values],
            "customdata": [[part.name, write(value), name] for value, name in zip(part.values, names, strict=True)],
            "hovertemplate": "<b>%{customdata[1]}</b>  %{fullData.name}<br>%{customdata[2]}<extra></extra>",
            "marker": {
                "color": looks.of(part.name).colour(mode),
                "opacity": strength,
                "line": {"width": 0.5, "color": colours.background},
                "pattern": {"shape": looks.of(part.name).fill, "size": 6, "solidity": 0.35},
            },
            "selected": {"marker": {"opacity": 1}},
            "unselected": {"marker": {"opacity": 0.35}},
        }
        for part in series.parts
    ]
    return {"data": traces, "layout": _layout(series, x, grain, metric, colours, running)}


def described(series: Breakdown, *, metric: str, by: str, grain: Grain, shown: Callable[[str], str]) -> str:
    """The chart in a sentence, for those who cannot see it."""
    write = MEASURES[metric].write
    total: Value = sum(series.totals, 0)
    parts = ", ".join(f"{part.name if part.name == OTHER else shown(part.name)} {write(part.total)}" for part in series.parts)
    return f"Stacked bars: {metric} per {grain} by {by}, {write(total)} in total. {parts}."


def _layout(series: Breakdown, x: Sequence[str], grain: Grain, metric: str, colours: theme.Palette, running: bool) -> dict[str, Any]:
    at, text = ticks(series.buckets, grain)
    axis = {"fixedrange": True, "title": {"text": ""}, "tickfont": {"size": 12, "color": colours.muted}, "zeroline": False}
    layout: dict[str, Any] = {
        "barmode": "stack",
        "bargap": 0.25 if len(x) <= 45 else 0.1,
        "height": HERO_HEIGHT,
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0, "pad": 4},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": theme.FONT, "size": 13, "color": colours.text},
        "hoverlabel": {
            "bgcolor": colours.surface,
            "bordercolor": colours.border,
            "font": {"color": colours.text, "size": 13},
            "align": "left",
        },
        "hovermode": "closest",
        "clickmode": "event+select",
        "dragmode": False,
        "showlegend": True,
        "legend": LEGEND,
        "xaxis": axis
        | {"type": "category", "tickmode": "array", "tickvals": [x[i] for i in at], "ticktext": text, "tickangle": 0, "showgrid": False}
        | {"automargin": "height", "showline": True, "linecolor": colours.border},
        "yaxis": axis
        | {"tickprefix": "$" if metric == "cost" else "", "tickformat": _axis_format(metric, max(map(float, series.totals), default=0.0))}
        | {"rangemode": "tozero", "nticks": 5, "automargin": "width", "gridcolor": colours.border, "ticklabelposition": "outside"},
    }
    if running and x and series.totals[-1]:
        top = float(series.totals[-1])
        note = {"x": x[-1], "y": top, "text": "so far", "showarrow": False, "yshift": 9, "xanchor": "right", "xshift": 14}
        layout["annotations"] = [note | {"font": {"size": 12, "color": colours.muted}}]
    return layout


def ticks(buckets: Sequence[datetime], grain: Grain, *, most: int = _MOST_TICKS) -> tuple[list[int], list[str]]:
    """Which buckets carry a label on the axis, at most `most`, and the labels. A day names its month, an hour its day, where that changes.

    >>> ticks([datetime(2026, 11, day) for day in (20, 21, 22)], "day")
    ([0, 1, 2], ['Nov 20', '21', '22'])
    """
    if grain == "hour":
        step = next((hours for hours in (3, 6, 12, 24, 48, 96, 192) if len(buckets) / hours <= most), 384)
        at = [
            i for i, bucket in enumerate(buckets) if (bucket.hour % min(step, 24) == 0) and (step <= 24 or bucket.day % (step // 24) == 0)
        ]
        return at, [format.day(buckets[i]) if buckets[i].hour == 0 else f"{buckets[i]:%H:%M}" for i in at]
    step = -(-len(buckets) // most) or 1
    at = list(range(len(buckets) - 1, -1, -step))[::-1]  # counted from the end: the newest always has its label
    if grain == "month":
        return at, [f"{buckets[i]:%b %Y}" for i in at]
    earlier = [None, *at[:-1]]
    new_month = [before is None or buckets[before].month != buckets[i].month for before, i in zip(earlier, at, strict=True)]
    return at, [format.day(buckets[i]) if new else str(buckets[i].day) for i, new in zip(at, new_month, strict=True)]


def _axis_format(metric: str, top: float) -> str:
    if metric != "cost":
        return "~s" if top >= 10_000 else ",d"
    return ",.0f" if top >= 10 else ",.2f" if top >= 0.1 else "~g"


def _bucket_name(bucket: datetime, grain: Grain) -> str:
    if grain == "hour":
        return f"{bucket:%a} {format.day(bucket)}, {bucket:%H:%M}"
    return f"{bucket:%a} {format.day(bucket, year=True)}" if grain == "day" else f"{bucket:%B %Y}"
