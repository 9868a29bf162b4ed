"""The calendar month of a zone, in which a budget holds."""

from datetime import date, datetime, timedelta
from typing import NamedTuple

from byok import zones


class Month(NamedTuple):
    """A month by name (2026-11), with its first instant and that of the next."""

    name: str
    begins: datetime
    ends: datetime


def month_of(now: datetime, tz: str) -> Month:
    """The month that it is at `now` in a zone.

    >>> from datetime import UTC
    >>> month_of(datetime(2026, 10, 31, 23, 30, tzinfo=UTC), "Europe/Berlin").name
    '2026-11'
    """
    first: date = now.astimezone(zones.zone(tz)).date().replace(day=1)
    return Month(f"{first:%Y-%m}", zones.midnight(first, tz), zones.midnight((first + timedelta(days=32)).replace(day=1), tz))
