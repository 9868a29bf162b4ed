"""What a fresh installation hands to its first admin, and stops handing out once it is used."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from byok import first_steps, settings
from byok.accounts import access_tokens, passwords, users
from byok.accounts.database import open_database
from byok.first_steps import FIRST_ADMIN

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PASSWORD = "correct horse battery staple"


@pytest.fixture
def db():
    with open_database("sqlite://") as opened:
        yield opened


def test_nobody_there_makes_an_admin_without_a_password(db):
    steps = first_steps.prepare(db, now=NOW)
    (admin,) = users.all_users(db)
    assert (admin.email, admin.admin, steps.email) == (FIRST_ADMIN, True, FIRST_ADMIN)
    assert not passwords.has_password(db, admin.id)
    assert access_tokens.verify(db, steps.token, now=NOW).id == admin.id
    assert passwords.redeem(db, steps.link_secret, PASSWORD, now=NOW).id == admin.id


def test_the_next_start_voids_what_was_printed_and_not_used(db):
    first, second = first_steps.prepare(db, now=NOW), first_steps.prepare(db, now=NOW)
    assert access_tokens.verify(db, first.token, now=NOW) is None
    assert access_tokens.verify(db, second.token, now=NOW) is not None
    with pytest.raises(Exception, match="link"):
        passwords.redeem(db, first.link_secret, PASSWORD, now=NOW)


def test_a_token_that_is_in_use_is_left_alone(db):
    first = first_steps.prepare(db, now=NOW)
    access_tokens.verify(db, first.token, now=NOW)
    assert first_steps.prepare(db, now=NOW + timedelta(hours=1)).token is None
    assert access_tokens.verify(db, first.token, now=NOW) is not None


def test_once_an_admin_has_a_password_nothing_is_handed_out(db):
    steps = first_steps.prepare(db, now=NOW)
    passwords.redeem(db, steps.link_secret, PASSWORD, now=NOW)
    assert first_steps.prepare(db, now=NOW) == (None, None, None)


def test_an_admin_made_by_command_gets_the_link(db):
    users.add(db, "ben@example.org", now=NOW)
    users.add(db, "ada@example.org", now=NOW, admin=True)
    assert first_steps.prepare(db, now=NOW).email == "ada@example.org"
    assert len(users.all_users(db)) == 2


def test_users_without_an_admin_are_left_as_they_are(db):
    users.add(db, "ben@example.org", now=NOW)
    assert first_steps.prepare(db, now=NOW) == (None, None, None)


def test_the_welcome_names_addresses_link_and_a_curl_with_the_token(db, tmp_path: Path):
    steps = first_steps.prepare(db, now=NOW)
    text = first_steps.welcome(settings.load({}, data=tmp_path), steps)
    assert f"http://127.0.0.1:8501/auth/set-password?token={steps.link_secret}" in text
    assert f'curl http://127.0.0.1:8080/v1/chat/completions \\\n    -H "Authorization: Bearer {steps.token}"' in text
    assert "Bearer $BYOK_TOKEN" in first_steps.welcome(settings.load({}, data=tmp_path), steps._replace(token=None))
