"""Reports on schedule: at a local time, once per period, across restarts and clock changes."""

from datetime import UTC, datetime, timedelta

import pytest

from byok.accounts import users
from byok.errors import BadRequest
from byok.notify import outbox, schedules
from tests.notify.conftest import NOW


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("period", "clock", "tz", "now", "due"),
    [
        ("day", "08:00", "UTC", "2026-11-25 07:59:59", "2026-11-25 08:00"),
        ("day", "08:00", "UTC", "2026-11-25 08:00", "2026-11-26 08:00"),
        ("week", "08:00", "UTC", "2026-11-25 12:00", "2026-11-30 08:00"),
        ("week", "08:00", "UTC", "2026-11-30 07:00", "2026-11-30 08:00"),
        ("month", "08:00", "UTC", "2026-11-25 12:00", "2026-12-01 08:00"),
        ("month", "00:00", "Asia/Kolkata", "2026-12-31 18:29", "2026-12-31 18:30"),
        ("day", "00:00", "America/New_York", "2026-11-25 04:59", "2026-11-25 05:00"),
        # The night without 02:00 to 03:00, the night with two, and the days after them.
        ("day", "02:30", "Europe/Berlin", "2026-03-28 12:00", "2026-03-29 01:00"),
        ("day", "02:30", "Europe/Berlin", "2026-03-29 01:00", "2026-03-30 00:30"),
        ("day", "02:30", "Europe/Berlin", "2026-10-24 12:00", "2026-10-25 00:30"),
        ("day", "02:30", "Europe/Berlin", "2026-10-25 00:30", "2026-10-26 01:30"),
        ("day", "08:00", "Europe/Berlin", "2026-03-28 12:00", "2026-03-29 06:00"),
        ("day", "00:00", "America/Santiago", "2026-09-05 12:00", "2026-09-06 04:00"),  # midnight itself is skipped
        ("day", "00:30", "Pacific/Apia", "2011-12-29 12:00", "2011-12-30 10:30"),  # a whole day is skipped
    ],
)
def test_when_it_is_due(period, clock, tz, now, due):
    assert schedules.next_due(period, clock, tz, at(now)) == at(due)


@pytest.mark.parametrize(
    ("kind", "tz", "now", "words"),
    [
        ("day", "UTC", "2026-11-25 00:00", "day 2026-11-24, Tuesday"),
        ("day", "Asia/Tokyo", "2026-11-25 15:00", "day 2026-11-25, Wednesday"),
        ("week", "UTC", "2026-11-25 12:00", "week 2026-W47, 2026-11-16 to 2026-11-22"),
        ("week", "UTC", "2027-01-04 12:00", "week 2026-W53, 2026-12-28 to 2027-01-03"),
        ("month", "UTC", "2026-03-01 00:00", "month 2026-02, February 2026"),
        ("month", "America/New_York", "2026-03-01 04:59", "month 2026-01, January 2026"),
    ],
)
def test_what_the_last_complete_period_is(kind, tz, now, words):
    assert schedules.last_complete(kind, tz, at(now)).words == words


def test_a_day_of_a_clock_change_has_its_23_or_25_hours_and_the_week_all_of_them():
    spring = schedules.last_complete("day", "Europe/Berlin", at("2026-03-30 12:00"))
    autumn = schedules.last_complete("day", "Europe/Berlin", at("2026-10-26 12:00"))
    assert [(day.until - day.since) / timedelta(hours=1) for day in (spring, autumn)] == [23, 25]
    week = schedules.last_complete("week", "Europe/Berlin", at("2026-10-27 12:00"))
    assert (week.until - week.since) / timedelta(hours=1) == 169
    assert week.since == week.before.until


def due(book) -> list[str]:
    schedules.enqueue_due(book.services.db, now=book.now)
    return [schedules.period_of(one.facts)[0].name for one in reversed(outbox.of_user(book.services.db, book.ada.id))]


def test_each_period_once_also_after_restarts(book):
    schedules.put(book.services.db, book.ada.id, "day", at="15:00", tz="UTC", now=book.now)
    assert due(book) == []
    book.later(minutes=30)
    for _ in range(3):
        assert due(book) == ["2026-11-24"]
        book.later(minutes=1)
    book.later(days=1)
    assert due(book) == ["2026-11-24", "2026-11-25"]


def test_missed_runs_are_caught_up_once_with_the_last(book):
    schedules.put(book.services.db, book.ada.id, "day", at="15:00", tz="UTC", now=book.now)
    book.later(days=9, hours=2)
    assert due(book) == ["2026-12-03"]
    assert schedules.of_user(book.services.db, book.ada.id).next_at == at("2026-12-05 15:00")


@pytest.mark.parametrize(("kind", "then"), [("day", "11-25 15:00"), ("week", "11-30 15:00"), ("month", "12-01 15:00")])
def test_a_clock_that_was_a_year_ahead_puts_no_report_off(book, kind, then):
    schedules.put(book.services.db, book.ada.id, kind, at="15:00", tz="UTC", now=book.now)
    schedules.enqueue_due(book.services.db, now=book.now + timedelta(days=365))
    due(book)
    assert schedules.of_user(book.services.db, book.ada.id).next_at == at(f"2026-{then}")


def test_a_new_time_does_not_send_a_period_again_and_off_is_off(book):
    db = book.services.db
    schedules.put(db, book.ada.id, "day", at="15:00", tz="UTC", now=book.now)
    book.later(minutes=31)
    assert len(due(book)) == 1
    schedules.put(db, book.ada.id, "day", at="16:00", tz="UTC", now=book.now)
    book.later(hours=1)
    assert len(due(book)) == 1
    book.later(days=1)
    assert len(due(book)) == 2
    assert schedules.end(db, book.ada.id)
    book.later(days=3)
    assert len(due(book)) == 2


def test_whoever_is_disabled_gets_none(book):
    schedules.put(book.services.db, book.ada.id, "day", at="15:00", tz="UTC", now=book.now)
    users.change(book.services.db, book.ada.id, disabled=True)
    book.later(days=2)
    assert due(book) == []


@pytest.mark.parametrize("wrong", [{"kind": "year"}, {"at": "24:00"}, {"at": "8"}, {"tz": "Mars/Olympus"}], ids=str)
def test_what_makes_no_sense_is_refused(book, wrong):
    with pytest.raises(BadRequest):
        schedules.put(book.services.db, book.ada.id, now=NOW, **{"kind": "day", "at": "08:00", "tz": "UTC"} | wrong)
