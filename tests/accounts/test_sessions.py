from datetime import timedelta

import pytest
import sqlalchemy as sa

from byok.accounts import passwords, sessions, tables, users
from byok.accounts.errors import UserUnknown

GOOD = "four random quiet words"


def test_a_session_names_its_user_until_it_is_ended(db, ada, now):
    secret = sessions.start(db, ada.id, now=now)
    assert len(secret) == 43
    assert sessions.find(db, secret, now=now) == ada
    sessions.end(db, secret)
    sessions.end(db, secret)
    assert sessions.find(db, secret, now=now) is None


def test_only_a_hash_is_kept_and_every_secret_is_new(db, ada, now):
    secrets = {sessions.start(db, ada.id, now=now) for _ in range(5)}
    assert len(secrets) == 5
    with db.reading() as connection:
        stored = str(connection.execute(sa.select(tables.sessions)).all())
    assert [secret for secret in secrets if secret in stored] == []


def test_eight_idle_hours_end_it(db, ada, now):
    secret = sessions.start(db, ada.id, now=now)
    for hours in (7, 14, 21):  # each use begins the eight hours anew
        assert sessions.find(db, secret, now=now + timedelta(hours=hours)) == ada
    assert sessions.find(db, secret, now=now + timedelta(hours=29)) is None


def test_thirty_days_end_it_however_busy(db, ada, now):
    secret = sessions.start(db, ada.id, now=now)
    for hours in range(0, 30 * 24, 7):
        assert sessions.find(db, secret, now=now + timedelta(hours=hours)) == ada
    assert sessions.find(db, secret, now=now + timedelta(days=30)) is None


def test_its_use_is_kept_to_the_minute(db, ada, now):
    secret = sessions.start(db, ada.id, now=now)
    for seconds, noted in ((30, 0), (60, 60), (100, 60)):
        moment = now + timedelta(seconds=seconds)
        sessions.find(db, secret, now=moment)
        assert sessions.of_user(db, ada.id, now=moment)[0].seen_at == now + timedelta(seconds=noted)


def end_by_disabling(db, ada, now):
    users.change(db, ada.id, disabled=True)
    users.change(db, ada.id, disabled=False)


def end_by_password(db, ada, now):
    passwords.set_password(db, ada.id, GOOD, now=now)


def end_by_link(db, ada, now):
    passwords.redeem(db, passwords.set_link(db, ada.id, now=now), GOOD, now=now)


def end_by_removal(db, ada, now):
    users.remove(db, ada.id, now=now)


def end_all(db, ada, now):
    sessions.end_others(db, ada.id, None)


@pytest.mark.parametrize("end", [end_by_disabling, end_by_password, end_by_link, end_by_removal, end_all])
def test_what_ends_all_sessions_of_a_user_and_of_no_other(db, ada, bob, now, end):
    mine = [sessions.start(db, ada.id, now=now) for _ in range(3)]
    other = sessions.start(db, bob.id, now=now)
    end(db, ada, now)
    assert [sessions.find(db, secret, now=now) for secret in mine] == [None] * 3
    assert sessions.find(db, other, now=now) == bob


def test_a_user_sees_and_revokes_only_own_sessions(db, ada, bob, now):
    secret = sessions.start(db, ada.id, now=now)
    (shown,) = sessions.of_user(db, ada.id, now=now)
    assert (shown.user_id, shown.created_at) == (ada.id, now)
    assert sessions.of_user(db, bob.id, now=now) == []
    assert sessions.of_user(db, ada.id, now=now + timedelta(hours=9)) == []
    assert not sessions.revoke(db, bob.id, shown.id)
    assert not sessions.revoke(db, ada.id, "\ud800")
    assert sessions.revoke(db, ada.id, shown.id)
    assert sessions.find(db, secret, now=now) is None


def test_nobody_starts_a_session_for_no_one(db, ada, now):
    users.change(db, ada.id, disabled=True)
    for user_id in (ada.id, "usr_nobody"):
        with pytest.raises(UserUnknown):
            sessions.start(db, user_id, now=now)


@pytest.mark.parametrize("secret", ["", "x", "\0", "\ud800", "A" * 43, "A" * 100_000])
def test_odd_cookies_name_nobody(db, ada, now, secret):
    sessions.start(db, ada.id, now=now)
    assert sessions.find(db, secret, now=now) is None


def test_dead_sessions_do_not_pile_up(db, ada, now):
    for days in range(5):
        sessions.start(db, ada.id, now=now + timedelta(days=days))
    with db.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(tables.sessions)).scalar() == 1
