"""Budgets' warnings: by which rules, once each, in words that say when it will be used up."""

import json
from datetime import timedelta
from decimal import Decimal

from byok.accounts import alert_rules, budgets, users
from byok.budgets.counting import Counting
from byok.notify import alerts, budget_warnings, delivery, findings, outbox
from tests.notify.conftest import NOW
from tests.notify.receivers import parts


def spend(book, user, usd: float, **fields):
    """gpt-4o: 2.50 USD per million prompt tokens."""
    tokens = int(usd / 2.5 * 1_000_000)
    book.record(user, model="gpt-4o", prompt_tokens=tokens, completion_tokens=0, total_tokens=tokens, **fields)


def check(book, **words):
    """What a check puts into the outbox: (whose rule, about whom, level), after the keeper has counted."""
    Counting(book.services.db, lambda: book.services.engine).count(now=book.now)
    before = {one.id for owner in (book.ada, book.bob, book.root) for one in outbox.of_user(book.services.db, owner.id)}
    put = alerts.check(book.services, lambda _: [], now=book.now, **words)
    new = [one for owner in (book.ada, book.bob, book.root) for one in outbox.of_user(book.services.db, owner.id) if one.id not in before]
    assert len(new) == put
    return sorted((one.user_id, one.about_user_id, findings.load(one.facts).level) for one in new)


def budget(book, user, usd, **words):
    return budgets.put(book.services.db, user.id, usd=Decimal(usd), now=NOW, **words)


def test_four_fifths_then_all_of_it_once_each(book, receiver):
    book.rule(book.ada, kind="budget")
    budget(book, book.ada, "10", hard=True)
    spend(book, book.ada, 7.9)
    assert check(book) == []
    spend(book, book.ada, 0.5)
    assert check(book) == [(book.ada.id, book.ada.id, "warn")]
    spend(book, book.ada, 2)
    assert check(book) == [(book.ada.id, book.ada.id, "alert")]
    for _ in range(3):
        book.later(days=1)
        outbox.prune(book.services.db, now=book.now + timedelta(days=31))
        assert check(book) == []
    budget(book, book.ada, "10.50", hard=True)
    assert check(book) == [(book.ada.id, book.ada.id, "warn")], "another amount is another occasion"


def test_the_message_names_budget_amounts_and_share(book, receiver):
    book.rule(book.ada, kind="budget")
    budget(book, book.ada, "10", hard=True, vendor="openai")
    spend(book, book.ada, 12.5)
    check(book)
    (waiting,) = outbox.of_user(book.services.db, book.ada.id)
    assert delivery.send(book.services, waiting, now=book.now).sent
    text = json.loads(receiver.posts[0].body)
    assert text["text"] == (
        "Alert for ada@example.org: $12.50 of $10.00 in November 2026 (UTC). Budget for openai, 125 % used up. "
        "Calls that it covers are refused until Tuesday 2026-12-01."
    )
    assert "from=2026-11-01&to=2026-11-30" in text["blocks"][1]["elements"][0]["text"].replace("&amp;", "&")


def test_the_day_until_which_calls_are_refused_is_one_of_the_users_zone(book, receiver):
    users.change(book.services.db, book.ada.id, tz="Asia/Shanghai")  # where December begins on 30 November, 16:00 UTC
    book.rule(book.ada, kind="budget")
    budget(book, book.ada, "10", hard=True)
    spend(book, book.ada, 12.5)
    check(book)
    (waiting,) = outbox.of_user(book.services.db, book.ada.id)
    assert "Calls that it covers are refused until Tuesday 2026-12-01." in findings.load(waiting.facts).why


def test_a_message_does_not_say_that_a_budget_lasts_where_nobody_knows(book, receiver):
    book.rule(book.ada, kind="budget")
    budget(book, book.ada, "10")
    spend(book, book.ada, 8.75)  # today, and never before
    check(book)
    (waiting,) = outbox.of_user(book.services.db, book.ada.id)
    assert findings.load(waiting.facts).why == "Budget for all calls, 87 % used up."


def test_the_per_cents_of_a_message_are_those_of_the_budget(book):
    facts = ("budget", book.ada.id, "", "", "cost", NOW, timedelta(days=30), 29.0, 100.0, 29 / 100, 1.0, "warn", "")
    assert findings.words(findings.Finding(*facts), "alert", "a@b.example", "UTC", "http://x").title == "Budget: 29 % used up"


def test_a_budget_that_is_removed_meanwhile_warns_nobody(book, receiver, monkeypatch):
    book.rule(book.ada, kind="budget")
    made, db, found = budget(book, book.ada, "10"), book.services.db, budget_warnings.due
    spend(book, book.ada, 9)

    def and_then_removed(*words, **more):
        for warning in found(*words, **more):
            budgets.remove(db, made.id)
            yield warning

    monkeypatch.setattr(budget_warnings, "due", and_then_removed)
    assert check(book) == []


def test_without_a_rule_for_budgets_each_address_is_told_once(book, receiver):
    book.rule(book.ada), book.rule(book.ada, kind="silence", silent_hours=2), book.rule(book.ada, "mail")
    book.rule(book.root)
    budget(book, book.ada, "1")
    spend(book, book.ada, 2)
    assert check(book) == [(book.ada.id, book.ada.id, "alert")] * 2
    assert check(book) == []


def test_a_mail_by_another_rule_says_so_and_what_its_link_deletes(book, mail):
    book.rule(book.ada, "mail"), book.rule(book.bob, "mail", kind="budget")
    for user in (book.ada, book.bob):
        budget(book, user, "10")
        spend(book, user, 9)
    check(book)
    for one in outbox.due(book.services.db, now=book.now, most=9):
        delivery.send(book.services, one, now=book.now)
    said = {letter["to"]: "\n".join(parts(letter)) for letter in mail.letters}
    assert said["ada@example.org"].count("the way of another") == 2 and "Delete that rule" in said["ada@example.org"]
    assert "another" not in said["bob@example.org"] and said["bob@example.org"].count("by an alert rule of yours") == 2


def test_a_rule_for_budgets_stands_for_all_others_also_while_it_rests(book):
    book.rule(book.ada)
    rule = book.rule(book.ada, "mail", kind="budget", vendor="anthropic")
    budget(book, book.ada, "1")
    spend(book, book.ada, 2)
    assert check(book) == []
    budget(book, book.ada, "0.01", vendor="anthropic")
    alert_rules.pause(book.services.db, book.ada.id, rule.id, True, now=book.now)
    book.record(book.ada, vendor="anthropic", model="claude-haiku-4", prompt_tokens=1_000_000, total_tokens=1_000_000)
    assert check(book) == []
    alert_rules.pause(book.services.db, book.ada.id, rule.id, False, now=book.now)
    assert check(book) == [(book.ada.id, book.ada.id, "alert")]


def test_an_admin_is_told_of_everybodys_and_nobody_else_is(book):
    book.rule(book.root, kind="budget", all_users=True), book.rule(book.bob, kind="budget")
    budget(book, book.ada, "1"), budget(book, book.root, "1")
    spend(book, book.ada, 2), spend(book, book.root, 2)
    assert check(book) == sorted([(book.root.id, book.ada.id, "alert"), (book.root.id, book.root.id, "alert")])


def test_where_the_month_leads_is_told_before_four_fifths(book):
    book.rule(book.ada, kind="budget")
    book.clock[0] = NOW.replace(day=12)
    million = {"model": "gpt-4o", "prompt_tokens": 400_000, "completion_tokens": 0, "total_tokens": 400_000}
    book.record(book.ada, *(timedelta(days=days, minutes=5) for days in range(40)), **million)
    budget(book, book.ada, "40")
    assert check(book) == [], "a dollar a day leads to 30"
    budget(book, book.ada, "25")
    assert check(book, thorough=False) == []
    assert check(book) == [(book.ada.id, book.ada.id, "warn")]
    assert check(book) == []
    (told,) = outbox.of_user(book.services.db, book.ada.id)
    assert findings.load(told.facts).why == "Budget for all calls, 48 % used up. At this pace it is used up on Wednesday 2026-11-25."
