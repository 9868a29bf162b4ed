"""`byok alert …` and `byok report …`, as an operator uses them."""

import json
from email import message_from_string, policy

import pytest

from tests.notify.receivers import MailServer, Receiver, parts

PATH = "secretpath1234"


@pytest.fixture
def receiver(ada):
    with Receiver() as found:
        ada.env["BYOK_SLACK_HOSTS"] = found.origin
        yield found


@pytest.fixture
def mail(ada, tmp_path):
    with MailServer(tmp_path) as found:
        ada.env["BYOK_SMTP_URL"] = found.url
        yield found


def added(ada, *options: str, stdin: str = "") -> str:
    rule = ada.ok("alert", "add", "ada@example.org", *options, stdin=stdin)
    assert rule.startswith("alr_") and rule.count("\n") == 1
    return rule.strip()


def test_a_slack_rule_from_standard_input_is_listed_by_host_and_last_four(ada, receiver):
    rule = added(ada, "--slack", stdin=f"{receiver.url}\n")
    (listed,) = ada.json("alert", "list", "ada@example.org", "--json")
    assert (listed["id"], listed["to"], listed["min_tokens"], listed["last"]) == (rule, "127.0.0.1 …1234", 1000, None)
    shown = ada.ok("alert", "list")
    assert rule in shown and "127.0.0.1 …1234" in shown
    assert PATH not in shown + json.dumps(listed)
    stored = b"".join(path.read_bytes() for path in ada.data.rglob("*") if path.is_file())
    assert rule.encode() in stored and PATH.encode() not in stored


def test_a_sample_goes_out_and_shows(ada, receiver):
    rule = added(ada, "--slack", stdin=receiver.url)
    ada.ok("alert", "test", rule)
    assert json.loads(receiver.posts[0].body)["text"].startswith("Test for ada@example.org")
    receiver.script = lambda post, number: (404, {})
    done = ada.run("alert", "test", rule)
    assert done.exit_code == 1 and "404" in done.stderr and PATH not in done.stderr
    (listed,) = ada.json("alert", "list", "--json")
    assert (listed["last"]["status"], listed["last"]["result"]) == ("refused", "404")
    assert "refused (404)" in ada.ok("alert", "list", "ada@example.org")


def test_what_a_webhook_signs_with_is_shown_once(ada, receiver):
    done = ada.run("alert", "add", "ada@example.org", "--webhook", stdin=receiver.url)
    assert "whs_" in done.stderr and "whs_" not in done.stdout
    assert "whs_" not in ada.ok("alert", "list", "--json")


def test_mail_rules_and_removal(ada, mail):
    own, other = added(ada, "--mail"), added(ada, "--mail", "ops@example.org", "--quiet", "22:00-07:00")
    assert [rule["to"] for rule in ada.json("alert", "list", "--json")] == ["ada@example.org", "ops@example.org"]
    ada.ok("alert", "test", other)
    assert mail.letters[0]["to"] == "ops@example.org"
    ada.ok("alert", "remove", other)
    assert [rule["id"] for rule in ada.json("alert", "list", "--json")] == [own]
    for command in ("remove", "test"):
        assert ada.run("alert", command, other).exit_code == 1


@pytest.mark.parametrize(
    ("options", "stdin", "code"),
    [
        (["--slack"], "https://evil.example/x", 1),
        (["--slack"], "http://hooks.slack.com/x", 1),
        (["--slack"], "", 1),
        (["--slack", "--all-users"], "https://hooks.slack.com/services/x", 1),
        (["--mail", "no address"], "", 1),
        (["--mail", "--quiet", "22-7"], "", 1),
        (["--mail", "--window", "day"], "", 1),
        (["--mail", "--silent-for", "2", "--sensitivity", "strong"], "", 1),
        ([], "", 2),
        (["--slack", "--mail"], "", 2),
        (["--mail", "--above", "5", "--silent-for", "2"], "", 2),
    ],
    ids=str,
)
def test_what_is_refused(ada, options, stdin, code):
    done = ada.run("alert", "add", "ada@example.org", *options, stdin=stdin)
    assert done.exit_code == code and done.stdout == ""
    assert ada.json("alert", "list", "--json") == []


def test_a_report_is_printed_and_sent_with_the_same_figures(ada, mail):
    user_id = ada.user_id("ada@example.org")
    counts = {"prompt_tokens": 1_200_000, "completion_tokens": 34_567, "total_tokens": 1_234_567}
    from datetime import UTC, datetime, timedelta

    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    ada.import_rows(
        {"ts": yesterday, "user_id": user_id, "key_id": "key_abcd1", **counts},
        {"ts": yesterday, "user_id": user_id, "status": 500, "key_id": "key_abcd1"},
    )
    printed = message_from_string(ada.ok("report", "send", "ada@example.org", "--period", "day", "--dry-run"), policy=policy.default)
    assert mail.letters == []
    ada.ok("report", "send", "ada@example.org", "--period", "day", "--csv")
    (letter,) = mail.letters
    assert printed["subject"] == letter["subject"] == f"BYOK usage, day {yesterday[:10]}, {datetime.fromisoformat(yesterday):%A}"
    for one in (printed, letter):
        for part in parts(one):
            assert "1,234,687" in part and "$3.35" in part
    (file,) = letter.iter_attachments()
    assert file.get_filename() == f"usage-{yesterday[:10]}.csv" and "openai,gpt-4o" in file.get_content()


def test_a_report_without_a_mail_server_says_what_to_set(ada):
    done = ada.run("report", "send", "ada@example.org")
    assert done.exit_code == 1 and "BYOK_SMTP_URL" in done.stderr
    assert "week" in ada.ok("report", "send", "ada@example.org", "--dry-run")


def test_a_schedule_is_set_replaced_listed_and_ended(ada):
    ada.ok("report", "schedule", "ada@example.org", "--period", "week", "--at", "07:30", "--tz", "Europe/Berlin")
    ada.ok("report", "schedule", "ada@example.org", "--period", "day", "--csv")
    (listed,) = ada.json("report", "list", "--json")
    assert [listed[name] for name in ("email", "period", "at", "tz", "csv")] == ["ada@example.org", "day", "08:00", "UTC", True]
    ada.ok("report", "schedule", "ada@example.org", "--off")
    assert ada.json("report", "list", "--json") == []
    for wrong, code in (
        (["--period", "day", "--at", "25:00"], 1),
        (["--period", "day", "--tz", "Mars"], 1),
        ([], 2),
        (["--off", "--period", "day"], 2),
    ):
        assert ada.run("report", "schedule", "ada@example.org", *wrong).exit_code == code
