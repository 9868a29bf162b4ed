"""What came of one try to send: in our own words, never the receiver's."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

RETRYABLE_STATUSES = frozenset({429})
LONGEST_WAIT_S = 3600.0


class Outcome(NamedTuple):
    """`said` is a status or a short word of ours. Not `sent` and not `final`: try again, not before `wait_s` if that is given."""

    sent: bool
    final: bool
    said: str
    wait_s: float | None = None


def sent(said: str) -> Outcome:
    """The receiver took it."""
    return Outcome(True, True, said)


def refused(said: str) -> Outcome:
    """It would be refused the next time, too."""
    return Outcome(False, True, said)


def later(said: str, wait_s: float | None = None) -> Outcome:
    """It may go well the next time."""
    return Outcome(False, False, said, wait_s)


def of_status(status: int, retry_after: str | None = None, *, now: datetime) -> Outcome:
    """What an HTTP status means: 2xx is sent; 429, 5xx is tried again; all else (redirects too) ends it. A wait is an hour at most.

    `now`: what time it is by the clock that `retry_after` may name a moment of.

    >>> noon = datetime(2026, 11, 27, 12, tzinfo=UTC)
    >>> of_status(429, "30", now=noon)
    Outcome(sent=False, final=False, said='429', wait_s=30.0)
    >>> of_status(429, "Fri, 27 Nov 2026 12:01:00 GMT", now=noon).wait_s
    60.0
    """
    if 200 <= status < 300:
        return sent(str(status))
    if status in RETRYABLE_STATUSES or status >= 500:
        wait_s = _wait_s((retry_after or "").strip(), now)
        return later(str(status), None if wait_s is None else min(max(wait_s, 0.0), LONGEST_WAIT_S))
    return refused(str(status))


def moment(text: str) -> datetime | None:
    """The moment that an HTTP date names; None if it names none."""
    try:
        found = parsedate_to_datetime(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)  # all HTTP dates are of GMT
    except (ValueError, OverflowError):
        return None


def _wait_s(said: str, now: datetime) -> float | None:
    if said.isascii() and said.isdecimal():
        return float(said)
    at = moment(said)
    return None if at is None else (at - now).total_seconds()
