"""What a user's SQL is asked of: the user's own records that the plan keeps, own keys, and the prices."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

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


class _Counted:
    """Batches of records, passed on; what they hold is known at the end."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self._batches = batches
        self._rows, self._bounds = 0, list[datetime]()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._batches:
            if batch.num_rows:
                self._rows += batch.num_rows
                self._bounds += pc.min_max(batch["ts"]).as_py().values()
            yield batch

    def extent(self) -> tuple[datetime | None, datetime | None, int]:
        """Their oldest and newest moment, and how many they are: as `questions.extent`."""
        return min(self._bounds, default=None), max(self._bounds, default=None), self._rows


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
        scope, view = self._scope(), self.engine.view()
        stamp, catalogue, keys = view.stamp, self.engine.catalogue, self.keys()
        beside = {"prices": self.engine.ask("all_prices"), "keys": tables.keys(keys)}
        if not columns or SPIKES in columns:
            beside["spikes"] = unusual.table(self.engine, scope)
        of_records = [name for name in columns if name != SPIKES]
        extent, most = None, worker.limits.usage_rows
        if sum(file.rows for file in view.files) + view.tail.num_rows > most:  # else the whole store has fewer: counted on the way
            extent = questions.extent(self.engine, self.user.id)
        cut = extent is not None and extent[2] > most
        if cut:
            scope = replace(scope, since=questions.newest_since(self.engine, scope, most=most))
        try:
            rows = _Counted(questions.records_as_they_lie(self.engine, scope, of_records))
            worker.load(rows, beside, left_out=cut, columns=columns)
        except (duckdb.Error, pa.ArrowException):
            worker.start()  # the fault has ended it
            rows = _Counted(questions.records(self.engine, scope, priced=True))
            worker.load(rows, beside, left_out=cut, columns=NAMES if columns else ())
        return _Loaded(stamp, catalogue, extent or rows.extent(), keys)

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
