"""An answer to SQL: rows, time, a quick chart and a file of it; or what was wrong, in the engine's words."""

import html
from typing import Any

import pyarrow as pa
import streamlit as st
import structlog

from byok import in_words
from byok.accounts.users import User
from byok.errors import ByokError
from byok.store import formatting
from byok.store.console import ConsoleResult
from byok.ui import charts, figure, offers, states, theme
from byok.ui.sql_editor import Run

MOST_MARKS = 500
MOST_LINES = 6
_FORMATS = ("csv", "json", "parquet")

log = structlog.get_logger("byok.web")


def draw(user: User, run: Run) -> None:
    """What came of a run that is over."""
    try:
        answer = run.answer.result(timeout=0)
    except ByokError as error:
        _failed(error)
        return
    except Exception as fault:
        log.error("sql_page_failed", exc_info=fault)
        st.error("The query could not be run. Try again; if it persists, run: `byok doctor`", icon=":material/error:")
        return
    rows = answer.rows.rename_columns(formatting.unique(answer.rows.column_names))
    _described(user, answer)
    if not rows.num_rows:
        return
    table, chart = st.tabs(["Table", "Chart"])
    with table:
        st.dataframe(rows, hide_index=True, alt=f"The answer: {in_words.plural(rows.num_rows, 'row')}")
    with chart:
        _chart(rows)
    fmt = st.segmented_control("Format", list(_FORMATS), default="csv", required=True, key="sql-format")
    offers.answer_link(user, rows, fmt)


def _failed(error: ByokError) -> None:
    st.error(f"`{error.code}` {error.remedy}", icon=":material/error:")
    st.code(error.message, language=None, wrap_lines=True)


def _described(user: User, answer: ConsoleResult) -> None:
    st.markdown(f"**{in_words.plural(answer.rows.num_rows, 'row')}** in {answer.seconds:.2f} s")
    if answer.truncated:
        st.warning(f"Not all is shown: {answer.truncated}.", icon=":material/content_cut:")
    if not answer.rows.num_rows and states.newest_of(user) is None:
        st.caption("No call was recorded yet: `usage` is empty.")


def _chart(rows: pa.Table) -> None:
    over, numbers = axes(rows)
    if not over or not numbers:
        st.caption("A chart needs a column to go along (a time or a text) and one of numbers.")
        return
    with st.container(horizontal=True):
        along = st.selectbox("Along", over, key="sql-along")
        drawn = st.multiselect("Numbers", numbers, default=numbers[:1], key="sql-numbers", max_selections=MOST_LINES)
    if rows.num_rows > MOST_MARKS:
        st.caption(f"The first {MOST_MARKS} of {rows.num_rows:,} rows.")
    if along and drawn:
        figure = quick(rows.slice(0, MOST_MARKS), along, drawn, mode=st.context.theme.type)
        charts.draw(figure, alt=f"{', '.join(drawn)} along {along}", key="sql-chart")


def axes(rows: pa.Table) -> tuple[list[str], list[str]]:
    """The columns that a chart can go along, times first, and those of numbers."""
    times = [f.name for f in rows.schema if pa.types.is_temporal(f.type)]
    texts = [f.name for f in rows.schema if pa.types.is_string(f.type)]
    numbers = [f.name for f in rows.schema if pa.types.is_integer(f.type) or pa.types.is_floating(f.type) or pa.types.is_decimal(f.type)]
    whole = [name for name in numbers if pa.types.is_integer(rows.schema.field(name).type)]
    return [*times, *texts, *whole], numbers


def quick(rows: pa.Table, along: str, drawn: list[str], *, mode: str | None) -> dict[str, Any]:
    """A figure: lines along a time or a number, bars along texts. Nulls are gaps."""
    colours = theme.palette(mode)
    is_text = pa.types.is_string(rows.schema.field(along).type)
    # Plotly reads markup in texts; these are data.
    x = [None if cell is None else html.escape(cell) for cell in formatting.cells(rows[along].combine_chunks())]
    kind = {"type": "bar"} if is_text else {"type": "scatter", "mode": "lines+markers", "marker": {"size": 5}}
    traces = [
        kind
        | {
            "name": html.escape(name),
            "x": x,
            "y": [None if value is None else float(value) for value in rows[name].to_pylist()],
            "marker": {"color": colours.series[at % len(colours.series)], "size": 5} if not is_text else {"color": colours.series[at]},
        }
        for at, name in enumerate(drawn)
    ]
    axis = figure.axis(colours) | {"automargin": True}
    layout = figure.frame(colours, charts.HERO_HEIGHT) | {
        "barmode": "group",
        "showlegend": len(drawn) > 1,
        "legend": figure.LEGEND,
        "xaxis": axis | {"type": "category" if is_text else "-", "showgrid": False},
        "yaxis": axis | {"gridcolor": colours.border, "rangemode": "tozero"},
    }
    return {"data": traces, "layout": layout}
