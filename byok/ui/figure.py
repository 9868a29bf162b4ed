"""What every figure shares, so that all look alike: the ground, the type, hover labels, axes, the legend. Plain dicts for Plotly."""

import math
from datetime import datetime
from typing import Any

from byok import in_words
from byok.ui import theme
from byok.ui.periods import Grain

LEGEND: dict[str, Any] = {
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


def frame(colours: theme.Palette, height: int, *, top: int = 0) -> dict[str, Any]:
    """A layout without axes: `height` in pixels, `top` the margin above the plot, for what stands out of it."""
    label = {"bgcolor": colours.surface, "bordercolor": colours.border, "font": {"color": colours.text, "size": 13}, "align": "left"}
    return {
        "height": height,
        "margin": {"l": 0, "r": 0, "t": top, "b": 0, "pad": 4},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": theme.FONT, "size": 13, "color": colours.text},
        "hoverlabel": label,
        "hovermode": "closest",
        "dragmode": False,
        "showlegend": False,
    }


def axis(colours: theme.Palette) -> dict[str, Any]:
    """An axis without a title that nobody can drag."""
    return {"fixedrange": True, "title": {"text": ""}, "tickfont": {"size": 12, "color": colours.muted}, "zeroline": False, "ticks": ""}


def dollars(top: float) -> dict[str, Any]:
    """How an axis of USD that ends at `top` writes its marks: small ones in digits, as $500m is no half dollar to anybody.

    >>> [dollars(top)["tickformat"] for top in (1_234_567, 42, 0.5, 0.0004)]
    ['~s', ',.0f', ',.2f', '.5~f']
    """
    if top >= 100_000:
        form = "~s"
    elif top >= 0.1:
        form = ",.0f" if top >= 10 else ",.2f"
    else:
        form = f".{min(9, 1 - math.floor(math.log10(top)))}~f" if top > 0 else ",.2f"
    return {"tickprefix": "$", "tickformat": form}


def faint(colour: str, strength: float) -> str:
    """A colour such as #0B6BB8 as one that lets the ground through; `strength` from 0 to 1."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{strength})"


def bucket_name(bucket: datetime, grain: Grain) -> str:
    """A bucket in words, such as Sun Nov 22, 14:00; an hour that the clock shows twice with the zone's letters, such as 02:00 CEST."""
    if grain == "hour":
        twice = bucket.utcoffset() != bucket.replace(fold=1 - bucket.fold).utcoffset()
        return f"{bucket:%a} {in_words.day(bucket)}, {bucket:%H:%M}" + (f" {bucket:%Z}" if twice else "")
    return f"{bucket:%a} {in_words.day(bucket, year=True)}" if grain == "day" else f"{bucket:%B %Y}"
