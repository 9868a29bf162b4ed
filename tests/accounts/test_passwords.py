import statistics
import threading
import time
from datetime import timedelta

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from byok.accounts import access_tokens, common_passwords, delays, passwords, tables, users
from byok.accounts.errors import LinkInvalid, PasswordTooWeak, UserUnknown
from byok.errors import TooManyRequests

GOOD = "four random quiet words"
OTHER = "other words, just as quiet"


@pytest.fixture
def anna(db, ada, now):
    passwords.set_password(db, ada.id, GOOD, now=now)
    return ada


def stored_hash(db) -> str:
    with db.reading() as connection:
        return connection.execute(sa.select(tables.password_hashes.c.hash)).scalar()


def test_the_right_password_and_only_that_lets_in(db, anna, now):
    assert passwords.check(db, "ADA@example.org ", GOOD, now=now) == anna
    for wrong in ("", GOOD + " ", GOOD.upper(), "x" * 5000):
        assert passwords.check(db, anna.email, wrong, now=now) is None
    assert GOOD not in stored_hash(db)
    assert stored_hash(db).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_the_same_text_typed_on_another_keyboard_is_the_same_password(db, ada, now):
    passwords.set_password(db, ada.id, "f\u00fcnfzehn B\u00e4ume", now=now)
    assert passwords.check(db, ada.email, "fu\u0308nfzehn Ba\u0308ume", now=now) == ada


def test_who_has_no_password_or_is_disabled_or_unknown_does_not_get_in(db, anna, bob, now):
    assert not passwords.has_password(db, bob.id)
    assert passwords.has_password(db, anna.id)
    users.change(db, anna.id, disabled=True)
    for email in (anna.email, bob.email, "nobody@example.org", "", "\0", "\ud800@example.org", "x" * 100_000):
        assert passwords.check(db, email, GOOD, now=now) is None


@pytest.mark.parametrize(
    "password",
    ["", "short", "elevenchars", "\u0065\u0301" * 6, "x" * 1001, "password1234", "Password123!", "qwertyuiop123", "aaaaaaaaaaaa"],
)
def test_a_weak_password_is_refused(db, ada, now, password):
    with pytest.raises(PasswordTooWeak) as caught:
        passwords.set_password(db, ada.id, password, now=now)
    assert not password or password not in str(caught.value)
    assert not passwords.has_password(db, ada.id)


@pytest.mark.parametrize(
    "password",
    [
        "123456789012",
        "iloveyou2026!",
        "monkeymonkey",
        "abababababab",
        "qwertyuiopas",
        "ADA@example.org",
        "ada@example.org1",
        "Changeme_In_Production",
        "1q2w3e4r5t6y",
        "098765432109",
        "--letmein--!",
    ],
)
def test_what_is_tried_first_is_refused(password):
    assert common_passwords.is_common(password, "ada@example.org")


@pytest.mark.parametrize("password", [GOOD, OTHER, "correct horse battery", "839204857201", "gRk7!pQz2$wLm", "dragon eats purple tea"])
def test_what_is_not_well_known_is_taken(password):
    assert not common_passwords.is_common(password, "ada@example.org")


def test_the_list_is_large_enough_and_clean():
    words = common_passwords._listed()
    assert len(words) >= 500
    assert all(word == word.lower() and word.isascii() for word in words)


def test_an_unknown_email_takes_as_long(db, anna, now):
    def seconds(email: str) -> float:
        began = time.thread_time()
        passwords.check(db, email, "wrong but long enough", now=now)
        return time.thread_time() - began

    seconds("warm@example.org")
    known = [seconds(anna.email) for _ in range(4)]
    unknown = [seconds(f"nobody{n}@example.org") for n in range(4)]
    assert 0.4 < statistics.median(known) / statistics.median(unknown) < 2.5


def test_at_most_two_hashes_at_once(db, now, monkeypatch):
    running, most, lock = 0, 0, threading.Lock()

    class Counting:
        def hash(self, text):
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.02)
            with lock:
                running -= 1
            return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(text)

    monkeypatch.setattr(passwords, "_HASHER", Counting())
    people = [users.add(db, f"p{n}@example.org", now=now) for n in range(6)]
    threads = [threading.Thread(target=passwords.set_password, args=(db, user.id, GOOD), kwargs={"now": now}) for user in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2
    assert all(passwords.has_password(db, user.id) for user in people)


def test_who_waits_too_long_for_a_turn_is_told(db, anna, now, monkeypatch):
    monkeypatch.setattr(passwords, "_LONGEST_WAIT_S", 0.01)
    with passwords._turn(), passwords._turn(), pytest.raises(TooManyRequests):
        passwords.check(db, anna.email, GOOD, now=now)


def test_hashes_of_other_parameters_are_renewed(db, anna, now):
    old = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(GOOD)
    with db.writing() as connection:
        connection.execute(sa.update(tables.password_hashes).values(hash=old))
    assert passwords.check(db, anna.email, GOOD, now=now) == anna
    assert "m=19456,t=2,p=1" in stored_hash(db)
    assert passwords.check(db, anna.email, GOOD, now=now) == anna


def test_a_damaged_hash_lets_nobody_in(db, anna, now):
    with db.writing() as connection:
        connection.execute(sa.update(tables.password_hashes).values(hash="$argon2id$broken"))
    assert passwords.check(db, anna.email, GOOD, now=now) is None


def test_a_new_password_replaces_the_old(db, anna, now):
    token = access_tokens.create(db, anna.id, now=now)
    passwords.set_password(db, anna.id, OTHER, now=now)
    assert passwords.check(db, anna.email, GOOD, now=now) is None
    assert passwords.check(db, anna.email, OTHER, now=now) == anna
    assert access_tokens.verify(db, token, now=now) == anna  # access tokens are revoked one by one
    with pytest.raises(UserUnknown):
        passwords.set_password(db, "usr_nobody", GOOD, now=now)


# Links


def test_a_link_sets_a_password_once(db, ada, now):
    link = passwords.set_link(db, ada.id, now=now)
    with pytest.raises(PasswordTooWeak):
        passwords.redeem(db, link, "short", now=now)  # and the link still works
    assert passwords.redeem(db, link, GOOD, now=now) == ada
    assert passwords.check(db, ada.email, GOOD, now=now) == ada
    with pytest.raises(LinkInvalid):
        passwords.redeem(db, link, OTHER, now=now)
    with db.reading() as connection:
        assert connection.execute(sa.select(tables.password_links)).all() == []


def test_a_link_lives_a_day_and_the_newest_only(db, ada, now):
    old, link = passwords.set_link(db, ada.id, now=now), passwords.set_link(db, ada.id, now=now)
    for secret, moment in ((old, now), (link, now + timedelta(days=1)), ("", now), ("\0", now), ("\ud800", now), ("x" * 43, now)):
        with pytest.raises(LinkInvalid):
            passwords.redeem(db, secret, GOOD, now=moment)
    assert passwords.redeem(db, link, GOOD, now=now + timedelta(hours=23, minutes=59)) == ada


def test_a_link_of_a_disabled_or_erased_user_is_void(db, ada, bob, now):
    mine, other = passwords.set_link(db, ada.id, now=now), passwords.set_link(db, bob.id, now=now)
    users.change(db, ada.id, disabled=True)
    users.remove(db, bob.id, now=now)
    for secret in (mine, other):
        with pytest.raises(LinkInvalid):
            passwords.redeem(db, secret, GOOD, now=now)
    with pytest.raises(UserUnknown):
        passwords.set_link(db, bob.id, now=now)


def test_of_two_who_redeem_at_once_one_wins(db, ada, now):
    link = passwords.set_link(db, ada.id, now=now)
    outcomes: list[str] = []

    def redeem(password: str) -> None:
        try:
            passwords.redeem(db, link, password, now=now)
            outcomes.append("won")
        except LinkInvalid:
            outcomes.append("lost")

    threads = [threading.Thread(target=redeem, args=(password,)) for password in (GOOD, OTHER)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["lost", "won"]


# Delays


def attempt(db, email, password, now, address="") -> int | None:
    """Seconds to wait, or None if the password was looked at."""
    try:
        passwords.check(db, email, password, now=now, address=address)
    except TooManyRequests as error:
        return error.retry_after_s
    return None


@pytest.mark.parametrize("email", ["ada@example.org", "nobody@example.org"])
def test_delays_grow_and_stay_bearable_for_known_and_unknown(db, anna, now, email):
    waits, moment = [], now
    for _ in range(21):
        wait = attempt(db, email, "wrong but long enough", moment)
        if wait is not None:
            assert attempt(db, email, GOOD, moment + timedelta(seconds=wait - 0.5)) is not None  # the right password has to wait too
            waits.append(wait)
            moment += timedelta(seconds=wait)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert attempt(db, email, GOOD, moment + timedelta(seconds=60)) is None


def test_success_forgives(db, anna, now):
    for _ in range(4):
        passwords.check(db, anna.email, "wrong but long enough", now=now)
    assert passwords.check(db, anna.email, GOOD, now=now) == anna
    for _ in range(4):
        assert attempt(db, anna.email, "wrong but long enough", now) is None


def test_an_address_that_tries_many_emails_waits(db, anna, now, monkeypatch):
    monkeypatch.setattr(delays, "BY_ADDRESS", delays.Limit(free=3, longest_s=900))
    for n in range(4):
        assert attempt(db, f"nobody{n}@example.org", "wrong but long enough", now, "192.0.2.1") is None
    assert attempt(db, anna.email, GOOD, now, "192.0.2.1") == 1
    assert passwords.check(db, anna.email, GOOD, now=now, address="192.0.2.2") == anna


@pytest.mark.parametrize("addresses", [("2001:db8:1:2::{}",), ("::ffff:192.0.2.1", "192.0.2.1")], ids=["one /64", "mapped"])
def test_many_addresses_of_one_line_are_one(db, anna, now, monkeypatch, addresses):
    monkeypatch.setattr(delays, "BY_ADDRESS", delays.Limit(free=3, longest_s=900))
    for n in range(4):
        assert attempt(db, f"nobody{n}@example.org", "wrong but long enough", now, addresses[n % len(addresses)].format(n)) is None
    assert attempt(db, anna.email, GOOD, now, addresses[0].format(9)) == 1
    assert passwords.check(db, anna.email, GOOD, now=now, address="2001:db8:1:3::1") == anna


def test_good_sign_ins_cost_their_address_nothing(db, anna, now, monkeypatch):
    monkeypatch.setattr(delays, "BY_ADDRESS", delays.Limit(free=2, longest_s=900))
    for _ in range(5):
        assert passwords.check(db, anna.email, GOOD, now=now, address="192.0.2.1") == anna


def test_delays_survive_a_restart_and_are_forgotten_after_a_day(url, db, anna, now):
    from byok.accounts.database import open_database

    for _ in range(5):
        passwords.check(db, anna.email, "wrong but long enough", now=now)
    with open_database(url) as again:
        assert attempt(again, anna.email, GOOD, now) == 1
        assert attempt(again, anna.email, "wrong but long enough", now + timedelta(days=1, seconds=1)) is None
        assert attempt(again, anna.email, GOOD, now + timedelta(days=1, seconds=1)) is None


def test_a_clock_set_back_locks_nobody_out(db, anna, now):
    for _ in range(5):
        passwords.check(db, anna.email, "wrong but long enough", now=now + timedelta(days=365))
    assert passwords.check(db, anna.email, GOOD, now=now) == anna


def test_parallel_guesses_gain_nothing(db, anna, now):
    looked_at = []

    def guess() -> None:
        if attempt(db, anna.email, "wrong but long enough", now) is None:
            looked_at.append(1)

    threads = [threading.Thread(target=guess) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(looked_at) == 5


def test_no_address_and_no_email_is_stored(db, anna, now):
    attempt(db, "stranger@example.org", "wrong but long enough", now, "203.0.113.77")
    with db.reading() as connection:
        stored = str(connection.execute(sa.select(tables.sign_in_delays)).all())
    assert "stranger" not in stored
    assert "203.0" not in stored


def test_a_new_password_ends_the_delay(db, anna, now):
    for _ in range(5):
        passwords.check(db, anna.email, "wrong but long enough", now=now)
    passwords.redeem(db, passwords.set_link(db, anna.id, now=now), OTHER, now=now)
    assert passwords.check(db, anna.email, OTHER, now=now) == anna
