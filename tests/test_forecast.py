"""The month-end forecast: what it says, when it says nothing, and that it never looks ahead."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byok import forecast
from byok.forecast import month_end

TODAY, UNTIL = date(2026, 11, 16), date(2026, 12, 1)  # a Monday


def days(count: int, last: date = TODAY - timedelta(days=1)) -> list[date]:
    return [last - timedelta(days=count - 1 - n) for n in range(count)]


def office(day: date) -> float:
    return 10.0 if day.weekday() < 5 else 1.0


def test_a_level_series_goes_on_as_it_was():
    found = month_end(days(60), [3.0] * 60, today=TODAY, until=UNTIL)
    assert found.so_far == pytest.approx(45)
    assert found.middle == pytest.approx(90, rel=0.01)
    assert found.low <= found.middle <= found.high
    assert found.basis == "From the last 60 days: all weekdays alike, level."


def test_the_weekdays_that_remain_count_as_such():
    history = days(70)
    found = month_end(history, [office(day) for day in history], today=TODAY, until=UNTIL)
    rest = sum(office(TODAY + timedelta(days=n)) for n in range(15))
    assert found.middle == pytest.approx(found.so_far + rest, rel=0.03)
    # 10 %, drawn a little to the mean
    assert "a weekend day comes to 12 % of a working day" in found.basis


def test_growth_goes_on_for_a_while():
    history = days(84)
    values = [10 * 1.01**n for n in range(84)]
    found = month_end(history, values, today=TODAY, until=UNTIL)
    level = sum(values[-15:]) / 15 * 15 + found.so_far
    assert found.middle > level
    assert "growing by" in found.basis


def test_one_runaway_day_is_no_habit():
    calm = month_end(days(60), [3.0] * 60, today=TODAY, until=UNTIL)
    wild = month_end(days(60), [3.0] * 55 + [300.0] + [3.0] * 4, today=TODAY, until=UNTIL)
    assert wild.middle - wild.so_far == pytest.approx(calm.middle - calm.so_far, rel=0.5)
    assert wild.high - wild.low > calm.high - calm.low


@pytest.mark.parametrize(
    ("dates", "values", "why"),
    [
        ([], [], "There is nothing before today to go by."),
        (days(13), [1.0] * 13, "Only 13 days of use so far: a forecast needs 14."),
        (days(40), [0.0] * 26 + [1.0] * 2 + [0.0] * 12, "Only 2 days with use so far: a forecast needs 5."),
        (days(90, TODAY - timedelta(days=40)), [1.0] * 90, "Nothing has been used for 39 days."),
    ],
)
def test_too_little_data_is_said_and_nothing_is_guessed(dates, values, why):
    found = month_end([*dates, TODAY], [*values, 2.5], today=TODAY, until=UNTIL)
    assert (found.enough, found.middle, found.low, found.high, found.path) == (False, None, None, None, ())
    assert found.basis == why


def test_today_counts_by_how_much_of_it_has_gone():
    history = days(60)
    morning = month_end([*history, TODAY], [3.0] * 60 + [0.0], today=TODAY, until=UNTIL, elapsed=0.0)
    evening = month_end([*history, TODAY], [3.0] * 60 + [3.0], today=TODAY, until=UNTIL, elapsed=1.0)
    assert evening.so_far == morning.so_far + 3
    assert evening.middle == pytest.approx(morning.middle, rel=0.01)
    assert evening.high - evening.low < morning.high - morning.low


def test_the_path_rises_to_the_end_and_tells_when_a_limit_is_reached():
    found = month_end(days(60), [3.0] * 60, today=TODAY, until=UNTIL)
    assert [step.day for step in found.path] == [TODAY + timedelta(days=n) for n in range(15)]
    assert (found.path[-1].middle, found.path[-1].low, found.path[-1].high) == (found.middle, found.low, found.high)
    assert found.reaches(45, today=TODAY) == TODAY
    assert found.reaches(53, today=TODAY) == TODAY + timedelta(days=2)
    assert found.reaches(500, today=TODAY) is None


WILD = {
    "after a long rest": [1.0] + [0.0] * 90 + [5.0] * 5,
    "ten times as much each week": [10 ** (n / 7) for n in range(70)],
    "hardly anything, then much": [1e-6] * 60 + [10.0] * 3,
}


@pytest.mark.parametrize("values", WILD.values(), ids=WILD)
def test_the_upper_end_is_no_more_than_twice_the_middle_or_what_so_many_days_ever_came_to(values):
    found = month_end(days(len(values)), values, today=TODAY, until=UNTIL)
    ahead = (UNTIL - TODAY).days
    ever = max(sum(values[at : at + ahead]) for at in range(len(values)))
    assert found.high - found.so_far <= max(2 * (found.middle - found.so_far), ever) * 1.000001
    assert [step.high for step in found.path] == sorted(step.high for step in found.path)


def test_what_widens_the_range_is_said():
    wild = month_end(days(60), [3.0] * 55 + [300.0] + [3.0] * 4, today=TODAY, until=UNTIL)
    assert wild.basis.endswith("1 day far above the usual widens the range.")
    ago = month_end(days(131), [3.0] * 30 + [300.0] + [3.0] * 100, today=TODAY, until=UNTIL)
    assert "far above" not in ago.basis


def test_days_without_use_and_use_at_weekends_only_are_said():
    stopped = month_end(days(80), [5.0] * 60 + [0.0] * 20, today=TODAY, until=UNTIL)
    assert stopped.basis == "From the last 80 days: all weekdays alike, nothing in the last 20."
    weekends = month_end(days(60), [0.0 if day.weekday() < 5 else 5.0 for day in days(60)], today=TODAY, until=UNTIL)
    assert weekends.basis == "From the last 58 days: nearly all of it at weekends, level."


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1e6), min_size=30, max_size=80), st.lists(st.floats(0, 1e9), max_size=10))
def test_it_is_causal_and_its_range_is_one(values, future):
    history = days(len(values))
    now = month_end(history, values, today=TODAY, until=UNTIL)
    ahead = [TODAY + timedelta(days=1 + n) for n in range(len(future))]
    assert month_end([*history, *ahead], [*values, *future], today=TODAY, until=UNTIL) == now
    if now.enough:
        assert 0 <= now.so_far <= now.low <= now.middle <= now.high
        assert np.isfinite(now.high)


def test_a_series_without_days_of_use_in_between_is_dense():
    history = [day for day in days(60) if day.weekday() < 5]
    sparse = month_end(history, [10.0] * len(history), today=TODAY, until=UNTIL)
    dense = month_end(days(60), [10.0 if day.weekday() < 5 else 0.0 for day in days(60)], today=TODAY, until=UNTIL)
    assert sparse == dense
    assert forecast.LEAST_DAYS == 14
