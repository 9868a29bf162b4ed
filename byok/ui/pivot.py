"""The parts of a chart as a table: one row per part, its whole, its share, and a column per bucket. A click on a row filters."""

from collections.abc import Callable, Sequence

import pandas as pd
import streamlit as st

from byok import in_words
from byok.ui import course_charts, figure, table
from byok.ui.breakdown import Breakdown
from byok.ui.measures import MEASURES
from byok.ui.periods import Grain

MOST_COLUMNS = 100
_FIXED = 4


def frame(series: Breakdown, metric: str, grain: Grain, *, shown: Callable[[str], str]) -> pd.DataFrame:
    """Columns: id, name, whole, share (0-100; for sums only), and one per bucket, oldest first, at most `MOST_COLUMNS` of the newest."""
    measure, factor = MEASURES[metric], course_charts.scale(metric)
    total = float(sum(series.totals, 0)) if measure.additive else 0.0
    first = max(0, len(series.buckets) - MOST_COLUMNS)
    rows = []
    names = in_words.told_apart([shown(part.name) for part in series.parts])
    for part, name in zip(series.parts, names, strict=True):
        known = not measure.additive or part.known
        whole = float(part.total) * factor if known and (measure.additive or part.whole is not None) else None
        rows.append(
            {
                "id": part.name,
                "name": name,
                "whole": whole,
                "share": 100 * whole / total if measure.additive and total and whole is not None else None,
                **{
                    figure.bucket_name(bucket, grain): None if value is None else float(value) * factor
                    for bucket, value in zip(series.buckets[first:], part.values[first:], strict=True)
                },
            }
        )
    return pd.DataFrame(rows, columns=["id", "name", "whole", "share", *(figure.bucket_name(one, grain) for one in series.buckets[first:])])


def draw(found: pd.DataFrame, metric: str, *, title: str, key: str, on_select: Callable[[], None]) -> None:
    """Show it; `on_select` is called when a cell is clicked (see `byok.ui.table.clicked`)."""
    measure = MEASURES[metric]
    form = _form(metric, pd.concat([found[name] for name in ("whole", *found.columns[_FIXED:])]))
    config = {
        "name": st.column_config.TextColumn(title, width=190, pinned=True),
        "whole": st.column_config.NumberColumn("Total" if measure.additive else "Whole period", format=form),
        "share": st.column_config.ProgressColumn(
            "Share", format=table.percent_format(found["share"]), min_value=0, max_value=100, width=110
        ),
    } | {name: st.column_config.NumberColumn(_short(name), format=form) for name in found.columns[_FIXED:]}
    order = [name for name in found.columns if name != "id" and (name != "share" or measure.additive)]
    alt = f"{measure.title} as a table: one row per {title.lower()}, one column per bucket of time."
    table.show(found, config, order, key=key, alt=alt, on_select=on_select, tall=(15, 560))


def _form(metric: str, values: "pd.Series[float]") -> str:
    """How all values of the table are written: so that the least of them is not nothing."""
    measure = MEASURES[metric]
    if metric == "cost":
        return table.money_format(values)
    return "localized" if measure.additive else table.seconds_format(values, 2) if measure.timing else table.percent_format(values, 1)


def _short(name: str) -> str:
    """Without the year, which the period says already.

    >>> _short("Fri Nov 20, 2026"), _short("Fri Nov 20, 14:00")
    ('Fri Nov 20', 'Fri Nov 20, 14:00')
    """
    return name[:-6] if name[-6:-4] == ", " else name


def buckets_left_out(buckets: Sequence[object]) -> int:
    """How many of the oldest buckets have no column."""
    return max(0, len(buckets) - MOST_COLUMNS)
