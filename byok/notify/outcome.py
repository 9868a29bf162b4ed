"""What came of one try to send: in our own words, never the receiver's."""

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


def of_status(status: int, retry_after: str | None = None) -> Outcome:
    """What an HTTP status means: 2xx is sent; 429, 5xx is tried again; all else (redirects too) ends it. A wait is an hour at most.

    >>> of_status(429, "30")
    Outcome(sent=False, final=False, said='429', wait_s=30.0)
    """
    if 200 <= status < 300:
        return sent(str(status))
    if status in RETRYABLE_STATUSES or status >= 500:
        plain = retry_after is not None and retry_after.strip().isascii() and retry_after.strip().isdecimal()
        return later(str(status), min(float(retry_after or 0), LONGEST_WAIT_S) if plain else None)
    return refused(str(status))
