"""Who is told what: by whose rule, of which hours, once."""

from datetime import timedelta

import duckdb
import pytest
from structlog.testing import capture_logs

from byok.accounts import alert_rules, users
from byok.accounts.alert_rules import Terms
from byok.errors import BadRequest
from byok.notify import alerts, delivery, findings, outbox, quiet, source
from tests.notify.conftest import HOUR, NOW, spike


def check(book, *spikes):
    """What a check puts into the outbox: (kind, hour, whose, level)."""
    before = {one.id for owner in (book.ada, book.bob, book.root) for one in outbox.of_user(book.services.db, owner.id)}
    put = alerts.check(book.services, lambda scope: [one for one in spikes if scope.since <= one.hour < scope.until], now=book.now)
    after = [one for owner in (book.ada, book.bob, book.root) for one in outbox.of_user(book.services.db, owner.id)]
    new = [one for one in after if one.id not in before]
    assert len(new) == put
    told = [(one.kind, findings.load(one.facts).hour, one.about_user_id, findings.load(one.facts).level) for one in new]
    return sorted(told, key=str)


def test_a_spike_is_told_once_however_often_one_looks(book):
    book.rule(book.ada)
    one = spike(book.ada)
    assert check(book, one) == [("alert", one.hour, book.ada.id, "alert")]
    for _ in range(5):
        book.later(minutes=1)
        assert check(book, one) == []


def test_each_rule_tells_of_it(book):
    book.rule(book.ada), book.rule(book.ada), book.rule(book.root, all_users=True)
    assert len(check(book, spike(book.ada))) == 3


@pytest.mark.parametrize(("hours_ago", "told"), [(0, 1), (1, 1), (23, 1), (24, 1), (25, 0), (40, 0)])
def test_hours_that_ended_less_than_a_day_ago(book, hours_ago, told):
    """At 14:30 an hour from 14:00 ended half an hour short of 24 h ago."""
    book.rule(book.ada)
    assert len(check(book, spike(book.ada, hours_ago))) == told


def test_nobody_is_told_of_somebody_else_but_admins_who_want_it(book):
    book.rule(book.ada)
    assert check(book, spike(book.bob)) == []
    book.rule(book.root, all_users=True)
    assert [whose for _, _, whose, _ in check(book, spike(book.bob))] == [book.bob.id]


def test_a_rule_for_all_is_for_admins_and_sleeps_when_its_owner_is_none(book):
    with pytest.raises(BadRequest):
        book.rule(book.ada, all_users=True)
    book.rule(book.root, all_users=True)
    users.change(book.services.db, book.root.id, admin=False)
    assert check(book, spike(book.ada)) == []
    users.change(book.services.db, book.root.id, admin=True, disabled=True)
    assert check(book, spike(book.ada)) == []


def test_a_rule_that_cannot_be_looked_at_keeps_no_other_from_being_told(book, monkeypatch):
    terms = {"metric": "calls", "window": "hour", "alert_at": 1.0}
    for vendor in ("gemini", "openai"):
        book.rule(book.ada, kind="above", vendor=vendor, **terms)
    book.rule(book.ada, kind="silence", silent_hours=1)
    for hours in range(30):
        book.record(book.ada, timedelta(hours=hours, minutes=5))
    asked = alerts.questions.usage

    def usage(engine, scope, **words):
        if scope.vendors == ("gemini",):
            raise duckdb.OutOfMemoryException
        return asked(engine, scope, **words)

    monkeypatch.setattr(alerts.questions, "usage", usage)
    with capture_logs() as logs:
        assert [kind for kind, *_ in check(book)] == ["alert"]
    assert [(line["user_id"], line["kind"]) for line in logs if line["event"] == "rule_failed"] == [(book.ada.id, "above")]


@pytest.mark.parametrize(
    ("terms", "told"),
    [
        ({"metric": "tokens"}, 1),
        ({"metric": "calls"}, 0),
        ({"vendor": "openai", "model": "gpt-4o-mini"}, 1),
        ({"model": "gpt-4o"}, 0),
        ({"vendor": "anthropic"}, 0),
        ({"least_score": 0.9}, 1),
        ({"least_score": 0.95}, 0),
        ({"min_tokens": 120_000}, 1),
        ({"min_tokens": 120_001}, 0),
    ],
    ids=str,
)
def test_what_a_rule_is_about(book, terms, told):
    book.rule(book.ada, **terms)
    assert len(check(book, spike(book.ada))) == told


@pytest.mark.parametrize("metric", ["tokens", "calls", "failed", "cost"])
def test_a_rule_for_one_metric_hears_of_its_spikes_where_another_stands_out_more(book, metric):
    counts = {"prompt_tokens": 5000, "completion_tokens": 0, "total_tokens": 5000}
    book.record(book.ada, *(timedelta(hours=hours, minutes=5) for hours in range(1, 21 * 24)), **counts)
    book.record(book.ada, *(timedelta(seconds=seconds) for seconds in range(1, 401)), **counts)
    book.rule(book.ada, metric=metric)
    alerts.check(book.services, source.spikes(book.services), now=book.now, by_metric=source.watches(book.services))
    told = [findings.load(one.facts) for one in outbox.of_user(book.services.db, book.ada.id)]
    assert [one.metric for one in told] == ([] if metric == "failed" else [metric])


@pytest.mark.parametrize(("tokens", "told"), [(999, 0), (1000, 1)])
def test_hours_of_few_tokens_are_never_told_whatever_the_metric(book, tokens, told):
    book.rule(book.ada)
    book.record(book.ada, prompt_tokens=tokens - 10, total_tokens=tokens)
    book.record(book.ada, model="gpt-4o", prompt_tokens=9990, total_tokens=10_000)
    assert len(check(book, spike(book.ada, metric="calls", actual=500.0, usual=4.0))) == told


def test_hours_in_a_row_are_one_episode_that_is_told_to_be_over(book):
    book.rule(book.ada)
    hours = [spike(book.ada)]
    assert len(check(book, *hours)) == 1
    for ahead in (1, 2):
        book.clock[0] = NOW + ahead * HOUR
        hours.append(spike(book.ada, -ahead, score=0.99 if ahead == 2 else 0.9, actual=500_000.0))
        assert check(book, *hours) == []
    book.later(minutes=60)
    assert check(book, *hours) == [], "the next hour may still become unusual"
    book.later(minutes=30)
    assert check(book, *hours) == [("resolved", hours[-1].hour, book.ada.id, "alert")], "with the figures of its strongest hour"
    book.later(minutes=5)
    again = spike(book.ada, -4)
    assert check(book, *hours, again) == [("alert", again.hour, book.ada.id, "alert")], "after a quiet hour it is told anew"


@pytest.mark.parametrize("coarse", [{"vendor": "openai", "model": ""}, {"vendor": "", "model": ""}])
def test_a_loop_that_stood_out_over_all_models_first_is_told_once(book, coarse):
    book.rule(book.ada)
    assert len(check(book, spike(book.ada, **coarse))) == 1
    assert check(book, spike(book.ada), spike(book.ada, model="gpt-4o")) == []
    book.later(hours=1)
    assert check(book, spike(book.ada, -1, score=0.95), spike(book.ada)) == []
    book.later(hours=1)
    assert check(book, spike(book.ada, -1), spike(book.ada)) == [], "it goes on, and may do so in the next hour"
    book.later(hours=1)
    assert [kind for kind, *_ in check(book)] == ["resolved"]


def test_what_begins_an_hour_after_a_loop_over_all_models_is_another(book):
    book.rule(book.ada)
    assert len(check(book, spike(book.ada, 2, vendor="", model=""))) == 1
    assert [kind for kind, *_ in check(book, spike(book.ada))].count("alert") == 1


def test_what_was_over_before_it_was_told_is_not_told_twice(book):
    """After a keeper that stood still, or of a rule that is new: the one message speaks of the past."""
    book.rule(book.ada)
    old = [spike(book.ada, hours) for hours in (2, 9, 17)]
    assert len(check(book, *old)) == 3
    for _ in range(30):
        book.later(minutes=20)
        assert check(book, *old) == []


def test_quiet_hours_hold_back_and_lose_nothing(book):
    users.change(book.services.db, book.ada.id, tz="Europe/Berlin")
    book.rule(book.ada, quiet_from="15:00", quiet_until="07:30")  # it is 15:30 in Berlin
    assert len(check(book, spike(book.ada))) == 1
    (held,) = outbox.of_user(book.services.db, book.ada.id)
    assert held.next_try_at.isoformat() == "2026-11-26T06:30:00+00:00"
    book.clock[0] = held.next_try_at
    later = spike(book.ada, -16)
    assert len(check(book, later)) >= 1
    assert outbox.of_user(book.services.db, book.ada.id)[0].next_try_at == book.now


@pytest.mark.parametrize(
    ("clock", "until"),
    [("2026-03-28T22:30:00+00:00", "2026-03-29T01:00:00+00:00"), ("2026-10-25T00:15:00+00:00", "2026-10-25T00:30:00+00:00")],
)
def test_quiet_hours_end_at_the_change_or_at_the_first_of_two(book, clock, until):
    users.change(book.services.db, book.ada.id, tz="Europe/Berlin")
    rule = book.rule(book.ada, quiet_from="22:00", quiet_until="02:30")
    assert quiet.until(rule, type(NOW).fromisoformat(clock)).isoformat() == until


def test_a_threshold_warns_then_alerts_once_an_hour_in_a_row(book):
    book.rule(book.ada, kind="above", metric="tokens", window="hour", warn_at=1000.0, alert_at=5000.0)
    book.record(book.ada, total_tokens=900)
    assert check(book) == []
    book.record(book.ada, total_tokens=200, vendor="anthropic", model="claude-haiku-4")
    book.record(book.bob, total_tokens=90_000)
    hour = NOW.replace(minute=0)
    assert check(book) == [("alert", hour, book.ada.id, "warn")]
    book.record(book.ada, total_tokens=8000)
    assert check(book) == [("alert", hour, book.ada.id, "alert")]
    book.later(minutes=40)
    book.record(book.ada, total_tokens=10_000)
    assert check(book) == [], "the next hour in a row"
    book.later(hours=3)
    assert check(book) == [("resolved", hour + HOUR, book.ada.id, "alert")]


def test_a_threshold_per_day_is_told_each_day_of_the_owners_zone(book):
    users.change(book.services.db, book.ada.id, tz="Asia/Kolkata")
    book.rule(book.ada, kind="above", metric="calls", window="day", alert_at=2.0)
    book.record(book.ada), book.record(book.ada)
    ((_, day, _, _),) = check(book)
    assert day.isoformat() == "2026-11-24T18:30:00+00:00"
    book.clock[0] += timedelta(days=1)
    book.record(book.ada), book.record(book.ada)
    ((kind, following, _, _),) = check(book)
    assert (kind, following - day) == ("alert", timedelta(days=1))


def test_what_was_reached_right_before_the_window_ended_is_told(book):
    book.rule(book.ada, kind="above", metric="calls", window="hour", alert_at=1.0)
    book.record(book.ada, timedelta(minutes=1))
    book.clock[0] = NOW.replace(minute=0) + HOUR + timedelta(seconds=5)
    assert len(check(book)) == 1


def test_a_threshold_for_all_is_told_of_each(book):
    book.rule(book.root, kind="above", metric="calls", window="hour", alert_at=2.0, all_users=True)
    for person in (book.ada, book.ada, book.bob, book.bob, book.root):
        book.record(person)
    assert [whose for _, _, whose, _ in check(book)] == sorted([book.ada.id, book.bob.id])


def test_silence_is_told_once_and_so_is_its_end(book):
    book.rule(book.ada, kind="silence", silent_hours=2)
    assert check(book) == [], "nothing is known of somebody who never called"
    book.record(book.ada, timedelta(minutes=30))
    assert check(book) == []
    book.later(hours=2)
    assert [kind for kind, *_ in check(book)] == ["alert"]
    book.later(hours=20)
    assert check(book) == []
    book.record(book.ada)
    assert [kind for kind, *_ in check(book)] == ["resolved"]


@pytest.mark.parametrize(
    "terms",
    [
        Terms(kind="above"),
        Terms(kind="above", metric="tokens", window="hour", warn_at=5.0, alert_at=2.0),
        Terms(kind="silence", silent_hours=0),
        Terms(quiet_from="25:00", quiet_until="07:00"),
        Terms(quiet_from="07:00"),
        Terms(model="<!channel>"),
        Terms(least_score=2),
        Terms(min_tokens=-1),
        Terms(kind="budget", model="gpt-4o"),
        Terms(kind="first_use", metric="cost"),
    ],
    ids=str,
)
def test_terms_that_make_no_sense_are_refused(book, terms):
    with pytest.raises(BadRequest):
        book.rule(book.ada, **{name: getattr(terms, name) for name in terms.__dataclass_fields__})


def test_a_night_is_no_silence_but_a_day_is(book):
    """Ada calls in every hour from 8 to 18, bob around the clock; both stop."""
    book.rule(book.root, kind="silence", silent_hours=2, all_users=True)
    book.clock[0] = NOW.replace(hour=21)
    for hours in range(24 * 30):
        if 8 <= (book.now - HOUR * hours).hour < 18:
            book.record(book.ada, HOUR * hours + timedelta(minutes=1))
        if hours >= 3:
            book.record(book.bob, HOUR * hours + timedelta(minutes=1))
    assert [whose for _, _, whose, _ in check(book)] == [book.bob.id]
    book.later(hours=14)
    assert [whose for _, _, whose, _ in check(book)] == [book.ada.id]


def test_a_first_use_is_told_once_by_rules_for_it(book):
    book.rule(book.ada, kind="first_use"), book.rule(book.ada, kind="first_use", model="gpt-4o"), book.rule(book.ada)
    book.rule(book.bob, kind="first_use")
    book.record(book.ada, timedelta(days=20), timedelta(days=1))
    book.record(book.ada, timedelta(hours=2), model="gpt-4.1")  # before there was a rule
    assert check(book) == []
    book.later(minutes=30)
    book.record(book.ada, model="gpt-4o", key_id="key_new1")
    hour = book.now - timedelta(minutes=5)
    assert check(book) == [("alert", hour, book.ada.id, "alert")] * 3, "the model by both rules, the key by one"
    found = {findings.load(one.facts).why for one in outbox.of_user(book.services.db, book.ada.id)}
    assert found == {"First use of model gpt-4o in eight weeks.", "First use of key key_new1 in eight weeks."}
    book.later(minutes=5)
    assert check(book) == []


def test_a_paused_rule_tells_nothing_and_nothing_of_that_time_later(book):
    rule = book.rule(book.ada)
    assert len(check(book, spike(book.ada))) == 1
    assert not alert_rules.pause(book.services.db, book.bob.id, rule.id, True, now=book.now)
    assert alert_rules.pause(book.services.db, book.ada.id, rule.id, True, now=book.now)
    (waiting,) = outbox.of_user(book.services.db, book.ada.id)
    assert delivery.send(book.services, waiting, now=book.now).said == "rule_paused"
    book.later(hours=3)
    during, after = spike(book.ada, -2), spike(book.ada, -3)
    assert check(book, during) == []
    alert_rules.pause(book.services.db, book.ada.id, rule.id, False, now=book.now)
    assert check(book, spike(book.ada), during, after) == [("alert", after.hour, book.ada.id, "alert")]
