"""The tables of the Reliability page: who fails, how fast models answer, how far counts can be trusted, and the newest failures."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pandas as pd
import streamlit as st

from byok import in_words
from byok.ui import outcomes
from byok.ui.outcomes import SOURCES, Culprit
from byok.ui.table import percent_format, seconds_format

Row = Mapping[str, Any]
_TALLEST = 12  # rows that are shown without scrolling
_SCROLLED = 460


def culprits(found: Sequence[Culprit], *, title: str, shown: Callable[[str], str], key: str, on_select: Callable[[], None]) -> None:
    """Who fails most; `on_select` is called when a cell is clicked."""
    frame = pd.DataFrame(
        [
            {
                "name": name,
                "failed": one.failed,
                "calls": one.calls,
                "rate": 100 * one.rate,
                "limited": 100 * one.limited / one.calls,
                "mostly": outcomes.in_words(one.mostly) if one.mostly else in_words.DASH,
            }
            for one, name in zip(found, in_words.told_apart([shown(one.id) for one in found], 24), strict=True)
        ]
    )
    config = {
        "name": st.column_config.TextColumn(title, width=160, pinned=True),
        "failed": st.column_config.NumberColumn("Failures", format="localized"),
        "calls": st.column_config.NumberColumn("Calls", format="localized"),
        "rate": st.column_config.ProgressColumn(
            "Error rate", format=percent_format(frame["rate"], 1), min_value=0, max_value=_full(frame["rate"]), width=120
        ),
        "limited": st.column_config.NumberColumn(
            "Rate limited", format=percent_format(frame["limited"], 1), help="The share of calls that ended with 429."
        ),
        "mostly": st.column_config.TextColumn("Mostly", help="The status that most of its failed calls ended with."),
    }
    st.dataframe(
        frame,
        column_config=config,
        hide_index=True,
        height=_height(frame),
        on_select=on_select,
        selection_mode="single-cell",
        key=key,
        alt=f"{title}s by failed calls, with calls, error rate, share of rate limits and most frequent status.",
    )


def speeds(models: Sequence[Row]) -> None:
    """Percentiles per model, in seconds."""
    frame = pd.DataFrame(
        [
            {
                "model": name,
                "calls": row["calls"],
                **{speed: None if row[f"{speed}_ms"] is None else row[f"{speed}_ms"] / 1000 for speed in _SPEEDS},
            }
            for row, name in zip(models, in_words.told_apart([row["model"] for row in models], 24), strict=True)
        ]
    )
    written = {speed: seconds_format(frame[speed], places) for speed, places in _SPEEDS.items()}
    config: dict[str, Any] = {
        "model": st.column_config.TextColumn("Model", width=170, pinned=True),
        "ttft_p50": st.column_config.NumberColumn(
            "First token, median", format=written["ttft_p50"], help="Half of the calls had one by then (p50)."
        ),
        "ttft_p95": st.column_config.NumberColumn("First token, p95", format=written["ttft_p95"], help="19 of 20 calls had one by then."),
        "latency_p50": st.column_config.NumberColumn(
            "Latency, median", format=written["latency_p50"], help="Half of the calls were done by then (p50)."
        ),
        "latency_p95": st.column_config.ProgressColumn(
            "Latency, p95",
            format=written["latency_p95"],
            min_value=0,
            max_value=_full(frame["latency_p95"]),
            help="19 of 20 were done by then.",
        ),
        "calls": st.column_config.NumberColumn("Calls", format="localized", help="Successful ones."),
    }
    st.dataframe(
        frame,
        column_config=config,
        column_order=list(config),
        hide_index=True,
        height=_height(frame),
        placeholder=in_words.DASH,
        key="speeds",
        alt="Models by successful calls, with exact percentiles of the time to the first token and to the last.",
    )


def trust(rows: Sequence[Row]) -> None:
    """Where the counts come from, in the order of how far they can be trusted."""
    by_source = {row["usage_source"]: row for row in rows}
    calls = sum(row["calls"] for row in rows)
    frame = pd.DataFrame(
        [
            {
                "counts": words,
                "share": 100 * by_source[name]["calls"] / calls,
                "calls": by_source[name]["calls"],
                "success": by_source[name]["success"],
                "tokens": by_source[name]["total_tokens"],
                "meaning": meaning,
            }
            for name, (words, meaning) in SOURCES.items()
            if name in by_source
        ]
    )
    config = {
        "counts": st.column_config.TextColumn("Counts", width=90, pinned=True),
        "share": st.column_config.ProgressColumn(
            "Share of calls", format=percent_format(frame["share"], 1), min_value=0, max_value=100, width=120
        ),
        "calls": st.column_config.NumberColumn("Calls", format="localized"),
        "success": st.column_config.NumberColumn("Successful", format="localized"),
        "tokens": st.column_config.NumberColumn("Tokens", format="compact"),
        "meaning": st.column_config.TextColumn("What that means", width="large"),
    }
    st.dataframe(
        frame, column_config=config, hide_index=True, height="content", key="trust", alt="Calls by where their token counts come from."
    )


def failures(rows: Sequence[Row], *, zone: ZoneInfo, key_shown: Callable[[str], str]) -> None:
    """The newest failed calls."""
    frame = pd.DataFrame(
        [
            {
                "at": _clock(row["ts"].astimezone(zone)),
                "status": outcomes.in_words(row["status"]),
                "model": f"{row['vendor']}/{row['model']}",
                "key": key_shown(row["key_id"]),
                "endpoint": row["endpoint"],
                "after": None if row["latency_ms"] is None else row["latency_ms"] / 1000,
                "counts": SOURCES[row["usage_source"]][0],
            }
            for row in rows
        ]
    )
    config = {
        "at": st.column_config.TextColumn("When", width=130, pinned=True),
        "status": st.column_config.TextColumn("Status", width=180),
        "model": st.column_config.TextColumn("Model"),
        "key": st.column_config.TextColumn("Key"),
        "endpoint": st.column_config.TextColumn("Endpoint"),
        "after": st.column_config.NumberColumn("After", format=seconds_format(frame["after"], 1)),
        "counts": st.column_config.TextColumn("Counts", help="Whether what was used up to the failure is known."),
    }
    st.dataframe(
        frame,
        column_config=config,
        hide_index=True,
        height=_height(frame),
        placeholder=in_words.DASH,
        key="recent-failures",
        alt="The newest failed calls with status, model, key and duration.",
    )


_SPEEDS = {"ttft_p50": 2, "ttft_p95": 2, "latency_p50": 1, "latency_p95": 1}  # decimals


def _clock(moment: datetime) -> str:
    return f"{in_words.day(moment)}, {moment:%H:%M:%S}"


def _full(column: "pd.Series[float]") -> float:
    """Where a bar is full: at the largest value, so that small ones can still be told apart."""
    top = column.max()
    return float(top) if top and top == top else 1.0


def _height(frame: pd.DataFrame) -> int | Literal["content"]:
    return "content" if len(frame) <= _TALLEST else _SCROLLED
