"""A fault in one card of a page is said there, with a way to try again, and the rest of the page stays."""

import pytest

from byok.accounts import users
from tests.pages.conftest import NOW
from tests.pages.reading import headings

CASES = [
    ("overview", "byok.ui.table.leaderboard", "Cost by vendor"),
    ("costs", "byok.ui.cost_charts.split_bars", "Price table"),
    ("reliability", "byok.store.reliability.week", "Newest failures"),
    ("exports", "byok.ui.offers.link", "By a program"),
    ("retention", "byok.ui.deleting.draw", "Receipts"),
    ("keys", "byok.ui.budgeting.draw", "Access tokens"),
    ("alerts", "byok.notify.outbox.of_user", "Report by mail"),
    ("account", "byok.ui.tokens.draw", "Password"),
    ("settings", "byok.ui.preferences.looks", "Money"),
    ("system", "byok.ui.system.prices", "Versions"),
]


@pytest.fixture
def admin(book, record):
    user = users.add(book.db, "root@example.org", now=NOW, plan="indie", admin=True)
    record(user)
    record(user, status=500, prompt_tokens=None, completion_tokens=None, total_tokens=None, usage_source="none")
    return user


@pytest.mark.parametrize(("page", "broken", "stays"), CASES, ids=[case[0] for case in CASES])
def test_a_fault_stays_in_its_card(admin, open_app, monkeypatch, page, broken, stays):
    def fails(*_: object, **__: object) -> None:
        raise ValueError("secret detail")

    with monkeypatch.context() as patch:
        patch.setattr(broken, fails)
        app = open_app(admin, page=f"pages/{page}.py")
        assert not app.exception
        (said,) = [error.value for error in app.error if "This could not be shown" in error.value]
        assert "secret detail" not in said
        assert stays in headings(app)
    next(button for button in app.button if button.label == "Try again").click().run()
    assert not [error for error in app.error if "could not be shown" in error.value] and stays in headings(app)
