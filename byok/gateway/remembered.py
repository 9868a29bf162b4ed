"""Answers of the accounts database, remembered for a few seconds, so that the event loop never waits for it on the hot path.

A question is asked in a small pool of threads, once however many wait for it. While the database fails, an answer that was good keeps
being given for a bounded time; a "no" never outlives its few seconds.
"""

import asyncio
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from byok.errors import TooManyRequests

FRESH_S = 4.5  # a revocation must bite within 5 s
STALE_S = 900.0
PATIENCE_S = 1.0
MAX_ANSWERS = 20_000
MAX_NOES = 20_000
MAX_WAITING = 512

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Remembered(Generic[Key, Value]):
    """Remembers what was answered to a key; None means no, and is remembered for `no_s` seconds. Questions run in `pool`."""

    def __init__(self, pool: ThreadPoolExecutor, *, no_s: float = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._no_s = no_s
        self._clock = clock
        self._answers: dict[Key, tuple[float, Value]] = {}
        self._noes: dict[Key, float] = {}
        self._waiting: dict[Key, asyncio.Future[Value | None]] = {}
        self._hung_at = -FRESH_S

    def fresh(self, key: Key) -> Value | None:
        """The remembered answer if it is young enough, without waiting; None says to ask."""
        found = self._answers.get(key)
        if found is not None and self._clock() - found[0] < FRESH_S:
            return found[1]
        return None

    async def get(self, key: Key, ask: Callable[[], Value | None]) -> Value | None:
        """The answer, remembered or asked for; `ask` may block and raise.

        Raises what it raised if nothing usable is remembered, and `TooManyRequests` in a flood of questions.
        """
        if (answer := self.fresh(key)) is not None:
            return answer
        refused = self._noes.get(key)
        if refused is not None and self._clock() - refused < self._no_s:
            return None
        waiting = self._waiting.get(key)
        if waiting is None:
            if len(self._waiting) >= MAX_WAITING:
                return self._stale(key, TooManyRequests("Too many tokens are being checked.", remedy="Try again in a moment."))
            waiting = asyncio.ensure_future(self._look_up(key, ask))
            self._waiting[key] = waiting
            waiting.add_done_callback(lambda done: self._settled(key, done))
        if key in self._answers:  # a database that hangs is no reason to keep a known caller waiting, and one every few seconds will do
            hung = self._clock() - self._hung_at < FRESH_S
            done, _ = await asyncio.wait((waiting,), timeout=0 if hung else PATIENCE_S)
            if not done:
                self._hung_at = self._hung_at if hung else self._clock()
                return self._stale(key, TimeoutError())
        return await asyncio.shield(waiting)

    def forget_old(self) -> None:
        """Drop what may no longer be given; called now and then, so that nothing stays in memory for long."""
        now = self._clock()
        self._answers = {key: found for key, found in self._answers.items() if now - found[0] < STALE_S}
        self._noes = {key: at for key, at in self._noes.items() if now - at < self._no_s}

    async def _look_up(self, key: Key, ask: Callable[[], Value | None]) -> Value | None:
        asked_at = self._clock()
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._pool, ask)
        except Exception as error:
            return self._stale(key, error)
        self._hung_at = -FRESH_S
        self._answers.pop(key, None)  # to the young end: the oldest is dropped first
        if answer is None and self._no_s:
            _make_room(self._noes, MAX_NOES)
            self._noes[key] = asked_at
        elif answer is not None:
            _make_room(self._answers, MAX_ANSWERS)
            self._answers[key] = (asked_at, answer)
        return answer

    def _stale(self, key: Key, error: Exception) -> Value:
        found = self._answers.get(key)
        if found is None or self._clock() - found[0] >= STALE_S:
            raise error
        return found[1]

    def _settled(self, key: Key, done: asyncio.Future[Value | None]) -> None:
        self._waiting.pop(key, None)
        if not done.cancelled():
            done.exception()  # seen, even if every caller left meanwhile


def _make_room(remembered: dict[Key, Any], limit: int) -> None:
    if len(remembered) >= limit:
        del remembered[next(iter(remembered))]
