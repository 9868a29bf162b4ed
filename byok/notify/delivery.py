"""Empties the outbox: one message to one target at a time, at most one a second, several targets side by side."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import structlog

from byok.accounts import alert_rules, users
from byok.accounts.alert_rules import Rule
from byok.accounts.database import Database
from byok.accounts.errors import WebhookUnreadable
from byok.accounts.users import User
from byok.errors import ByokError
from byok.notify import email, findings, mail_pages, outbox, quiet, reports, schedules, slack, unsubscribe, webhook
from byok.notify.email import Mail, MailNotConfigured
from byok.notify.findings import Finding
from byok.notify.outbox import Delivery, Due
from byok.notify.outcome import Outcome, later, refused
from byok.notify.source import Spikes
from byok.services import Services

AT_A_TIME = 8
_MOST_WAITING = 64
SPACING_S = 1.0  # Slack takes one message a second and webhook
log = structlog.get_logger("byok.notify")


class Deliverer:
    """Sends what is due; call `round` every second. `close` waits for what is being sent."""

    def __init__(self, services: Services, spikes: Spikes | None = None) -> None:
        self._services, self._spikes = services, spikes
        self._threads = ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="deliver")
        self._lock = threading.Lock()
        self._busy: set[str] = set()  # targets
        self._free_at: dict[str, float] = {}  # monotonic
        self._unnoted: dict[str, Outcome] = {}  # sent, and the database would not take our note

    def round(self) -> int:
        """Begin to send what is due; how many that were."""
        self._note_again()
        begun, now, started = 0, self._services.now(), time.monotonic()
        with self._lock:
            self._free_at = {target: at for target, at in self._free_at.items() if at > started}
            blocked = self._busy | self._free_at.keys()
        for delivery in outbox.due(self._services.db, now=now, most=_MOST_WAITING, but=blocked):
            with self._lock:
                if delivery.target in self._busy or len(self._busy) >= 2 * AT_A_TIME:  # another round may have begun it
                    continue
                self._busy.add(delivery.target)
            self._threads.submit(self._deliver, delivery)
            begun += 1
        return begun

    def close(self) -> None:
        """Let what is being sent end."""
        self._threads.shutdown(wait=True)
        self._note_again()

    def _deliver(self, delivery: Due) -> None:
        wait_s = SPACING_S
        try:
            db, now = self._services.db, self._services.now()
            if delivery.id in self._unnoted:
                return
            if until := self._quiet_until(delivery, now):
                outbox.hold(db, delivery.id, until=until, now=now)
            elif outbox.take(db, delivery.id, now=now):
                outcome = guarded(lambda: send(self._services, delivery, now=now, spikes=self._spikes))
                wait_s = max(wait_s, outcome.wait_s or 0)
                self._note(delivery.id, outcome)
        except Exception as fault:  # the database: the delivery stays due
            log.error("delivery_failed", kind=delivery.kind, exc_info=fault)
        finally:
            with self._lock:
                self._free_at[delivery.target] = time.monotonic() + wait_s
                self._busy.discard(delivery.target)

    def _quiet_until(self, delivery: Due, now: datetime) -> datetime | None:
        """They may have begun since it was put in: another try, or the owner moved to another zone."""
        rule = alert_rules.get(self._services.db, delivery.rule_id) if delivery.rule_id else None
        return None if rule is None else quiet.until(rule, now)

    def _note(self, delivery_id: str, outcome: Outcome) -> None:
        try:
            outbox.settle(self._services.db, delivery_id, outcome, now=self._services.now())
        except ByokError as fault:
            self._unnoted[delivery_id] = outcome
            log.error("delivery_unnoted", code=fault.code)
        else:
            self._unnoted.pop(delivery_id, None)
            log.info("delivery", reason=outcome.said, code="sent" if outcome.sent else "refused" if outcome.final else "later")

    def _note_again(self) -> None:
        for delivery_id, outcome in list(self._unnoted.items()):
            self._note(delivery_id, outcome)


def guarded(act: Callable[[], Outcome]) -> Outcome:
    """What nobody foresaw is tried again, and named in the log."""
    try:
        return act()
    except WebhookUnreadable as fault:
        return refused(fault.code)
    except ByokError as fault:
        return later(fault.code)
    except Exception as fault:
        log.error("delivery_failed", exc_info=fault)
        return later("fault")


def send(services: Services, delivery: Delivery, *, now: datetime, spikes: Spikes | None = None) -> Outcome:
    """One try to send a delivery, in words of this moment."""
    owner, about = (users.by_id(services.db, user_id) for user_id in (delivery.user_id, delivery.about_user_id))
    if owner is None or about is None or owner.disabled:
        return refused("user_gone")
    if delivery.rule_id is None:
        period, with_csv = schedules.period_of(delivery.facts)
        report = reports.compose(services, owner, period, now=now, spikes=spikes)
        return email.send(reports.mail(services, report, delivery.id, with_csv=with_csv), services.settings, now)
    rule = alert_rules.get(services.db, delivery.rule_id)
    if rule is None or (about.id != owner.id and not (owner.admin and rule.terms.all_users)):
        return refused("rule_gone")
    if rule.paused:
        return refused("rule_paused")
    return tell(services, rule, delivery.id, delivery.kind, findings.load(delivery.facts), about, now=now)


def tell(services: Services, rule: Rule, delivery_id: str, what: str, found: Finding, about: User, *, now: datetime) -> Outcome:
    """Send a finding by the channel of its rule."""
    settings, hosts = services.settings, services.settings.webhook_hosts
    told = findings.words(found, what, about.email, rule.owner.tz, settings.dashboard_url, reader=rule.owner.id)
    if rule.channel == "mail":
        ends = unsubscribe.address(settings.dashboard_url, services.master, unsubscribe.Subject(rule.owner.id, rule.id))
        facts: dict[str, Any] = {"told": told, "unsubscribe": ends, "borrowed": found.kind == "budget" != rule.terms.kind}
        text, html = mail_pages.text("alert.txt", **facts), mail_pages.html("alert.html", **facts)
        letter = Mail(rule.address or rule.owner.email, f"BYOK: {told.title}", text, html, delivery_id, unsubscribe=ends)
        return email.send(letter, settings, now)
    url, key = alert_rules.web_address(services.db, services.master, rule)
    if key is None:
        return slack.send(url, told, hosts=hosts)
    return webhook.send(url, key, delivery_id, what, found, told, about.email, now=now, hosts=hosts)


def test(services: Services, rule: Rule, *, now: datetime) -> Outcome:
    """Send a sample by a rule, once and at once; it shows as the rule's last delivery. Raises `MailNotConfigured`."""
    if rule.channel == "mail" and services.settings.smtp_url is None:
        raise MailNotConfigured
    found = findings.sample(rule.owner.id, now)
    delivery_id = _put_test(services.db, rule, found, now)
    outbox.take(services.db, delivery_id, now=now)
    outcome = guarded(lambda: tell(services, rule, delivery_id, "test", found, rule.owner, now=now))
    ended = outcome if outcome.final else refused(outcome.said)  # whoever asked tries again
    outbox.settle(services.db, delivery_id, ended, now=services.now())
    return outcome


def may_test(db: Database, rule: Rule, *, now: datetime) -> bool:
    """Whether the last message of this rule is some seconds old: a button that is held down must not flood the receiver."""
    last = outbox.last_of_rules(db, [rule.id]).get(rule.id)
    return last is None or now - last.created_at >= timedelta(seconds=5)


def _put_test(db: Database, rule: Rule, found: Finding, now: datetime) -> str:
    with db.writing() as connection:
        made = outbox.put(
            connection,
            kind=outbox.TEST,
            dedupe_key=f"{rule.id}:test:{now.isoformat()}",
            rule_id=rule.id,
            user_id=rule.owner.id,
            about_user_id=rule.owner.id,
            facts=found.dump(),
            now=now,
        )
    return made or ""
