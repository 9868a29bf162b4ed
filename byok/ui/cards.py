"""The four cards of a period: cost, calls, tokens, error rate, each with its change and its course."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import streamlit as st

from byok import in_words
from byok.ui import sparkline, theme

Summary = Mapping[str, Any]
HEIGHT = 166  # of a row of them, in pixels
DeltaColour = Literal["normal", "inverse", "off"]


@dataclass(frozen=True)
class Card:
    """One number: how it is written, how it changed (None: nothing to compare with), its course, and what its growth means."""

    label: str
    value: str
    delta: str | int | None
    course: Sequence[float | None]
    colour: DeltaColour
    chart: Literal["area", "bar"]
    help: str
    write: Callable[[float], str]  # a value of the course


def cards(now: Summary, before: Summary | None, courses: Mapping[str, Sequence[float]]) -> list[Card]:
    """The cards of two summaries (calls, failed, total_tokens, cost_usd, unpriced_calls); `before` None where it is no longer kept."""
    rate, rate_before = _failed_share(now), _failed_share(before)
    unpriced = now["unpriced_calls"]
    left_out = f" Not included: {in_words.plural(unpriced, 'call')} whose price or token counts are not known." if unpriced else ""
    return [
        Card(
            "Cost",
            in_words.money(now["cost_usd"]),
            relative(now, before, "cost_usd"),
            courses["cost"] if now["cost_usd"] is not None else [],
            "inverse",
            "area",
            "At the vendors' official prices in force when each call was made." + left_out,
            in_words.money,
        ),
        Card(
            "Calls",
            in_words.count(now["calls"]),
            relative(now, before, "calls"),
            courses["calls"],
            "off",
            "area",
            "Calls that reached a vendor, failed ones included.",
            in_words.short,
        ),
        Card(
            "Tokens",
            in_words.short(now["total_tokens"]),
            relative(now, before, "total_tokens"),
            courses["tokens"],
            "off",
            "area",
            f"{in_words.count(now['total_tokens'])} tokens: input and output, as the vendors report them.",
            in_words.short,
        ),
        Card(
            "Error rate",
            in_words.percent(rate),
            points(rate, rate_before),
            courses["failed"],
            "inverse",
            "bar",
            f"{in_words.count(now['failed'])} of {in_words.plural(now['calls'], 'call')} did not end with a 2xx status.",
            lambda value: in_words.percent(value / 100),
        ),
    ]


def draw(found: Sequence[Card]) -> None:
    """Show the cards in one row of equal height, fewer per row on narrow screens."""
    colour = theme.palette(st.context.theme.type).primary
    with st.grid(4, min_column_width=165, gap="small"):
        for card in found:
            with st.container(border=True, height="stretch", gap="small", vertical_alignment="distribute"):
                st.metric(card.label, card.value, card.delta, delta_color=card.colour, help=card.help)
                if any(value is not None for value in card.course):
                    sparkline.draw([value or 0.0 for value in card.course], card.chart, colour=colour, alt=_in_words(card))


def _in_words(card: Card) -> str:
    """The small chart's lowest, highest and newest value."""
    known = [value for value in card.course if value is not None]
    low, high, newest = (card.write(value) for value in (min(known), max(known), known[-1]))
    return f"{card.label} over the period: lowest {low}, highest {high}, newest {newest}."


def _failed_share(summary: Summary | None) -> float | None:
    return summary["failed"] / summary["calls"] if summary and summary["calls"] else None


def relative(now: Summary, before: Summary | None, name: str) -> str | int | None:
    """How a figure of a summary changed, as the delta of a card; None if that cannot be said."""
    share = in_words.change(now[name], before[name]) if before else None
    if share is None:
        return None
    return 0 if abs(share) < 0.0005 else in_words.signed_percent(share)


def points(now: float | None, before: float | None) -> str | int | None:
    """How a share of one changed, in percentage points, as the delta of a card."""
    if now is None or before is None:
        return None
    points = (now - before) * 100
    return 0 if abs(points) < 0.05 else f"{points:+.1f} points"
