"""Budgets in the accounts: set, replaced, removed, counted, and when one stops."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from byok.accounts import budgets, users
from byok.accounts.budgets import Figure
from byok.accounts.errors import UserUnknown
from byok.errors import BadRequest, NotFound

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ENDS = datetime(2026, 12, 1, tzinfo=UTC)


def figure(spent: int, **words) -> Figure:
    return Figure(
        **{"month": "2026-11", "month_ends": ENDS, "spent": spent, "unpriced_calls": 0, "carried": 0}
        | {"carried_until": NOW - timedelta(days=21), "counted_at": NOW}
        | words
    )


def put(db, user, **words):
    return budgets.put(db, user.id, now=NOW, **words)


def test_a_budget_is_set_read_and_removed(db, ada):
    made = put(db, ada, usd=Decimal("49.50"), vendor="openai")
    assert (made.limit, made.hard, made.vendor, made.key_id, made.spent(NOW), made.share(NOW)) == (
        Decimal("49.50"),
        False,
        "openai",
        None,
        None,
        None,
    )
    assert budgets.of_user(db, ada.id) == [made] == budgets.every(db)
    assert budgets.every(db) == [made]
    budgets.remove(db, made.id)
    assert budgets.every(db) == []
    with pytest.raises(NotFound):
        budgets.remove(db, made.id)


def test_the_same_subject_is_replaced_another_stands_beside_it(db, ada):
    first = put(db, ada, usd=Decimal(10))
    again = put(db, ada, usd=Decimal(20), hard=True)
    assert (again.id, again.limit, again.hard) == (first.id, 20, True)
    put(db, ada, tokens=1000)
    put(db, ada, usd=Decimal(5), vendor="openai")
    put(db, ada, usd=Decimal(5), vendor="openai", key_id="key_abcd1")
    put(db, ada, usd=Decimal(15), by_admin=True)
    assert len(budgets.of_user(db, ada.id)) == 5


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"usd": Decimal(1), "tokens": 1},
        {"usd": Decimal(0)},
        {"usd": Decimal("-3")},
        {"usd": Decimal("NaN")},
        {"usd": Decimal("Infinity")},
        {"usd": Decimal("1e10")},
        {"usd": Decimal("1e-10")},
        {"tokens": 0},
        {"tokens": 10**16},
        {"usd": Decimal(1), "vendor": "Open AI"},
        {"usd": Decimal(1), "key_id": "key_'; --"},
    ],
)
def test_what_makes_no_sense_is_refused(db, ada, words):
    with pytest.raises(BadRequest):
        put(db, ada, **words)
    assert budgets.every(db) == []


def test_only_known_users_have_budgets_and_not_without_end(db, ada, monkeypatch):
    with pytest.raises(UserUnknown):
        budgets.put(db, "usr_nobody1", usd=Decimal(1), now=NOW)
    monkeypatch.setattr(budgets, "MOST_BUDGETS", 2)
    for vendor in ("openai", "gemini"):
        put(db, ada, usd=Decimal(1), vendor=vendor)
    with pytest.raises(BadRequest):
        put(db, ada, usd=Decimal(1), vendor="anthropic")
    put(db, ada, usd=Decimal(2), vendor="openai")


def test_a_user_cannot_remove_what_an_admin_has_set_nor_somebody_elses(db, ada):
    eve = users.add(db, "eve@example.org", now=NOW)
    admins, own = put(db, ada, usd=Decimal(1), by_admin=True), put(db, ada, usd=Decimal(1))
    for user, budget in ((ada, admins), (eve, own)):
        with pytest.raises(NotFound):
            budgets.remove(db, budget.id, user_id=user.id)
    budgets.remove(db, own.id, user_id=ada.id)
    budgets.remove(db, admins.id)


def test_only_a_hard_budget_that_is_used_up_stops_and_only_in_its_month(db, ada):
    soft, hard = put(db, ada, tokens=100, vendor="openai"), put(db, ada, tokens=100, hard=True)
    assert budgets.stops(db, ada.id, now=NOW) == ()
    budgets.note(db, [(soft.id, figure(500)), (hard.id, figure(99))])
    assert budgets.stops(db, ada.id, now=NOW) == ()
    budgets.note(db, [(hard.id, figure(100))])
    (stop,) = budgets.stops(db, ada.id, now=NOW)
    assert (stop.vendor, stop.key_id, stop.amount, stop.ends_at) == (None, None, 100, ENDS)
    assert budgets.stops(db, ada.id, now=ENDS - timedelta(microseconds=1))
    assert budgets.stops(db, ada.id, now=ENDS) == ()
    put(db, ada, tokens=101, hard=True)
    assert budgets.stops(db, ada.id, now=NOW) == (), "a raised budget stops nobody, before anything is counted again"


def test_a_figure_is_of_its_month(db, ada):
    made = put(db, ada, usd=Decimal(10))
    budgets.note(db, [(made.id, figure(5 * 10**9))])
    (found,) = budgets.every(db)
    assert (found.spent(NOW), found.share(NOW)) == (Decimal(5), 0.5)
    assert (found.spent(ENDS), found.share(ENDS)) == (None, None)


def test_a_figure_of_a_budget_that_is_gone_is_left_out(db, ada):
    made = put(db, ada, usd=Decimal(10))
    budgets.remove(db, made.id)
    budgets.note(db, [(made.id, figure(5))])
    assert budgets.every(db) == []


def test_what_was_counted_is_carried_when_records_are_erased(db, ada):
    made = put(db, ada, tokens=1000)
    budgets.note(db, [(made.id, figure(700, carried=50))])
    budgets.carry(db, ada.id)
    carried = budgets.every(db)[0].figure
    assert (carried.spent, carried.carried, carried.carried_until) == (700, 700, NOW)


def test_removing_a_user_removes_budgets_and_figures(db, ada):
    made = put(db, ada, tokens=1000)
    budgets.note(db, [(made.id, figure(700))])
    users.remove(db, ada.id, now=NOW)
    assert budgets.every(db) == []
    with db.reading() as connection:
        assert connection.execute(budgets.budget_figures.select()).all() == []
