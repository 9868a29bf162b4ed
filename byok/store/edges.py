"""The edge of a period: where it begins within a step of remembered sums, that step's records stand beside the sums of the later ones.

A plan's edge moves on with the clock, so a user's whole day is kept, and serves until the edge leaves it.
"""

from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from byok.store import wording
from byok.store.desk import Desk
from byok.store.shelf import Shelf, rows_of

_TABLE = "edges"
_MOST = 64  # days of one file, of whoever asked for them: the latest
_DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Edge(NamedTuple):
    """Whose period begins at `since`, and where the step ends that it cuts."""

    user_id: str
    since: datetime
    ends: datetime

    @property
    def day(self) -> datetime:
        return self.since - (self.since - _EPOCH) % _DAY


class Edges:
    """The days of one file that are kept, by user, in parts of the shelf's table `edges`."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._parts: OrderedDict[tuple[str, datetime], int] = OrderedDict()

    def rows(self, edge: Edge) -> str | None:
        """The text of the records of the step that is cut; None if its day is not kept."""
        part = self._parts.get((edge.user_id, edge.day))
        if part is None:
            return None
        until_us = (edge.ends - _EPOCH) // _MICROSECOND
        return f"{rows_of(_TABLE, [part])} and ts < make_timestamptz({until_us:d})"

    def keep(self, desk: Desk, edge: Edge) -> None:
        """Read the day from the one file that lies on the desk."""
        if (edge.user_id, edge.day) in self._parts:
            return
        if len(self._parts) >= _MOST:
            self._shelf.drop(_TABLE, [self._parts.popitem(last=False)[1]])
        values = {"user_id": edge.user_id, "since": edge.day, "until": edge.day + _DAY}
        self._parts[edge.user_id, edge.day], _ = self._shelf.put(desk, _TABLE, wording.text("rows_of_day"), values)

    def forget(self) -> None:
        """Drop all: the file is gone."""
        self._shelf.drop(_TABLE, self._parts.values())
        self._parts.clear()
