import contextlib
import time
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from byok.accounts import budgets, passwords, sessions, tables, tombstones, users
from byok.accounts.database import Database
from byok.accounts.errors import UserErased, UserExists, UserUnknown
from byok.accounts.ids import is_user_id
from byok.accounts.plans import keep_after
from byok.errors import BadRequest, ByokError


def test_a_user_is_shown_as_the_contract_says(db: Database, now):
    user = users.add(db, "  Ada@Example.ORG ", now=now, plan="team", admin=True, name="Ada", tz="Europe/Berlin")
    assert user.public() == {
        "id": user.id,
        "email": "ada@example.org",
        "plan": "team",
        "retention_days": 90,
        "admin": True,
        "disabled": False,
        "created": "2026-11-22T10:00:00.123456Z",
    }
    assert is_user_id(user.id)
    assert users.by_email(db, "ADA@example.org") == user == users.by_id(db, user.id)


def test_an_email_or_id_is_given_once(db: Database, now):
    users.add(db, "ada@example.org", now=now, user_id="usr_Ada1")
    with pytest.raises(UserExists):
        users.add(db, "ADA@example.org", now=now)
    with pytest.raises(UserExists):
        users.add(db, "other@example.org", now=now, user_id="usr_Ada1")


@pytest.mark.parametrize(
    "email",
    ["", "ada", "@example.org", "ada@", "a b@example.org", "a@b@c", "ada@example.org\n.x", "a\0@b", "a\ud800@b.c", "a" * 300 + "@b"],
)
def test_a_bad_email_is_refused(db: Database, now, email):
    with pytest.raises(BadRequest, match="e-mail"):
        users.add(db, email, now=now)
    with pytest.raises(UserUnknown):
        users.by_email(db, email)


@pytest.mark.parametrize(
    "values",
    [
        {"plan": "gold"},
        {"tz": "Mars/Phobos"},
        {"tz": "../../etc/passwd"},
        {"tz": ""},
        {"tz": "Europe"},
        {"retention_days": 0},
        {"retention_days": -1},
        {"retention_days": 40_000},
        {"user_id": "usr_../bob"},
        {"user_id": "usr_abc"},
        {"user_id": "bob"},
        {"user_id": "usr_abcd\n"},
        {"name": "two\nlines"},
    ],
    ids=str,
)
def test_values_that_make_no_sense_are_refused(db: Database, now, values):
    with pytest.raises(BadRequest):
        users.add(db, "ada@example.org", now=now, **values)
    assert users.all_users(db) == []


@pytest.mark.parametrize(("plan", "days"), [("free", 7), ("indie", 30), ("team", 90), ("enterprise", 365)])
def test_each_plan_keeps_its_days(db: Database, now, plan, days):
    user = users.add(db, "ada@example.org", now=now, plan=plan)
    assert user.retention_days == days
    assert users.retention(db) == {user.id: days}


def test_retention_is_an_instant_whatever_the_zone(now):
    assert keep_after(7, now) == now - timedelta(hours=168)


def test_days_as_set_hold_until_the_plan_changes(db: Database, now):
    user = users.add(db, "ada@example.org", now=now, plan="enterprise", retention_days=1000)
    assert user.retention_days == 1000
    assert users.change(db, user.id, name="Ada").retention_days == 1000
    assert users.change(db, user.id, plan="free").retention_days == 7
    assert users.change(db, user.id, plan="enterprise", retention_days=400).retention_days == 400
    assert users.retention(db) == {user.id: 400}


def test_an_email_is_changed_unless_it_is_anothers(db: Database, ada, now):
    users.add(db, "ben@example.org", now=now)
    assert users.change(db, ada.id, email=" Ada@New.example ").email == "ada@new.example"
    assert users.by_email(db, "ada@new.example").id == ada.id
    with pytest.raises(UserExists):
        users.change(db, ada.id, email="ben@example.org")
    with pytest.raises(BadRequest):
        users.change(db, ada.id, email="nowhere")


def test_a_change_leaves_what_is_not_said(db: Database, ada):
    changed = users.change(db, ada.id, admin=True, tz="Asia/Kathmandu")
    assert (changed.admin, changed.tz, changed.plan, changed.email) == (True, "Asia/Kathmandu", ada.plan, ada.email)
    assert users.change(db, ada.id) == changed
    with pytest.raises(UserUnknown):
        users.change(db, "usr_nobody", admin=True)
    with pytest.raises(BadRequest):
        users.change(db, ada.id, tz="Nowhere")


@pytest.mark.parametrize("tz", ["right/UTC", "posix/Europe/Berlin", "../UTC", "", "Mars/Olympus"])
def test_a_zone_is_one_that_questions_know(db: Database, ada, now, tz):
    with pytest.raises(BadRequest):
        users.change(db, ada.id, tz=tz)
    with db.writing() as connection:  # as one that was kept from other days, or from another machine
        connection.execute(sa.update(tables.users).values(tz=tz))
    budgets.put(db, ada.id, tokens=1, now=now)
    assert (users.by_id(db, ada.id).tz, users.zones(db, [ada.id]), budgets.owners(db)[ada.id].tz) == ("UTC", {ada.id: "UTC"}, "UTC")


def test_disabling_ends_sessions(db: Database, ada, bob, now):
    mine, other = sessions.start(db, ada.id, now=now), sessions.start(db, bob.id, now=now)
    users.change(db, ada.id, disabled=True)
    users.change(db, ada.id, disabled=False)
    assert sessions.find(db, mine, now=now) is None
    assert sessions.find(db, other, now=now) == bob


def test_everyone_by_email(db: Database, now):
    for name in ("carl", "ada", "bob"):
        users.add(db, f"{name}@example.org", now=now)
    assert [user.email for user in users.all_users(db)] == ["ada@example.org", "bob@example.org", "carl@example.org"]


def test_an_erased_id_is_spent(db: Database, ada, now):
    users.remove(db, ada.id, now=now)
    users.remove(db, ada.id, now=now)  # once more, as after a kill
    assert users.by_id(db, ada.id) is None
    assert tombstones.is_erased(db, [ada.id, "usr_other"]) == {ada.id}
    with pytest.raises(UserErased):
        users.add(db, "ada@example.org", now=now, user_id=ada.id)
    again = users.add(db, "ada@example.org", now=now)
    assert again.id != ada.id
    assert not passwords.has_password(db, again.id)


def test_ten_thousand_users_of_an_import_are_made_quickly(db: Database, now):
    people = [(f"usr_{n:08d}", f"usr_{n:08d}@import.invalid") for n in range(10_000)]
    began = time.thread_time()
    assert users.add_many(db, people, "team", now) == {user_id for user_id, _ in people}
    assert time.thread_time() - began < 5
    assert set(users.retention(db).values()) == {90}
    assert users.add_many(db, people, "free", now) == set()


def test_an_import_leaves_out_who_is_there_or_erased(db: Database, ada, bob, now):
    users.remove(db, bob.id, now=now)
    people = [(ada.id, "x@import.invalid"), (bob.id, "b@import.invalid"), ("usr_new1", "n@import.invalid"), ("usr_new2", "ADA@example.org")]
    assert users.add_many(db, people, "free", now) == {"usr_new1"}
    assert users.by_id(db, "usr_new1").created_at == now
    with pytest.raises(BadRequest):
        users.add_many(db, [("usr_fine", "f@import.invalid"), ("../bob", "x@import.invalid")], "free", now)
    assert users.by_id(db, "usr_fine") is None


def test_no_text_breaks_it(db: Database, now):
    host = st.from_regex(r"[a-z]{1,9}\.(org|\w)", fullmatch=True)

    @settings(deadline=None)
    @given(email=st.text() | st.builds("{}@{}".format, st.text(min_size=1), host), tz=st.text(), name=st.text())
    def add(email, tz, name):
        try:
            user = users.add(db, email, now=now, name=name)
        except ByokError:
            with pytest.raises(UserUnknown):
                users.by_email(db, email)
        else:
            assert users.by_email(db, email) == user
            users.remove(db, user.id, now=now)
        with contextlib.suppress(BadRequest):
            users.add(db, "zone@example.org", now=now, tz=tz)

    add()
