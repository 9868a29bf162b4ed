"""What the words of the filter bar mean, also where clocks change and months differ."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from byok.store.questions import start_of
from byok.ui.periods import RANGES, buckets, grain_for, on_same_weekdays, period, written

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 22, 14, 30, tzinfo=UTC)


def iso(*moments: datetime) -> list[str]:
    return [moment.isoformat() for moment in moments]


@pytest.mark.parametrize(
    ("word", "since", "until", "before_since", "before_until"),
    [
        ("24h", "2026-11-21T16:00:00+01:00", "2026-11-22T15:30:00+01:00", "2026-11-20T16:00:00+01:00", "2026-11-21T15:30:00+01:00"),
        ("7d", "2026-11-16T00:00:00+01:00", "2026-11-22T15:30:00+01:00", "2026-11-09T00:00:00+01:00", "2026-11-15T15:30:00+01:00"),
        ("30d", "2026-10-24T00:00:00+02:00", "2026-11-22T15:30:00+01:00", "2026-09-24T00:00:00+02:00", "2026-10-23T15:30:00+02:00"),
        ("month", "2026-11-01T00:00:00+01:00", "2026-11-22T15:30:00+01:00", "2026-10-01T00:00:00+02:00", "2026-10-22T15:30:00+02:00"),
        ("last-month", "2026-10-01T00:00:00+02:00", "2026-11-01T00:00:00+01:00", "2026-09-01T00:00:00+02:00", "2026-10-01T00:00:00+02:00"),
    ],
)
def test_words_and_what_they_are_compared_with(word, since, until, before_since, before_until):
    found = period(word, now=NOW, zone=BERLIN)
    assert iso(found.since, found.until, found.before_since, found.before_until) == [since, until, before_since, before_until]


def test_custom_days_are_both_included():
    found = period("custom", now=NOW, zone=BERLIN, first=date(2026, 11, 2), last=date(2026, 11, 4))
    assert iso(found.since, found.until) == ["2026-11-02T00:00:00+01:00", "2026-11-05T00:00:00+01:00"]
    assert not found.running
    assert found.compared_with == "the 3 days before"


@pytest.mark.parametrize(
    ("first", "last"), [(None, None), (date(2027, 1, 1), None), (date(2026, 11, 9), date(2026, 11, 1)), (None, date(2027, 5, 5))]
)
def test_custom_days_that_make_no_sense_still_make_a_period(first, last):
    found = period("custom", now=NOW, zone=BERLIN, first=first, last=last)
    assert found.since < found.until <= NOW


def test_a_short_month_before_a_long_one_is_compared_as_a_whole():
    found = period("month", now=datetime(2026, 3, 30, 12, tzinfo=UTC), zone=ZoneInfo("UTC"))
    assert found.before_until == found.since


@pytest.mark.parametrize("word", RANGES)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"])
def test_every_period_is_made_of_whole_buckets_in_order(word, zone):
    found = period(word, now=NOW, zone=ZoneInfo(zone))
    assert found.before_since < found.before_until <= found.since < found.until
    grain = grain_for("auto", found.since, found.until)
    starts = buckets(found.since, found.until, grain, ZoneInfo(zone))
    assert starts[0] == found.since
    assert starts == sorted(starts)
    assert starts[-1] < found.until


@pytest.mark.parametrize(
    ("word", "before_since", "before_until", "name"),
    [
        ("24h", "2026-11-14T16:00:00+01:00", "2026-11-15T15:30:00+01:00", "the same weekdays a week before"),
        ("7d", "2026-11-09T00:00:00+01:00", "2026-11-15T15:30:00+01:00", "the same weekdays a week before"),
        ("30d", "2026-09-19T00:00:00+02:00", "2026-10-18T15:30:00+02:00", "the same weekdays 5 weeks before"),
        ("month", "2026-10-04T00:00:00+02:00", "2026-10-25T15:30:00+01:00", "the same weekdays 4 weeks before"),
        ("last-month", "2026-08-27T00:00:00+02:00", "2026-09-27T00:00:00+02:00", "the same weekdays 5 weeks before"),
    ],
)
def test_the_same_weekdays_begin_on_the_same_weekday_and_end_before(word, before_since, before_until, name):
    found = on_same_weekdays(period(word, now=NOW, zone=BERLIN), BERLIN)
    assert iso(found.before_since, found.before_until) == [before_since, before_until]
    assert found.before_since.weekday() == found.since.weekday()
    assert found.before_until <= found.since
    assert found.compared_with == name


def test_a_day_on_which_clocks_change_has_its_25_hours():
    since, until = datetime(2026, 10, 25, tzinfo=BERLIN), datetime(2026, 10, 26, tzinfo=BERLIN)
    hours = buckets(since, until, "hour", BERLIN)
    assert len(hours) == 25
    assert iso(*hours)[2:4] == ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00"]


@pytest.mark.parametrize(
    ("day", "begin", "named"),
    [
        (4, ["01:00:00+10:30", "02:30:00+11:00", "03:00:00+11:00"], ["01:00:00+10:30", "02:00:00+11:00", "03:00:00+11:00"]),
        (5, ["01:00:00+11:00", "01:30:00+10:30", "02:00:00+10:30"], ["01:00:00+11:00", "01:00:00+10:30", "02:00:00+10:30"]),
    ],
)
def test_hours_begin_with_a_change_by_half_an_hour_and_are_named_as_in_the_api(day, begin, named):
    zone = ZoneInfo("Australia/Lord_Howe")
    since = datetime(2026, 10 if day == 4 else 4, day, tzinfo=zone)
    hours = buckets(since, since + timedelta(days=1), "hour", zone)
    assert [at[11:] for at in iso(*hours)][1:4] == begin
    assert [written(at, "hour")[11:] for at in hours][1:4] == named
    assert [start_of(written(at, "hour"), "hour", zone.key) for at in hours] == [at.astimezone(UTC) for at in hours]


@pytest.mark.parametrize(
    ("asked", "days", "grain"),
    [
        ("auto", 1, "hour"),
        ("auto", 7, "day"),
        ("auto", 365, "month"),
        ("hour", 7, "hour"),
        ("hour", 30, "day"),
        ("month", 1, "month"),
        ("week", 7, "day"),
    ],
)
def test_a_grain_that_would_give_too_many_bars_gives_way(asked, days, grain):
    assert grain_for(asked, NOW - timedelta(days=days), NOW) == grain
