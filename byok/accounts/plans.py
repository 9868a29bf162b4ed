"""Plans: how long each keeps usage."""

from datetime import datetime, timedelta
from typing import Literal, get_args

Plan = Literal["free", "indie", "team", "enterprise"]
PLANS: tuple[Plan, ...] = get_args(Plan)
PLAN_DAYS: dict[Plan, int] = {"free": 7, "indie": 30, "team": 90, "enterprise": 365}
LONGEST_DAYS = 36_500


def keep_after(days: int, now: datetime) -> datetime:
    """Return the instant before which rows are past retention: `days` times 24 hours before `now`, whatever the zone.

    >>> from datetime import UTC
    >>> keep_after(7, datetime(2026, 11, 22, 12, tzinfo=UTC)).isoformat()
    '2026-11-15T12:00:00+00:00'
    """
    return now - timedelta(hours=24 * days)
