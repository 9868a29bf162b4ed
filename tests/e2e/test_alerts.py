"""From a loop that runs away to the message in Slack, and a report on schedule: real processes, a real HTTP and a real mail server."""

import contextlib
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.e2e.installation import wait_until
from tests.notify.receivers import MailServer, Receiver, parts

CALLS = 40


def history(user_id: str, now: datetime) -> str:
    """Forty days of four small calls an hour."""
    rows = []
    for hours in range(1, 40 * 24):
        hour = (now - timedelta(hours=hours)).replace(minute=0, second=0, microsecond=0)
        for quarter in range(4):
            rows.append(
                {
                    "ts": (hour + timedelta(minutes=15 * quarter)).isoformat(),
                    "user_id": user_id,
                    "key_id": "key_abcd1",
                    "vendor": "echo",
                    "model": "echo-1",
                    "endpoint": "chat",
                    "prompt_tokens": 10,
                    "completion_tokens": 90 + hours % 20,
                    "total_tokens": 100 + hours % 20,
                    "status": 200,
                    "usage_source": "vendor",
                }
            )
    return "".join(json.dumps(row) + "\n" for row in rows)


def noted(accounts: Path) -> set[str]:
    """What the outbox says of its messages."""
    with contextlib.closing(sqlite3.connect(accounts)) as db:
        return {status for (status,) in db.execute("select status from deliveries")}


@pytest.mark.slow
def test_a_loop_is_in_slack_and_the_report_in_the_mail_once_also_after_a_kill(install, tmp_path):
    with Receiver() as slack, MailServer(tmp_path, tls=True) as mail:
        home = install(BYOK_SLACK_HOSTS=slack.origin, BYOK_SMTP_URL=mail.url, BYOK_SPIKE_EVERY_S="1", BYOK_PUBLISH_EVERY_S="1")
        token = home.add_user("ada@example.org", plan="enterprise")
        now = datetime.now(UTC)
        if now.minute == 59:
            wait_until(lambda: datetime.now(UTC).minute != 59, seconds=90)  # the loop lies within one hour
        user_id = json.loads(home.command("user", "show", "ada@example.org", "--json"))["id"]
        (tmp_path / "history.jsonl").write_text(history(user_id, datetime.now(UTC)))
        home.command("import", str(tmp_path / "history.jsonl"))
        home.command("alert", "add", "ada@example.org", "--slack", stdin=slack.url)
        home.start("gateway", "keeper")
        home.command("report", "schedule", "ada@example.org", "--period", "week", "--at", "00:00")
        home.command("report", "schedule", "ada@example.org", "--period", "day")
        with sqlite3.connect(home.data / "accounts.db") as accounts:  # as if it had been set long ago, and the keeper had been away
            accounts.execute(
                "update report_schedules set next_at = ?", [f"{datetime.now(UTC) - timedelta(minutes=1):%Y-%m-%d %H:%M:%S.%f}"]
            )
        accounts.close()

        def call(_: int) -> int:
            body = {"model": "echo/echo-1", "max_tokens": 2000, "messages": [{"role": "user", "content": "again"}]}
            return httpx.post(
                f"{home.gateway}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {token}"}, timeout=60
            ).status_code

        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(call, range(CALLS))) == {200}
        wait_until(lambda: slack.posts, seconds=300)
        wait_until(lambda: mail.letters, seconds=300)
        wait_until(lambda: noted(home.data / "accounts.db") == {"sent"})  # killed before that, it may say so once more
        home.kill("keeper")
        home.start("keeper")
        home.command("compact")
        wait_until(lambda: json.loads(home.command("alert", "list", "--json"))[0]["last"]["status"] == "sent")
        assert home.stop("keeper") == 0
        (post,) = slack.posts
        text = json.loads(post.body)["text"]
        assert "ada@example.org" in text and "echo/echo-1" in text and "x)" in text
        (letter,) = mail.letters
        yesterday = (datetime.now(UTC) - timedelta(days=1)).date()
        assert str(yesterday) in letter["subject"]
        assert mail.starttls == [True] and all("96" in part for part in parts(letter))
