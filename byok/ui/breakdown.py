"""A series by entity, made ready to draw: every bucket filled, the largest few by name, the rest as Other."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from byok.ui.measures import MEASURES, SUMMED, Value
from byok.ui.theme import OTHER

MOST_NAMES = 6
EVERY_NAME = 1_000_000
Row = Mapping[str, Any]
_Course = dict[int, Any]  # values of the buckets in which calls were made; None: not known


@dataclass(frozen=True)
class Part:
    """One entity's values, one per bucket; None where it has calls but none of them a value (cost without a price).

    `whole` is the value over all buckets where that is no sum; `known` is whether any call has a value.
    """

    name: str
    values: tuple[Value | None, ...]
    whole: Value | None = None
    known: bool = True

    @property
    def total(self) -> Any:
        return self.whole if self.whole is not None else sum((value for value in self.values if value is not None), 0)


@dataclass(frozen=True)
class Breakdown:
    """Parts over buckets, largest part first and Other last."""

    buckets: tuple[datetime, ...]
    parts: tuple[Part, ...]

    @property
    def drawn(self) -> tuple[Part, ...]:
        """The parts of a sum that have a mark to draw and so a name in the legend; a table has the others, too, with a dash."""
        return tuple(part for part in self.parts if part.known)

    @property
    def totals(self) -> tuple[Any, ...]:
        return tuple(sum((part.values[at] or 0 for part in self.parts), 0) for at in range(len(self.buckets)))


def breakdown(rows: Iterable[Row], buckets: Sequence[datetime], metric: str, *, column: str, most: int = MOST_NAMES) -> Breakdown:
    """Rows of `questions.series` by `column` as parts of `metric` over `buckets`.

    A bucket without calls is 0, not missing: a gap in time is a fact of its own.
    """
    starts = [bucket.astimezone(UTC) for bucket in buckets]  # in UTC: a repeated local hour equals nothing in another zone
    by_name: dict[str, _Course] = {}
    for row in rows:
        at = max(bisect_right(starts, row["start"].astimezone(UTC)) - 1, 0)
        by_name.setdefault(str(row[column]), {})[at] = MEASURES[metric].of(row)
    parts = sorted((_part(name, course, len(starts)) for name, course in by_name.items()), key=lambda part: (-part.total, part.name))
    if len(parts) > most + 1:
        rest = _folded([by_name[part.name] for part in parts[most:]])
        parts[most:] = [_part(OTHER, rest, len(starts))]
    return Breakdown(tuple(buckets), tuple(parts))


def apart(rows: Iterable[Row], totals: Sequence[Row], buckets: Sequence[datetime], metric: str, *, column: str, most: int) -> Breakdown:
    """As `breakdown` for a measure that is no sum: the parts with most calls, each for itself, without Other; no calls is None, not 0.

    `totals` has one row per value of `column`, over all buckets.
    """
    of = MEASURES[metric].of
    largest = sorted(totals, key=lambda row: (-row["calls"], str(row[column])))[:most]
    starts = [bucket.astimezone(UTC) for bucket in buckets]
    by_name: dict[str, list[Value | None]] = {str(row[column]): [None] * len(buckets) for row in largest}
    for row in rows:
        if (values := by_name.get(str(row[column]))) is not None:
            values[max(bisect_right(starts, row["start"].astimezone(UTC)) - 1, 0)] = of(row)
    return Breakdown(tuple(buckets), tuple(Part(str(row[column]), tuple(by_name[str(row[column])]), of(row)) for row in largest))


def sparks(rows: Iterable[Row], buckets: Sequence[datetime], metric: str, *, column: str) -> dict[str, list[float]]:
    """The values of every entity, none folded, as floats for the small charts of a table."""
    parts = breakdown(rows, buckets, metric, column=column, most=EVERY_NAME).parts
    return {part.name: [float(value or 0) for value in part.values] for part in parts}


def courses(rows: Iterable[Row], buckets: Sequence[datetime]) -> dict[str, list[float]]:
    """The course of every metric over the whole, and of the share of failed calls in per cent, for the small charts of the cards."""
    whole = [{**row, "all": ""} for row in rows]
    found = {metric: sparks(whole, buckets, metric, column="all").get("", [0.0] * len(buckets)) for metric in SUMMED}
    failed = found.pop("failures")
    return found | {"failed": [100 * bad / calls if calls else 0.0 for bad, calls in zip(failed, found["calls"], strict=True)]}


def _part(name: str, course: _Course, length: int) -> Part:
    known = any(value is not None for value in course.values())
    return Part(name, tuple(course.get(at, 0) for at in range(length)), known=known)


def _folded(courses: Sequence[_Course]) -> _Course:
    """Their sums: not known where calls were made and none of them has a value."""
    found: _Course = {}
    for at, value in (item for course in courses for item in course.items()):
        before = found.get(at)
        found[at] = value if before is None else before if value is None else before + value
    return found
