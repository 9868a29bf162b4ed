"""What limits a user or a token, as it is stored; and that older databases come along."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from byok.accounts import access_tokens, allowed_models, api_tokens, database, users
from byok.accounts.access_tokens import Grant
from byok.accounts.database import Database, open_database
from byok.accounts.errors import UserUnknown
from byok.accounts.identify import identify
from byok.errors import BadRequest

SECRET = b"the secret of this installation!!"


def test_a_limit_is_kept_taken_off_and_given_back_to_the_settings(db: Database, ada):
    assert (ada.requests_per_minute, ada.calls_at_once) == (None, None)
    changed = users.change(db, ada.id, requests_per_minute=60, calls_at_once=2)
    assert (changed.requests_per_minute, changed.calls_at_once) == (60, 2)
    changed = users.change(db, ada.id, requests_per_minute=0)
    assert (changed.requests_per_minute, changed.calls_at_once) == (0, 2)
    changed = users.change(db, ada.id, requests_per_minute=users.AS_SET, calls_at_once=users.AS_SET)
    assert changed == ada == users.by_id(db, ada.id)


@pytest.mark.parametrize("limit", [-2, users.HIGHEST_LIMIT + 1])
def test_a_limit_that_makes_no_sense_changes_nothing(db: Database, ada, limit):
    with pytest.raises(BadRequest):
        users.change(db, ada.id, calls_at_once=limit)
    assert users.by_id(db, ada.id) == ada


def test_a_token_names_its_models_to_who_asks_for_them_and_nobody_to_who_does_not(db: Database, ada, now):
    token = access_tokens.create(db, ada.id, now=now, models=[" gpt-4o-mini ", "anthropic/*", "gpt-4o-mini"])
    models = ("gpt-4o-mini", "anthropic/*")
    assert access_tokens.read(db, token, now=now) == identify(db, SECRET, token, now=now) == Grant(ada, models)
    assert access_tokens.of_user(db, ada.id)[0].models == models
    assert access_tokens.verify(db, token, now=now) is None, "it would be good for everything then"
    assert access_tokens.read(db, token, now=now + timedelta(days=999)) == Grant(ada, models)


def test_a_token_without_a_list_is_for_all_models(db: Database, ada, now):
    token = access_tokens.create(db, ada.id, now=now)
    assert access_tokens.read(db, token, now=now) == Grant(ada, ())
    jwt = api_tokens.issue(ada.id, SECRET, now=now)
    assert identify(db, SECRET, jwt, now=now) == Grant(ada, ())


@pytest.mark.parametrize("models", [[""], ["  ", ""], ["a,b"], ["a b"], ["[a-z]*"], ["a\nb"], ["ä"], ["x" * 129], ["/x"], ["x\0"]])
def test_a_list_that_makes_no_sense_makes_no_token(db: Database, ada, now, models):
    with pytest.raises(BadRequest):
        access_tokens.create(db, ada.id, now=now, models=models)
    with pytest.raises(BadRequest):
        access_tokens.create(db, ada.id, now=now, models=[f"m{n}" for n in range(access_tokens.MOST_MODELS + 1)])
    assert access_tokens.of_user(db, ada.id) == []
    with pytest.raises(UserUnknown):
        access_tokens.create(db, "usr_nobody", now=now, models=["gpt-4o"])


def test_names_are_allowed_once_and_taken_back(db: Database, now):
    assert allowed_models.allow(db, "ours", now=now)
    assert not allowed_models.allow(db, "ours", now=now + timedelta(days=1))
    assert allowed_models.allow(db, "a/b", now=now)
    assert allowed_models.every(db) == {"a/b": now, "ours": now}
    assert allowed_models.disallow(db, "ours")
    assert not allowed_models.disallow(db, "ours")
    assert list(allowed_models.every(db)) == ["a/b"]


def test_names_are_not_allowed_without_end(db: Database, now, monkeypatch):
    monkeypatch.setattr(allowed_models, "MOST", 2)
    for name in ("a", "b"):
        allowed_models.allow(db, name, now=now)
    with pytest.raises(BadRequest):
        allowed_models.allow(db, "c", now=now)
    assert not allowed_models.allow(db, "a", now=now)


@pytest.mark.usefixtures("real_migrations")
def test_users_and_tokens_of_the_version_before_come_along(url, now, monkeypatch):
    """Made by the first step alone, with rows in it; opening brings the rest."""
    upgrade = command.upgrade
    with monkeypatch.context() as patch:
        patch.setattr(database, "HEAD", "0001")
        patch.setattr(database, "_keep_no_samples", lambda _connection: None)  # it knows the newest tables only
        patch.setattr(command, "upgrade", lambda config, _revision: upgrade(config, "0001"))
        with open_database(url) as old, old.writing() as connection:
            columns = {column["name"] for column in sa.inspect(connection).get_columns("users")}
            assert "calls_at_once" not in columns
            user = "insert into users (id, email, plan, admin, disabled, tz, created_at) values ('usr_Ada1', 'ada@example.org', 'free', "
            connection.execute(sa.text(user + "false, false, 'UTC', '2026-11-22 10:00:00.000000+00:00')"))
            token = f"byok_{'a' * 8}_{'b' * 43}"
            values = {"hash": access_tokens._hash(token)}
            row = "insert into access_tokens (id, secret_hash, user_id, label, created_at) values ('aaaaaaaa', :hash, 'usr_Ada1', 'old', "
            connection.execute(sa.text(row + "'2026-11-22 10:00:00.000000+00:00')"), values)
    with open_database(url) as new:
        grant = access_tokens.read(new, token, now=now)
        assert grant is not None
        assert (grant.user.id, grant.user.requests_per_minute, grant.user.calls_at_once, grant.models) == ("usr_Ada1", None, None, ())
        assert allowed_models.every(new) == {}
        with new.reading() as connection:
            assert connection.execute(sa.text("select version_num from alembic_version")).scalar() == database.HEAD


def test_there_is_no_way_back_that_widens_a_token(db: Database):
    config = Config()
    config.set_main_option("script_location", str(database.__file__).replace("database.py", "migrations"))
    with pytest.raises(NotImplementedError), db.writing() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
