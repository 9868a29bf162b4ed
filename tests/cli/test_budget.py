"""byok budget: set, list, remove."""

from tests.cli.conftest import Installation


def test_a_budget_is_set_listed_and_removed(ada: Installation) -> None:
    budget_id = ada.ok("budget", "set", "ada@example.org", "--vendor", "openai", "--usd", "49.50", "--hard").strip()
    (listed,) = ada.json("budget", "list", "ada@example.org", "--json")
    assert {name: listed[name] for name in ("id", "email", "vendor", "limit", "hard", "by_admin", "spent", "used_up")} == {
        "id": budget_id,
        "email": "ada@example.org",
        "vendor": "openai",
        "limit": 49.5,
        "hard": True,
        "by_admin": True,
        "spent": None,
        "used_up": False,
    }
    said = ada.ok("budget", "list")
    assert "$49.50" in said
    assert "hard" in said
    ada.ok("budget", "set", "ada@example.org", "--tokens", "5000")
    assert "5,000 tokens" in ada.ok("budget", "list", "ada@example.org")
    ada.ok("budget", "remove", budget_id)
    assert len(ada.json("budget", "list", "--json")) == 1


def test_mistakes_are_said_in_a_line(ada: Installation) -> None:
    assert ada.run("budget", "set", "ada@example.org").exit_code == 2
    assert ada.run("budget", "set", "ada@example.org", "--usd", "a lot").exit_code == 2
    for words, said in (
        (("--usd", "5", "--vendor", "nobody"), "There is no vendor 'nobody'"),
        (("--usd", "5", "--key-id", "key_abcd1"), "no such vendor key"),
        (("--usd", "-5"), "not valid"),
    ):
        done = ada.run("budget", "set", "ada@example.org", *words)
        assert (done.exit_code, said in done.stderr) == (1, True), done.stderr
    assert ada.run("budget", "remove", "bud_0123456789abcdef").exit_code == 1
