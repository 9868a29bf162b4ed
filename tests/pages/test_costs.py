"""The Costs page: full, empty, unpriced, signed out; another user's money; what if; and an admin's own price."""

from datetime import timedelta

import pytest

from byok.accounts import users
from byok.services import Services
from tests.pages.conftest import NOW
from tests.pages.reading import headings, text_of

FULL = ["Cost by vendor", "Over time", "Every vendor", "Where the month will end", "What if", "Price table"]


@pytest.fixture
def spent(ada, record):
    record(ada)
    record(
        ada,
        vendor="anthropic",
        model="claude-opus-4-7",
        ago=timedelta(days=2),
        prompt_tokens=100_000,
        completion_tokens=1_000,
        total_tokens=101_000,
        cached_tokens=60_000,
        cache_write_tokens=10_000,
    )
    record(ada, status=429, prompt_tokens=None, completion_tokens=None, total_tokens=None, usage_source="none")
    return ada


def test_cards_parts_and_prices(spent, open_app):
    app = open_app(spent, page="pages/costs.py")
    assert headings(app) == FULL
    assert [(card.label, card.value) for card in app.metric] == [
        ("Cost", "$0.42"),
        ("Per 1,000 calls", "$208.75"),
        ("Saved by caching", "$0.26"),
        ("Without a cost", "1"),
    ]
    table = app.dataframe[0].value.set_index("name")
    assert table.loc["anthropic", ["input_usd", "cached_usd", "written_usd", "output_usd"]].tolist() == [0.15, 0.03, 0.0625, 0.025]
    assert table.loc["openai", "sources"] == "as stated by the product's owner (2026-06-06)"
    prices = next(frame.value for frame in app.dataframe if "source" in frame.value)
    assert prices["model"].tolist() == ["claude-opus-4-7", "gpt-4o-mini"]


def test_by_key_there_is_no_price_to_name(spent, open_app):
    app = open_app(spent, page="pages/costs.py", by="key")
    assert app.dataframe[0].value["sources"].isna().all()
    assert headings(app)[0] == "Cost by key"


def test_without_a_price_there_is_a_dash_and_the_way_to_the_table(ada, record, open_app):
    record(ada, vendor="lab", model="our-7b")
    app = open_app(ada, page="pages/costs.py")
    assert [card.value for card in app.metric] == ["—", "—", "—", "1"]
    assert headings(app)[0] == "Every vendor"
    assert "No price is known for `lab/our-7b`" in text_of(app) and "costs#price-table" in text_of(app)
    assert "$0.00" not in text_of(app)
    assert "November so far **—**" in text_of(app)


def test_what_if_shows_difference_and_how_far_to_trust_it(spent, open_app):
    app = open_app(spent, page="pages/costs.py")
    app.multiselect(key="whatif-of").set_value(["anthropic/claude-opus-4-7"])
    app.selectbox(key="whatif-by").set_value("openai/gpt-4o-mini").run()
    said = text_of(app)
    assert "tokenizer" in said and "1 call cannot be compared" in said
    table = next(frame.value for frame in app.dataframe if "would" in frame.value).set_index("from")
    assert table.loc["anthropic/claude-opus-4-7", "would"] == pytest.approx(0.0156)
    assert table.loc["openai/gpt-4o-mini", "difference"] == 0
    app.number_input(key="whatif-share").set_value(100).run()
    assert "writing the cache at nothing" in text_of(app)


def test_an_admin_sets_a_price_from_today_on_and_nobody_else_can(book: Services, spent, record, open_app):
    assert "Set a price" not in [expander.label for expander in open_app(spent, page="pages/costs.py").expander]
    admin = users.add(book.db, "root@example.org", now=NOW, plan="indie", admin=True)
    record(admin)
    app = open_app(admin, page="pages/costs.py")
    app.text_input(key="price-model").set_value("openai/gpt-4o-mini")
    app.text_input(key="price-input").set_value("7")
    app.text_input(key="price-output").set_value("8")
    next(button for button in app.button if button.label == "Set price").click().run()
    assert [said.value.replace("\\", "") for said in app.success] == ["Set for openai/gpt-4o-mini from 2026-11-22 on."]
    assert open_app(spent, page="pages/costs.py").metric[0].value == "$7.27"


def test_a_price_that_makes_no_sense_is_said(book: Services, ada, record, open_app):
    admin = users.add(book.db, "root@example.org", now=NOW, plan="indie", admin=True)
    record(admin)
    app = open_app(admin, page="pages/costs.py")
    app.text_input(key="price-model").set_value("nonsense")
    next(button for button in app.button if button.label == "Set price").click().run()
    assert "vendor/model" in app.error[0].value.replace("\\", "")


def test_another_users_money_is_never_counted(book: Services, spent, record, open_app):
    eve = users.add(book.db, "eve@example.org", now=NOW, plan="indie")
    record(eve, model="gpt-4o")
    app = open_app(spent, page="pages/costs.py", by="model")
    assert app.metric[0].value == "$0.42"
    assert "gpt-4o" not in app.dataframe[0].value["name"].tolist()
    assert "openai/gpt-4o" not in app.multiselect(key="whatif-of").options


def test_empty_filtered_and_signed_out(ada, record, open_app):
    assert headings(open_app(ada, page="pages/costs.py")) == ["No calls yet"]
    record(ada, ago=timedelta(days=20))
    assert headings(open_app(ada, page="pages/costs.py")) == ["Nothing matches"]
    assert not open_app(None, script="pages/costs.py").metric
