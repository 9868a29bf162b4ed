"""What the running month has used up of each budget: counted every few seconds, live journal included, and left in the accounts.

The gateway reads the figures with what it reads anyway, so that no call waits for a sum. Older hours are summed seldom and remembered;
each run asks for the last one or two hours only.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from byok.accounts import budgets
from byok.accounts.budgets import NANO, Budget, Figure, Owner
from byok.accounts.database import Database
from byok.accounts.plans import keep_after
from byok.budgets.months import Month, month_of
from byok.pricing.catalogue import Catalogue
from byok.store import questions
from byok.store.engine import Engine
from byok.store.scope import EveryonesScope
from byok.zones import LATEST

EVERY_S = 3.0  # with the gateway's memory of 4.5 s a used-up budget stops calls within 10 s
SETTLED = timedelta(hours=1)  # a call is booked when it ends, under the time at which it began: hours before that are taken for complete …
AGAIN = timedelta(minutes=10)  # … until they are summed again
BEFORE_IT_GOES = timedelta(hours=6)
AT_REST = timedelta(seconds=8)  # how old a figure may grow while nothing changes


class Sums(NamedTuple):
    """Billionths of a USD, tokens, and calls without a known price."""

    usd: int = 0
    tokens: int = 0
    unpriced_calls: int = 0

    def plus(self, other: "Sums") -> "Sums":
        return Sums(self.usd + other.usd, self.tokens + other.tokens, self.unpriced_calls + other.unpriced_calls)


Used = Mapping[str, Mapping[tuple[str, str], Sums]]  # by user, then by vendor and key


class _Open(NamedTuple):
    """A budget in the running month: what was carried over (and calls without a known price), and from when on records are counted."""

    budget: Budget
    month: Month
    carried: int
    unpriced: int
    since: datetime
    fades: bool  # whether its oldest records are about to go


class Counting:
    """Counts when told to; remembers the sums of settled hours in between. `engine` is asked for only if there is any budget."""

    def __init__(self, db: Database, engine: Callable[[], Engine]) -> None:
        self._db, self._engine = db, engine
        self._of: frozenset[tuple[datetime, str]] = frozenset()  # whose sums, since when, are remembered
        self._cut: datetime | None = None  # up to which
        self._settled: dict[datetime, Used] = {}
        self._catalogue: Catalogue | None = None  # with whose prices figures were counted last

    def count(self, *, now: datetime) -> None:
        """Bring all figures up to `now`."""
        found = budgets.every(self._db)
        if not found:
            self._settled, self._of = {}, frozenset()
            return
        owners = budgets.owners(self._db)
        opened = [_opened(budget, owners[budget.user_id], now) for budget in found if budget.user_id in owners]
        catalogue = self._engine().catalogue
        repriced = self._catalogue is not None and catalogue is not self._catalogue
        fresh = self._settle(opened, now, again=repriced)
        used = self._used(opened)
        falls = repriced and not self._engine().quarantined
        figures = [self._figure(one, used, now, fresh, falls) for one in opened]
        due = [(one.budget.id, figure) for one, figure in zip(opened, figures, strict=True) if _differs(one.budget.figure, figure)]
        if due:
            budgets.note(self._db, due)
        self._catalogue = catalogue

    def _settle(self, opened: Iterable[_Open], now: datetime, *, again: bool) -> bool:
        """Sum the settled hours if somebody's are not known, or not of late; whether that was so. `again`: in any case."""
        wanted = frozenset((one.since, one.budget.user_id) for one in opened)
        if not again and wanted == self._of and self._cut is not None and now - self._cut < SETTLED + AGAIN:
            return False
        cut = now - SETTLED
        people = defaultdict(set)
        for since, user_id in wanted:
            people[since].add(user_id)
        self._settled = {since: self._ask(since, cut, ids) for since, ids in people.items() if since < cut}
        self._of, self._cut = wanted, cut
        return True

    def _used(self, opened: Iterable[_Open]) -> dict[datetime, Used]:
        """What was used since the cut, or since a later beginning."""
        people: dict[datetime, set[str]] = defaultdict(set)
        for one in opened:
            people[self._from(one)].add(one.budget.user_id)
        return {since: self._ask(since, LATEST, ids) for since, ids in people.items()}

    def _from(self, one: _Open) -> datetime:
        return one.since if self._cut is None else max(one.since, self._cut)

    def _ask(self, since: datetime, until: datetime, user_ids: Iterable[str]) -> Used:
        scope = EveryonesScope(since, until, user_ids=tuple(sorted(user_ids)))
        found: dict[str, dict[tuple[str, str], Sums]] = defaultdict(dict)
        for row in questions.usage(self._engine(), scope, group_by=("user_id", "vendor", "key_id"), cost=True).rows:
            usd = 0 if row["cost_usd"] is None else int(row["cost_usd"] / NANO)
            found[row["user_id"]][row["vendor"], row["key_id"]] = Sums(usd, row["total_tokens"], row["unpriced_calls"])
        return found

    def _figure(self, one: _Open, used: Mapping[datetime, Used], now: datetime, fresh: bool, falls: bool) -> Figure:
        settled = _of_budget(one.budget, self._settled.get(one.since, {}))
        live = _of_budget(one.budget, used[self._from(one)])
        carried, unpriced, since = one.carried, one.unpriced, one.since
        before, counted = one.budget.figure, live
        if fresh and one.fades and self._cut is not None and one.since < self._cut:
            carried, unpriced, since = carried + _in_unit(one.budget, settled), unpriced + settled.unpriced_calls, self._cut
        else:
            counted = settled.plus(live)
        spent = carried + _in_unit(one.budget, counted)
        if before is not None and before.month == one.month.name and not falls:  # a price that was corrected may make it less
            spent = max(spent, before.spent)  # what was counted stays spent, also while a broken file hides it
        return Figure(one.month.name, one.month.ends, spent, unpriced + counted.unpriced_calls, carried, since, now, unpriced)


def _opened(budget: Budget, owner: Owner, now: datetime) -> _Open:
    month, kept_from = month_of(now, owner.tz), keep_after(owner.retention_days, now)
    before = budget.figure if budget.figure is not None and budget.figure.month == month.name else None
    if before is None:
        return _Open(budget, month, 0, 0, month.begins, kept_from + BEFORE_IT_GOES > month.begins)
    since = max(month.begins, before.carried_until)
    if kept_from > since:  # what was counted may be gone already: it is carried as it was
        return _Open(budget, month, before.spent, before.unpriced_calls, max(since, before.counted_at), False)
    return _Open(budget, month, before.carried, before.carried_unpriced, since, kept_from + BEFORE_IT_GOES > since)


def _of_budget(budget: Budget, used: Used) -> Sums:
    total = Sums()
    for (vendor, key_id), sums in used.get(budget.user_id, {}).items():
        if budget.vendor in (None, vendor) and budget.key_id in (None, key_id):
            total = total.plus(sums)
    return total


def _in_unit(budget: Budget, sums: Sums) -> int:
    return sums.usd if budget.metric == "usd" else sums.tokens


def _differs(before: Figure | None, now: Figure) -> bool:
    if before is None or now.counted_at - before.counted_at >= AT_REST:
        return True
    return before._replace(counted_at=now.counted_at) != now
