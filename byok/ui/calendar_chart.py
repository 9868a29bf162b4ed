"""The calendar of stored days: a cell a day, the darker the more calls. A short one reads like a wall calendar, a long one like a year."""

import math
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from byok import in_words
from byok.ui import charts, figure, theme

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MOST_ROWS = 10  # weeks below each other; more stand side by side
_FAINT = 0.18
_ROW, _LONG_HEIGHT = 38, 190


def calendar(counts: Mapping[date, int], first: date, last: date, *, mode: str | None) -> dict[str, Any]:
    """A figure of all days from `first` to `last`; a day without a call is empty, days outside are not drawn."""
    colours = theme.palette(mode)
    monday = first - timedelta(days=first.weekday())
    weeks = [monday + timedelta(weeks=number) for number in range((last - monday).days // 7 + 1)]
    most = max(counts.values(), default=0) or 1

    def shade(day: date) -> float | None:
        if not first <= day <= last:
            return None
        count = counts.get(day, 0)
        return _FAINT + (1 - _FAINT) * math.sqrt(count / most) if count else 0.0

    days = [[week + timedelta(days=number) for number in range(7)] for week in weeks]
    shades = [[shade(day) for day in week] for week in days]
    told = [[_told(day, counts.get(day, 0)) for day in week] for week in days]
    short = len(weeks) <= MOST_ROWS
    trace: dict[str, Any] = {
        "type": "heatmap",
        "zmin": 0,
        "zmax": 1,
        "showscale": False,
        "xgap": 2,
        "ygap": 2,
        "hoverongaps": False,
        "colorscale": [[0, colours.surface], [1, colours.series[0]]],
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    axis = figure.axis(colours) | {"showgrid": False}
    if short:
        rows = list(range(len(weeks)))
        trace |= {"x": list(WEEKDAYS), "y": rows, "z": shades, "customdata": told}
        trace |= {"text": [[str(day.day) if first <= day <= last else "" for day in week] for week in days], "texttemplate": "%{text}"}
        trace |= {"textfont": {"size": 12}}
        labels = [f"{week:%b} {week.day}" for week in weeks]
        x = axis | {"type": "category", "side": "top", "automargin": "height"}
        y = axis | {"autorange": "reversed", "tickvals": rows, "ticktext": labels, "automargin": "width"}
        height = _ROW * len(weeks) + 36
    else:
        at = [number for number, week in enumerate(weeks) if week.day <= 7 and number]
        at = at[:: -(-len(at) // 8) or 1]
        trace |= {"x": list(range(len(weeks))), "y": list(WEEKDAYS), "z": _turned(shades), "customdata": _turned(told)}
        x = axis | {"tickvals": at, "ticktext": [_month(weeks[number]) for number in at], "automargin": "height", "tickangle": 0}
        y = axis | {"type": "category", "autorange": "reversed", "automargin": "width", "tickvals": ["Mon", "Wed", "Fri", "Sun"]}
        height = _LONG_HEIGHT
    layout = figure.frame(colours, height, top=4) | {"xaxis": x, "yaxis": y}
    return {"data": [trace], "layout": layout}


def draw(counts: Mapping[date, int], first: date, last: date, *, mode: str | None) -> None:
    """Show the calendar, with the same in a sentence."""
    busiest = max(counts, key=lambda day: counts[day])
    alt = (
        f"Calendar of stored days from {first:%Y-%m-%d} to {last:%Y-%m-%d}: calls on {in_words.plural(len(counts), 'day')}, "
        f"most on {busiest:%Y-%m-%d} ({in_words.count(counts[busiest])})."
    )
    charts.draw(calendar(counts, first, last, mode=mode), alt=alt, key=f"calendar-{first}-{last}")


def _told(day: date, count: int) -> str:
    return f"<b>{in_words.plural(count, 'record')}</b><br>{day:%a %b} {day.day}, {day.year}"


def _month(day: date) -> str:
    return f"{day:%b %Y}" if day.month == 1 else f"{day:%b}"


def _turned(rows: list[list[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
