"""The month as a figure: the sum so far, the way to its end, the range around it, and the budget. A plain dict for Plotly."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from byok import in_words
from byok.store.outlook import Outlook
from byok.ui import figure, theme
from byok.ui.theme import Palette

HEIGHT = 280
WRITE: Mapping[str, Callable[[Any], str]] = {"cost": in_words.money, "tokens": in_words.short, "calls": in_words.count}


def band(found: Outlook, *, budget: float | None, mode: str | None) -> dict[str, Any]:
    """The figure: sums day by day, dotted from today on, with the range as a band."""
    colours, write = theme.palette(mode), WRITE[found.metric]
    sums, total = [], 0.0
    for day in sorted(day for day in found.days if day <= found.today):
        total += found.days[day]
        sums.append((day, total))
    if not sums or sums[-1][0] != found.today:
        sums.append((found.today, total))
    path = found.forecast.path
    ahead = [day.isoformat() for day in (found.today, *(step.day for step in path[1:]))]
    middle, low, high = ([total, *(getattr(step, name) for step in path[1:])] for name in ("middle", "low", "high"))
    hidden = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    traces: list[dict[str, Any]] = [
        {"type": "scatter", "x": ahead, "y": high, **hidden},
        {"type": "scatter", "x": ahead, "y": low, **hidden, "fill": "tonexty", "fillcolor": figure.faint(colours.primary, 0.18)}
        | {"name": "range, 4 of 5", "showlegend": True},
        _line("so far", [day.isoformat() for day, _ in sums], [value for _, value in sums], "solid", colours.primary, write),
        _line("projected", ahead, middle, "dot", colours.primary, write),
    ]
    if budget is not None:
        ends = [found.month.isoformat(), ahead[-1]]
        traces.append(_line("budget", ends, [budget, budget], "dash", colours.bad, write))
    return {"data": traces, "layout": _layout(found, colours)}


def _line(name: str, x: list[str], y: list[float], dash: str, colour: str, write: Any) -> dict[str, Any]:
    hover = "<b>%{customdata}</b>  " + name + "<br>%{x|%b %-d}<extra></extra>"
    line = {"dash": dash, "width": 2, "color": colour}
    looks = {"mode": "lines", "line": line, "hovertemplate": hover, "customdata": [write(value) for value in y]}
    return {"type": "scatter", "name": name, "x": x, "y": y, **looks}


def described(found: Outlook) -> str:
    """The chart in a sentence, for those who cannot see it."""
    write, guess = WRITE[found.metric], found.forecast
    return (
        f"A line of {found.metric} in {found.month:%B %Y}: {write(guess.so_far)} so far, projected {write(guess.middle)} at its end, "
        f"between {write(guess.low)} and {write(guess.high)}."
    )


def _layout(found: Outlook, colours: Palette) -> dict[str, Any]:
    axis = figure.axis(colours)
    days = [date.fromordinal(n) for n in range(found.month.toordinal(), found.until.toordinal())]
    marked = [day for day in days if (day.day - 1) % 7 == 0]
    return figure.frame(colours, HEIGHT) | {
        "showlegend": True,
        "legend": figure.LEGEND,
        "xaxis": axis
        | {"type": "date", "range": [days[0].isoformat(), days[-1].isoformat()], "tickvals": [day.isoformat() for day in marked]}
        | {"ticktext": [f"{day:%b} {day.day}" for day in marked], "showgrid": False, "showline": True}
        | {"automargin": "height", "linecolor": colours.border},
        "yaxis": axis
        | {"rangemode": "tozero", "nticks": 5, "automargin": "width", "gridcolor": colours.border}
        | (figure.dollars(float(max(found.forecast.high or 0, found.forecast.so_far))) if found.metric == "cost" else {"tickformat": "~s"}),
    }
