"""Which budgets are to be warned about: four fifths used up, or all of it. Whoever delivers remembers what was sent."""

from collections.abc import Container, Iterator
from datetime import date, datetime
from typing import Literal, NamedTuple

from byok.accounts import budgets
from byok.accounts.budgets import Budget, Owner
from byok.accounts.database import Database
from byok.accounts.plans import keep_after
from byok.store.engine import Engine
from byok.store.outlook import Outlook, outlook
from byok.store.scope import Scope
from byok.store.zones import EARLIEST, LATEST

Level = Literal[80, 100]
LEVELS: tuple[Level, ...] = (100, 80)


class BudgetWarning(NamedTuple):
    """`key` is the same for the same occasion (budget, its amount, month, level): a warning goes out once per key.

    `subject` says in words what the budget is for, `percent` how much is used up, `reached_on` when it will be at the present pace (None:
    not this month, not known, or it has been).
    """

    key: str
    budget: Budget
    subject: str
    level: Level
    percent: int
    month: str
    reached_on: date | None


def due(engine: Engine, db: Database, *, now: datetime, sent: Container[str] = frozenset()) -> Iterator[BudgetWarning]:
    """Warnings for what is used up by now, the highest level of each budget; those whose key is in `sent` are left out."""
    owners = budgets.owners(db)
    for budget in budgets.every(db):
        share, owner = budget.share(now), owners.get(budget.user_id)
        level = next((level for level in LEVELS if share is not None and share >= level / 100), None)
        if level is None or share is None or owner is None or budget.figure is None:
            continue
        key = f"{budget.id}:{budget.figure.month}:{budget.metric}:{budget.amount}:{level}"
        if key not in sent:
            reached = None if level == 100 else reached_on(outlook_of(engine, budget, owner, now=now), budget, now=now)
            yield BudgetWarning(key, budget, subject(budget), level, int(share * 100), budget.figure.month, reached)


def subject(budget: Budget) -> str:
    """What a budget is for, such as: all calls; openai; key key_Zk3v9Qp1Lw2s.

    >>> from datetime import UTC
    >>> subject(Budget("bud_1", "usr_ada1", "openai", None, "usd", 10**9, False, False, datetime(2026, 11, 1, tzinfo=UTC)))
    'openai'
    """
    parts = [budget.vendor, f"key {budget.key_id}" if budget.key_id else None]
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
    return found.forecast.reaches(float(budget.limit), today=found.today)
