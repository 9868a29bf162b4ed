"""Users, vendor keys, tokens: what the commands print, exactly."""

import re
from datetime import datetime

import jwt
import pytest

TOKEN = re.compile(r"byok_[A-Za-z0-9]{8}_[A-Za-z0-9_-]{43}")
SECRET = "sk-invented-9f8e7d6c5b4a"


def test_user_add_prints_the_token_alone_on_standard_output(installation):
    done = installation.run("user", "add", "Ada@Example.org", "--plan", "team")
    assert done.exit_code == 0
    assert TOKEN.fullmatch(done.stdout.strip())
    assert "ada@example.org" in done.stderr


def test_user_show_json_has_exactly_the_promised_fields(installation):
    installation.ok("user", "add", "ada@example.org", "--plan", "enterprise", "--retention-days", "400", "--admin")
    shown = installation.json("user", "show", "ada@example.org", "--json")
    assert list(shown) == ["id", "email", "plan", "retention_days", "admin", "disabled", "created"]
    assert re.fullmatch(r"usr_[A-Za-z0-9]{4,40}", shown["id"])
    assert (shown["plan"], shown["retention_days"], shown["admin"], shown["disabled"]) == ("enterprise", 400, True, False)
    assert datetime.fromisoformat(shown["created"]).tzinfo is not None


def test_user_list_json_is_an_array_of_these(ada):
    ada.ok("user", "add", "ben@example.org")
    assert [user["email"] for user in ada.json("user", "list", "--json")] == ["ada@example.org", "ben@example.org"]
    assert "ben@example.org" in ada.ok("user", "list")


@pytest.mark.parametrize(
    ("options", "field", "value"),
    [
        (("--plan", "team"), "retention_days", 90),
        (("--plan", "enterprise", "--retention-days", "200"), "retention_days", 200),
        (("--admin",), "admin", True),
        (("--disable",), "disabled", True),
        (("--email", "Ada@new.example"), "email", "ada@new.example"),
    ],
)
def test_user_set_changes_what_is_named(ada, options, field, value):
    assert ada.json("user", "set", "ada@example.org", *options, "--json")[field] == value


def test_user_set_takes_back_admin_and_disabling(ada):
    ada.ok("user", "set", "ada@example.org", "--admin", "--disable")
    shown = ada.json("user", "set", "ada@example.org", "--no-admin", "--enable", "--json")
    assert (shown["admin"], shown["disabled"]) == (False, False)


def test_user_set_of_name_and_zone_is_shown(ada):
    shown = ada.ok("user", "set", "ada@example.org", "--name", "Ada L.", "--tz", "Europe/Berlin")
    assert "Ada L." in shown
    assert "Europe/Berlin" in shown
    assert ada.run("user", "set", "ada@example.org", "--tz", "Mars/Olympus").exit_code == 1


def test_user_set_without_a_change_is_a_usage_error(ada):
    assert ada.run("user", "set", "ada@example.org").exit_code == 2


def test_a_refused_password_leaves_no_user(installation):
    done = installation.run("user", "add", "ada@example.org", "--password-stdin", stdin="short\n")
    assert done.exit_code == 1
    assert installation.json("user", "list", "--json") == []


def test_a_password_from_standard_input_is_set(installation):
    installation.ok("user", "add", "ada@example.org", "--password-stdin", stdin="correct horse battery staple\n")
    from byok.accounts import passwords, users
    from byok.accounts.database import open_database

    with open_database(f"sqlite:///{installation.data / 'accounts.db'}") as db:
        assert passwords.has_password(db, users.by_email(db, "ada@example.org").id)


def test_a_link_to_set_the_password_is_printed_on_demand(ada):
    assert re.search(r"/auth/set-password\?token=[\w-]{43}", ada.ok("user", "link", "ada@example.org"))


def test_the_same_user_twice_is_refused(ada):
    done = ada.run("user", "add", "ADA@example.org")
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1


def test_user_erase_asks_for_yes_and_prints_a_receipt(ada):
    ada.import_rows({"ts": "2026-01-01T00:00:00Z", "user_id": ada.user_id("ada@example.org")})
    assert ada.run("user", "erase", "ada@example.org").exit_code == 1
    receipt = ada.json("user", "erase", "ada@example.org", "--yes", "--json")
    assert list(receipt) == ["receipt", "kind", "dry_run", "rows", "files", "seconds", "at"]
    assert re.fullmatch(r"rcp_[A-Za-z0-9]{16}", receipt["receipt"])
    assert (receipt["kind"], receipt["dry_run"], receipt["rows"], receipt["files"]) == ("erase", False, 1, 1)
    assert ada.run("user", "show", "ada@example.org").exit_code == 1


def test_an_erasure_that_was_killed_after_the_account_went_is_finished_by_the_same_command(ada, monkeypatch):
    ada.import_rows({"ts": "2026-01-01T00:00:00Z", "user_id": ada.user_id("ada@example.org")})

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("byok.retention.Retention._finish_users", killed)
        assert ada.run("user", "erase", "ada@example.org", "--yes").exit_code == 1
    assert ada.json("user", "erase", "ada@example.org", "--yes", "--json")["rows"] == 1
    assert ada.run("user", "erase", "ada@example.org", "--yes", "--json").exit_code == 1


def test_key_add_reads_the_secret_from_standard_input_and_never_shows_it(ada):
    done = ada.run("key", "add", "ada@example.org", "--vendor", "openai", "--label", "laptop", stdin=SECRET + "\n")
    assert done.exit_code == 0
    assert re.fullmatch(r"key_[A-Za-z0-9]{4,40}\n", done.stdout)
    (key,) = ada.json("key", "list", "ada@example.org", "--json")
    assert (key["id"], key["vendor"], key["label"], key["last_four"], key["default"]) == (
        done.stdout.strip(),
        "openai",
        "laptop",
        SECRET[-4:],
        True,
    )
    assert SECRET not in done.output + ada.ok("key", "list", "ada@example.org")
    assert [(one["id"], one["email"]) for one in ada.json("key", "list", "--json")] == [(key["id"], "ada@example.org")]


@pytest.mark.parametrize("secret", ["", "   ", "two words", "sk-\x07bell"])
def test_a_secret_that_cannot_be_one_is_refused(ada, secret):
    assert ada.run("key", "add", "ada@example.org", "--vendor", "openai", stdin=secret + "\n").exit_code == 1


def test_a_key_of_an_unknown_vendor_is_refused_with_the_known_ones(ada):
    done = ada.run("key", "add", "ada@example.org", "--vendor", "openia", stdin=SECRET)
    assert done.exit_code == 1
    assert "openai" in done.stderr


@pytest.mark.parametrize("with_email", [True, False])
def test_key_revoke_takes_the_id_with_or_without_the_user(ada, with_email):
    key_id = ada.ok("key", "add", "ada@example.org", "--vendor", "openai", stdin=SECRET).strip()
    ada.ok("key", "revoke", *(["ada@example.org"] if with_email else []), key_id)
    assert ada.json("key", "list", "ada@example.org", "--json") == []
    assert ada.run("key", "revoke", key_id).exit_code == 1


def test_a_key_of_somebody_else_is_not_revoked(ada):
    ada.ok("user", "add", "ben@example.org")
    key_id = ada.ok("key", "add", "ada@example.org", "--vendor", "openai", stdin=SECRET).strip()
    assert ada.run("key", "revoke", "ben@example.org", key_id).exit_code == 1
    assert len(ada.json("key", "list", "ada@example.org", "--json")) == 1


def test_token_prints_a_jwt_of_the_user(ada):
    claims = jwt.decode(ada.ok("token", "ada@example.org", "--ttl", "60").strip(), options={"verify_signature": False})
    assert (claims["sub"], claims["iss"], claims["aud"]) == (ada.user_id("ada@example.org"), "byok", "byok-api")
    assert claims["exp"] - claims["iat"] == 60


def test_a_token_for_more_than_an_hour_or_for_a_disabled_user_is_refused(ada):
    assert ada.run("token", "ada@example.org", "--ttl", "3601").exit_code == 2
    ada.ok("user", "set", "ada@example.org", "--disable")
    assert ada.run("token", "ada@example.org").exit_code == 1


@pytest.mark.parametrize("with_email", [True, False])
def test_access_tokens_are_made_listed_and_revoked(ada, with_email):
    token = ada.ok("access-token", "new", "ada@example.org", "--label", "laptop").strip()
    assert TOKEN.fullmatch(token)
    listed = ada.json("access-token", "list", "ada@example.org", "--json")
    assert [entry["label"] for entry in listed] == ["first", "laptop"]
    assert token not in str(listed)
    assert ada.json("access-token", "list", "--json") == listed, "without EMAIL everybody's"
    ada.ok("access-token", "revoke", *(["ada@example.org"] if with_email else []), listed[1]["id"])
    assert [entry["label"] for entry in ada.json("access-token", "list", "ada@example.org", "--json")] == ["first"]


def test_every_list_says_instants_in_one_way(ada):
    ada.ok("key", "add", "ada@example.org", "--vendor", "openai", stdin=SECRET + "\n")
    ada.ok("models", "allow", "our-finetune-7b")
    lists = [("user", "list"), ("access-token", "list", "ada@example.org"), ("key", "list")]
    said = [ada.json(*words, "--json")[0]["created"] for words in lists] + [ada.json("models", "list", "--json")[0]["allowed"]]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", instant) for instant in said), said
