"""Time zones: where a local day begins, and which offset holds when. One source of rules for filters and for groups."""

import math
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from byok.errors import BadRequest

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 12, 30, tzinfo=UTC)  # a day short, so that no zone's local time overflows
_RULES_UNTIL = datetime(2100, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_HOUR_S = 3600
_STEP = timedelta(days=4)  # no zone has changed twice within it since 1970


class ZoneUnknown(BadRequest):
    """`tz` is not a zone of the IANA database."""

    code = "invalid_parameter"

    def __init__(self) -> None:
        super().__init__("tz is not a known time zone.", remedy="Use an IANA name such as Europe/Berlin, Asia/Kolkata or UTC.")


class Offsets(NamedTuple):
    """Spans of constant offset, in order: seconds since 1970 (start included, end not), the offset in seconds and as text."""

    starts: list[int]
    ends: list[int]
    seconds: list[int]
    labels: list[str]


def zone(name: str) -> ZoneInfo:
    """The zone of that name, or `ZoneUnknown`; a name is never looked up as a path.

    >>> zone("Asia/Kolkata").key
    'Asia/Kolkata'
    """
    if name not in names():
        raise ZoneUnknown
    return ZoneInfo(name)


# Browsers go on saying the names that these zones had long ago.
_FORMER = {
    "America/Buenos_Aires": "America/Argentina/Buenos_Aires",
    "America/Godthab": "America/Nuuk",
    "Asia/Calcutta": "Asia/Kolkata",
    "Asia/Katmandu": "Asia/Kathmandu",
    "Asia/Rangoon": "Asia/Yangon",
    "Asia/Saigon": "Asia/Ho_Chi_Minh",
    "Atlantic/Faeroe": "Atlantic/Faroe",
    "Europe/Kiev": "Europe/Kyiv",
    "Pacific/Ponape": "Pacific/Pohnpei",
    "Pacific/Truk": "Pacific/Chuuk",
}


def of_browser(name: str | None) -> str | None:
    """A zone as people call it today, of what a browser says.

    >>> of_browser("Asia/Calcutta"), of_browser("Europe/Berlin"), of_browser(None)
    ('Asia/Kolkata', 'Europe/Berlin', None)
    """
    today = _FORMER.get(name or "")
    return today if today in names() else name


def midnight(day: date, name: str) -> datetime:
    """The first instant of a local day, in UTC.

    A midnight that exists twice counts from the first; one that a clock change skips, from the change.

    >>> midnight(date(2026, 3, 29), "Europe/Berlin").isoformat()
    '2026-03-28T23:00:00+00:00'
    """
    return moment(day, time(), name)


@lru_cache(maxsize=16_384)
def moment(day: date, clock: time, name: str) -> datetime:
    """The first instant at which a local clock shows that time of that day, in UTC; of a time that a change skips, the change.

    >>> moment(date(2026, 3, 29), time(2, 30), "Europe/Berlin").isoformat()
    '2026-03-29T01:00:00+00:00'
    """
    where, wanted = zone(name), datetime.combine(day, clock)
    try:
        first, last = sorted(wanted.replace(tzinfo=where, fold=fold).astimezone(UTC) for fold in (0, 1))
    except OverflowError:
        return EARLIEST if day.year < EARLIEST.year else LATEST
    if _local(first, where) == wanted:
        return first
    while last - first > _SECOND:
        middle = first + (last - first) // 2
        first, last = (first, middle) if _local(middle, where) >= wanted else (middle, last)
    return last.replace(microsecond=0)


@cache
def offsets(name: str) -> Offsets:
    """Every span of constant offset of a zone from 1970 on.

    >>> offsets("Asia/Kolkata").labels
    ['+05:30']
    """
    where = zone(name)
    changes, at, held = [EARLIEST], EARLIEST, EARLIEST.astimezone(where).utcoffset()
    while at < _RULES_UNTIL:
        following = at + _STEP
        holds = following.astimezone(where).utcoffset()
        if holds != held:
            changes.append(_change(at, following, where))
        at, held = following, holds
    starts = [int(change.timestamp()) for change in changes]
    shifts = [change.astimezone(where).utcoffset() or timedelta() for change in changes]
    return Offsets(starts, [*starts[1:], int(LATEST.timestamp())], [int(s.total_seconds()) for s in shifts], [_label(s) for s in shifts])


def hours(name: str, since: datetime, until: datetime) -> Iterator[datetime]:
    """The first instants, in UTC, of all local hours that a stretch touches.

    An hour begins where the clock shows it, or, if a change cuts it, with the change.

    >>> day = datetime(2026, 10, 3, 14, tzinfo=UTC)
    >>> [f"{at:%H:%M}" for at in hours("Australia/Lord_Howe", day, day + timedelta(hours=3))]
    ['13:30', '14:30', '15:30', '16:00']
    """
    first, last = since.timestamp(), until.timestamp()
    for start, end, shift, _ in zip(*offsets(name), strict=True):
        if end > first and start < last:
            at = max(start, int(first + shift) // _HOUR_S * _HOUR_S - shift)
            while at < min(end, last):
                yield datetime.fromtimestamp(at, UTC)
                at = (at + shift) // _HOUR_S * _HOUR_S + _HOUR_S - shift


def first_of_hour(shown: datetime, name: str) -> datetime:
    """The first instant, in UTC, of a local hour named by what the clock shows and its offset; of one that a change cuts, the change.

    >>> first_of_hour(datetime.fromisoformat("2026-10-04T02:00:00+11:00"), "Australia/Lord_Howe").isoformat()
    '2026-10-03T15:30:00+00:00'
    """
    spans, at, shift = offsets(name), shown.timestamp(), shown.utcoffset()
    place = bisect_right(spans.starts, at)
    if 0 < place < len(spans.starts) and timedelta(seconds=spans.seconds[place - 1]) != shift == timedelta(seconds=spans.seconds[place]):
        return datetime.fromtimestamp(spans.starts[place], UTC)
    return shown.astimezone(UTC)


def step(spans: Offsets, since: datetime) -> int:
    """The widest step in seconds, at most an hour, that no clock change or offset of these spans cuts, from `since` on.

    An hour nearly everywhere, less where clocks stand a half or a quarter off it; a minute where they once changed at 00:01.
    """
    at = since.timestamp()
    ahead = [span for span in zip(*spans[:3], strict=True) if span[1] > at]
    return math.gcd(_HOUR_S, *(shift for _, _, shift in ahead), *(start for start, _, _ in ahead if start > at - _HOUR_S and start > 0))


def between(spans: Offsets, since: datetime, until: datetime) -> Offsets:
    """Those of the spans that hold for any step that a record of that time falls into."""
    first, last = since.timestamp() - _HOUR_S, until.timestamp()
    held = [span for span in zip(*spans, strict=True) if span[1] > first and span[0] < last]
    return Offsets(*([span[at] for span in held] for at in range(4)))  # type: ignore[arg-type]


@cache
def names() -> frozenset[str]:
    """All IANA zones; the files are listed once."""
    return frozenset(available_timezones() - {"localtime"})  # which is another on each machine


def known(name: str) -> str:
    """A stored name as it is, or UTC for one that this machine's time zones do not have (any more).

    >>> known("Mars/Olympus")
    'UTC'
    """
    return name if name == "UTC" or name in names() else "UTC"


def _local(instant: datetime, where: ZoneInfo) -> datetime:
    return instant.astimezone(where).replace(tzinfo=None, fold=0)


def _change(before: datetime, after: datetime, where: ZoneInfo) -> datetime:
    old = before.astimezone(where).utcoffset()
    while after - before > _SECOND:
        middle = before + (after - before) // 2
        before, after = (middle, after) if middle.astimezone(where).utcoffset() == old else (before, middle)
    return after.replace(microsecond=0)


def _label(shift: timedelta) -> str:
    minutes = round(shift.total_seconds() / 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
