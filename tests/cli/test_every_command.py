"""What holds for every command: help with an example, --data, one line for an error, no traceback, no secret as an argument."""

import click
import pytest

from byok.cli import cli, frame


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    found = []
    for name, command in group.commands.items():
        found += leaves(command, (*path, name)) if isinstance(command, click.Group) else [((*path, name), command)]
    return found


COMMANDS = leaves(cli)
NAMES = [" ".join(path) for path, _ in COMMANDS]


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=NAMES)
def test_help_shows_an_example_and_data(path, command, installation):
    done = installation.run(*path, "--help")
    assert done.exit_code == 0
    assert "Example: " in done.output
    assert "--data DIR" in done.output


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=NAMES)
def test_no_option_takes_a_secret(path, command):
    options = {name for parameter in command.params for name in parameter.opts}
    assert not options & {"--password", "--secret", "--key", "--token", "--api-key"}


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=NAMES)
def test_an_unknown_option_is_a_usage_error(path, command, installation):
    assert installation.run(*path, "--no-such-option").exit_code == 2


def test_a_word_too_many_is_not_repeated(installation):
    """Whoever takes a key for an argument must not find it in what the terminal keeps."""
    done = installation.run("key", "add", "ada@example.org", "--vendor", "openai", "sk-canary")
    assert done.exit_code == 2
    assert "unexpected argument" in done.output
    assert "sk-canary" not in done.output


def test_the_example_stands_in_one_line(installation):
    assert (
        "Example: byok key add ada@example.org --vendor openai --label laptop < key.txt\n"
        in installation.run("key", "add", "--help").output
    )


def test_groups_and_the_program_have_examples_too(installation):
    for path in [(), ("user",), ("key",), ("access-token",), ("prices",)]:
        assert "Example: " in installation.run(*path, "--help").output


def test_a_list_of_commands_cuts_no_sentence(installation):
    for path in [(), ("user",), ("prices",), ("budget",)]:
        assert "..." not in installation.run(*path, "--help").output.partition("Commands:")[2]


def test_the_version_is_told(installation):
    assert installation.run("--version").output.startswith("byok, version ")


def test_settings_that_make_no_sense_are_all_listed_by_name(installation):
    done = installation.run("user", "list", env={"BYOK_WEB_PORT": "none", "BYOK_FSYNC": "never", "BYOK_MAX_BODY_MB": "0"})
    assert done.exit_code == 1
    assert [name for name in ("BYOK_WEB_PORT", "BYOK_FSYNC", "BYOK_MAX_BODY_MB") if name not in done.stderr] == []
    assert done.stdout == ""


def test_data_wins_over_the_environment(installation, tmp_path):
    installation.ok("user", "add", "ada@example.org", "--data", str(tmp_path / "other"))
    assert (tmp_path / "other" / "accounts.db").exists()
    assert not installation.data.exists()


def test_an_error_of_ours_is_one_line_with_the_remedy(installation):
    done = installation.run("user", "show", "nobody@example.org")
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    assert "byok user list" in done.stderr


def test_an_unexpected_fault_is_one_line_without_its_message(installation, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("byok.accounts.users.all_users", fail)
    done = installation.run("user", "list")
    assert done.exit_code == 1
    assert done.stderr.startswith("Unexpected fault: ZeroDivisionError (test_every_command.py:")
    assert "secret detail" not in done.stderr


def test_a_directory_that_cannot_be_used_is_one_line(installation, tmp_path):
    (tmp_path / "file").write_text("")
    done = installation.run("user", "add", "ada@example.org", env={"BYOK_DATA": str(tmp_path / "file" / "data")})
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_a_table_aligns_numbers_right_and_shows_what_is_missing(capsys):
    frame.show_table(("model", "calls", "label"), [("gpt-4o", 1234567, None), ("x", 5, True)])
    assert capsys.readouterr().out == "model       calls  label\ngpt-4o  1,234,567  -\nx               5  yes\n"
