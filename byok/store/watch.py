"""The search for spikes as a keeper makes it, every minute over the same last hours: only what changed is judged again."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from byok.spikes.episodes import Spike
from byok.store.engine import Engine
from byok.store.scope import AnyScope

_HOUR = timedelta(hours=1)
ALL_ANEW = timedelta(days=1)  # an import, a deletion or a change of zone changes what is usual, too


class Watch:
    """Answers as `search` does, whose hours are judged by themselves and what was before them.

    An hour before the last two in which nothing was booked (or deleted) since the last look is not judged again; everything is once a
    day.
    """

    def __init__(self, engine: Engine, search: Callable[[AnyScope], Iterable[Spike]]) -> None:
        self._engine, self._search = engine, search
        self._whole: AnyScope | None = None
        self._records: dict[datetime, int] = {}
        self._found: list[Spike] = []

    def __call__(self, scope: AnyScope) -> list[Spike]:
        """The spikes of a scope that begins with an hour and ends now, newest first."""
        records = self._records_per_hour(scope)
        since = self._changed_since(scope, records)
        fresh = [] if since is None else list(self._search(replace(scope, since=since)))
        held = [spike for spike in self._found if scope.since <= spike.hour and (since is None or spike.hour < since)]
        self._whole = scope if since == scope.since else self._whole
        self._records, self._found = records, fresh + held
        return self._found

    def _changed_since(self, scope: AnyScope, records: dict[datetime, int]) -> datetime | None:
        """From when on to judge; None if nothing changed."""
        last = self._whole
        if last is None or scope.until - last.until >= ALL_ANEW or replace(last, since=scope.since, until=scope.until) != scope:
            return scope.since
        hours = {hour for hour in self._records.keys() | records.keys() if hour >= scope.since}
        since = min((hour for hour in hours if self._records.get(hour) != records.get(hour)), default=None)
        return since and max(scope.since, min(since, _hour(scope.until) - _HOUR))  # the same two hours again: much of them is known

    def _records_per_hour(self, scope: AnyScope) -> dict[datetime, int]:
        found = self._engine.ask("records_per_hour", scope).to_pydict()
        return {datetime.fromtimestamp(hour_s, UTC): calls for hour_s, calls in zip(found["hour_s"], found["calls"], strict=True)}


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
