"""The link and the views kept by name, beside the title of every page with the bar."""

from datetime import date, timedelta
from urllib.parse import parse_qs

import pytest

from byok.accounts import key_vault, saved_views, sessions, users
from tests.pages.conftest import NOW
from tests.pages.reading import text_of


@pytest.fixture
def full(ada, record):
    record(ada)
    record(ada, vendor="anthropic", model="claude-haiku-4")


def again(app):
    """Run the whole again, frame included; AppTest would go on with the page alone."""
    app._page_hash = app._finished_page_script_hash = ""
    return app.run()


def keep(app, name):
    app.text_input(key="view-name").set_value(name)
    app.button(key="save-view").click()
    return again(app)


def kept(book, user):
    return [(view.name, view.page, parse_qs(view.query)) for view in saved_views.of_user(book.db, user.id)]


def test_a_view_is_kept_with_its_filters_opened_renamed_and_deleted(full, book, ada, open_app):
    app = keep(open_app(ada, range="30d", vendor=["openai"], by="model"), "openai")
    assert kept(book, ada) == [("openai", "", {"range": ["30d"], "vendor": ["openai"], "by": ["model"]})]
    (view,) = saved_views.of_user(book.db, ada.id)
    (link,) = [link.proto for link in app.get("page_link") if link.proto.label == "openai"]
    assert parse_qs(link.query_string) == {"saved": [view.id]}
    opened = open_app(ada, saved=view.id)
    assert {word: opened.session_state[word] for word in ("range", "vendor", "by", "metric")} == {
        "range": "30d", "vendor": ["openai"], "by": "model", "metric": "cost"
    }  # fmt: skip
    assert opened.dataframe[0].value["name"].tolist() == ["gpt-4o-mini"]
    app.button(key=f"rename-{view.id}").click()
    again(app)
    app.text_input(key=f"name-{view.id}").set_value("only openai")
    again(app)
    assert [name for name, *_ in kept(book, ada)] == ["only openai"]
    app.button(key=f"delete-{view.id}").click()
    again(app)
    assert kept(book, ada) == []


def test_a_name_that_is_taken_is_said_to_stand_for_another_view_now(full, book, ada, open_app):
    (said,) = keep(open_app(ada, range="30d"), "mine").toast
    assert said.value == "Kept as mine."
    (said,) = keep(open_app(ada, range="90d"), "mine").toast
    assert said.value == "Kept as mine, in the place of the view that had this name."
    assert kept(book, ada) == [("mine", "", {"range": ["90d"]})]


def test_what_cannot_be_kept_is_said(full, book, ada, open_app):
    assert "A view needs a name." in text_of(keep(open_app(ada), " "))
    assert kept(book, ada) == []


def test_nothing_is_kept_once_the_session_has_ended(full, book, ada, open_app):
    app = open_app(ada)
    sessions.end_others(book.db, ada.id, None)
    keep(app, "late")
    assert kept(book, ada) == []


def test_users_and_keys_are_kept_by_id_and_the_view_still_opens(full, book, ada, record, open_app):
    root = users.add(book.db, "root@example.org", now=NOW, plan="team", admin=True)
    key = key_vault.add(book.db, book.master, ada.id, "openai", "sk-0123456789", now=NOW, label="laptop")
    record(ada, key_id=key.id)
    keep(open_app(root, user=["ada"], key=["laptop-6789"]), "hers")
    assert kept(book, root) == [("hers", "", {"key": [key.id], "user": [ada.id]})]
    (view,) = saved_views.of_user(book.db, root.id)
    opened = open_app(root, saved=view.id)
    assert (opened.session_state["user"], opened.session_state["key"], opened.metric[1].value) == (["ada"], ["laptop-6789"], "1")
    assert open_app(root, user=[ada.id], key=[key.id]).metric[1].value == "1"
    users.remove(book.db, ada.id, now=NOW)
    assert kept(book, root) == []


def test_days_of_a_view_are_days_again(full, book, ada, open_app):
    view = saved_views.save(book.db, ada.id, "x", "", "range=custom&from=2026-11-02&to=2026-11-04&by=nonsense&tz=Nowhere", now=NOW)
    state = open_app(ada, saved=view.id).session_state
    assert (state["range"], state["from"], state["to"], state["by"]) == ("custom", date(2026, 11, 2), date(2026, 11, 4), "vendor")


def test_anothers_view_is_not_opened(full, book, ada, record, open_app):
    eve = users.add(book.db, "eve@example.org", now=NOW, plan="indie")
    record(eve)
    view = saved_views.save(book.db, ada.id, "hers", "", "range=30d", now=NOW)
    assert open_app(eve, saved=view.id).session_state["range"] == "7d"


def test_the_link_says_what_the_address_says(full, book, ada, open_app):
    app = open_app(ada, range="30d", vendor=["openai", "anthropic"])
    assert app.code[0].value == f"{book.settings.dashboard_url}/?range=30d&vendor=openai&vendor=anthropic"


def test_anothers_views_are_not_shown(full, book, ada, record, open_app):
    eve = users.add(book.db, "eve@example.org", now=NOW - timedelta(days=1), plan="indie")
    record(eve)
    saved_views.save(book.db, ada.id, "hers alone", "", "range=30d", now=NOW)
    assert "hers alone" not in str([button.label for button in open_app(eve).button])


def test_what_a_page_adds_stands_in_the_address_again(full, book, ada, open_app):
    view = saved_views.save(book.db, ada.id, "shares", "explore", "view=share&top=12", now=NOW)
    opened = open_app(ada, saved=view.id)
    assert {word: opened.query_params.get(word) for word in ("view", "top", "saved")} == {"view": "share", "top": "12", "saved": None}
    assert opened.session_state["view"] == "share"
