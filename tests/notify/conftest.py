"""An installation with a clock of its own, three users, and receivers that remember what they were told."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from byok.accounts import alert_rules, users
from byok.accounts.alert_rules import Rule, Terms
from byok.accounts.users import User
from byok.notify import listing
from byok.recording.journal import Journal
from byok.services import Services
from byok.settings import Settings
from byok.spikes.episodes import Spike
from tests.notify.receivers import MailServer, Receiver
from tests.samples import usage_record

NOW = datetime(2026, 11, 25, 14, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


@dataclass
class Book:
    """The installation; `clock[0]` is what time it is."""

    services: Services
    clock: list[datetime]
    ada: User
    bob: User
    root: User
    url: str

    @property
    def now(self) -> datetime:
        return self.clock[0]

    def later(self, **span: float) -> None:
        self.clock[0] += timedelta(**span)

    def rule(self, owner: User, channel: str = "slack", text: str | None = None, **terms: Any) -> Rule:
        """A rule that sends to the receiver."""
        where = listing.target(self.services.settings, channel, text or (None if channel == "mail" else self.url))
        return alert_rules.add(self.services.db, self.services.master, owner.id, Terms(**terms), where, now=self.now)[0]

    def record(self, user: User, *ago: timedelta, **fields: Any) -> None:
        """Book a call, five minutes ago; or one at each of these distances from now."""
        journal = Journal(self.services.settings.journal_dir)
        for span in ago or (timedelta(minutes=5),):
            assert journal.append(usage_record(user_id=user.id, ts=self.now - span, **fields))
        journal.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


@pytest.fixture
def mail(tmp_path: Path) -> Iterator[MailServer]:
    with MailServer(tmp_path) as found:
        yield found


@pytest.fixture
def make_book(tmp_path: Path) -> Iterator[Callable[..., Book]]:
    made: list[Services] = []

    def make(url: str = "https://hooks.slack.com/services/T0/B0/secretpath1234", **settings: Any) -> Book:
        clock = [NOW]
        services = Services(Settings(data=tmp_path / "data", master_key_file=tmp_path / "master.key", **settings))
        made.append(services)
        services.now = lambda: clock[0]  # type: ignore[method-assign]
        people = [
            users.add(services.db, f"{name}@example.org", now=NOW - timedelta(days=100), plan="enterprise", admin=name == "root")
            for name in ("ada", "bob", "root")
        ]
        return Book(services, clock, *people, url)

    yield make
    for services in made:
        services.close()


@pytest.fixture
def book(make_book: Callable[..., Book], receiver: Receiver, mail: MailServer) -> Book:
    """Its webhooks may point to `receiver`, its mails go to `mail`."""
    return make_book(receiver.url, slack_hosts=receiver.origin, smtp_url=mail.url, mail_from="BYOK <byok@byok.example>")


def spike(user: User, hours_ago: int = 0, **fields: Any) -> Spike:
    """An unusual hour of gpt-4o-mini; 0 is the running one."""
    usual: dict[str, Any] = {"vendor": "openai", "model": "gpt-4o-mini", "metric": "tokens", "actual": 120_000.0, "usual": 10_000.0}
    usual |= {"times": 12.0, "score": 0.9, "why": "12.0 × the usual"}
    hour = NOW.replace(minute=0) - hours_ago * HOUR
    return Spike(**{"hour": hour, "user_id": user.id, **usual, **fields})
