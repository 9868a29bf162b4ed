"""Which budgets are to be warned about: four fifths used up, all of it, or by the month's end. Whoever delivers remembers what was sent."""

from collections.abc import Container, Iterator, Mapping
from datetime import date, datetime
from typing import Literal, NamedTuple

from byok.accounts import budgets
from byok.accounts.budgets import Budget, Owner
from byok.accounts.database import Database
from byok.accounts.plans import keep_after
from byok.budgets.months import month_of
from byok.store.engine import Engine
from byok.store.outlook import Outlook, outlook
from byok.store.scope import Scope
from byok.zones import EARLIEST, LATEST

Level = Literal["ahead", 80, 100]
_WORTH_ASKING = 0.8  # of the budget, if the month went on like this: below, no forecast is asked for


class BudgetWarning(NamedTuple):
    """`key` is the same for the same occasion (budget, its amount, month, level): a warning goes out once per key.

    `subject` says in words what the budget is for, `percent` how much is used up, `reached_on` when it will be at the present pace (None:
    not this month, not known, or it has been); `lasts`: it most likely will not be this month. `level` is the per cent reached; `ahead`:
    fewer, but most likely all at the month's end.
    """

    key: str
    budget: Budget
    subject: str
    level: Level
    percent: int
    month: str
    reached_on: date | None
    lasts: bool = False


def due(
    engine: Engine,
    db: Database,
    *,
    now: datetime,
    sent: Container[str] = frozenset(),
    of: Container[str] | None = None,
    ahead: bool = False,
) -> Iterator[BudgetWarning]:
    """Warnings for what is used up by now, the highest level of each budget; those whose key is in `sent` are left out.

    `of`: of these users only. `ahead`: also of budgets that will most likely be used up this month, which takes a forecast for each that
    looks like it.
    """
    owners = budgets.owners(db)
    found = budgets.every(db)
    labels = engine.labels_of({budget.key_id for budget in found if budget.key_id})
    for budget in found:
        percent, owner = budget.percent(now), owners.get(budget.user_id)
        if percent is None or owner is None or budget.figure is None or (of is not None and budget.user_id not in of):
            continue
        level: Level = 100 if percent >= 100 else 80 if percent >= 80 else "ahead"
        if level == "ahead" and not (ahead and (budget.share(now) or 0) >= _WORTH_ASKING * _gone(now, owner)):
            continue
        key = f"{budget.id}:{budget.figure.month}:{budget.metric}:{budget.amount}:{level}"
        if key in sent:
            continue
        going = None if level == 100 else outlook_of(engine, budget, owner, now=now)
        if level == "ahead" and not (going and going.forecast.low and going.forecast.low >= _left_for(going, budget, now)):
            continue
        reached = reached_on(going, budget, now=now) if going else None
        lasts = going is not None and going.forecast.enough and reached is None
        yield BudgetWarning(key, budget, subject(budget, labels), level, percent, budget.figure.month, reached, lasts)


def _gone(now: datetime, owner: Owner) -> float:
    """How much of the month is over, 1 = all."""
    month = month_of(now, owner.tz)
    return (now - month.begins) / (month.ends - month.begins)


def subject(budget: Budget, labels: Mapping[str, str]) -> str:
    """What a budget is for, such as: all calls; openai; key prod-7. A key without a label is named by its id.

    >>> from datetime import UTC
    >>> subject(Budget("bud_1", "usr_ada1", "openai", None, "usd", 10**9, False, False, datetime(2026, 11, 1, tzinfo=UTC)), {})
    'openai'
    """
    parts = [budget.vendor, f"key {labels.get(budget.key_id, budget.key_id)}" if budget.key_id else None]
    return ", ".join(part for part in parts if part) or "all calls"


def outlook_of(engine: Engine, budget: Budget, owner: Owner, *, now: datetime) -> Outlook:
    """Where the month goes for what the budget covers."""
    scope = Scope(
        budget.user_id,
        EARLIEST,
        LATEST,
        tz=owner.tz,
        vendors=(budget.vendor,) if budget.vendor else (),
        key_ids=(budget.key_id,) if budget.key_id else (),
    )
    metric: Literal["cost", "tokens"] = "cost" if budget.metric == "usd" else "tokens"
    return outlook(engine, scope, now=now, metric=metric, kept_from=keep_after(owner.retention_days, now))


def reached_on(found: Outlook, budget: Budget, *, now: datetime) -> date | None:
    """The day on which the budget will be used up at the present pace; None if not this month, not known, or it has been already."""
    spent = budget.spent(now)
    if spent is not None and spent >= budget.limit:
        return None
    return found.forecast.reaches(_left_for(found, budget, now), today=found.today)


def _left_for(found: Outlook, budget: Budget, now: datetime) -> float:
    """The budget less what was spent on records that are gone meanwhile: what is left for those of which the outlook knows."""
    gone = (budget.spent(now) or 0) - (found.so_far or 0)
    return float(budget.limit - max(gone, 0))
