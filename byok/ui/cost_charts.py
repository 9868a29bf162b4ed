"""The figures of the Costs page: what a cost is made of, by entity and over time, and the steps from a cost to another one."""

import html
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from byok import in_words
from byok.store.money import PARTS
from byok.ui import figure, theme
from byok.ui.breakdown import Breakdown, Part
from byok.ui.theme import Look, Looks

# The parts of a cost: words, and a place in the palette.
WORDS: Mapping[str, str] = {
    "input_usd": "Input",
    "cached_usd": "Cached input",
    "written_usd": "Cache writes",
    "output_usd": "Output",
    "request_usd": "Fees per call",
}
_PLACES = {"input_usd": 0, "cached_usd": 4, "written_usd": 1, "output_usd": 2, "request_usd": 3}
LOOKS = Looks({name: Look(theme.LIGHT.series[place], theme.DARK.series[place]) for name, place in _PLACES.items()})
MOST_BARS = 12
WATERFALL_HEIGHT = 280
_ROW_HEIGHT, _FRAME = 30, 64
_LEGEND_GAP = 8  # pixels between the lowest line of the legend and the first bar
Row = Mapping[str, Any]


def over_time(rows: Sequence[Row], buckets: Sequence[datetime]) -> Breakdown:
    """The rows of `money.course` as the parts of a cost over buckets; a part that is nowhere is left out."""
    by_start = {row["start"]: row for row in rows}
    parts = [Part(name, tuple(_of(by_start.get(bucket.astimezone(UTC)), name) for bucket in buckets)) for name in PARTS]
    return Breakdown(tuple(buckets), tuple(part for part in parts if part.total))


def _of(row: Row | None, name: str) -> Decimal | None:
    return Decimal(0) if row is None else row[name]


def split_bars(rows: Sequence[Row], names: Sequence[str], *, mode: str | None) -> dict[str, Any]:
    """One horizontal bar per row of `money.costs`, dearest on top, made of its parts. `names` are the rows' names as shown."""
    colours = theme.palette(mode)
    shown = list(zip(rows, names, strict=True))[:MOST_BARS][::-1]
    labels = [f"{place}" for place in range(len(shown))]  # two keys may have one name
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "name": WORDS[part],
            "y": labels,
            "x": [float(row[part] or 0) for row, _ in shown],
            "customdata": [[html.escape(name), in_words.money(row[part])] for row, name in shown],
            "hovertemplate": "<b>%{customdata[1]}</b>  %{fullData.name}<br>%{customdata[0]}<extra></extra>",
            "marker": {"color": LOOKS.of(part).colour(mode), "line": {"width": 0.5, "color": colours.background}},
        }
        for part in PARTS
        if any(row[part] for row, _ in shown)
    ]
    text = [html.escape(in_words.fitted(name, 24)) for _, name in shown]
    layout = figure.frame(colours, split_height(len(shown))) | {
        "barmode": "stack",
        "bargap": 0.3,
        "showlegend": True,
        "legend": figure.LEGEND | {"y": 1 + _LEGEND_GAP / (_ROW_HEIGHT * max(len(shown), 2))},
        "xaxis": figure.axis(colours)
        | {"nticks": 5, "gridcolor": colours.border, "rangemode": "tozero", "automargin": "height"}
        | figure.dollars(max((float(row["cost_usd"] or 0) for row, _ in shown), default=0)),
        "yaxis": figure.axis(colours)
        | {"type": "category", "tickmode": "array", "tickvals": labels, "ticktext": text, "showgrid": False, "automargin": "width"},
    }
    return {"data": traces, "layout": layout}


def split_height(rows: int) -> int:
    """How high the figure of `split_bars` is, in pixels."""
    return _FRAME + _ROW_HEIGHT * min(max(rows, 2), MOST_BARS)


def split_described(rows: Sequence[Row], names: Sequence[str]) -> str:
    """The bars in a sentence."""
    said = [f"{name} {in_words.money(row['cost_usd'])}" for row, name in zip(rows, names, strict=True)][:MOST_BARS]
    return f"Bars of cost, made of input, cached input, cache writes and output: {', '.join(said)}."


def waterfall(before: Decimal, steps: Sequence[tuple[str, Decimal]], *, mode: str | None) -> dict[str, Any]:
    """From a cost over one step per name to another cost; dearer is one colour and up, cheaper another and down."""
    colours = theme.palette(mode)
    after = before + sum((step for _, step in steps), Decimal(0))
    names = ["As it was", *(in_words.fitted(name, 24) for name, _ in steps), "What if"]
    values = [before, *(step for _, step in steps), after]
    signed = [in_words.money(before), *(("+" if step > 0 else "") + in_words.money(step) for _, step in steps), in_words.money(after)]
    trace = {
        "type": "waterfall",
        "x": [str(place) for place in range(len(names))],
        "y": [float(value) for value in values],
        "measure": ["absolute", *["relative"] * len(steps), "total"],
        "text": signed,
        "textposition": "outside",
        "cliponaxis": False,
        "customdata": [html.escape(name) for name in names],
        "hovertemplate": "<b>%{text}</b>  %{customdata}<extra></extra>",
        "increasing": {"marker": {"color": colours.bad}},
        "decreasing": {"marker": {"color": colours.good}},
        "totals": {"marker": {"color": colours.primary}},
        "connector": {"line": {"color": colours.border, "width": 1}},
    }
    top = 1.15 * float(max(before, after, before + sum((step for _, step in steps if step > 0), Decimal(0)))) or 1
    layout = figure.frame(colours, WATERFALL_HEIGHT, top=8) | {
        "xaxis": figure.axis(colours)
        | {
            "type": "category",
            "tickmode": "array",
            "tickvals": trace["x"],
            "ticktext": [html.escape(name) for name in names],
            "automargin": "height",
        },
        "yaxis": figure.axis(colours)
        | {"nticks": 5, "gridcolor": colours.border, "range": [0, top], "automargin": "width"}
        | figure.dollars(top),
    }
    return {"data": [trace], "layout": layout}


def waterfall_described(before: Decimal, steps: Sequence[tuple[str, Decimal]]) -> str:
    """The waterfall in a sentence."""
    after = before + sum((step for _, step in steps), Decimal(0))
    said = ", ".join(f"{name} {'+' if step > 0 else ''}{in_words.money(step)}" for name, step in steps)
    return f"Waterfall from {in_words.money(before)} to {in_words.money(after)}: {said or 'no difference'}."
