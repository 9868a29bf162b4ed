"""What was answered just now, kept as long as it is what would be answered again: until anything is booked, erased, published or repriced.

A page is opened, left and come back to far more often than a call is booked on most installations.
"""

import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from byok.recording.reader import View
from byok.store.scope import Scope
from byok.zones import LATEST

LARGEST_BYTES, MOST_BYTES = 1 << 20, 32 << 20


class Answers:
    """Answers over one state of the store; those over an earlier one are dropped at once. Thread-safe."""

    def __init__(self) -> None:
        self._state: Hashable = None
        self._known: OrderedDict[Hashable, pa.Table] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, state: Hashable, asked: Hashable) -> pa.Table | None:
        """The answer over `state`, if it is there."""
        with self._lock:
            if state != self._state:
                self._state, self._bytes = state, 0
                self._known.clear()
            if (found := self._known.get(asked)) is not None:
                self._known.move_to_end(asked)
            return found

    def put(self, state: Hashable, asked: Hashable, answer: pa.Table) -> None:
        """Keep an answer that was worked out over `state`, the least used ones making room."""
        with self._lock:
            if state != self._state or asked in self._known or answer.nbytes > LARGEST_BYTES:
                return
            self._known[asked] = answer
            self._bytes += answer.nbytes
            while self._bytes > MOST_BYTES:
                self._bytes -= self._known.popitem(last=False)[1].nbytes


def asked_for(scope: Scope, view: View, keep_after: datetime, how: Mapping[str, object]) -> Hashable | None:
    """What tells one user's question over `view` from others. None where it is another one the next moment: retention hides rows of it
    by and by."""
    oldest = [file.first_ts for file in view.files]
    if view.tail.num_rows:
        oldest.append(pc.min(view.tail["ts"]).as_py())
    if not oldest or keep_after > max(scope.since, min(oldest)):
        return None
    # "Until now" is the same at any moment after the newest record.
    until = LATEST if view.newest_ts and scope.until > view.newest_ts else scope.until
    # In UTC: local times of a repeated hour equal each other.
    said = replace(scope, since=scope.since.astimezone(UTC), until=until.astimezone(UTC))
    return said, tuple((name, _as_key(value)) for name, value in sorted(how.items()))


def _as_key(value: object) -> object:
    if isinstance(value, list | tuple):
        return tuple(_as_key(one) for one in value)
    return value.astimezone(UTC) if isinstance(value, datetime) else value
