"""Budgets: how much a month may cost (or how many tokens it may take) for a user, one vendor or one key, and how much of it is used up.

A soft budget warns, a hard one stops. The figures are counted by the keeper (`byok.budgets`); the gateway only reads them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple, cast, get_args

import sqlalchemy as sa

from byok import zones
from byok.accounts.checks import checked_vendor
from byok.accounts.database import Database
from byok.accounts.errors import UserUnknown
from byok.accounts.ids import is_id, new_id
from byok.accounts.plans import PLAN_DAYS
from byok.accounts.tables import Instant, budget_figures, budgets, users
from byok.errors import BadRequest, NotFound

Metric = Literal["usd", "tokens"]
METRICS: tuple[Metric, ...] = get_args(Metric)
MOST_USD, MOST_TOKENS = Decimal(1_000_000_000), 10**15
MOST_BUDGETS = 100  # of one user
NANO = Decimal("1e-9")
_STOPS = (  # built once: the gateway asks it for every caller every few seconds
    sa.select(budgets.c.vendor, budgets.c.key_id, budgets.c.metric, budgets.c.amount, budgets.c.by_admin, budget_figures.c.month_ends)
    .join_from(budgets, budget_figures)
    .where(budgets.c.user_id == sa.bindparam("user_id"), budgets.c.hard)
    .where(budget_figures.c.spent >= budgets.c.amount, budget_figures.c.month_ends > sa.bindparam("now", type_=Instant))
)


class Figure(NamedTuple):
    """What is used up of a budget in a month: `spent` in its unit, up to `counted_at`; a new month begins at `month_ends`.

    `carried` is the part of `spent` from before `carried_until`, of records that may be gone meanwhile, `carried_unpriced` that of
    `unpriced_calls`.
    """

    month: str
    month_ends: datetime
    spent: int
    unpriced_calls: int
    carried: int
    carried_until: datetime
    counted_at: datetime
    carried_unpriced: int = 0


@dataclass(frozen=True, slots=True)
class Budget:
    """A month's budget, `amount` in billionths of a USD or in tokens. Without `vendor` or `key_id`: all. Without `figure`: not counted."""

    id: str
    user_id: str
    vendor: str | None
    key_id: str | None
    metric: Metric
    amount: int
    hard: bool
    by_admin: bool
    created_at: datetime
    figure: Figure | None = None

    @property
    def limit(self) -> Decimal | int:
        """USD, or tokens."""
        return self.amount * NANO if self.metric == "usd" else self.amount

    def spent(self, now: datetime) -> Decimal | int | None:
        """USD or tokens of the running month; None if it was not counted yet."""
        if self.figure is None or self.figure.month_ends <= now:
            return None
        return self.figure.spent * NANO if self.metric == "usd" else self.figure.spent

    def share(self, now: datetime) -> float | None:
        """How much of it is used up in the running month, 1 = all; None if it was not counted yet."""
        spent = self.spent(now)
        return None if spent is None else float(spent) / float(self.limit)

    def percent(self, now: datetime) -> int | None:
        """The same in whole per cents, rounded down: exact, as a float is not."""
        return None if self.figure is None or self.spent(now) is None else 100 * self.figure.spent // self.amount

    def used_up(self, now: datetime) -> bool:
        """Whether all of it is used up: just then a hard one stops calls."""
        return (self.percent(now) or 0) >= 100


class Owner(NamedTuple):
    """What is to be known of the user of a budget: his zone cuts the months."""

    tz: str
    retention_days: int


class Stop(NamedTuple):
    """A hard budget that is used up: calls that it covers are refused before `ends_at`."""

    vendor: str | None
    key_id: str | None
    metric: Metric
    amount: int
    by_admin: bool
    ends_at: datetime


def put(
    db: Database,
    user_id: str,
    *,
    usd: Decimal | None = None,
    tokens: int | None = None,
    hard: bool = False,
    vendor: str | None = None,
    key_id: str | None = None,
    by_admin: bool = False,
    now: datetime,
) -> Budget:
    """Set a month's budget in USD or in tokens, in place of the one for the same (vendor, key, unit, and who set it).

    Raises `BadRequest`, `UserUnknown`.
    """
    metric, amount = _checked_amount(usd, tokens)
    subject = {
        "user_id": user_id,
        "vendor": None if vendor is None else checked_vendor(vendor),
        "key_id": _checked_key(key_id),
        "metric": metric,
        "by_admin": by_admin,
    }
    same = sa.and_(*(budgets.c[name].is_not_distinct_from(value) for name, value in subject.items()))
    with db.writing() as connection:
        # Locked, so that two at once do not both make it.
        if not connection.execute(sa.select(users.c.id).where(users.c.id == user_id).with_for_update()).first():
            raise UserUnknown
        changed = sa.update(budgets).where(same).values(amount=amount, hard=hard).returning(budgets.c.id)
        budget_id = connection.execute(changed).scalar()
        if budget_id is None:
            count = connection.execute(sa.select(sa.func.count()).select_from(budgets).where(budgets.c.user_id == user_id)).scalar()
            if (count or 0) >= MOST_BUDGETS:
                raise BadRequest(f"A user has at most {MOST_BUDGETS} budgets.", remedy="Remove one first: byok budget remove ID")
            budget_id = new_id("bud_")
            connection.execute(sa.insert(budgets).values(id=budget_id, amount=amount, hard=hard, created_at=now, **subject))
        return _from_row(connection.execute(_with_figures().where(budgets.c.id == budget_id)).one())


def of_user(db: Database, user_id: str) -> list[Budget]:
    """The user's budgets: for everything first, then by vendor and key."""
    return _read(db, budgets.c.user_id == user_id)


def every(db: Database) -> list[Budget]:
    """All budgets, by user."""
    return _read(db, sa.true())


def owners(db: Database) -> dict[str, Owner]:
    """The users who have budgets, by id."""
    mine = sa.select(budgets.c.user_id)
    with db.reading() as connection:
        rows = connection.execute(sa.select(users.c.id, users.c.tz, users.c.plan, users.c.retention_days).where(users.c.id.in_(mine)))
        return {row.id: Owner(zones.known(row.tz), row.retention_days or PLAN_DAYS[row.plan]) for row in rows}


def remove(db: Database, budget_id: str, *, user_id: str | None = None) -> None:
    """Remove a budget. With `user_id`: only one that is this user's and was not set by an admin. Raises `NotFound`."""
    which = budgets.c.id == budget_id
    if user_id is not None:
        which &= (budgets.c.user_id == user_id) & ~budgets.c.by_admin
    with db.writing() as connection:
        if not is_id(budget_id) or connection.execute(sa.delete(budgets).where(which)).rowcount != 1:
            raise _no_such_budget()


def stops(db: Database, user_id: str, *, now: datetime) -> tuple[Stop, ...]:
    """The user's hard budgets that are used up. A figure stays in force until its month ends, however old it is."""
    with db.reading() as connection:
        return tuple(Stop(*row) for row in connection.execute(_STOPS, {"user_id": user_id, "now": now}))


def note(db: Database, figures: Iterable[tuple[str, Figure]]) -> None:
    """Write figures by the ids of their budgets, in one transaction; those of budgets that are gone are left out."""
    with db.writing() as connection:
        for budget_id, figure in figures:
            values = figure._asdict()
            if connection.execute(sa.update(budget_figures).where(budget_figures.c.budget_id == budget_id).values(values)).rowcount:
                continue
            if connection.execute(sa.select(budgets.c.id).where(budgets.c.id == budget_id)).first():
                connection.execute(sa.insert(budget_figures).values(budget_id=budget_id, **values))


def carry(db: Database, user_id: str) -> None:
    """Before a user's records are erased: what was counted stays spent. Deleting a bill does not pay it."""
    mine = sa.select(budgets.c.id).where(budgets.c.user_id == user_id)
    kept = {
        "carried": budget_figures.c.spent,
        "carried_unpriced": budget_figures.c.unpriced_calls,
        "carried_until": budget_figures.c.counted_at,
    }
    with db.writing() as connection:
        connection.execute(sa.update(budget_figures).where(budget_figures.c.budget_id.in_(mine)).values(kept))


def _read(db: Database, which: sa.ColumnElement[bool]) -> list[Budget]:
    order = (budgets.c.user_id, sa.func.coalesce(budgets.c.vendor, ""), sa.func.coalesce(budgets.c.key_id, ""), budgets.c.created_at)
    with db.reading() as connection:
        return [_from_row(row) for row in connection.execute(_with_figures().where(which).order_by(*order, budgets.c.id))]


def _with_figures() -> sa.Select[Any]:
    figure = [budget_figures.c[name] for name in Figure._fields]
    return sa.select(*budgets.c, *figure).outerjoin_from(budgets, budget_figures)


def _from_row(row: Any) -> Budget:
    own = {column.name: getattr(row, column.name) for column in budgets.c}
    figure = None if row.month is None else Figure(*(getattr(row, name) for name in Figure._fields))
    return Budget(**{**own, "metric": cast(Metric, own["metric"])}, figure=figure)


def _checked_amount(usd: Decimal | None, tokens: int | None) -> tuple[Metric, int]:
    if (usd is None) == (tokens is None):
        raise BadRequest("A budget is in USD or in tokens.", remedy="Give one of the two.")
    if usd is not None:
        if not usd.is_finite() or not NANO <= usd <= MOST_USD:
            raise BadRequest("The budget in USD is not valid.", remedy=f"It must be more than 0 and at most {MOST_USD:,}, such as 49.50.")
        return "usd", int(usd / NANO)
    if tokens is None or not 1 <= tokens <= MOST_TOKENS:
        raise BadRequest("The budget in tokens is not valid.", remedy=f"It must be a whole number from 1 to {MOST_TOKENS:,}.")
    return "tokens", tokens


def _checked_key(key_id: str | None) -> str | None:
    if key_id is not None and not is_id(key_id):
        raise BadRequest("The key's id is not valid.", remedy="It is key_… as the Keys page shows it, or passthrough.")
    return key_id


def _no_such_budget() -> NotFound:
    return NotFound("There is no such budget.", remedy="byok budget list shows the ids; one that an admin has set only an admin removes.")
