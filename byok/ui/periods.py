"""From a word of the filter bar ("7d", "month") to instants: the period, the one before it, and its buckets, in a reader's zone."""

import math
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from byok import zones

RANGES = ("24h", "7d", "30d", "90d", "month", "last-month", "custom")
FORMER = {"mtd": "month", "lastmonth": "last-month"}  # words that addresses of earlier versions hold
Grain = Literal["hour", "day", "month"]
# What a period is compared with: the stretch before it, the same weekdays of earlier whole weeks, nothing.
Compared = Literal["prev", "dow", "off"]
COMPARED: tuple[Compared, ...] = get_args(Compared)
GRAINS: tuple[Grain, ...] = get_args(Grain)
MOST_BUCKETS = 400
_DAYS = {"7d": 7, "30d": 30, "90d": 90}


@dataclass(frozen=True)
class Period:
    """A stretch of time, `since` included and `until` not, with the stretch it is compared with.

    `running` says that `until` is now: the last bucket is not complete, and the stretch before is cut after the same elapsed time.
    """

    since: datetime
    until: datetime
    before_since: datetime
    before_until: datetime
    running: bool
    compared_with: str

    def words(self) -> str:
        """Such as Nov 16 – Nov 22, 2026; with times where the days are cut."""
        last = self.until - timedelta(microseconds=1)
        if self.until - self.since <= timedelta(hours=25) and self.running:
            return f"{self.since:%b} {self.since.day}, {self.since:%H:%M} – {last:%b} {last.day}, {last:%H:%M}"
        if self.since.date() == last.date():
            return f"{last:%b} {last.day}, {last.year}"
        year = f", {self.since.year}" if self.since.year != last.year else ""
        return f"{self.since:%b} {self.since.day}{year} – {last:%b} {last.day}, {last.year}"


def period(word: str, *, now: datetime, zone: ZoneInfo, first: date | None = None, last: date | None = None) -> Period:
    """The period that `word` means at `now` in `zone`; `first` and `last` (both included) belong to "custom".

    >>> p = period("month", now=datetime(2026, 3, 31, 12, tzinfo=UTC), zone=ZoneInfo("UTC"))
    >>> p.since.isoformat(), p.before_since.isoformat(), p.before_until.isoformat()
    ('2026-03-01T00:00:00+00:00', '2026-02-01T00:00:00+00:00', '2026-03-01T00:00:00+00:00')
    """
    here = now.astimezone(zone)
    if word == "24h":
        since = (now - timedelta(hours=23)).astimezone(zone).replace(minute=0, second=0, microsecond=0)
        day = timedelta(hours=24)
        return Period(since, here, _shift(since, -day, zone), _shift(here, -day, zone), True, "the 24 h before")
    if word in _DAYS:
        days = _DAYS[word]
        since = _midnight(here.date() - timedelta(days=days - 1), zone)
        return Period(since, here, _earlier(since, days, zone), _earlier(here, days, zone), True, f"the {days} days before")
    if word == "month":
        this = here.date().replace(day=1)
        previous = (this - timedelta(days=1)).replace(day=1)
        since, start = _midnight(this, zone), _midnight(previous, zone)
        elapsed_until = _earlier(here, (this - previous).days, zone)
        return Period(since, here, start, min(elapsed_until, since), True, f"{previous:%B} to the same day")
    if word == "last-month":
        this = here.date().replace(day=1)
        previous = (this - timedelta(days=1)).replace(day=1)
        earlier = (previous - timedelta(days=1)).replace(day=1)
        start, end, before = (_midnight(day, zone) for day in (previous, this, earlier))
        return Period(start, end, before, start, False, f"{earlier:%B}")
    return _custom(first, last, here, zone)


def _custom(first: date | None, last: date | None, here: datetime, zone: ZoneInfo) -> Period:
    last = min(last or here.date(), here.date())
    first = min(first or last - timedelta(days=6), last)
    days = (last - first).days + 1
    since, end = _midnight(first, zone), _midnight(last + timedelta(days=1), zone)
    running = end > here
    until = here if running else end
    name = "the day before" if days == 1 else f"the {days} days before"
    return Period(since, until, _earlier(since, days, zone), _earlier(until, days, zone), running, name)


def on_same_weekdays(found: Period, zone: ZoneInfo) -> Period:
    """The same period, compared with the newest stretch of the same weekdays and hours that lies before it as a whole."""
    last = (found.until - timedelta(microseconds=1)).date()
    weeks = math.ceil(((last - found.since.date()).days + 1) / 7)
    before = (_earlier(moment, 7 * weeks, zone) for moment in (found.since, found.until))
    since, until = before
    name = "the same weekdays a week before" if weeks == 1 else f"the same weekdays {weeks} weeks before"
    return replace(found, before_since=since, before_until=until, compared_with=name)


def grain_for(word: str, since: datetime, until: datetime) -> Grain:
    """The grain that was asked for where it gives a readable number of buckets, else the finest that does."""
    span = until - since
    finest: Grain = "hour" if span <= timedelta(days=2, hours=2) else "day" if span <= timedelta(days=100) else "month"
    if word not in GRAINS:
        return finest
    most = {"hour": timedelta(hours=MOST_BUCKETS), "day": timedelta(days=MOST_BUCKETS), "month": timedelta.max}
    return next((grain for grain in GRAINS[GRAINS.index(word) :] if span <= most[grain]), "month")


def buckets(since: datetime, until: datetime, grain: Grain, zone: ZoneInfo) -> list[datetime]:
    """The starts of all buckets that `since`..`until` touches, also those without a call, in `zone`.

    A day on which clocks change has the 23 or 25 hours that it has.
    """
    if grain == "hour":
        return [at.astimezone(zone) for at in zones.hours(zone.key, since, until)]
    start, end = since.astimezone(zone), until.astimezone(UTC)
    found: list[datetime] = []
    day = start.date() if grain == "day" else start.date().replace(day=1)
    while (moment := _midnight(day, zone)) < end:
        found.append(moment)
        day = day + timedelta(days=1) if grain == "day" else (day + timedelta(days=32)).replace(day=1)
    return found


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return zones.midnight(day, zone.key).astimezone(zone)


def _earlier(moment: datetime, days: int, zone: ZoneInfo) -> datetime:
    """The same time of day, so many calendar days earlier."""
    return datetime.combine(moment.date() - timedelta(days=days), moment.timetz().replace(tzinfo=None), zone)


def _shift(moment: datetime, by: timedelta, zone: ZoneInfo) -> datetime:
    return (moment.astimezone(UTC) + by).astimezone(zone)


def written(bucket: datetime, grain: Grain) -> str:
    """A bucket as `GET /usage` writes it: an hour as the clock shows it, also where a change cuts it."""
    if grain == "hour":
        at = bucket.isoformat()
        return f"{at[:13]}:00:00{at[19:]}"
    return f"{bucket:%Y-%m-%d}" if grain == "day" else f"{bucket:%Y-%m}"
