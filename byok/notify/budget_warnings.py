"""Warnings of budgets, by the rules that are for them; whoever has none is told where his other rules send. Once per rule and occasion."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from byok import zones
from byok.accounts import budgets
from byok.accounts.alert_rules import Rule
from byok.accounts.budgets import Budget, Owner
from byok.accounts.database import Database
from byok.accounts.tables import alert_rules, budget_tellings
from byok.accounts.tables import budgets as budgets_table
from byok.budgets.months import month_of
from byok.budgets.warnings import BudgetWarning, due
from byok.notify import outbox
from byok.notify.findings import Finding
from byok.services import Services

KEPT = timedelta(days=40)  # longer than a month: by then nothing asks any more what was told
Held = Callable[[Rule, datetime], datetime | None]
Told = Mapping[tuple[str, str], set[str]]  # rule, budget -> keys of warnings


def check(services: Services, rules: Sequence[Rule], *, now: datetime, held: Held, ahead: bool) -> int:
    """Put what is due into the outbox; how many messages. `rules`: with those that rest, as one for budgets that rests is one.

    `held`: when a rule's quiet hours end. `ahead`: ask forecasts, too.
    """
    if not rules:
        return 0
    listening = {budget.id: _listening(rules, budget) for budget in budgets.every(services.db)}
    known = told(services.db)
    sent = {key for budget_id, some in listening.items() if some for key in set.intersection(*(known[rule.id, budget_id] for rule in some))}
    heard = {rule.owner.id for some in listening.values() for rule in some if not rule.terms.all_users}
    of = None if any(rule.terms.all_users and rule.terms.kind == "budget" for rule in rules) else heard
    count = 0
    for warning in due(services.engine, services.db, now=now, sent=sent, of=of, ahead=ahead):
        for rule in listening.get(warning.budget.id, ()):
            if warning.key not in known[rule.id, warning.budget.id]:
                count += put(services.db, rule, warning, now=now, not_before=held(rule, now))
    return count


def prune(db: Database, *, now: datetime) -> None:
    """Forget what was told of months that are over."""
    with db.writing() as connection:
        connection.execute(sa.delete(budget_tellings).where(budget_tellings.c.told_at < now - KEPT))


def _listening(rules: Sequence[Rule], budget: Budget) -> list[Rule]:
    """Who is told of a budget: its user's rules for budgets, else one of the other rules for each target; and admins who watch all."""
    own = [rule for rule in rules if rule.owner.id == budget.user_id and not rule.terms.all_users]
    meant = [rule for rule in own if rule.terms.kind == "budget"]
    others = {(rule.channel, rule.to): rule for rule in reversed(own) if not rule.paused}
    everyones = [rule for rule in rules if rule.terms.all_users and rule.terms.kind == "budget"]
    fitting = [rule for rule in [*meant, *everyones] if rule.terms.vendor in (None, budget.vendor)]
    return [rule for rule in (fitting if meant else [*others.values(), *fitting]) if not rule.paused]


def told(db: Database) -> Told:
    """What each rule was told of each budget."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    with db.reading() as connection:
        for row in connection.execute(sa.select(budget_tellings.c.rule_id, budget_tellings.c.budget_id, budget_tellings.c.occasion)):
            found[row.rule_id, row.budget_id].add(row.occasion)
    return found


def put(db: Database, rule: Rule, warning: BudgetWarning, *, now: datetime, not_before: datetime | None) -> int:
    """Put a warning into the outbox, and note that it was; how many messages that are."""
    budget = warning.budget
    owner = budgets.owners(db).get(budget.user_id)
    if owner is None:  # removed since it was looked at
        return 0
    facts = _finding(warning, owner, now).dump()
    with db.writing() as connection:
        if not _still_there(connection, rule, budget):
            return 0
        noted = {"rule_id": rule.id, "budget_id": budget.id, "occasion": warning.key, "told_at": now}
        connection.execute(sa.insert(budget_tellings).values(**noted))
        made = outbox.put(
            connection,
            kind="alert",
            dedupe_key=f"{rule.id}:{warning.key}",
            rule_id=rule.id,
            user_id=rule.owner.id,
            about_user_id=budget.user_id,
            facts=facts,
            now=now,
            not_before=not_before,
        )
    return int(made is not None)


def _still_there(connection: Connection, rule: Rule, budget: Budget) -> bool:
    found = sa.select(alert_rules.c.id).where(alert_rules.c.id == rule.id).exists()
    return bool(connection.execute(sa.select(budgets_table.c.id).where(budgets_table.c.id == budget.id, found)).first())


def _finding(warning: BudgetWarning, owner: Owner, now: datetime) -> Finding:
    """`hour` and `step` are the month; `usual` is the limit."""
    budget = warning.budget
    month = month_of(now, owner.tz)
    spent, limit = float(budget.spent(now) or 0), float(budget.limit)
    metric, level = ("cost" if budget.metric == "usd" else "tokens"), ("alert" if warning.level == 100 else "warn")
    figures = (spent, limit, spent / limit, 1.0, level)
    span = month.ends.astimezone(UTC) - month.begins.astimezone(UTC)
    why = " ".join(
        (f"Budget for {warning.subject}, {warning.percent:,} % used up.", *_outlook(warning, month.ends.astimezone(zones.zone(owner.tz))))
    )
    return Finding("budget", budget.user_id, budget.vendor or "", "", metric, month.begins.astimezone(UTC), span, *figures, why)


def _outlook(warning: BudgetWarning, ends: datetime) -> list[str]:
    if warning.level == 100:
        return [f"Calls that it covers are refused until {_day(ends.date())}."] if warning.budget.hard else []
    if warning.reached_on is None:
        return ["At this pace it lasts until the month ends."] if warning.lasts else []
    refused = "; then calls that it covers are refused" if warning.budget.hard else ""
    return [f"At this pace it is used up on {_day(warning.reached_on)}{refused}."]


def _day(day: date) -> str:
    return f"{day:%A} {day.isoformat()}"
