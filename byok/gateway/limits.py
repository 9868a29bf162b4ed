"""How often and how many at once a user may call: counted in memory, per process, forgotten a minute after the last call.

A minute is any 60 seconds, not one of the clock: never more than the limit begin in it. Calls are counted by the second, so a user takes
61 numbers at most, whatever the limit, and a call may count up to a second too long.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

from byok.errors import TooManyRequests

WINDOW_S = 60
_FREE: AbstractContextManager[None] = nullcontext()


class RateLimited(TooManyRequests):
    code = "rate_limited"

    def __init__(self, limit: int, retry_after_s: int) -> None:
        super().__init__(
            f"More than {limit} requests in a minute.",
            remedy=f"Wait {retry_after_s} s, or let an admin raise the limit: byok user set EMAIL --requests-per-minute N",
            retry_after_s=retry_after_s,
        )


class TooManyAtOnce(TooManyRequests):
    code = "too_many_at_once"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"More than {limit} calls at once.",
            remedy="Wait for one to end, or let an admin raise the limit: byok user set EMAIL --calls-at-once N",
        )


@dataclass(slots=True)
class _Use:
    """What one user did within the last minute: [second, calls begun in it], oldest first, and their sum; and calls open now."""

    seconds: deque[list[int]] = field(default_factory=deque)
    begun: int = 0
    open: int = 0


class Limits:
    """`requests_per_minute` and `calls_at_once` hold for users without limits of their own; 0 is no limit.

    Of several `processes`, which share nothing, each allows its part, rounded up.
    """

    def __init__(
        self, requests_per_minute: int = 0, calls_at_once: int = 0, *, processes: int = 1, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._requests_per_minute = requests_per_minute
        self._calls_at_once = calls_at_once
        self._processes = processes
        self._clock = clock
        self._uses: dict[str, _Use] = {}

    def call(self, user_id: str, requests_per_minute: int | None, calls_at_once: int | None) -> AbstractContextManager[None]:
        """One call, from here to the end of the block; the limits are the user's own, None the installation's.

        Raises `RateLimited` and `TooManyAtOnce`; what is refused does not count.

        >>> limits = Limits(calls_at_once=1)
        >>> with limits.call("usr_ada1", None, None), limits.call("usr_ben1", None, None), limits.call("usr_ada1", None, None):
        ...     pass
        Traceback (most recent call last):
        ...
        byok.gateway.limits.TooManyAtOnce: More than 1 calls at once.
        """
        a_minute = self._requests_per_minute if requests_per_minute is None else requests_per_minute
        at_once = self._calls_at_once if calls_at_once is None else calls_at_once
        if not a_minute and not at_once:
            return _FREE
        now = self._clock()
        use = self._use(user_id, now)
        if at_once and use.open >= self._part(at_once):
            raise TooManyAtOnce(at_once)
        if a_minute and use.begun >= self._part(a_minute):
            raise RateLimited(a_minute, _until_free(use, self._part(a_minute), now))
        _begin(use, int(now))
        return _open(use)

    def forget_old(self) -> None:
        """Forget who has no call open and began none within the last minute; called now and then."""
        oldest, gone = _oldest(self._clock()), []
        for user_id, use in self._uses.items():
            if use.seconds and use.seconds[-1][0] >= oldest:
                break  # the rest was seen later still
            if not use.open:
                gone.append(user_id)
        for user_id in gone:
            del self._uses[user_id]

    def __len__(self) -> int:
        """How many users are remembered."""
        return len(self._uses)

    def _part(self, limit: int) -> int:
        return -(-limit // self._processes)

    def _use(self, user_id: str, now: float) -> _Use:
        use = self._uses.pop(user_id, None) or _Use()
        self._uses[user_id] = use  # to the young end: the oldest is forgotten first
        while use.seconds and use.seconds[0][0] < _oldest(now):
            use.begun -= use.seconds.popleft()[1]
        return use


def _oldest(now: float) -> int:
    """The oldest second that may still hold a call of the last minute."""
    return int(now) - WINDOW_S


def _begin(use: _Use, second: int) -> None:
    use.begun += 1
    if use.seconds and use.seconds[-1][0] == second:
        use.seconds[-1][1] += 1
    else:
        use.seconds.append([second, 1])


def _until_free(use: _Use, limit: int, now: float) -> int:
    """Seconds until so many calls have grown old that there is room for one."""
    left = use.begun
    for second, calls in use.seconds:
        left -= calls
        if left < limit:
            return math.ceil(second + WINDOW_S + 1 - now)
    return WINDOW_S + 1


@contextmanager
def _open(use: _Use) -> Iterator[None]:
    use.open += 1
    try:
        yield
    finally:
        use.open -= 1
