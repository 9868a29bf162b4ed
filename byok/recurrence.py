"""A fault that comes again and again: worth a line when it begins, a line now and then while it lasts, and one when it is over."""

import time
from collections.abc import Callable
from typing import Any

TELL_EVERY_S = 600


class Recurrence:
    """What goes wrong with one thing that is tried again and again. Not for several threads at once.

    >>> faults = Recurrence()
    >>> faults.again(OSError(28, "No space left on device")), faults.again(OSError(28, "No space left on device")), faults.over()
    (1, 0, 2)
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[object, float] = {}  # fault -> when it was told last
        self._untold: dict[object, int] = {}
        self._times = 0

    def again(self, error: BaseException) -> int:
        """How many times this fault came since it was told; 0 if it was told lately, so that nothing need be said."""
        fault, now = _kind(error), self._clock()
        self._times += 1
        self._untold[fault] = self._untold.get(fault, 0) + 1
        if fault in self._told and now - self._told[fault] < TELL_EVERY_S:
            return 0
        self._told[fault] = now
        return self._untold.pop(fault)

    def over(self) -> int:
        """It went well: how many times it had not, since it did."""
        times, self._times = self._times, 0
        self._told.clear()
        self._untold.clear()
        return times


def _kind(error: BaseException) -> tuple[Any, ...]:
    return type(error), getattr(error, "errno", None), getattr(error, "code", None)
