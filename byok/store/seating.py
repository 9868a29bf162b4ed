"""What a question needs to be answered: its words, and what must lie on a desk before it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from byok import zones
from byok.recording.files import TableFile
from byok.recording.reader import View
from byok.store import wording
from byok.store.scope import AnyScope, EveryonesScope

_SECOND = timedelta(seconds=1)


class Wanted(NamedTuple):
    """What a desk is wanted for: the rows of `scope` in the view `over` (None: the newest).

    `summed`, `by_user`: remembered sums have all that is needed, of all users together or of each. `hold`: one user's rows may be held for
    what is asked next. `alike`: a fault of files that differ in their columns shows at once, and is mended.
    """

    scope: AnyScope | None = None
    over: View | None = None
    summed: bool = False
    by_user: bool = False
    hold: bool = False
    alike: bool = True


class Words(NamedTuple):
    """A question as it was asked: what says it in SQL (`known`: texts of remembered sums), its parameters beside the scope's, and what
    a desk must have for it."""

    say: Callable[..., str]
    values: Mapping[str, object]
    wanted: Wanted


def may_be_summed(question: str, scope: AnyScope | None, group_by: Sequence[str] | None) -> bool:
    """Whether remembered sums have all that this question needs."""
    columns = {"key_id", "user_id"}.isdisjoint(group_by or ())
    return question in wording.SUMMED and columns and not getattr(scope, "key_ids", ()) and not getattr(scope, "user_ids", ())


def may_be_summed_by_user(question: str, scope: AnyScope | None, group_by: Sequence[str] | None) -> bool:
    """Whether each user's own sums have all that this question about everyone needs."""
    filtered = any(getattr(scope, name, ()) for name in ("vendors", "models", "key_ids", "statuses"))
    return question == "usage" and tuple(group_by or ()) == ("user_id",) and isinstance(scope, EveryonesScope) and not filtered


class Seating(NamedTuple):
    """What a desk must have before it: files to read, texts of remembered sums, the mark under which they hold and the files that they are
    of, and who is kept since when; the beginning of what is asked for (a user's not before retention's, since remembered sums do not pass
    `kept`); and from when until when there are records of it."""

    files: list[str]
    known: list[str]
    mark: object
    summed: frozenset[str]
    kept: pa.Table
    since: datetime
    extent: tuple[datetime, datetime]


def extent(scope: AnyScope, since: datetime, files: Sequence[TableFile], view: View) -> tuple[datetime, datetime]:
    """From when until when there are records in question: rules of zones from before and after do not count."""
    first = [file.first_ts for file in files]
    if view.tail.num_rows:
        first.append(pc.min(view.tail["ts"]).as_py())
    begin = max(since, min(first, default=since))
    return begin, max(begin, min(scope.until, view.newest_ts or since) + _SECOND)


def among(days: pa.Table, scope: AnyScope | None) -> pa.Table:
    """Only those users that a scope names: records of others then end at the join with who is kept, before they are priced."""
    named = getattr(scope, "user_ids", ())
    return days.filter(pc.is_in(days["user_id"], pa.array(named, pa.string()))) if named else days


def values_of(scope: AnyScope | None, sql: str, seating: Seating) -> dict[str, object]:
    """What the text asks for of a scope: its bounds, its filters, and the spans of its zone."""
    if scope is None:
        return {}
    found = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(scope).items()} | {"since": seating.since}
    if "$zone_starts" in sql:
        spans = zones.between(zones.offsets(scope.tz), *seating.extent)
        found |= {f"zone_{name}": values for name, values in spans._asdict().items()}
    return found
