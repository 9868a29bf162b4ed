"""The leaderboard: who or what costs how much, its share, its change and its course. A click on a row filters."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from byok import in_words
from byok.ui.measures import MEASURES, Value

Row = Mapping[str, Any]
_MOST_PLACES = 3
_UNPRICED_HELP = "A dash: no price is known for these calls, so they are not in any sum of money."


def leaderboard(
    rows: Sequence[Row],
    before: Sequence[Row] | None,
    courses: Mapping[str, Sequence[float]],
    *,
    column: str,
    metric: str,
    shown: Callable[[str], str],
) -> pd.DataFrame:
    """One row per entity of `column`, largest first by `metric`; rows and `before` are those of `questions.usage` with cost.

    Columns: id, name, share (0–100), cost, change (per cent or None), calls, errors, error_rate (0–100), tokens, course.
    """
    of = MEASURES[metric].of
    earlier = {str(row[column]): row for row in before or ()}
    whole = sum(_number(of(row)) for row in rows)
    ordered = sorted(rows, key=lambda row: (-_number(of(row)), -row["calls"], str(row[column])))
    names = in_words.told_apart([shown(str(row[column])) for row in ordered], 30)
    return pd.DataFrame(
        [
            {
                "id": str(row[column]),
                "name": name,
                "share": 100 * _number(of(row)) / whole if whole and of(row) is not None else None,
                "cost": None if row["cost_usd"] is None else float(row["cost_usd"]),
                "change": _change(row, earlier.get(str(row[column])), of),
                "calls": row["calls"],
                "errors": row["failed"],
                "error_rate": 100 * row["failed"] / row["calls"],
                "tokens": row["total_tokens"],
                "course": None if of(row) is None else list(courses.get(str(row[column]), ())),
            }
            for row, name in zip(ordered, names, strict=True)
        ],
        columns=["id", "name", "share", "cost", "change", "calls", "errors", "error_rate", "tokens", "course"],
    )


def draw(frame: pd.DataFrame, *, title: str, compared_with: str | None, key: str, on_select: Callable[[], None]) -> None:
    """Show the leaderboard; `on_select` is called when a cell is clicked (see `clicked`)."""
    config = {
        "name": st.column_config.TextColumn(title, width=165 if frame["name"].str.len().max() <= 24 else 210, pinned=True),
        "share": st.column_config.ProgressColumn("Share", format=percent_format(frame["share"]), min_value=0, max_value=100, width=110),
        "cost": st.column_config.NumberColumn("Cost", format=money_format(frame["cost"]), help=_UNPRICED_HELP),
        "change": st.column_config.NumberColumn(
            "Change", format=percent_format(frame["change"], sign="+,"), help=f"Against {compared_with}." if compared_with else None
        ),
        "calls": st.column_config.NumberColumn("Calls", format="localized"),
        "tokens": st.column_config.NumberColumn("Tokens", format="compact"),
        "errors": st.column_config.NumberColumn("Failures", format="localized", help="Calls that did not end with a 2xx status."),
        "error_rate": st.column_config.NumberColumn("Error rate", format=percent_format(frame["error_rate"], 1)),
        "course": st.column_config.AreaChartColumn("Trend", width="small", help="Over the period shown.", y_min=0),
    }
    order = [name for name in config if name != "change" or compared_with]
    show(frame, config, order, key=key, on_select=on_select, alt=f"{title}s by share, with cost, change, calls, tokens and failures.")


def show(
    frame: pd.DataFrame,
    config: dict[str, Any],
    order: Sequence[str],
    *,
    alt: str,
    key: str,
    on_select: Callable[[], None] | None = None,
    tall: tuple[int, int] = (12, 460),
) -> None:
    """Show a table as all pages do: as wide as there is room, a dash for what is not known; `tall`: with more rows than that, so high.

    `on_select` is called when a cell is clicked (see `clicked`).
    """
    st.dataframe(
        frame,
        column_config=config,
        column_order=order,
        hide_index=True,
        width="stretch",
        height="content" if len(frame) <= tall[0] else tall[1],
        placeholder=in_words.DASH,
        on_select=on_select or "ignore",
        selection_mode="single-cell",
        key=key,
        alt=alt,
    )


def clicked(key: str, frame_ids: Sequence[str]) -> str | None:
    """The id of the row whose cell was clicked."""
    cells = (st.session_state.get(key) or {}).get("selection", {}).get("cells", [])
    at = cells[0][0] if cells else None
    return frame_ids[at] if at is not None and at < len(frame_ids) else None


def _number(value: Value | None) -> float:
    return float(value or 0)


def _change(row: Row, before: Row | None, of: Callable[[Row], Value | None]) -> float | None:
    share = in_words.change(of(row), of(before)) if before else None
    return None if share is None else 100 * share


def percent_format(shares: "pd.Series[float]", places: int = 0, *, sign: str = "") -> str:
    """How a column of per cents is written: with so many decimals, or as many more as it takes that nearly nothing is no 0, and nearly
    all no 100."""
    known = shares.dropna().abs()
    while places < _MOST_PLACES and any(round(value, places) in (0, 100) and value not in (0, 100) for value in known):
        places += 1
    return f"%{sign}.{places}f %%"


def seconds_format(spans: "pd.Series[float]", places: int) -> str:
    """The same for seconds: what took milliseconds did not take nothing."""
    known = spans.dropna()
    while places < _MOST_PLACES and any(round(value, places) == 0 < value for value in known):
        places += 1
    return f"%.{places}f s"


def money_format(amounts: "pd.Series[float]") -> str:
    """How a column of USD is written: with as many decimals as its least amount needs to be told from nothing."""
    known = amounts.dropna()
    least = known[known > 0].min() if (known > 0).any() else 1.0
    return next((f"$%,.{places}f" for places in (2, 4, 6) if least >= 10**-places), "$%,.9f")
