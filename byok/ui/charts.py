"""Charts: a Plotly figure as a plain dict, drawn by one helper (building one with plotly's own classes costs ten times as much)."""

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import streamlit as st

from byok import in_words
from byok.ui import figure, theme
from byok.ui.breakdown import Breakdown, Part
from byok.ui.measures import MEASURES, Value
from byok.ui.periods import Grain
from byok.ui.theme import Looks

HERO_HEIGHT = 320
_CONFIG = {"displayModeBar": False, "scrollZoom": False, "showTips": False, "responsive": True, "doubleClick": False}
HOVER = "<b>%{customdata[1]}</b>  %{fullData.meta}<br>%{customdata[2]}<extra></extra>"
# A click on a mark acts at once and brings another chart: fading all others meanwhile would say something that is not so.
STEADY: Mapping[str, Any] = {name: {"marker": {"opacity": 1}} for name in ("selected", "unselected")}
_BARS_UNDER_NOTE = 20  # one in so many bars stands under "so far"
_LONGEST_NAME = 36  # characters of a name in the legend
_WIDER_THAN_NOTE = 8  # so many bars are wider than the words, on a phone too
_MOST_TICKS = 7  # fits a phone
_FEW = 5


def draw(drawn: Mapping[str, Any], *, alt: str, key: str, on_select: Callable[[], None] | None = None) -> None:
    """Show a figure. `alt` says in a sentence what it shows; `on_select` is called when a mark is clicked (see `clicked`)."""
    st.plotly_chart(
        dict(drawn),
        key=key,
        alt=alt,
        config=_CONFIG,
        theme=None,
        width="stretch",
        height=drawn["layout"]["height"],
        on_select=on_select or "ignore",
        selection_mode="points",
    )


def clicked(key: str) -> str | None:
    """The entity of the mark that was clicked, from the first item of its `customdata`."""
    chosen = st.session_state.get(key) or {}
    points = chosen.get("selection", {}).get("points", [])
    data = points[0].get("customdata") if points else None
    return str(data[0]) if data and data[0] else None


def clicked_bucket(key: str) -> datetime | None:
    """The first instant of the bucket of the mark that was clicked."""
    points = (st.session_state.get(key) or {}).get("selection", {}).get("points", [])
    data = points[0].get("customdata") if points else None
    return datetime.fromisoformat(str(data[3])) if data and len(data) > 3 else None


@dataclass(frozen=True)
class Earlier:
    """The whole of the period compared with, bucket by bucket: what it is called, its values, and the name of each bucket."""

    name: str
    values: Sequence[Value | None]
    buckets: Sequence[datetime]


@dataclass(frozen=True)
class Style:
    """What the charts over time of a page have in common: what they show, how parts look and are named, the theme's mode.

    With `running`, the last bucket is drawn lighter and named "so far".
    """

    metric: str
    grain: Grain
    looks: Looks
    shown: Callable[[str], str]
    mode: str | None
    running: bool

    @property
    def colours(self) -> theme.Palette:
        return theme.palette(self.mode)


def stacked_bars(series: Breakdown, style: Style, *, earlier: Earlier | None = None, share: bool = False) -> dict[str, Any]:
    """Bars over time, one colour per entity.

    `earlier` is drawn as a dotted line; `share` draws every bar as 100 %.
    """
    x = [bucket.isoformat() for bucket in series.buckets]
    strength = strengths(len(x), running=style.running)
    totals = [float(total) for total in series.totals]
    traces: list[dict[str, Any]] = []
    for part in series.drawn:
        shares = [float(value or 0) / total if total else 0.0 for value, total in zip(part.values, totals, strict=True)]
        plain = [None if value is None else float(value) for value in part.values]
        look = style.looks.of(part.name)
        traces.append(
            {
                "type": "bar",
                **named(style.shown(part.name)),
                "x": x,
                "y": [100 * value for value in shares] if share else plain,
                "customdata": said(part, series.buckets, style, shares=shares if share else None),
                "hovertemplate": HOVER,
                "marker": {
                    "color": look.colour(style.mode),
                    "opacity": strength,
                    "line": {"width": 0.5, "color": style.colours.background},
                    "pattern": {"shape": look.fill, "size": 6, "solidity": 0.35},
                },
                **STEADY,
            }
        )
    tops = [100.0 if total else 0.0 for total in totals] if share else totals
    top = 0.0
    if earlier and not share:
        traces.append(dotted(earlier, x, style))
        top = max([float(value) for value in earlier.values[: len(x)] if value is not None], default=0.0)
    return {"data": traces, "layout": layout(series.buckets, style, tops, top=top, share=share)}


def named(name: str) -> dict[str, str]:
    """A trace's name: whole when it is pointed at, and short enough in the legend to leave room for the marks."""
    parts = name.split(" › ")  # of two levels each has its half
    short = " › ".join(in_words.fitted(part, _LONGEST_NAME // len(parts)) for part in parts)
    return {"name": html.escape(short), "meta": html.escape(name)}


def said(part: Part, buckets: Sequence[datetime], style: Style, *, shares: Sequence[float] | None = None) -> list[list[str]]:
    """What each mark of a part carries: entity, value in words, bucket in words, the bucket's first instant. See `clicked`."""
    write = MEASURES[style.metric].write
    values = [write(value) for value in part.values]
    if shares is not None:
        values = [f"{in_words.percent(share)} ({value})" for share, value in zip(shares, values, strict=True)]
    names = [figure.bucket_name(bucket, style.grain) for bucket in buckets]
    if style.running and names:
        names[-1] += ", so far"
    return [[part.name, value, name, bucket.isoformat()] for value, name, bucket in zip(values, names, buckets, strict=True)]


def dotted(earlier: Earlier, x: Sequence[str], style: Style) -> dict[str, Any]:
    """The period compared with, laid over this one bucket by bucket; a click on a point is one on the bucket that it lies over."""
    write = MEASURES[style.metric].write
    values = list(earlier.values)[: len(x)]
    seen = {"marker": {"opacity": 1.0 if len(values) == 1 else 0.0}}  # a line alone cannot be clicked: it has marks that nobody sees
    return {
        "type": "scatter",
        "mode": "lines+markers",
        **named(earlier.name),
        "x": list(x)[: len(values)],
        "y": [None if value is None else float(value) for value in values],
        "customdata": [
            ["", write(value), figure.bucket_name(bucket, style.grain), here]
            for value, bucket, here in zip(values, earlier.buckets, x, strict=False)
        ],
        "hovertemplate": HOVER,
        "line": {"dash": "dot", "width": 2, "color": style.colours.text},
        "marker": {"size": 6, "color": style.colours.text} | seen["marker"],
        "selected": seen,
        "unselected": seen,
    }


def described(series: Breakdown, style: Style, *, by: str, kind: str = "Stacked bars") -> str:
    """The chart in a sentence, for those who cannot see it."""
    measure = MEASURES[style.metric]
    parts = ", ".join(f"{style.shown(part.name)} {measure.write(part.total)}" for part in series.parts)
    whole = f", {measure.write(sum(series.totals, 0))} in total" if measure.additive else ""
    return f"{kind}: {style.metric} per {style.grain} by {by}{whole}. {parts}."


def layout(buckets: Sequence[datetime], style: Style, tops: Sequence[float], *, top: float = 0.0, share: bool = False) -> dict[str, Any]:
    """Axes, legend and looks over time; `tops` is how high the marks of each bucket reach, `top` how high anything else does."""
    x = [bucket.isoformat() for bucket in buckets]
    colours = style.colours
    at, text = ticks(buckets, style.grain)
    axis = figure.axis(colours)
    unit = {"tickformat": ",d", "ticksuffix": " %", "range": [0, 104]} if share else _unit(style.metric, max([top, *tops]))
    found = figure.frame(colours, HERO_HEIGHT) | {
        "barmode": "stack",
        "bargap": 0.25 if len(x) <= 45 else 0.1,
        "clickmode": "event+select",
        "showlegend": True,
        "legend": figure.LEGEND,
        "xaxis": axis
        | {"type": "category", "tickmode": "array", "tickvals": [x[i] for i in at], "ticktext": text, "tickangle": 0, "showgrid": False}
        | {"automargin": "height", "showline": True, "linecolor": colours.border, "range": [-0.5, len(x) - 0.5]},
        "yaxis": axis
        | {"rangemode": "tozero", "nticks": 5, "automargin": "width", "gridcolor": colours.border, "ticklabelposition": "outside"}
        | unit,
    }
    found["margin"] = found["margin"] | {"r": 8}  # on a phone the newest day's label is wider than its bar
    if style.running and x and tops and tops[-1]:
        found["annotations"] = [so_far(x, tops, colours)]
    return found


def strengths(length: int, *, running: bool) -> list[float]:
    """How strongly each bar is drawn: the last, which is not complete while the period runs, fainter.

    >>> strengths(3, running=True)
    [1.0, 1.0, 0.55]
    """
    return [1.0] * (length - 1) + [0.55 if running else 1.0]


def so_far(x: Sequence[str], tops: Sequence[float], colours: theme.Palette, *, axis: str = "y") -> dict[str, Any]:
    """The words at the last bar; above the bars before it that they reach over, if these are higher, and then with a line down to it."""
    note = {"x": x[-1], "y": tops[-1], "yref": axis, "text": "so far", "xanchor": "right", "font": {"size": 12, "color": colours.muted}}
    if len(x) <= _WIDER_THAN_NOTE:
        return note | {"xanchor": "center", "showarrow": False, "yshift": 9}
    highest = max(tops[-max(2, -(-len(x) // _BARS_UNDER_NOTE)) :])
    if highest <= tops[-1]:
        return note | {"showarrow": False, "yshift": 9, "xshift": 14}
    tail = {"axref": "x", "ayref": axis, "ax": x[-1], "ay": highest, "yanchor": "bottom"}
    return note | tail | {"showarrow": True, "arrowhead": 0, "arrowwidth": 1, "arrowcolor": colours.muted, "standoff": 3}


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
        return at, [in_words.day(buckets[i]) if buckets[i].hour == 0 else f"{buckets[i]:%H:%M}" for i in at]
    step = -(-len(buckets) // most) or 1
    at = list(range(len(buckets) - 1, -1, -step))[::-1]  # counted from the end: the newest always has its label
    if grain == "month":
        return at, [f"{buckets[i]:%b %Y}" for i in at]
    earlier = [None, *at[:-1]]
    new_month = [before is None or buckets[before].month != buckets[i].month for before, i in zip(earlier, at, strict=True)]
    return at, [in_words.day(buckets[i]) if new else str(buckets[i].day) for i, new in zip(at, new_month, strict=True)]


def _unit(metric: str, top: float) -> dict[str, Any]:
    if metric == "cost":
        return figure.dollars(top)
    if MEASURES[metric].timing:
        return {"ticksuffix": " s", "tickformat": "~g"}
    if not MEASURES[metric].additive:
        return {"ticksuffix": " %", "tickformat": "~g"}
    if top <= _FEW:  # marks at halves would be written as whole numbers, each of them twice
        return {"tickformat": ",d", "dtick": 1}
    return {"tickformat": "~s" if top >= 10_000 else ",d"}
