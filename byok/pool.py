"""Threads for what blocks (DuckDB, the accounts database, hashing), few enough that the event loop and the machine stay free."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_WORKERS = 8


class Pool:
    """Runs blocking calls beside the event loop, at most `workers` at once; the rest wait their turn."""

    def __init__(self, workers: int = _WORKERS) -> None:
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="ask")

    async def run(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(call, *args, **kwargs))

    async def pieces(self, source: Iterator[bytes]) -> AsyncIterator[bytes]:
        """Pass on what `source` yields; a thread is held only while a piece is made. `source` is closed also when the client leaves."""
        pending: Future[bytes | None] | None = None
        try:
            while True:
                pending = self._threads.submit(next, source, None)
                piece = await asyncio.wrap_future(pending)
                if piece is None:
                    return
                yield piece
        finally:
            close = getattr(source, "close", None)
            if close is not None and pending is not None:  # not before the piece in the making is done
                pending.add_done_callback(lambda _: self._threads.submit(close))

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
