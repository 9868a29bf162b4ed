"""What a search for spikes over the hours up to now remembers from one time to the next."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from byok.spikes.episodes import Spike
from byok.store.held import coded

KEPT = timedelta(hours=6)  # an import, a deletion or a change of zone changes what was before, too
_MOST_HOURS = 2_000_000  # of history, about 60 bytes each
Rows = frozenset[tuple[Any, ...]]


@dataclass
class Known:
    """What was before the hour `begin`, as far as it was looked at, and what was found in the hours asked for since, and of whom.

    Nothing is remembered where nothing is repeated: then there is no `begin`.
    """

    about: Hashable = None
    begin: datetime | None = None
    habits: pa.Table | None = None
    _history: list[tuple[frozenset[str], pa.Table]] = field(default_factory=list)
    _hours: dict[str, Rows] = field(default_factory=dict)
    _changed: dict[str, Rows] = field(default_factory=dict)
    _since: datetime | None = None
    _spikes: list[Spike] = field(default_factory=list)

    def changed(self, asked: pa.Table, since: datetime) -> list[str]:
        """Whose hours from `since` on are others than the last time."""
        self._forget_before(since)
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
        if self.begin is None:
            return found
        spikes = [*found, *(spike for spike in self._spikes if spike.user_id not in self._changed)]
        self._spikes = sorted(spikes, key=lambda one: (one.hour, one.user_id, one.vendor, one.model), reverse=True)
        self._hours |= self._changed
        return self._spikes

    def _forget_before(self, since: datetime) -> None:
        """An hour that is over is as it was when it ran, unless something was booked in it after the last look."""
        if since == self._since:
            return
        self._since = since
        later = ((user_id, frozenset(row for row in rows if row[0] >= since)) for user_id, rows in self._hours.items())
        self._hours = {user_id: rows for user_id, rows in later if rows}
        self._spikes = [spike for spike in self._spikes if spike.hour >= since]

    def history_of(self, users: Sequence[str], read: Callable[[tuple[str, ...]], pa.Table]) -> pa.Table:
        """The histories of users; `read` gives those that are not known, in columns that are always the same."""
        parts = []
        unknown = set(users)
        for theirs, rows in self._history:
            if known := theirs & unknown:
                parts.append(_in_words(rows.filter(pc.is_in(rows["user_id"], pa.array(known, pa.string())))))
                unknown -= known
        if unknown:
            fresh = read(tuple(sorted(unknown)))
            parts.append(fresh)
            held = sum(rows.num_rows for _, rows in self._history)
            if self.begin is not None and held + fresh.num_rows <= _MOST_HOURS:
                self._history.append((frozenset(unknown), coded(fresh.combine_chunks())))
        return pa.concat_tables(parts)


def _in_words(rows: pa.Table) -> pa.Table:
    """Codes as text again."""
    words = {field.name: field.type.value_type for field in rows.schema if pa.types.is_dictionary(field.type)}
    return rows.cast(pa.schema([field.with_type(words.get(field.name, field.type)) for field in rows.schema]))


class Recollection:
    """Of one search, repeated again and again over the hours up to now."""

    def __init__(self) -> None:
        self._known = Known()

    def of(self, about: Hashable, since: datetime, until: datetime) -> Known:
        """What is known for a search from the hour `since` on; nothing of another one, or if it is too old."""
        known = self._known
        if known.begin is None or known.about != about or not known.begin <= since <= until <= known.begin + KEPT:
            self._known = Known(about, since)
        return self._known
