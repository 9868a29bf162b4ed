from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byok import zones
from byok.zones import ZoneUnknown

ODD_ZONES = ["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Chatham", "Africa/Casablanca", "Asia/Kolkata", "UTC"]
ODD_ZONES += ["Pacific/Apia", "America/Sao_Paulo", "America/Havana", "Africa/Cairo", "Antarctica/Troll"]


@pytest.mark.parametrize(
    ("day", "zone", "first_instant"),
    [
        ("2026-11-22", "UTC", "2026-11-22T00:00Z"),
        ("2026-03-29", "Europe/Berlin", "2026-03-28T23:00Z"),
        ("2026-11-22", "Asia/Kolkata", "2026-11-21T18:30Z"),
        ("2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00Z"),  # 00:00 is skipped: the day begins at 01:00
        ("2026-11-01", "America/Havana", "2026-11-01T04:00Z"),  # 00:00 exists twice: the first
        ("2011-12-30", "Pacific/Apia", "2011-12-30T10:00Z"),  # the whole day is skipped
        ("2011-12-31", "Pacific/Apia", "2011-12-30T10:00Z"),
    ],
)
def test_a_day_begins_with_its_first_instant(day, zone, first_instant):
    assert zones.midnight(date.fromisoformat(day), zone) == datetime.fromisoformat(first_instant)


@given(st.dates(date(1990, 1, 1), date(2060, 1, 1)), st.sampled_from(ODD_ZONES))
def test_just_before_midnight_is_another_day(day, zone):
    begins, where = zones.midnight(day, zone), ZoneInfo(zone)
    assert begins.astimezone(where).date() >= day
    assert (begins - timedelta(microseconds=1)).astimezone(where).date() < day


@settings(deadline=None)  # the first look at a zone takes longer
@given(st.datetimes(datetime(1970, 1, 1), datetime(2090, 1, 1)), st.sampled_from(ODD_ZONES))  # noqa: DTZ001 - made aware below
def test_offsets_are_those_of_the_zone(naive, zone):
    at = naive.replace(tzinfo=UTC)
    spans = zones.offsets(zone)
    found = [shift for start, end, shift, _ in zip(*spans, strict=True) if start <= at.timestamp() < end]
    assert found == [at.astimezone(ZoneInfo(zone)).utcoffset().total_seconds()]


def test_a_step_is_the_widest_that_no_clock_cuts():
    assert zones.step(zones.offsets("Pacific/Chatham"), datetime(2020, 1, 1, tzinfo=UTC)) == 900
    assert zones.step(zones.offsets("America/St_Johns"), datetime(2020, 1, 1, tzinfo=UTC)) == 1800
    assert zones.step(zones.offsets("Europe/Berlin"), datetime(2020, 1, 1, tzinfo=UTC)) == 3600
    assert zones.step(zones.offsets("America/St_Johns"), datetime(2005, 1, 1, tzinfo=UTC)) == 60


@pytest.mark.parametrize(
    "name", ["Mars/Olympus", "", "../../etc/passwd", "europe/berlin", "UTC\x00", "/usr/share/zoneinfo/UTC", "x" * 5000]
)
def test_what_is_no_zone_is_refused(name):
    with pytest.raises(ZoneUnknown):
        zones.zone(name)


@pytest.mark.parametrize(
    ("said", "zone"), [("Asia/Calcutta", "Asia/Kolkata"), ("Europe/Kiev", "Europe/Kyiv"), ("Europe/Berlin", "Europe/Berlin"), (None, None)]
)
def test_a_browser_s_old_name_of_a_zone_is_today_s(said, zone):
    assert zones.of_browser(said) == zone
