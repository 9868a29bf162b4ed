"""What a search for spikes that is repeated within the hour remembers of the last time."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa

from byok.spikes.episodes import Spike
from byok.store.held import coded
from byok.store.zones import EARLIEST

_KEPT = timedelta(hours=1)  # an import, a deletion or a change of zone changes what was before, too
_MOST_HOURS = 1_500_000  # of history, about 60 bytes each
Rows = frozenset[tuple[object, ...]]


@dataclass
class Known:
    """What was before the hours asked for, as far as it was looked at, and what was found of whom; nothing, where nothing is repeated."""

    about: Hashable = None
    until: datetime = EARLIEST
    habits: pa.Table | None = None
    _history: dict[str, pa.Table] = field(default_factory=dict)
    _held: int = 0
    _hours: dict[str, Rows] = field(default_factory=dict)
    _changed: dict[str, Rows] = field(default_factory=dict)
    _spikes: list[Spike] = field(default_factory=list)

    @property
    def repeats(self) -> bool:
        """Whether the same will be asked again."""
        return self.about is not None

    def changed(self, asked: pa.Table) -> list[str]:
        """Whose hours are others than the last time."""
        found = defaultdict(list)
        names, columns = asked["user_id"].to_pylist(), [column.to_pylist() for column in asked.columns]
        for user_id, row in zip(names, zip(*columns, strict=True), strict=True):
            found[user_id].append(row)
        hours = {user_id: frozenset(rows) for user_id, rows in found.items()}
        gone: dict[str, Rows] = dict.fromkeys(self._hours.keys() - hours.keys(), frozenset())
        self._changed = gone | {user_id: rows for user_id, rows in hours.items() if self._hours.get(user_id) != rows}
        return sorted(self._changed.keys() & hours.keys())

    def with_unchanged(self, found: list[Spike]) -> list[Spike]:
        """What was found of those whose hours changed, and the last time of the others; newest first."""
        if not self.repeats:
            return found
        spikes = [*found, *(spike for spike in self._spikes if spike.user_id not in self._changed)]
        self._spikes = sorted(spikes, key=lambda one: (one.hour, one.user_id, one.vendor, one.model), reverse=True)
        self._hours |= self._changed
        return self._spikes

    def history_of(self, users: Sequence[str], read: Callable[[tuple[str, ...]], pa.Table]) -> pa.Table:
        """The histories of users; `read` gives those that are not known, in columns that are always the same."""
        known = [self._history[user_id] for user_id in users if user_id in self._history]
        parts = [pa.concat_tables(known)] if known else []
        if unknown := tuple(user_id for user_id in users if user_id not in self._history):
            fresh = read(unknown)
            if self.repeats:
                self._hold(fresh)
            parts.append(fresh)
        return pa.concat_tables([_in_words(part) for part in parts])

    def _hold(self, history: pa.Table) -> None:
        rows = coded(history.combine_chunks())
        users = rows["user_id"].combine_chunks()
        codes = users.indices.to_numpy(zero_copy_only=False)
        order = np.argsort(codes, kind="stable")
        rows, ends = rows.take(pa.array(order)), np.cumsum(np.bincount(codes, minlength=len(users.dictionary)))
        for user_id, end, count in zip(users.dictionary.to_pylist(), ends, np.diff(ends, prepend=0), strict=True):
            if self._held + count <= _MOST_HOURS:
                self._history[user_id] = rows.slice(end - count, count)
                self._held += int(count)


def _in_words(rows: pa.Table) -> pa.Table:
    """Codes as text again."""
    words = {field.name: field.type.value_type for field in rows.schema if pa.types.is_dictionary(field.type)}
    return rows.cast(pa.schema([field.with_type(words.get(field.name, field.type)) for field in rows.schema]))


class Recollection:
    """Of one search, repeated over the same hours up to now."""

    def __init__(self) -> None:
        self._known = Known()

    def of(self, about: Hashable, now: datetime) -> Known:
        """What is known for this search; nothing of another one, or if it is too old."""
        if self._known.about != about or now >= self._known.until:
            self._known = Known(about, now + _KEPT)
        return self._known
