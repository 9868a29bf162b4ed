"""The search for a period's spikes, beside the page: it can take longer than all the rest, and a chart does not wait for its marks.

What was found is remembered for a minute (as often as the keeper looks), and renewed in the background after that.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from weakref import WeakKeyDictionary

from byok.spikes.episodes import Episode
from byok.store import unusual
from byok.store.engine import Engine
from byok.store.scope import AnyScope
from byok.zones import LATEST

PATIENCE_S = 0.15  # how long a page waits for a search that has just begun
FRESH_S, KEPT_S = 60.0, 900.0
_MOST = 256
_HOUR = timedelta(hours=1)


@dataclass
class _Search:
    began: float
    answer: "Future[list[Episode]]"
    before: list[Episode] | None  # what an earlier search found, shown until this one has ended


_searches: "WeakKeyDictionary[Engine, OrderedDict[Hashable, _Search]]" = WeakKeyDictionary()
_lock = threading.Lock()


def episodes(engine: Engine, scope: AnyScope, *, state: Hashable) -> list[Episode] | None:
    """The spikes of a period as episodes, newest first; None while they are still searched for.

    `state` changes when records were deleted, so that nothing of them is shown any more.
    """
    whole = _whole_hours(scope)
    with _lock:
        search = _current(engine, whole, (whole, state), time.monotonic())
    try:
        return search.answer.result(PATIENCE_S if search.before is None else 0)
    except TimeoutError:
        return search.before


def _current(engine: Engine, scope: AnyScope, key: Hashable, now: float) -> _Search:
    """The search to ask: the last one, or a new one where that is too old or failed."""
    known = _searches.setdefault(engine, OrderedDict())
    last = known.get(key)
    ended = last is not None and last.answer.done()
    if last is not None and (not ended or (now - last.began < FRESH_S and not last.answer.exception())):
        return last
    before = last.answer.result() if last is not None and now - last.began < KEPT_S and not last.answer.exception() else None
    known[key] = _Search(now, _pool().submit(unusual.episodes, engine, scope), before)
    known.move_to_end(key)
    while len(known) > _MOST:
        known.popitem(last=False)
    return known[key]


def _whole_hours(scope: AnyScope) -> AnyScope:
    """The same hours, said so that each rerun within an hour says it alike: those that begin within the scope."""
    return replace(scope, since=_hour_up(scope.since), until=_hour_up(scope.until))


def _hour_up(moment: datetime) -> datetime:
    if moment >= LATEST:
        return moment
    hour = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return hour if hour == moment else hour + _HOUR


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="spikes")
