"""What an opened page says."""

import json
from typing import Any

from streamlit.testing.v1 import AppTest

KINDS = ("title", "header", "subheader", "markdown", "caption", "text", "code", "info", "warning", "error")


def text_of(app: AppTest) -> str:
    """All words on the page, for claims about what it says."""
    assert not app.exception, app.exception[0].value
    said = [str(element.value) for kind in KINDS for element in getattr(app, kind)]
    return "\n".join([*said, *(f"{card.label} {card.value} {card.delta}" for card in app.metric)])


def figure_of(app: AppTest) -> dict[str, Any]:
    """The page's chart, as it goes to the browser."""
    (chart,) = app.get("plotly_chart")
    found: dict[str, Any] = json.loads(chart.proto.spec)
    return found


def headings(app: AppTest) -> list[str]:
    return [element.value for element in app.subheader]
