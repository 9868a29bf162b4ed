"""The Keys page: a secret goes in and never comes out; tokens are shown once."""

from datetime import timedelta

import pytest

from byok.accounts import access_tokens, key_vault, users
from byok.store.engine import StoreUnreadable
from tests.pages.conftest import NOW
from tests.pages.reading import text_of

SECRET = "sk-proj-canary-Vq7Zt4Lm9f3a"
KEYS = "pages/keys.py"


def everything(app) -> str:
    return str(app)


def add(app, secret: str, *, vendor: str = "openai", label: str = ""):
    app.selectbox[0].set_value(vendor)
    next(field for field in app.text_input if field.placeholder == "production").set_value(label)
    next(field for field in app.text_input if field.label == "Key").set_value(secret)
    return next(button for button in app.button if button.label == "Store key").click().run()


def test_a_key_is_stored_listed_and_never_echoed(book, ada, open_app):
    app = add(open_app(ada, page=KEYS), SECRET, label="production")
    assert "**openai** · production · …9f3a :blue-badge[default]" in text_of(app)
    assert SECRET not in everything(app)
    assert [key.last_four for key in key_vault.of_user(book.db, ada.id)] == ["9f3a"]
    assert key_vault.choose(book.db, book.master, ada.id, "openai")[1].reveal() == SECRET


@pytest.mark.parametrize("secret", ["", "   ", "has space", "x" * 4097])
def test_a_senseless_key_is_refused_in_words(book, ada, open_app, secret):
    app = add(open_app(ada, page=KEYS), secret)
    assert app.error
    assert key_vault.of_user(book.db, ada.id) == []
    assert not secret.strip() or secret not in everything(app)


def test_the_default_can_be_moved_and_a_key_revoked_by_typing(book, ada, open_app):
    key_vault.add(book.db, book.master, ada.id, "openai", SECRET, now=NOW)
    second = key_vault.add(book.db, book.master, ada.id, "openai", "sk-second-0000", now=NOW, label="second")
    app = open_app(ada, page=KEYS)
    app.button(key=f"default-{second.id}").click().run()
    assert [key.last_four for key in key_vault.of_user(book.db, ada.id) if key.default] == ["0000"]
    assert app.button(key=f"sure-{second.id}").disabled
    app.text_input(key=f"typed-{second.id}").set_value("0000").run()
    app.button(key=f"sure-{second.id}").click().run()
    assert [key.last_four for key in key_vault.of_user(book.db, ada.id)] == ["9f3a"]


def test_a_key_that_its_vendor_refused_says_so_until_it_is_taken_again(book, ada, open_app):
    key = key_vault.add(book.db, book.master, ada.id, "openai", SECRET, now=NOW)
    key_vault.note_refused(book.db, key.id, now=NOW)
    assert "refused by the vendor" in text_of(open_app(ada, page=KEYS))
    key_vault.note_refused(book.db, key.id, now=None)
    assert "refused by the vendor" not in text_of(open_app(ada, page=KEYS))


def test_a_token_for_some_models_says_for_which(book, ada, open_app):
    access_tokens.create(book.db, ada.id, now=NOW, label="ci", models=["anthropic/*", "gpt-4o-mini"])
    assert r"for anthropic\/\*\, gpt\-4o\-mini only" in text_of(open_app(ada, page=KEYS))


def test_a_label_is_text_not_markup(book, ada, open_app):
    key_vault.add(book.db, book.master, ada.id, "openai", SECRET, now=NOW, label="[x](javascript:alert(1)) **b** <b>")
    said = text_of(open_app(ada, page=KEYS))
    assert r"\[x\]\(javascript\:alert\(1\)\) \*\*b\*\* \<b\>" in said


def test_a_token_is_shown_once_with_a_call_to_try_it(book, ada, open_app):
    app = open_app(ada, page=KEYS)
    next(field for field in app.text_input if field.placeholder == "laptop").set_value("laptop")
    next(button for button in app.button if button.label == "Make token").click().run()
    token = app.code[0].value
    assert users.by_email(book.db, "ada@example.org") == access_tokens.verify(book.db, token, now=NOW)
    assert token in app.code[1].value
    assert "curl" in app.code[1].value
    assert token not in everything(app.run())


def test_a_token_can_be_revoked(book, ada, open_app):
    token = access_tokens.create(book.db, ada.id, now=NOW, label="old")
    (stored,) = access_tokens.of_user(book.db, ada.id)
    app = open_app(ada, page=KEYS)
    app.button(key=f"sure-token-{stored.id}").click().run()
    assert access_tokens.verify(book.db, token, now=NOW) is None


def test_empty_it_says_what_to_do(ada, open_app):
    said = text_of(open_app(ada, page=KEYS))
    assert "No key stored yet" in said
    assert "No token yet" in said


def test_other_peoples_keys_are_not_listed(book, ada, open_app):
    eve = users.add(book.db, "eve@example.org", now=NOW)
    key_vault.add(book.db, book.master, eve.id, "openai", SECRET, now=NOW, label="of eve")
    access_tokens.create(book.db, eve.id, now=NOW, label="token of eve")
    assert "eve" not in text_of(open_app(ada, page=KEYS))


def test_signed_out_it_shows_the_form_only(ada, open_app):
    app = open_app(None, script=KEYS)
    assert app.title[0].value == "BYOK"
    assert "Vendor keys" not in text_of(app)


def test_a_key_shows_its_last_thirty_days_and_unused_ones_come_first(book, ada, record, open_app):
    busy = key_vault.add(book.db, book.master, ada.id, "anthropic", "sk-busy-1111", now=NOW - timedelta(days=50), label="busy")
    idle = key_vault.add(book.db, book.master, ada.id, "openai", "sk-idle-2222", now=NOW - timedelta(days=50), label="idle")
    key_vault.note_used(book.db, busy.id, now=NOW)
    key_vault.note_used(book.db, idle.id, now=NOW - timedelta(days=31))
    for days in (0, 0, 2, 29, 30):  # the last of them is a day too old
        record(ada, key_id=busy.id, ago=timedelta(days=days, hours=1))
    said = text_of(open_app(ada, page=KEYS))
    assert said.index("idle") < said.index("busy")
    assert "4 calls in 30 days" in said
    assert "0 calls in 30 days" in said
    assert said.count("unused for 30 days") == 1


def test_keys_are_looked_after_though_their_records_cannot_be_read(book, ada, open_app, monkeypatch):
    key_vault.add(book.db, book.master, ada.id, "openai", SECRET, now=NOW)

    def unreadable(*_: object, **__: object) -> None:
        raise StoreUnreadable

    monkeypatch.setattr("byok.store.questions.series", unreadable)
    app = open_app(ada, page=KEYS)
    assert "…9f3a" in text_of(app)
    assert not app.exception
