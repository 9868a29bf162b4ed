"""First uses of a model or key, told by the rules for them: once per rule and name."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from byok.accounts.alert_rules import Rule
from byok.accounts.tables import alert_rules, users
from byok.notify import outbox
from byok.notify.findings import Finding
from byok.services import Services
from byok.store import news
from byok.store.news import FirstUse
from byok.store.scope import EveryonesScope, Scope

_HOUR = timedelta(hours=1)


def check(
    services: Services, rules: Sequence[Rule], *, now: datetime, since: datetime, held: Callable[[Rule, datetime], datetime | None]
) -> int:
    """Put first uses from `since` on, but not from before a rule was made or resumed, into the outbox; how many messages."""
    if not rules:
        return 0
    owners = () if any(rule.terms.all_users for rule in rules) else tuple(sorted({rule.owner.id for rule in rules}))
    only = Scope(owners[0], since, now) if len(owners) == 1 else EveryonesScope(since, now, user_ids=owners)
    found = news.first_uses(services.engine, only)
    return sum(_tell(services, rule, [one for one in found if _fits(rule, one)], now, held(rule, now)) for rule in rules)


def _fits(rule: Rule, one: FirstUse) -> bool:
    terms = rule.terms
    return (
        (terms.all_users or one.user_id == rule.owner.id)
        and one.at >= max(rule.created_at, rule.resumed_at or rule.created_at)
        and terms.vendor in (None, one.vendor)
        and (terms.model is None or (one.kind, one.name) == ("model", terms.model))
    )


def _tell(services: Services, rule: Rule, found: Sequence[FirstUse], now: datetime, not_before: datetime | None) -> int:
    if not found:
        return 0
    put = 0
    with services.db.writing() as connection:
        if not connection.execute(sa.select(alert_rules.c.id).where(alert_rules.c.id == rule.id)).first():
            return 0
        known = set(connection.execute(sa.select(users.c.id).where(users.c.id.in_({one.user_id for one in found}))).scalars())
        for one in found:
            if one.user_id in known:
                made = outbox.put(
                    connection,
                    kind="alert",
                    dedupe_key=f"{rule.id}:first:{one.user_id}:{one.kind}:{one.vendor}:{one.name}",
                    rule_id=rule.id,
                    user_id=rule.owner.id,
                    about_user_id=one.user_id,
                    facts=_finding(one).dump(),
                    now=now,
                    not_before=not_before,
                )
                put += made is not None
    return put


def _finding(one: FirstUse) -> Finding:
    model = one.name if one.kind == "model" else ""
    return Finding(
        "first_use", one.user_id, one.vendor, model, "calls", one.at.astimezone(UTC), _HOUR, 1.0, 0.0, None, 1.0, "alert", one.why
    )
