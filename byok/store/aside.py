"""Work that a question leaves for after its answer, so that the next one is faster. Answers go first."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import duckdb

from byok.errors import ByokError

_LONGEST_WAIT_S = 1.0  # where there is always somebody who asks


class Aside:
    """Short work (one user's rows) and long (the sums of a file take seconds), each in a thread of its own and in its order.

    What fails is left undone: the next question tells why.
    """

    def __init__(self) -> None:
        self._short = ThreadPoolExecutor(1, thread_name_prefix="holding")
        self._long = ThreadPoolExecutor(1, thread_name_prefix="remembering")
        self._answering, self._quiet = 0, threading.Condition()

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Begin nothing meanwhile."""
        with self._quiet:
            self._answering += 1
        try:
            yield
        finally:
            with self._quiet:
                self._answering -= 1
                self._quiet.notify_all()

    def soon(self, work: Callable[[], None]) -> None:
        """Do short work."""
        self._submit(self._short, work)

    def later(self, work: Callable[[], None]) -> None:
        """Do long work."""
        self._submit(self._long, work)

    def settle(self, timeout: float | None = None) -> None:
        """Wait until all that was left so far is done."""
        for threads in (self._short, self._long):
            threads.submit(lambda: None).result(timeout)

    def close(self) -> None:
        """Wait for what is being done, and drop the rest."""
        for threads in (self._short, self._long):
            threads.shutdown(cancel_futures=True)

    def _submit(self, threads: ThreadPoolExecutor, work: Callable[[], None]) -> None:
        def do() -> None:
            with self._quiet:
                self._quiet.wait_for(lambda: not self._answering, _LONGEST_WAIT_S)
            with contextlib.suppress(duckdb.Error, OSError, ByokError):  # merged away meanwhile, or broken
                work()

        with contextlib.suppress(RuntimeError):  # closed
            threads.submit(do)
