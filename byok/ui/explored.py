"""A measure as the bar asks for it: over time, by one or two columns, with the period compared with. Shared by Overview and Explore."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from byok.store import courses
from byok.store.engine import Engine
from byok.store.scope import AnyScope
from byok.ui import breakdown
from byok.ui.breakdown import Breakdown
from byok.ui.charts import Earlier
from byok.ui.filters import COLUMN_OF, Filters
from byok.ui.measures import MEASURES, Value
from byok.ui.names import Names
from byok.ui.periods import buckets
from byok.ui.theme import OTHER, OTHER_WORD, Look, Looks

Row = Mapping[str, Any]
_BETWEEN = "\x1f"  # between the values of two columns; in no stored text
_SHADES = (0.0, 0.28, 0.5, 0.66)
_ALL = "all"


@dataclass(frozen=True)
class Answer:
    """`series`: its parts over time. `whole`: all of them together, bucket by bucket, for a measure that is no sum."""

    columns: tuple[str, ...]
    series: Breakdown
    whole: tuple[Value | None, ...] | None
    earlier: Earlier | None


def columns_of(chosen: Filters) -> tuple[str, ...]:
    """The columns of the one or two levels."""
    return (COLUMN_OF[chosen.by], *((COLUMN_OF[chosen.by2],) if chosen.by2 else ()))


def steps_of(chosen: Filters) -> list[datetime]:
    """The starts of all buckets of the period, from what is kept on."""
    return buckets(max(chosen.period.since, chosen.kept_from), chosen.period.until, chosen.grain, chosen.zone)


def answer(
    engine: Engine,
    chosen: Filters,
    metric: str,
    *,
    most: int,
    sums: Sequence[Row] | None = None,
    sums_before: Sequence[Row] | None = None,
) -> Answer:
    """The `most` largest parts (and Other, where parts make a whole).

    `sums`: rows of `courses.sums` of the columns asked for that are there already; `sums_before`: of the period compared with, undivided.
    """
    steps, columns = steps_of(chosen), columns_of(chosen)
    known = sums if sums is not None and MEASURES[metric].additive else _over(engine, chosen.scope, metric, chosen, steps, columns)
    rows = _joined(known, columns)
    compared = earlier(engine, chosen, metric, sums_before)
    if MEASURES[metric].additive:
        return Answer(columns, breakdown.breakdown(rows, steps, metric, column=_ALL, most=most), None, compared)
    totals = _joined(_over(engine, chosen.scope, metric, chosen, steps[:1], columns, once=True), columns)
    whole = [{**row, _ALL: ""} for row in _over(engine, chosen.scope, metric, chosen, steps, ())]
    together = breakdown.apart(whole, [{_ALL: "", **_nothing(metric)}], steps, metric, column=_ALL, most=1)
    series = breakdown.apart(rows, totals, steps, metric, column=_ALL, most=most)
    return Answer(columns, series, together.parts[0].values, compared)


def earlier(engine: Engine, chosen: Filters, metric: str, sums: Sequence[Row] | None = None) -> Earlier | None:
    """The whole of the period compared with; None where there is none. `sums`: rows of `courses.sums` of it that are there already."""
    before = chosen.scope_before
    if before is None:
        return None
    steps = buckets(before.since, before.until, chosen.grain, chosen.zone)
    known = sums if sums is not None and MEASURES[metric].additive else _over(engine, before, metric, chosen, steps, ())
    rows = [{**row, _ALL: ""} for row in known]
    if MEASURES[metric].additive:
        parts = breakdown.breakdown(rows, steps, metric, column=_ALL).parts
        if not parts:
            return None  # a line along the ground says nothing
        values: Sequence[Value | None] = parts[0].values
    else:
        values = breakdown.apart(rows, [{_ALL: "", **_nothing(metric)}], steps, metric, column=_ALL, most=1).parts[0].values
    return Earlier(chosen.period.compared_with, values, steps)


def shown(names: Names, columns: Sequence[str], part: str) -> str:
    """How a part is written: a value, or two with a mark between."""
    return OTHER_WORD if part == OTHER else " › ".join(_values_shown(names, columns, part))


def values_of(part: str, columns: Sequence[str]) -> list[str]:
    """The stored values behind a part, one per column."""
    return part.split(_BETWEEN, len(columns) - 1)


def looks(names: Names, columns: Sequence[str], series: Breakdown) -> Looks:
    """The fixed looks of the first column's values; those of the second level are shades of them."""
    firsts = [values_of(part.name, columns)[0] for part in series.parts if part.name != OTHER]
    fixed = names.looks(columns[0], also=firsts)
    if len(columns) == 1:
        return fixed
    found: dict[str, Look] = {}
    for part, first in zip([part for part in series.parts if part.name != OTHER], firsts, strict=True):
        shade = _SHADES[sum(values_of(name, columns)[0] == first for name in found) % len(_SHADES)]
        look = fixed.of(first)
        found[part.name] = Look(_mixed(look.light, "#FFFFFF", shade), _mixed(look.dark, "#0E1420", shade), look.fill)
    return Looks(found)


def _values_shown(names: Names, columns: Sequence[str], part: str) -> list[str]:
    return [names.shown(column, value) for column, value in zip(columns, values_of(part, columns), strict=True)]


def _over(
    engine: Engine, scope: AnyScope, metric: str, chosen: Filters, steps: Sequence[datetime], by: Sequence[str], *, once: bool = False
) -> Sequence[Row]:
    """Rows from which the measure can be read, per step (`once`: over all of them)."""
    if MEASURES[metric].timing:
        return courses.waits(engine, scope, steps, by=by)
    if metric == "cached":
        return courses.cached_input(engine, scope, steps, by=by)
    rows = courses.sums(engine, scope, grain=chosen.grain, by=by)
    return courses.added(rows, by=by) if once else rows


def _joined(rows: Sequence[Row], columns: Sequence[str]) -> list[dict[str, Any]]:
    return [{**row} | {_ALL: _BETWEEN.join(str(row[column]) for column in columns)} for row in rows]


def _nothing(metric: str) -> dict[str, Any]:
    """A row in which the measure is not known."""
    names = ("latency_p50_ms", "latency_p95_ms", "ttft_p50_ms") if MEASURES[metric].timing else ("failed", "prompt_tokens", "cached_tokens")
    return {"calls": 0} | dict.fromkeys(names)


def _mixed(colour: str, ground: str, share: float) -> str:
    pairs = ((int(colour[at : at + 2], 16), int(ground[at : at + 2], 16)) for at in (1, 3, 5))
    return "#" + "".join(f"{round(own + (other - own) * share):02X}" for own, other in pairs)
