"""The Costs page's cards and its table: what each entity cost, part by part, and with which dated prices."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import streamlit as st

from byok import in_words
from byok.ui import cards, table
from byok.ui.cards import Card, DeltaColour
from byok.ui.cost_charts import WORDS

Row = Mapping[str, Any]
_SAVED = (
    "What the same calls would have cost more with no input cached, less what writing into the cache cost more. "
    "Only where a price names a rate for cached input."
)
_PART_COLUMNS = {name: WORDS[name] for name in ("input_usd", "cached_usd", "written_usd", "output_usd", "request_usd")}


def draw_cards(totals: Row, before: Row | None, course: Sequence[Row], buckets: Sequence[datetime]) -> None:
    """What it cost, what 1,000 calls cost, what caching saved, and how much has no known cost; `before` None without a comparison.

    `course`: rows of `money.course`; a bucket without one had no call.
    """
    by_start = {row["start"]: row for row in course}
    over_time = [by_start.get(bucket.astimezone(UTC)) for bucket in buckets]
    cards.draw([*_in_usd(totals, before, over_time), _without_a_cost(totals, over_time)])


def _in_usd(totals: Row, before: Row | None, course: Sequence[Row | None]) -> list[Card]:
    def of(title: str, name: str, colour: DeltaColour, about: str) -> Card:
        values = [float(row[name] or 0) if row else 0.0 for row in course] if totals[name] is not None else []
        return Card(
            title, in_words.money(totals[name]), cards.relative(totals, before, name), values, colour, "area", about, in_words.money
        )

    return [
        of("Cost", "cost_usd", "inverse", "At the vendors' official prices in force when each call was made."),
        of("Per 1,000 calls", "usd_per_1000_calls", "inverse", "Of the calls whose cost is known."),
        of("Saved by caching", "saved_usd", "normal", _SAVED),
    ]


def _without_a_cost(totals: Row, course: Sequence[Row | None]) -> Card:
    unpriced, calls = totals["unpriced_calls"], totals["total_calls"]
    return Card(
        "Without a cost",
        in_words.count(unpriced),
        None,
        [float(row["unpriced_calls"]) if row else 0.0 for row in course],
        "off",
        "bar",
        f"{in_words.count(unpriced)} of {in_words.plural(calls, 'call')}: no price of the model is known, or the vendor reported no counts "
        "(failed calls mostly). They are in no sum.",
        in_words.short,
    )


def frame(rows: Sequence[Row], names: Sequence[str], sources: Sequence[Sequence[str]] | None) -> pd.DataFrame:
    """One row per row of `money.costs`, money as floats; `sources` are the dated prices of each, where they can be told."""
    return pd.DataFrame(
        [
            {
                "name": name,
                "cost": _float(row["cost_usd"]),
                **{part: _float(row[part]) for part in _PART_COLUMNS},
                "per_1000": _float(row["usd_per_1000_calls"]),
                "saved": _float(row["saved_usd"]),
                "calls": row["calls"],
                "unpriced": row["unpriced_calls"],
                "sources": None if sources is None else "; ".join(sources[place]) or None,
            }
            for place, (row, name) in enumerate(zip(rows, in_words.told_apart(names, 24), strict=True))
        ]
    )


def draw_table(found: pd.DataFrame, *, title: str, key: str) -> None:
    """Show the table; columns in which nothing is are left out."""
    written = table.money_format(found["cost"])
    config: dict[str, Any] = {
        "name": st.column_config.TextColumn(title, width=170, pinned=True),
        "cost": st.column_config.NumberColumn(
            "Cost", format=written, help="A dash: no price is known, so these calls are in no sum of money."
        ),
        **{part: st.column_config.NumberColumn(words, format=written) for part, words in _PART_COLUMNS.items() if found[part].any()},
        "per_1000": st.column_config.NumberColumn("Per 1,000 calls", format=table.money_format(found["per_1000"])),
        "saved": st.column_config.NumberColumn("Saved by caching", format=written),
        "calls": st.column_config.NumberColumn("Calls", format="localized"),
        "unpriced": st.column_config.NumberColumn("Without a cost", format="localized"),
        "sources": st.column_config.TextColumn("Price", width="large", help="Where the price is from, and since when it holds."),
    }
    order = [name for name in config if name not in ("saved", "unpriced", "sources") or found[name].any()]
    st.dataframe(
        found,
        column_config=config,
        column_order=order,
        hide_index=True,
        width="stretch",
        height="content" if len(found) <= 12 else 460,
        placeholder=in_words.DASH,
        key=key,
        alt=f"{title}s by cost, with input, cached input, cache writes, output, cost of 1,000 calls and savings.",
    )


def sources_by(rows: Iterable[Row], found: Mapping[tuple[str, str], Sequence[str]], column: str) -> list[list[str]] | None:
    """The dated prices behind each row by vendor or model; None by anything else."""
    if column not in ("vendor", "model"):
        return None
    place = 0 if column == "vendor" else 1
    by_name: dict[str, list[str]] = {}
    for name, sources in found.items():
        by_name.setdefault(name[place], []).extend(sources)
    return [list(dict.fromkeys(by_name.get(row[column], ()))) for row in rows]


def names_of(rows: Iterable[Row], column: str, shown: Callable[[str], str]) -> list[str]:
    return [shown(str(row[column])) for row in rows]


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
