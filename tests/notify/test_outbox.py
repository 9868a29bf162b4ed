"""The outbox: once in, once out, tried again when it makes sense, and nothing kept for longer than it may be."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from byok.accounts import alert_rules, users
from byok.accounts.tables import alert_episodes, deliveries
from byok.notify import episodes, findings, outbox
from byok.notify.outcome import later, refused, sent
from tests.notify.conftest import HOUR


@pytest.fixture
def put(book):
    """Puts a delivery about somebody in; the id."""
    rule = book.rule(book.root, all_users=True)

    def made(key: str = "k", about=None, **more):
        facts = findings.sample((about or book.ada).id, book.now).dump()
        with book.services.db.writing() as connection:
            fields = {"kind": "alert", "rule_id": rule.id, "user_id": rule.owner.id, "about_user_id": (about or book.ada).id}
            return outbox.put(connection, **fields | {"dedupe_key": key, "facts": facts, "now": book.now} | more)

    return made


def due(book):
    return [one.id for one in outbox.due(book.services.db, now=book.now, most=9)]


def test_the_same_thing_is_put_in_once(book, put):
    first = put()
    assert put() is None
    assert due(book) == [first]


def test_a_long_queue_of_one_rule_holds_up_no_other(book, put):
    queue = {put(str(number)) for number in range(12)}
    elsewhere = book.rule(book.ada, text=f"{book.url}5678")
    other = put("other", rule_id=elsewhere.id, user_id=book.ada.id)
    one, *rest = sorted(due(book), key=lambda found: found == other)
    assert one in queue and rest == [other]
    assert outbox.take(book.services.db, one, now=book.now)
    two, *rest = sorted(due(book), key=lambda found: found == other)
    assert two in queue - {one} and rest == [other]


def test_a_long_queue_of_many_rules_to_one_receiver_holds_up_no_other(book, put):
    for number in range(12):
        put(str(number), rule_id=book.rule(book.ada).id, user_id=book.ada.id)
    book.later(seconds=1)
    other, report = put("other", rule_id=book.rule(book.ada, "mail").id, user_id=book.ada.id), put("r", kind="report", rule_id=None)
    first, *rest = outbox.due(book.services.db, now=book.now, most=3)
    assert {one.id for one in rest} == {other, report}
    assert {one.id for one in outbox.due(book.services.db, now=book.now, most=2, but={first.target})} == {other, report}


def test_the_end_of_an_episode_waits_for_word_of_its_beginning(book, put):
    db = book.services.db
    begin, end = put("alr:7:alert:warn"), put("alr:7:resolved:", kind="resolved", not_before=book.now + HOUR)
    assert outbox.take(db, begin, now=book.now)
    outbox.settle(db, begin, later("503", 3600 * 1.5), now=book.now)
    book.later(hours=1)
    assert due(book) == []
    book.later(hours=1)
    assert due(book) == [begin]
    assert outbox.take(db, begin, now=book.now)
    outbox.settle(db, begin, refused("404"), now=book.now)
    assert due(book) == [end]


def test_word_of_the_end_waits_no_longer_than_that_of_the_beginning(book, put):
    put("alr:7:alert:alert")
    end = put("alr:7:resolved:", kind="resolved", not_before=book.now + 3 * HOUR)
    book.later(hours=25)
    assert due(book) == [end]


def test_a_try_belongs_to_one(book, put):
    one, db = put(), book.services.db
    assert [outbox.take(db, one, now=book.now) for _ in range(2)] == [True, False]
    assert due(book) == []
    outbox.settle(db, one, sent("200"), now=book.now)
    book.later(days=2)
    assert due(book) == [] and outbox.get(db, one).status == "sent"


def test_the_waits_between_tries(book, put):
    one, db, waits = put(), book.services.db, []
    while due(book):
        assert outbox.take(db, one, now=book.now)
        outbox.settle(db, one, later("503"), now=book.now)
        found = outbox.get(db, one)
        if found.status != "pending":
            break
        waits.append(int((found.next_try_at - book.now).total_seconds()))
        book.clock[0] = found.next_try_at
    assert waits[:8] == [2, 10, 60, 300, 900, 1800, 3600, 3600]
    assert timedelta(hours=23) < book.now - found.created_at <= timedelta(hours=24)
    assert (found.status, found.result, found.tries) == ("expired", "503", len(waits) + 1)


def test_what_the_receiver_asks_for_counts_if_it_is_longer(book, put):
    one, db = put(), book.services.db
    for wait_s, expected in ((1, 2), (45, 45)):
        outbox.take(db, one, now=book.now)
        outbox.settle(db, one, later("429", wait_s), now=book.now)
        assert (outbox.get(db, one).next_try_at - book.now).total_seconds() == expected
        book.later(seconds=expected)


def test_a_no_ends_it(book, put):
    one, db = put(), book.services.db
    outbox.take(db, one, now=book.now)
    outbox.settle(db, one, refused("404"), now=book.now)
    book.later(hours=3)
    assert due(book) == [] and (outbox.get(db, one).status, outbox.get(db, one).result) == ("refused", "404")


def test_what_a_killed_keeper_had_taken_up_is_due_again_at_the_next_start_and_by_itself(book, put):
    one, db = put(), book.services.db
    outbox.take(db, one, now=book.now)
    outbox.recover(db, now=book.now)
    assert due(book) == [one]
    outbox.take(db, one, now=book.now)
    book.later(seconds=119)
    assert due(book) == []
    book.later(seconds=2)
    assert due(book) == [one]


def test_held_back_messages_have_their_24_hours_afterwards(book, put):
    one, db = put(not_before=book.now + 9 * HOUR), book.services.db
    assert due(book) == []
    book.later(hours=9)
    assert due(book) == [one]
    with db.reading() as connection:
        assert connection.execute(sa.select(deliveries.c.expires_at)).scalar() == book.now + 24 * HOUR


def test_an_alert_that_waited_for_a_keeper_longer_than_a_day_is_given_up_and_a_report_is_not(book, put):
    late, report, db = put(), put("r", kind="report", rule_id=None), book.services.db
    book.later(hours=25)
    in_time = put("new")
    assert set(due(book)) == {report, in_time}
    outbox.prune(db, now=book.now)
    assert [outbox.get(db, one).status for one in (late, report, in_time)] == ["expired", "pending", "pending"]


def test_a_clock_that_was_ahead_puts_no_message_off(book, put):
    one, db = put(), book.services.db
    with db.writing() as connection:
        connection.execute(sa.update(deliveries).values(next_try_at=book.now + timedelta(days=365)))
    outbox.prune(db, now=book.now)
    assert due(book) == [one]


def test_rules_and_people_take_their_messages_along(book, put):
    db = book.services.db
    put("1", about=book.ada), put("2", about=book.bob)
    users.remove(db, book.ada.id, now=book.now)
    assert len(due(book)) == 1
    (rule,) = alert_rules.of_user(db, book.root.id)
    assert alert_rules.remove(db, book.root.id, rule.id)
    assert due(book) == []


def count(book, table) -> int:
    with book.services.db.reading() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def told(book, about, hours_ago=0):
    rule = alert_rules.of_user(book.services.db, book.root.id)[0]
    found = findings.sample(about.id, book.now - hours_ago * HOUR)
    episodes.tell(book.services.db, rule, [found], now=book.now)


def test_figures_are_forgotten_with_the_plan_and_after_a_month(book, put):
    db = book.services.db
    users.change(db, book.bob.id, plan="free")
    told(book, book.ada), told(book, book.bob)
    while listed := due(book):
        outbox.take(db, listed[0], now=book.now)
        outbox.settle(db, listed[0], sent("200"), now=book.now)
    for days, left in ((6, 2), (2, 1), (23, 0)):
        book.later(days=days)
        outbox.prune(db, now=book.now)
        assert (count(book, deliveries), count(book, alert_episodes)) == (left, left)


def test_an_erasure_of_records_takes_what_was_told_about_them_along(book, put):
    told(book, book.ada, 3), told(book, book.bob, 3)
    book.later(minutes=1)
    outbox.forget_about(book.services.db, book.ada.id, before=book.now)
    assert [one.about_user_id for one in outbox.due(book.services.db, now=book.now, most=9)] == [book.bob.id]
    assert count(book, alert_episodes) == 1
