"""The Account page: my sessions, tokens and password. And a page whose session has ended does nothing."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from byok.accounts import access_tokens, identities, key_vault, passwords, sessions, users
from byok.accounts.identities import Identity
from byok.accounts.sessions import COOKIE
from byok.retention import Retention
from byok.ui import session
from tests.pages.conftest import NOW, ROOT
from tests.pages.reading import headings, text_of

ACCOUNT, KEYS = "pages/account.py", "pages/keys.py"
OLD, NEW = "seven quiet lanterns", "eleven loud trumpets"


def living(book, user) -> list[str]:
    return [one.id for one in sessions.of_user(book.db, user.id, now=NOW)]


def own(app) -> str:
    return app.session_state["own_session"]


def fill(app, present: str, new: str, again: str):
    for label, text in (("Current password", present), ("New password", new), ("New password again", again)):
        next(field for field in app.text_input if field.label == label).set_value(text)
    return next(button for button in app.button if button.label == "Change password").click().run()


def test_it_shows_my_sessions_and_marks_this_one(book, ada, open_app):
    sessions.start(book.db, ada.id, now=NOW - timedelta(hours=3))
    app = open_app(ada, page=ACCOUNT)
    assert headings(app) == ["Sessions", "Access tokens", "Password"]
    assert "Signed in Nov 22, 14:30 :blue-badge[this one]" in text_of(app)
    assert "Signed in Nov 22, 11:30" in text_of(app)
    assert text_of(app).count("this one") == 1


def test_one_session_can_be_ended(book, ada, open_app):
    other = sessions.start(book.db, ada.id, now=NOW)
    app = open_app(ada, page=ACCOUNT)
    app.button(key=f"end-{sessions.id_of(book.db, other)}").click().run()
    assert sessions.find(book.db, other, now=NOW) is None
    assert sessions.find(book.db, own(app), now=NOW) == ada


def test_all_others_can_be_ended_at_once_and_nobody_elses(book, ada, open_app):
    eve = users.add(book.db, "eve@example.org", now=NOW)
    sessions.start(book.db, eve.id, now=NOW)
    others = [sessions.start(book.db, ada.id, now=NOW) for _ in range(3)]
    app = open_app(ada, page=ACCOUNT)
    app.button(key="end-others").click().run()
    assert living(book, ada) == [sessions.id_of(book.db, own(app))]
    assert [sessions.find(book.db, other, now=NOW) for other in others] == [None] * 3
    assert len(living(book, eve)) == 1
    assert [button for button in app.button if button.key == "end-others"] == []


def test_a_token_can_be_revoked_here_too(book, ada, open_app):
    token = access_tokens.create(book.db, ada.id, now=NOW, label="old")
    app = open_app(ada, page=ACCOUNT)
    app.button(key=f"sure-token-{access_tokens.of_user(book.db, ada.id)[0].id}").click().run()
    assert access_tokens.verify(book.db, token, now=NOW) is None


def test_a_new_password_ends_every_session_this_one_too(book, ada, open_app):
    passwords.set_password(book.db, ada.id, OLD, now=NOW)
    app = fill(open_app(ada, page=ACCOUNT), OLD, NEW, NEW)
    assert not app.exception
    assert living(book, ada) == []
    assert "Access tokens" not in text_of(app)
    assert passwords.check(book.db, ada.email, NEW, now=NOW) is not None
    assert OLD not in str(app)
    assert NEW not in str(app)


@pytest.mark.parametrize(
    ("present", "new", "again", "said"),
    [
        ("not this one at all", NEW, NEW, "not your present password"),
        (OLD, NEW, NEW + "x", "not the same"),
        (OLD, "short", "short", "12 is the least"),
        (OLD, "ada@example.org", "ada@example.org", "tried first"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused_in_words(book, ada, open_app, present, new, again, said):
    passwords.set_password(book.db, ada.id, OLD, now=NOW)
    app = fill(open_app(ada, page=ACCOUNT), present, new, again)
    assert said in text_of(app)
    assert len(living(book, ada)) == 1
    assert passwords.check(book.db, ada.email, OLD, now=NOW) is not None


def test_guessing_the_present_password_is_slowed_down(book, ada, open_app):
    passwords.set_password(book.db, ada.id, OLD, now=NOW)
    app = open_app(ada, page=ACCOUNT)
    for _ in range(6):
        fill(app, "a wrong guess of mine", NEW, NEW)
    assert "too many failed sign-ins" in text_of(app)


def test_without_a_password_it_says_how_to_get_one(ada, open_app):
    assert "You have no password yet" in text_of(open_app(ada, page=ACCOUNT))


SERVICE = {"oidc_issuer": "https://accounts.example", "oidc_client_id": "byok", "oidc_label": "<Acme>"}


def with_service(book) -> None:
    book.settings = book.settings.model_copy(update=SERVICE)


def test_single_sign_on_can_be_connected_and_disconnected(book, ada, open_app):
    with_service(book)
    book.behind_web = True
    app = open_app(ada, page=ACCOUNT)
    assert "Single sign-on" in headings(app)
    [link] = [one.proto.body for one in app.get("html") if "connect" in one.proto.body]
    assert link == '<a href="/auth/oidc/connect" target="_self" style="color: inherit">Connect &lt;Acme&gt;</a>'
    identities.connect(book.db, Identity("https://accounts.example", "ada-there"), ada.id, now=NOW)
    other = sessions.start(book.db, ada.id, now=NOW)
    app.run()
    assert "Connected Nov 22, 14:30" in text_of(app)
    assert "ada-there" not in str(app)
    app.button(key="sure-disconnect").click().run()
    assert identities.of_user(book.db, ada.id) == []
    assert (sessions.find(book.db, other, now=NOW), sessions.find(book.db, own(app), now=NOW)) == (None, ada)


def test_without_a_sign_in_service_there_is_no_word_of_it(ada, open_app):
    assert "Single sign-on" not in text_of(open_app(ada, page=ACCOUNT))


def test_signed_out_it_shows_the_form_only(open_app):
    assert "Sessions" not in text_of(open_app(None, script=ACCOUNT))


@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "pages").glob("*.py")))
def test_every_page_asks_for_the_session_itself(book, ada, open_app, page):
    app = open_app(None, script=f"pages/{page}")
    assert not app.exception
    assert [title.value for title in app.title] == ["BYOK"]
    assert ada.email not in text_of(app)


# Ended sessions: the next click does nothing but say so


def end_by_sign_out(book, ada, secret):
    sessions.end(book.db, secret)


def end_by_password(book, ada, secret):
    passwords.set_password(book.db, ada.id, OLD, now=NOW)


def end_by_disabling(book, ada, secret):
    users.change(book.db, ada.id, disabled=True)


def end_by_erasure(book, ada, secret):
    Retention.of(book.settings, book.db).erase_user(ada.id, now=NOW)


def end_by_time(book, ada, secret):
    book.now = lambda: NOW + timedelta(hours=9)


ENDS = [end_by_sign_out, end_by_password, end_by_disabling, end_by_erasure, end_by_time]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("page", [None, ACCOUNT], ids=["frame", "page"])
def test_a_session_that_ended_shows_nothing_with_the_next_rerun(book, ada, open_app, end, page):
    app = open_app(ada, page=page)
    assert [title.value for title in app.title] != ["BYOK"]
    end(book, ada, own(app))
    app.run()
    assert not app.exception
    assert app.title[0].value == "BYOK"
    assert ada.email not in text_of(app)


def test_a_part_that_renews_itself_ends_with_the_role_of_an_admin(book, monkeypatch):
    root = users.add(book.db, "root@example.org", now=NOW, admin=True)
    ran = []
    monkeypatch.setattr(session, "current_user", lambda **_: users.by_id(book.db, root.id))
    monkeypatch.setattr(session.st, "rerun", lambda: ran.append(1))
    session.still(root)
    assert ran == []
    users.change(book.db, root.id, admin=False)
    session.still(root)
    assert ran == [1]


def test_a_page_that_renews_itself_is_no_visit(book, ada, open_app, monkeypatch):
    app = open_app(ada, page=ACCOUNT)
    tab, ran = SimpleNamespace(cookies={COOKIE: own(app)}), []
    for attribute, value in (("context", tab), ("session_state", {}), ("rerun", lambda: ran.append(1))):
        monkeypatch.setattr(session.st, attribute, value)
    for hours in (3, 6):
        book.now = lambda hours=hours: NOW + timedelta(hours=hours)
        session.still(ada)
        assert (ran, sessions.of_user(book.db, ada.id, now=NOW)[0].seen_at) == ([], NOW)
    book.now = lambda: NOW + timedelta(hours=9)
    session.still(ada)
    assert ran == [1]


def test_each_page_of_the_frame_looks_by_itself_whether_its_session_lasts(ada, open_app, monkeypatch):
    looking = []
    monkeypatch.setattr(session, "end_in_time", looking.append)
    open_app(ada)
    assert looking == [ada]


def test_a_tab_that_comes_back_as_somebody_else_brings_nothing_along(book, ada, open_app):
    eve = users.add(book.db, "eve@example.org", now=NOW)
    app = open_app(ada, page=ACCOUNT)
    app.session_state["sql-query"] = "select 'of ada'"
    app.run()
    assert "sql-query" in app.session_state
    app.session_state["own_session"] = sessions.start(book.db, eve.id, now=NOW)
    app.run()
    assert not app.exception
    assert "sql-query" not in app.session_state


@pytest.mark.parametrize("end", [end_by_sign_out, end_by_disabling, end_by_time])
def test_a_click_on_a_page_whose_session_ended_changes_nothing(book, ada, open_app, end):
    key = key_vault.add(book.db, book.master, ada.id, "openai", "sk-test-Qm7RtYp2", now=NOW)
    second = key_vault.add(book.db, book.master, ada.id, "openai", "sk-test-second00", now=NOW)
    access_tokens.create(book.db, ada.id, now=NOW, label="old")
    token = access_tokens.of_user(book.db, ada.id)[0]
    for button in (f"default-{second.id}", f"sure-{key.id}", f"sure-token-{token.id}"):
        app = open_app(ada, page=KEYS)
        if button == f"sure-{key.id}":
            app.text_input(key=f"typed-{key.id}").set_value("tYp2").run()
        end(book, ada, own(app))
        app.button(key=button).click().run()
        book.now = lambda: NOW
        users.change(book.db, ada.id, disabled=False)
    assert {one.id: one.default for one in key_vault.of_user(book.db, ada.id)} == {key.id: True, second.id: False}
    assert len(access_tokens.of_user(book.db, ada.id)) == 1
