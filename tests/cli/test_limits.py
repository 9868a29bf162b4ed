"""Limits, models of tokens, allowed names and default keys, by command."""

import pytest

SECRET = "sk-invented-9f8e7d6c5b4a"


def shown(installation, email: str = "ada@example.org", **env: str) -> dict[str, str]:
    done = installation.run("user", "show", email, env=env)
    assert done.exit_code == 0
    return {name: value.strip() for name, _, value in (line.partition(" ") for line in done.stdout.splitlines())}


def test_limits_of_a_user_are_set_shown_taken_off_and_given_back(ada):
    assert shown(ada)["requests_per_minute"] == "no limit (default)"
    ada.ok("user", "set", "ada@example.org", "--requests-per-minute", "60", "--calls-at-once", "4")
    assert (shown(ada)["requests_per_minute"], shown(ada)["calls_at_once"]) == ("60", "4")
    json = ada.json("user", "show", "ada@example.org", "--json")
    assert (json["requests_per_minute"], json["calls_at_once"]) == (60, 4)
    ada.ok("user", "set", "ada@example.org", "--requests-per-minute", "0")
    assert shown(ada, BYOK_REQUESTS_PER_MINUTE="7")["requests_per_minute"] == "no limit"
    ada.ok("user", "set", "ada@example.org", "--requests-per-minute", "default", "--calls-at-once", "default")
    assert shown(ada, BYOK_REQUESTS_PER_MINUTE="7")["requests_per_minute"] == "7 (default)"
    assert "requests_per_minute" not in ada.json("user", "show", "ada@example.org", "--json")


@pytest.mark.parametrize("limit", ["-1", "1.5", "many", "1000001"])
def test_a_limit_that_is_none_is_a_usage_error(ada, limit):
    assert ada.run("user", "set", "ada@example.org", "--calls-at-once", limit).exit_code == 2


def test_a_token_for_some_models_is_made_and_shown(ada):
    ada.ok("access-token", "new", "ada@example.org", "--label", "ci", "--models", "gpt-4o-mini, anthropic/*")
    first, ci = ada.json("access-token", "list", "ada@example.org", "--json")
    assert (first["models"], ci["models"]) == ([], ["gpt-4o-mini", "anthropic/*"])
    assert "gpt-4o-mini,anthropic/*" in ada.ok("access-token", "list", "ada@example.org")


@pytest.mark.parametrize(
    ("models", "said"), [("", "list of models"), (" , ", "list of models"), ("opneai/*", "openai"), ("[x]", "list of")]
)
def test_a_list_that_would_allow_nothing_is_refused_in_one_line(ada, models, said):
    done = ada.run("access-token", "new", "ada@example.org", "--models", models)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert said in done.stderr
    assert len(ada.json("access-token", "list", "ada@example.org", "--json")) == 1


def test_names_are_allowed_listed_and_disallowed(installation):
    installation.ok("models", "allow", "our-finetune-7b")
    assert "already" in installation.run("models", "allow", "our-finetune-7b").stderr
    assert [entry["name"] for entry in installation.json("models", "list", "--json")] == ["our-finetune-7b"]
    assert "our-finetune-7b" in installation.ok("models", "list")
    installation.ok("models", "disallow", "our-finetune-7b")
    assert installation.json("models", "list", "--json") == []
    assert installation.run("models", "disallow", "our-finetune-7b").exit_code == 1


@pytest.mark.parametrize("name", ["two words", "sk-live-4f3a", "x" * 97, "-x", "0123456789abcdef0123456789abcdef"])
def test_a_name_that_may_not_be_stored_cannot_be_allowed(installation, name):
    done = installation.run("models", "allow", "--", name)
    assert done.exit_code == 1
    assert name not in done.output
    assert installation.json("models", "list", "--json") == []


@pytest.mark.parametrize("with_email", [True, False])
def test_the_default_key_of_a_vendor_is_chosen(ada, with_email):
    ids = [ada.ok("key", "add", "ada@example.org", "--vendor", "openai", stdin=f"{SECRET}{n}\n").strip() for n in range(2)]
    other = ada.ok("key", "add", "ada@example.org", "--vendor", "anthropic", stdin=SECRET).strip()
    ada.ok("key", "default", *(["ada@example.org"] if with_email else []), ids[1])
    assert {key["id"]: key["default"] for key in ada.json("key", "list", "ada@example.org", "--json")} == {
        ids[0]: False,
        ids[1]: True,
        other: True,
    }


def test_a_key_of_somebody_else_is_no_default(ada):
    ada.ok("user", "add", "ben@example.org")
    key_id = ada.ok("key", "add", "ada@example.org", "--vendor", "openai", stdin=SECRET).strip()
    for which in (("ben@example.org", key_id), ("key_nothing",)):
        done = ada.run("key", "default", *which)
        assert (done.exit_code, done.stderr.count("\n")) == (1, 1)


def test_a_refused_key_shows_in_the_list(ada):
    from byok.accounts import key_vault
    from byok.accounts.database import open_database
    from byok.cli.frame import utc_now

    key_id = ada.ok("key", "add", "ada@example.org", "--vendor", "openai", stdin=SECRET).strip()
    assert ada.json("key", "list", "ada@example.org", "--json")[0]["refused"] is None
    with open_database(f"sqlite:///{ada.data / 'accounts.db'}") as db:
        key_vault.note_refused(db, key_id, now=utc_now())
    assert ada.json("key", "list", "ada@example.org", "--json")[0]["refused"] is not None
    header, row = ada.ok("key", "list", "ada@example.org").splitlines()
    assert header.endswith("refused")
    assert row.endswith("Z")
