"""The Users page: an admin invites, changes, disables and erases; nobody else sees or does anything there."""

import re
from datetime import timedelta

import pytest

from byok.accounts import access_tokens, identities, passwords, sessions, users
from byok.accounts.identities import Identity
from tests.pages.conftest import NOW
from tests.pages.reading import text_of

USERS = "pages/users.py"


@pytest.fixture
def root(book):
    return users.add(book.db, "root@example.org", now=NOW - timedelta(days=50), plan="enterprise", admin=True)


def choose(app, user):
    return app.selectbox(key="member").set_value(user.id).run()


def button(app, label: str):
    return next(one for one in app.button if one.label == label)


def test_all_users_are_listed(ada, root, open_app):
    app = open_app(root, page=USERS)
    shown = app.dataframe[0].value
    assert list(shown["E-mail"]) == ["ada@example.org", "root@example.org"]
    assert list(shown["Role"]) == ["user", "admin"]
    assert list(shown["Days kept"]) == [30, 365]


def test_only_admins_have_the_page(ada, root, open_app):
    assert "This page is for admins." in text_of(open_app(ada, script=USERS))
    assert open_app(ada, script=USERS).dataframe.len == 0
    assert open_app(None, script=USERS).dataframe.len == 0


def test_an_invitation_is_a_user_and_a_link_that_works_once_and_is_shown_once(book, root, open_app):
    app = open_app(root, page=USERS)
    app.text_input(key="invite-email").set_value(" Eve@Example.org ")
    app.text_input(key="invite-name").set_value("Eve")
    app.selectbox(key="invite-plan").set_value("team")
    button(app, "Invite").click().run()
    eve = users.by_email(book.db, "eve@example.org")
    assert (eve.name, eve.plan, eve.admin) == ("Eve", "team", False)
    link = app.code[0].value
    secret = re.fullmatch(rf"{re.escape(book.settings.dashboard_url)}/auth/set-password\?token=([\w-]{{43}})", link)[1]
    assert secret not in str(app.run())
    assert passwords.redeem(book.db, secret, "seven quiet lanterns", now=NOW).id == eve.id


@pytest.mark.parametrize("email", ["", "nonsense", "root@example.org", "a b@example.org"])
def test_an_invitation_that_makes_no_sense_is_refused_in_words(book, root, open_app, email):
    app = open_app(root, page=USERS)
    app.text_input(key="invite-email").set_value(email)
    button(app, "Invite").click().run()
    assert app.error
    assert [one.email for one in users.all_users(book.db)] == ["root@example.org"]


def test_plan_and_days_are_changed(book, ada, root, open_app):
    app = choose(open_app(root, page=USERS), ada)
    app.selectbox(key=f"plan-of-{ada.id}").set_value("enterprise")
    button(app, "Save plan").click().run()
    assert users.by_id(book.db, ada.id).retention_days == 365
    app.number_input(key=f"days-of-{ada.id}").set_value(400)
    button(app, "Save plan").click().run()
    assert (users.by_id(book.db, ada.id).plan, users.by_id(book.db, ada.id).retention_days) == ("enterprise", 400)


def test_the_email_is_changed_unless_it_is_anothers(book, ada, root, open_app):
    app = open_app(root, page=USERS)
    for email, kept in (("ada@new.example", "ada@new.example"), ("root@example.org", "ada@new.example")):
        choose(app, ada)
        app.text_input(key=f"email-of-{ada.id}").set_value(email)
        app.button(key=f"email-{ada.id}").click().run()
        assert users.by_id(book.db, ada.id).email == kept
    assert "already a user with this e-mail" in app.error[0].value


def test_limits_are_set_and_given_back(book, ada, root, open_app):
    app = choose(open_app(root, page=USERS), ada)
    app.text_input(key=f"rate-of-{ada.id}").set_value("60")
    app.text_input(key=f"open-of-{ada.id}").set_value("0")
    button(app, "Save limits").click().run()
    found = users.by_id(book.db, ada.id)
    assert (found.requests_per_minute, found.calls_at_once) == (60, 0)
    app.text_input(key=f"rate-of-{ada.id}").set_value("")
    button(app, "Save limits").click().run()
    found = users.by_id(book.db, ada.id)
    assert (found.requests_per_minute, found.calls_at_once) == (None, 0)


@pytest.mark.parametrize("text", ["-1", "many", "1.5", "9999999", "\u0663"])
def test_a_limit_that_makes_no_sense_is_refused_in_words(book, ada, root, open_app, text):
    app = choose(open_app(root, page=USERS), ada)
    app.text_input(key=f"rate-of-{ada.id}").set_value(text)
    button(app, "Save limits").click().run()
    assert "not valid" in text_of(app)
    assert users.by_id(book.db, ada.id).requests_per_minute is None


def test_disabling_ends_sessions_and_tokens_and_can_be_taken_back(book, ada, root, open_app):
    session, token = sessions.start(book.db, ada.id, now=NOW), access_tokens.create(book.db, ada.id, now=NOW)
    app = choose(open_app(root, page=USERS), ada)
    app.button(key=f"state-{ada.id}").click().run()
    assert sessions.find(book.db, session, now=NOW) is None
    assert access_tokens.verify(book.db, token, now=NOW) is None
    app.button(key=f"state-{ada.id}").click().run()
    assert access_tokens.verify(book.db, token, now=NOW) is not None
    assert sessions.find(book.db, session, now=NOW) is None, "a session that was ended stays so"


def test_the_role_can_be_given_and_taken(book, ada, root, open_app):
    app = choose(open_app(root, page=USERS), ada)
    app.button(key=f"role-{ada.id}").click().run()
    assert users.by_id(book.db, ada.id).admin
    app.button(key=f"role-{ada.id}").click().run()
    assert not users.by_id(book.db, ada.id).admin


def test_a_new_link_voids_the_one_before(book, ada, root, open_app):
    earlier = passwords.set_link(book.db, ada.id, now=NOW)
    app = choose(open_app(root, page=USERS), ada)
    app.button(key=f"link-{ada.id}").click().run()
    secret = app.code[0].value.split("token=")[1]
    with pytest.raises(passwords.LinkInvalid):
        passwords.redeem(book.db, earlier, "seven quiet lanterns", now=NOW)
    assert passwords.redeem(book.db, secret, "seven quiet lanterns", now=NOW).id == ada.id


def test_single_sign_on_of_a_user_can_be_disconnected(book, ada, root, open_app):
    app = choose(open_app(root, page=USERS), ada)
    assert f"apart-{ada.id}" not in [one.key for one in app.button]
    identities.connect(book.db, Identity("https://accounts.example", "ada-there"), ada.id, now=NOW)
    session = sessions.start(book.db, ada.id, now=NOW)
    app.run()
    app.button(key=f"apart-{ada.id}").click().run()
    assert identities.of_user(book.db, ada.id) == []
    assert sessions.find(book.db, session, now=NOW) is None


def test_erasing_needs_the_email_typed_and_leaves_a_receipt(book, ada, root, record, open_app):
    eve = users.add(book.db, "eve@example.org", now=NOW)
    record(ada)
    record(eve)
    app = choose(open_app(root, page=USERS), ada)
    assert app.button(key=f"sure-{ada.id}").disabled
    app.text_input(key=f"typed-{ada.id}").set_value("eve@example.org").run()
    assert app.button(key=f"sure-{ada.id}").disabled
    app.text_input(key=f"typed-{ada.id}").set_value("Ada@example.org").run()
    app.button(key=f"sure-{ada.id}").click().run()
    assert re.search(r"Erased: 1 records in .* Receipt rcp_", app.success[0].value)
    assert users.by_id(book.db, ada.id) is None
    assert list(app.dataframe[0].value["E-mail"]) == ["eve@example.org", "root@example.org"]


def test_an_admin_cannot_lock_himself_out(root, open_app):
    app = choose(open_app(root, page=USERS), root)
    assert "This is you" in text_of(app)
    assert [one.label for one in app.button if one.key in {f"role-{root.id}", f"state-{root.id}", f"sure-{root.id}"}] == []


@pytest.mark.parametrize("loss", [{"admin": False}, {"disabled": True}])
def test_a_click_of_who_is_no_admin_any_more_changes_nothing(book, ada, root, open_app, loss):
    for key in (f"role-{ada.id}", f"state-{ada.id}", f"link-{ada.id}"):
        app = choose(open_app(root, page=USERS), ada)
        users.change(book.db, root.id, **loss)
        app.button(key=key).click().run()
        assert not app.exception
        assert app.code.len == 0
        users.change(book.db, root.id, admin=True, disabled=False)
    found = users.by_id(book.db, ada.id)
    assert (found.admin, found.disabled) == (False, False)


def test_what_others_chose_as_email_is_text_not_markup(book, root, open_app):
    odd = users.add(book.db, "**b**_x_`c`@example.org", now=NOW)
    app = choose(open_app(root, page=USERS), odd)
    app.button(key=f"state-{odd.id}").click().run()
    assert r"\*\*b\*\*\_x\_\`c\`\@example\.org" in app.success[0].value
