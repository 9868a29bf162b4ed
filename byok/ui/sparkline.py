"""The small chart of a card: a picture of numbers and nothing else. Streamlit's own loads a whole charting library for each page."""

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from typing import Literal

import streamlit as st

HEIGHT = 36
_WIDTH = 240  # the picture is stretched to its card
Kind = Literal["area", "bar"]


def draw(values: Sequence[float], kind: Kind, *, colour: str, alt: str) -> None:
    """Show a course from its lowest value (at most 0) to its highest. `alt` says it in words, and is its tooltip."""
    picture = b64encode(svg(values, kind, colour=colour).encode()).decode()
    said = escape(alt)
    style = f"display: block; width: 100%; height: {HEIGHT}px"
    st.html(f'<img src="data:image/svg+xml;base64,{picture}" alt="{said}" title="{said}" style="{style}">')


def svg(values: Sequence[float], kind: Kind, *, colour: str) -> str:
    """The picture; a single value is a level line.

    >>> 'd="M0.0 35.0 120.0 18.0 240.0 1.0"' in svg([0, 2, 4], "area", colour="#0B6BB8")
    True
    """
    low, high = min(0.0, *values), max(0.0, *values)
    scale = (HEIGHT - 2) / (high - low) if high > low else 0.0
    heights = [1 + (high - value) * scale if scale else HEIGHT - 1.0 for value in values]
    ground = 1 + high * scale if scale else HEIGHT - 1.0
    marks = _bars(heights, ground, colour) if kind == "bar" else _area(heights, ground, colour)
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {HEIGHT}" preserveAspectRatio="none">{marks}</svg>'


def _bars(heights: Sequence[float], ground: float, colour: str) -> str:
    step = _WIDTH / len(heights)
    path = "".join(f"M{(at + 0.1) * step:.1f} {ground:.1f}V{top:.1f}h{0.8 * step:.1f}V{ground:.1f}z" for at, top in enumerate(heights))
    base = f'<path d="M0 {ground:.1f}H{_WIDTH}" stroke="{colour}" stroke-opacity=".35" vector-effect="non-scaling-stroke"/>'
    return f'{base}<path d="{path}" fill="{colour}"/>'


def _area(heights: Sequence[float], ground: float, colour: str) -> str:
    if len(heights) == 1:
        heights = [heights[0], heights[0]]
    step = _WIDTH / (len(heights) - 1)
    line = " ".join(f"{at * step:.1f} {top:.1f}" for at, top in enumerate(heights))
    area = f'<path d="M0 {ground:.1f}L{line}L{_WIDTH} {ground:.1f}z" fill="{colour}" fill-opacity=".16"/>'
    stroke = f'fill="none" stroke="{colour}" stroke-width="1.5" stroke-linejoin="round" vector-effect="non-scaling-stroke"'
    return f'{area}<path d="M{line}" {stroke}/>'
