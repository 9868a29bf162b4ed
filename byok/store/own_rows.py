"""What a user's SQL is asked of: the user's own records that the plan keeps, own keys, and the prices."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import duckdb
import pyarrow as pa

from byok.store import questions, tables, unusual
from byok.store.console import Worker
from byok.store.engine import Engine
from byok.store.named_columns import NAMES, SPIKES
from byok.store.scope import Asker, Scope, parse_scope


@dataclass(frozen=True)
class _Loaded:
    stamp: object
    prices: object
    extent: tuple[datetime | None, datetime | None, int]
    keys: Sequence[Mapping[str, object]]


class OwnRows:
    """One user's rows for a locked process, as of the moment in which they are loaded.

    `keys` gives the user's rows of the view `keys`.
    """

    def __init__(self, engine: Engine, user: Asker, *, keys: Callable[[], Sequence[Mapping[str, object]]], now: datetime) -> None:
        self.engine, self.user, self.keys, self.now = engine, user, keys, now

    def load(self, worker: Worker, columns: Sequence[str] = ()) -> object:
        """Copy them into a started process; with `columns` only these of the records, and the unusual hours only if `spikes` is one
        (`named_columns.NAMES`: everything but those).

        A usage file that turns out to be broken is left out, as everywhere.
        """
        scope = self._scope()
        extent = questions.extent(self.engine, self.user.id)
        loaded = _Loaded(self.engine.view().stamp, self.engine.catalogue, extent, self.keys())
        beside = {"prices": self.engine.ask("all_prices"), "keys": tables.keys(loaded.keys)}
        if not columns or SPIKES in columns:
            beside["spikes"] = unusual.table(self.engine, scope)
        of_records = [name for name in columns if name != SPIKES]
        cut = extent[2] > worker.limits.usage_rows
        if cut:
            scope = replace(scope, since=questions.newest_since(self.engine, scope, most=worker.limits.usage_rows))
        try:
            worker.load(questions.records_as_they_lie(self.engine, scope, of_records), beside, left_out=cut, columns=columns)
        except (duckdb.Error, pa.ArrowException):
            worker.start()  # the fault has ended it
            worker.load(questions.records(self.engine, scope, priced=True), beside, left_out=cut, columns=NAMES if columns else ())
        return loaded

    def is_current(self, loaded: object) -> bool:
        """Whether no record came, went or expired since, and no key and no price changed."""
        if not isinstance(loaded, _Loaded) or loaded.keys != self.keys() or loaded.prices is not self.engine.catalogue:
            return False
        oldest = loaded.extent[0]
        if self.engine.view().stamp == loaded.stamp and (oldest is None or oldest >= self._scope().since):
            return True
        return questions.extent(self.engine, self.user.id) == loaded.extent

    def _scope(self) -> Scope:
        return parse_scope({}, user=self.user, now=self.now)
