"""Budgets on the Keys page, and in the Overview's last line."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from byok.accounts import budgets, key_vault, users
from byok.accounts.budgets import Figure
from tests.pages.conftest import NOW
from tests.pages.reading import text_of

KEYS = "pages/keys.py"
ENDS = datetime(2026, 12, 1, tzinfo=UTC)


def put(book, user, **words):
    return budgets.put(book.db, user.id, now=NOW, **words)


def count(book, budget, spent, **words):
    figure = Figure("2026-11", ENDS, spent, 0, 0, NOW - timedelta(days=20), NOW - timedelta(seconds=4))
    budgets.note(book.db, [(budget.id, figure._replace(**words))])


def fill_in(app, amount: str, *, subject="Everything", unit="USD", hard=False):
    app.selectbox(key="new-budget-0-for").set_value(subject)
    app.segmented_control(key="new-budget-0-unit").set_value(unit)
    app.text_input(key="new-budget-0-amount").set_value(amount)
    app.toggle(key="new-budget-0-hard").set_value(hard)
    return next(button for button in app.button if button.label == "Set budget").click().run()


def test_a_budget_is_set_shown_and_removed(book, ada, open_app):
    app = fill_in(open_app(ada, page=KEYS), "1,049.50", subject="openai", hard=True)
    (made,) = budgets.of_user(book.db, ada.id)
    assert (made.limit, made.vendor, made.hard, made.by_admin) == (Decimal("1049.5"), "openai", True, False)
    assert r"**openai** · \$1\,049\.50 a month :orange-badge[hard]" in text_of(app)
    app.button(key=f"sure-{made.id}").click().run()
    assert budgets.of_user(book.db, ada.id) == []
    assert "No budget yet" in text_of(app)


def test_one_for_a_key_is_named_as_the_key(book, ada, open_app):
    key = key_vault.add(book.db, book.master, ada.id, "openai", "sk-proj-canary-9f3a", now=NOW, label="laptop")
    app = fill_in(open_app(ada, page=KEYS), "20000000", subject="key laptop-9f3a", unit="tokens")
    (made,) = budgets.of_user(book.db, ada.id)
    assert (made.key_id, made.limit, made.metric) == (key.id, 20_000_000, "tokens")
    assert r"**laptop\-9f3a** · 20M tokens a month :gray-badge[soft]" in text_of(app)


@pytest.mark.parametrize(
    ("amount", "unit"),
    [("", "USD"), ("a lot", "USD"), ("-3", "USD"), ("0", "tokens"), ("1.5", "tokens"), ("nan", "USD"), ("Infinity", "tokens")],
)
def test_a_senseless_amount_is_refused_in_words(book, ada, open_app, amount, unit):
    app = fill_in(open_app(ada, page=KEYS), amount, unit=unit)
    assert app.error
    assert budgets.of_user(book.db, ada.id) == []


def test_what_is_used_up_is_told_with_its_age_and_what_is_not_in_it(book, ada, open_app):
    made = put(book, ada, usd=Decimal(50), hard=True)
    count(book, made, 12_500_000_000, unpriced_calls=3)
    said = text_of(open_app(ada, page=KEYS))
    assert "3 calls without a known cost not counted · counted 4 s ago" in said
    count(book, made, 50_000_000_000)
    assert ":red-badge[used up]" in text_of(open_app(ada, page=KEYS))


def test_the_day_of_reaching_it_is_told(book, ada, record, open_app):
    for days in range(28):
        record(ada, ago=timedelta(days=days, hours=2))
    made = put(book, ada, usd=Decimal("3.60"))
    count(book, made, 3_300_000_000)
    said = text_of(open_app(ada, page=KEYS))
    assert "at this pace used up around Nov 2" in said


def test_what_an_admin_set_cannot_be_removed_here(book, ada, open_app):
    made = put(book, ada, usd=Decimal(50), by_admin=True)
    app = open_app(ada, page=KEYS)
    assert ":blue-badge[set by an admin]" in text_of(app)
    assert not [button for button in app.button if button.key == f"sure-{made.id}"]


def test_other_peoples_budgets_are_not_shown(book, ada, open_app):
    eve = users.add(book.db, "eve@example.org", now=NOW)
    put(book, eve, usd=Decimal("77.77"))
    assert "77" not in text_of(open_app(ada, page=KEYS))


def test_the_overviews_last_line_names_the_budget_for_what_is_shown(book, ada, record, open_app):
    record(ada)
    put(book, ada, usd=Decimal(300))
    put(book, ada, usd=Decimal(40), vendor="openai")
    assert r"budget \$300\.00" in text_of(open_app(ada))
    assert r"budget \$40\.00" in text_of(open_app(ada, vendor="openai"))
    assert "budget" not in text_of(open_app(ada, vendor="openai", model="gpt-4o-mini"))
