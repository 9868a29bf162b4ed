"""Rules, the outbox and budgets' warnings on a real PostgreSQL."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from byok.accounts import alert_rules, budgets, users
from byok.accounts.alert_rules import Target, Terms
from byok.accounts.budgets import Figure
from byok.accounts.database import open_database
from byok.budgets.warnings import BudgetWarning
from byok.notify import budget_warnings, episodes, findings, outbox
from byok.notify.outcome import later, sent

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
pytestmark = pytest.mark.slow


@pytest.fixture
def db(postgres):
    with open_database(postgres.url()) as opened:
        yield opened


def test_what_was_found_is_told_once_retried_resumed_and_forgotten(db):
    ada = users.add(db, "ada@example.org", now=NOW)
    rule, _ = alert_rules.add(db, bytes(32), ada.id, Terms(), Target("mail"), now=NOW)
    found = [findings.sample(ada.id, NOW)]
    assert [episodes.tell(db, rule, found, now=NOW) for _ in range(3)] == [1, 0, 0]
    (one,) = outbox.due(db, now=NOW, most=9)
    assert [outbox.take(db, one.id, now=NOW) for _ in range(2)] == [True, False]
    outbox.settle(db, one.id, later("503"), now=NOW)
    assert outbox.due(db, now=NOW, most=9) == []
    outbox.recover(db, now=NOW)
    assert outbox.figures(db, now=NOW + timedelta(minutes=2)) == ({"pending": 1, "sent": 0, "refused": 0, "expired": 0}, 120.0)
    outbox.settle(db, one.id, sent("200"), now=NOW)
    assert alert_rules.pause(db, ada.id, rule.id, True, now=NOW) and alert_rules.pause(db, ada.id, rule.id, False, now=NOW)
    assert alert_rules.of_user(db, ada.id)[0].resumed_at == NOW
    assert episodes.close(db, rule, now=NOW + timedelta(hours=4)) == 0, "pausing ended it"
    outbox.prune(db, now=NOW + timedelta(days=40))
    assert outbox.of_user(db, ada.id) == []


def test_a_budgets_warning_is_told_once_and_goes_with_the_budget(db):
    ada = users.add(db, "ada@example.org", now=NOW)
    rule, _ = alert_rules.add(db, bytes(32), ada.id, Terms(kind="budget"), Target("mail"), now=NOW)
    made = budgets.put(db, ada.id, usd=Decimal(10), now=NOW)
    budgets.note(db, [(made.id, Figure("2026-11", NOW + timedelta(days=9), 9_000_000_000, 0, 0, NOW, NOW))])
    warning = BudgetWarning(f"{made.id}:2026-11:80", budgets.every(db)[0], "all calls", 80, 90, "2026-11", None)
    told = budget_warnings.told(db)
    assert budget_warnings.put(db, rule, warning, now=NOW, not_before=None) == 1 and not told
    assert budget_warnings.told(db) == {(rule.id, made.id): {warning.key}}
    budgets.remove(db, made.id)
    assert budget_warnings.told(db) == {}
