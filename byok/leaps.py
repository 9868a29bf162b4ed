"""Whether the clock leapt ahead while this process ran: what is deleted because of that is gone also when the clock is set back."""

import time
from collections.abc import Callable

LEAP_S = 2 * 86_400.0
BELIEVED_AFTER_S = 12 * 3600.0  # whoever set it wrong had time to notice; purges still come within a day


def _steady() -> float:
    """Seconds that nobody can set; time asleep counts where the system says so."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Leaps:
    """Compares the clock with one that nobody can set, from now on."""

    def __init__(self, *, wall: Callable[[], float] = time.time, steady: Callable[[], float] = _steady) -> None:
        self._wall, self._steady = wall, steady
        self._apart = wall() - steady()
        self._leapt_at: float | None = None  # on the steady clock, when it was first noticed

    def doubtful(self) -> bool:
        """Whether the clock leapt more than two days ahead, and that was noticed less than half a day ago."""
        steady = self._steady()
        apart = self._wall() - steady
        if apart - self._apart > LEAP_S:
            self._leapt_at = steady if self._leapt_at is None else self._leapt_at
            if steady - self._leapt_at < BELIEVED_AFTER_S:
                return True
        self._apart, self._leapt_at = apart, None
        return False
