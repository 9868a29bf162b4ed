"""Delivery to real receivers: a message arrives once, and what they answer decides what follows."""

import json
import re
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from byok.accounts import alert_rules, users
from byok.accounts.alert_rules import Terms
from byok.accounts.database import Database
from byok.accounts.errors import AccountsUnavailable
from byok.accounts.key_vault import Secret
from byok.notify import alerts, delivery, listing, outbox, webhook
from byok.notify.delivery import Deliverer
from tests.notify.conftest import spike
from tests.notify.receivers import parts


@pytest.fixture
def deliverer(book, monkeypatch):
    monkeypatch.setattr(delivery, "SPACING_S", 0.0)
    made = Deliverer(book.services)
    yield made
    made.close()


def find(book, *spikes):
    alerts.check(book.services, lambda _: spikes, now=book.now)


def deliver(book, deliverer):
    """Rounds until nothing is due or on its way."""
    end = time.monotonic() + 60
    while (deliverer.round() or deliverer._busy or outbox.due(book.services.db, now=book.now, most=1)) and time.monotonic() < end:
        time.sleep(0.01)


def deliver_all(deliverer):
    """What was begun."""
    end = time.monotonic() + 60
    while deliverer._busy and time.monotonic() < end:
        time.sleep(0.01)


def last(book):
    return outbox.of_user(book.services.db, book.ada.id)[0]


def test_slack_is_told_once(book, deliverer, receiver):
    book.rule(book.ada)
    find(book, spike(book.ada))
    for _ in range(3):
        deliver(book, deliverer)
        book.later(minutes=10)
    (post,) = receiver.posts
    assert post.headers["content-type"] == "application/json"
    assert json.loads(post.body)["text"].startswith("Alert for ada@example.org: openai/gpt-4o-mini: 120,000 tokens in 2026-11-25 14:00 UTC")
    assert (last(book).status, last(book).result, last(book).tries) == ("sent", "200", 1)


def test_what_fails_is_tried_again_and_arrives_once(book, deliverer, receiver):
    receiver.script = lambda post, number: [(500, {}), (429, {"retry-after": "30"}), (200, {})][min(number, 2)]
    book.rule(book.ada)
    find(book, spike(book.ada))
    for seconds, posts in ((0, 1), (1, 1), (1, 2), (29, 2), (1, 3), (9999, 3)):
        book.later(seconds=seconds)
        deliverer._free_at.clear()  # it waits by the real clock, too
        deliver(book, deliverer)
        assert len(receiver.posts) == posts
    assert last(book).status == "sent"


def test_another_try_waits_for_the_end_of_quiet_hours(book, deliverer, receiver):
    receiver.script = lambda post, number: ((200 if number else 503), {})
    book.rule(book.ada, quiet_from="14:31", quiet_until="09:00")
    find(book, spike(book.ada))
    deliver(book, deliverer)
    for hours in (1, 10):
        book.later(hours=hours)
        deliverer._free_at.clear()
        deliver(book, deliverer)
        assert len(receiver.posts) == 1
    assert last(book).next_try_at.isoformat() == "2026-11-26T09:00:00+00:00"
    book.clock[0] = last(book).next_try_at
    deliverer._free_at.clear()
    deliver(book, deliverer)
    assert (len(receiver.posts), last(book).status, last(book).tries) == (2, "sent", 2)


def test_quiet_hours_are_those_of_the_zone_that_the_owner_lives_in_by_now(book, deliverer, receiver):
    book.rule(book.ada, quiet_from="14:00", quiet_until="15:00")
    find(book, spike(book.ada))
    book.later(minutes=30)
    users.change(book.services.db, book.ada.id, tz="Atlantic/Azores")
    deliver(book, deliverer)
    assert receiver.posts == []
    book.later(hours=1)
    deliverer._free_at.clear()
    deliver(book, deliverer)
    assert len(receiver.posts) == 1


def test_many_rules_to_a_receiver_that_asks_to_wait_hold_up_no_other(book, deliverer, receiver):
    receiver.script = lambda post, number: (429, {"retry-after": "3600"}) if "full" in post.path else (200, {})
    for owner in (book.ada, book.bob):
        for _ in range(35):
            book.rule(owner, text=f"{receiver.origin}/full")
    find(book, spike(book.ada), spike(book.bob))
    deliverer.round()
    deliver_all(deliverer)
    book.rule(book.ada)
    book.later(minutes=1)
    find(book, spike(book.ada), spike(book.bob))
    deliverer.round()
    deliver_all(deliverer)
    assert [post.path for post in receiver.posts] == ["/full", "/services/T000/B000/secretpath1234"]


def test_a_refusal_ends_it_and_shows(book, deliverer, receiver):
    receiver.script = lambda post, number: (404, {})
    rule = book.rule(book.ada)
    find(book, spike(book.ada))
    for _ in range(3):
        deliver(book, deliverer)
        book.later(hours=1)
    assert len(receiver.posts) == 1
    assert (last(book).status, last(book).result) == ("refused", "404")
    assert outbox.last_of_rules(book.services.db, [rule.id])[rule.id].result == "404"


def test_one_receiver_that_hangs_holds_up_no_other(book, deliverer, receiver):
    hanging = threading.Event()
    receiver.script = lambda post, number: ((hanging.wait(60) and 200) or 200, {}) if "slow" in post.path else (200, {})
    book.rule(book.ada, text=f"{receiver.origin}/slow")
    book.rule(book.ada)
    find(book, spike(book.ada))
    end = time.monotonic() + 60
    while not any("secretpath" in post.path for post in receiver.posts) and time.monotonic() < end:
        deliverer.round()
        time.sleep(0.01)
    hanging.set()
    deliver(book, deliverer)
    assert sorted(post.path for post in receiver.posts) == ["/services/T000/B000/secretpath1234", "/slow"]


def test_to_one_webhook_one_message_a_second(book, receiver):
    patient = Deliverer(book.services)
    book.rule(book.ada), book.rule(book.ada)
    find(book, spike(book.ada))
    deliver(book, patient)
    patient.close()
    first, second = (post.at for post in receiver.posts)
    assert second - first >= 0.99


def test_a_webhook_is_signed(book, deliverer, receiver):
    where = book.url

    target = listing.target(book.services.settings, "webhook", where)
    _, key = alert_rules.add(book.services.db, book.services.master, book.ada.id, alert_rules.Terms(), target, now=book.now)
    find(book, spike(book.ada))
    deliver(book, deliverer)
    (post,) = receiver.posts
    stamp = post.headers["x-byok-timestamp"]
    assert post.headers["x-byok-signature"] == f"v1={webhook.signature(key, stamp, post.body)}"
    assert post.headers["x-byok-signature"] != f"v1={webhook.signature(Secret('whs_other'), stamp, post.body)}"
    assert abs(int(stamp) - book.now.timestamp()) < 2
    sent = json.loads(post.body)
    assert (sent["type"], sent["user"], sent["finding"]["actual"]) == ("alert", "ada@example.org", 120_000)
    assert sent["id"] == post.headers["x-byok-delivery"] == last(book).id


def test_the_check_that_the_guide_shows_holds(book, deliverer, receiver):
    shown = re.search(r"```python\n(.*?def is_ours.*?)```", Path("docs/guide.md").read_text(encoding="utf-8"), re.S)
    guide: dict = {}
    exec(shown[1], guide)
    guide["time"] = SimpleNamespace(time=lambda: book.now.timestamp())
    target = listing.target(book.services.settings, "webhook", book.url)
    _, key = alert_rules.add(book.services.db, book.services.master, book.ada.id, Terms(), target, now=book.now)
    find(book, spike(book.ada))
    deliver(book, deliverer)
    (post,), secret = receiver.posts, key.reveal()
    assert guide["is_ours"](secret, post.headers, post.body)
    assert not guide["is_ours"]("whs_other", post.headers, post.body)
    assert not guide["is_ours"](secret, post.headers, post.body + b" ")
    for name, value in (("x-byok-timestamp", "0"), ("x-byok-timestamp", "²"), ("x-byok-signature", "v1=ä"), ("x-byok-signature", "")):
        assert not guide["is_ours"](secret, {**post.headers, name: value}, post.body)
    book.later(minutes=6)
    assert not guide["is_ours"](secret, post.headers, post.body)


def test_mail_has_both_parts_and_a_way_out(book, deliverer, mail):
    rule = book.rule(book.ada, "mail")
    find(book, spike(book.ada, why="mostly <b>key</b> & more"))
    deliver(book, deliverer)
    (letter,) = mail.letters
    plain, html = parts(letter)
    assert letter["to"] == "ada@example.org" and "12.0x the usual" in letter["subject"]
    assert "mostly <b>key</b> & more" in plain and "mostly &lt;b&gt;key&lt;/b&gt; &amp; more" in html
    assert f"{book.ada.id}.{rule.id}." in letter["list-unsubscribe"]


def test_nothing_is_sent_for_who_is_disabled_or_no_admin_any_more(book, deliverer, receiver):
    book.rule(book.ada), book.rule(book.root, all_users=True)
    find(book, spike(book.ada))
    users.change(book.services.db, book.ada.id, disabled=True)
    users.change(book.services.db, book.root.id, admin=False)
    deliver(book, deliverer)
    assert receiver.posts == [] and last(book).status == "refused"


def test_a_note_that_the_database_refuses_is_kept_and_nothing_repeated(book, deliverer, receiver, monkeypatch):
    book.rule(book.ada)
    find(book, spike(book.ada))
    writing, tries = Database.writing, []

    def full(self):
        if receiver.posts and len(tries) < 3:
            tries.append(1)
            raise AccountsUnavailable("database or disk is full")
        return writing(self)

    monkeypatch.setattr(Database, "writing", full)
    for _ in range(6):
        deliver(book, deliverer)
        book.later(minutes=10)
    assert len(tries) == 3 and len(receiver.posts) == 1 and last(book).status == "sent"


def test_a_sample_arrives_at_once_and_is_the_last_message_of_its_rule(book, receiver):
    rule = book.rule(book.ada)
    assert delivery.test(book.services, rule, now=book.now).sent
    assert json.loads(receiver.posts[0].body)["text"].startswith("Test for ada@example.org")
    assert (last(book).kind, last(book).status) == ("test", "sent")
    assert not delivery.may_test(book.services.db, rule, now=book.now)
    receiver.script = lambda post, number: (503, {})
    book.later(seconds=6)
    assert delivery.may_test(book.services.db, rule, now=book.now)
    assert delivery.test(book.services, rule, now=book.now).said == "503"
    book.later(hours=1)
    assert outbox.due(book.services.db, now=book.now, most=9) == [], "whoever asked tries again"


def test_a_host_that_is_no_longer_listed_gets_nothing(book, receiver):
    rule = book.rule(book.ada)
    book.services.settings = book.services.settings.model_copy(update={"slack_hosts": "hooks.slack.com"})
    assert delivery.test(book.services, rule, now=book.now).said == "host_not_allowed"
    assert receiver.posts == []
