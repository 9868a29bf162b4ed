"""Who is to be warned: at four fifths and at all of a budget, once each, with the day on which it will be reached."""

from datetime import date, timedelta
from decimal import Decimal

from byok.accounts import budgets
from byok.budgets import facts
from byok.budgets.warnings import due
from tests.store.conftest import ADA, NOW


def fill(office, record, days=60):
    """A call of 0.15 USD at noon of each of the last days: 3.15 USD of November before the 22nd."""
    rows = [record(NOW - timedelta(days=n), prompt_tokens=1_000_000, completion_tokens=0) for n in range(1, days + 1)]
    office.world.reader.publish(rows)


def warnings(office, **words):
    office.count()
    return list(due(office.world.engine, office.db, now=office.world.now, **words))


def put(office, usd, **words):
    return budgets.put(office.db, ADA, usd=Decimal(usd), now=NOW, **words)


def test_below_four_fifths_nobody_is_warned(office, record):
    fill(office, record)
    put(office, "3.94")
    assert warnings(office) == []


def test_from_four_fifths_on_the_day_is_told_on_which_it_will_be_reached(office, record):
    fill(office, record)
    made = put(office, "3.60")
    (warning,) = warnings(office)
    assert (warning.budget.id, warning.subject, warning.level, warning.percent, warning.month) == (made.id, "all calls", 80, 87, "2026-11")
    assert warning.reached_on == date(2026, 11, 25)
    put(office, "3.90", vendor="openai")
    assert [(one.subject, one.reached_on) for one in warnings(office)][1] == ("openai", date(2026, 11, 27))


def test_a_pace_that_does_not_reach_it_has_no_day(office, record):
    fill(office, record)
    put(office, "3.93")
    office.at("2026-11-30T23:00:00+00:00")
    assert [one.reached_on for one in warnings(office)] == [None]


def test_all_of_it_is_a_warning_of_its_own(office, record):
    fill(office, record)
    put(office, "3.15", hard=True)
    (warning,) = warnings(office)
    assert (warning.level, warning.percent, warning.reached_on) == (100, 100, None)


def test_a_warning_is_the_same_occasion_until_level_amount_or_month_change(office, record):
    fill(office, record)
    put(office, "3.60")
    (first,) = warnings(office)
    assert warnings(office, sent={first.key}) == []
    put(office, "3.50")
    (second,) = warnings(office, sent={first.key})
    put(office, "3.10")
    (third,) = warnings(office, sent={first.key, second.key})
    assert third.level == 100
    assert len({first.key, second.key, third.key}) == 3
    assert ADA not in first.key


def test_exactly_four_fifths_are_four_fifths_whatever_a_float_makes_of_it(office, record):
    """2.40 / 3.00 is 0.7999999999999999 to a float, 0.29 x 100 is 28.999999999999996."""
    office.world.reader.publish([record(NOW - timedelta(days=1), prompt_tokens=16_000_000, completion_tokens=0)])
    put(office, "3")
    assert [(one.level, one.percent) for one in warnings(office)] == [(80, 80)]
    (found,) = budgets.of_user(office.db, ADA)
    assert (found.percent(office.world.now), found.used_up(office.world.now)) == (80, False)


def test_nearly_used_up_is_not_used_up(office, record):
    office.world.reader.publish([record(NOW - timedelta(days=1), prompt_tokens=2 * 10**14, completion_tokens=0)])
    put(office, "30000000.000000001")
    (warning,) = warnings(office)
    assert (warning.level, warning.percent) == (80, 99), "the gateway refuses nothing yet"
    (found,) = budgets.of_user(office.db, ADA)
    assert not facts.of(found, now=office.world.now)["used_up"]


def test_what_is_not_known_is_not_said_to_last(office, record):
    fill(office, record, days=9)
    put(office, "1.60")
    (warning,) = warnings(office)
    assert (warning.level, warning.reached_on, warning.lasts) == (80, None, False)


def test_what_was_spent_on_deleted_records_is_spent_for_the_day_of_reaching_it_too(office, record):
    """3.15 USD so far, of which the records of 0.30 are left: 0.45 more are days away."""
    rows = [record(NOW - timedelta(days=n), prompt_tokens=1_000_000, completion_tokens=0) for n in range(1, 61)]
    path = office.world.reader.publish(rows)
    put(office, "3.60")
    assert [one.reached_on for one in warnings(office)] == [date(2026, 11, 25)]
    budgets.carry(office.db, ADA)
    office.world.reader.drop(path)
    office.world.reader.publish([row for row in rows if not 3 <= (NOW - row["ts"]).days <= 21])
    (warning,) = warnings(office)
    assert warning.reached_on == date(2026, 11, 30), "half of the pace that is seen, and only 0.45 to go"
