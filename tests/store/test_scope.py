from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from byok.errors import BadRequest
from byok.store.scope import EveryonesScope, parse_everyones_scope, parse_group_by, parse_instant, parse_scope
from byok.zones import EARLIEST, LATEST

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@dataclass
class Asker:
    id: str = "usr_ada1"
    tz: str = "UTC"
    retention_days: int = 30


def parsed(user=None, **params):
    return parse_scope(
        {name: value if isinstance(value, list) else [value] for name, value in params.items()}, user=user or Asker(), now=NOW
    )


def test_without_words_a_scope_is_all_that_the_plan_keeps():
    scope = parsed()
    assert (scope.user_id, scope.since, scope.until, scope.tz) == ("usr_ada1", NOW - timedelta(days=30), LATEST, "UTC")
    assert parsed(Asker(retention_days=10**7)).since == EARLIEST


def test_dates_are_midnights_of_the_zone_asked_for_else_of_the_user():
    assert parsed(since="2026-07-01", tz="Europe/Berlin").since == datetime(2026, 6, 30, 22, tzinfo=UTC)
    assert parsed(Asker(tz="Asia/Kolkata"), until="2026-07-01").until == datetime(2026, 6, 30, 18, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["2026-07-01T10:00:00Z", "2026-07-01T12:00:00+02:00", "2026-07-01T12:00:00 02:00", "2026-07-01T12:00", "2026-07-01 12:00:00.000000"],
)
def test_an_instant_may_be_written_in_these_ways(text):
    assert parse_instant(text, "Europe/Berlin") == datetime(2026, 7, 1, 10, tzinfo=UTC)


def test_far_away_is_no_fault():
    assert parse_instant("0001-01-01", "Pacific/Kiritimati") == EARLIEST
    assert parse_instant("0001-01-01T00:00:00+14:00", "UTC") == EARLIEST
    assert parse_instant("9999-12-31", "Pacific/Pago_Pago") == LATEST


@pytest.mark.parametrize(
    "params",
    [
        {"since": "yesterday-ish"},
        {"since": ""},
        {"since": "2026-02-30"},
        {"since": "20260101"},
        {"until": "2026-07-01T25:00:00Z"},
        {"since": ["2026-01-01", "2026-01-02"]},
        {"tz": "Mars/Olympus"},
        {"status": "ok"},
        {"status": "99"},
        {"status": "٢٠٠"},
        {"model": [str(n) for n in range(201)]},
    ],
    ids=str,
)
def test_what_is_not_understood_is_refused_by_name_and_not_repeated(params):
    with pytest.raises(BadRequest) as caught:
        parsed(**params)
    assert caught.value.status == 400 and caught.value.code == "invalid_parameter"
    (name,) = params
    assert name in caught.value.message and "ish" not in caught.value.message


def test_filters_are_repeatable():
    scope = parsed(vendor=["openai", "mistral", "openai"], model="a'b", key_id="key_1", status=["200", "429"])
    assert (scope.vendors, scope.models, scope.key_ids, scope.statuses) == (("openai", "mistral"), ("a'b",), ("key_1",), (200, 429))


def test_everyones_scope_is_a_type_of_its_own():
    scope = parse_everyones_scope({"user_id": ["usr_a", "usr_b"]})
    assert isinstance(scope, EveryonesScope) and scope.user_ids == ("usr_a", "usr_b") and scope.since == EARLIEST


def test_group_by_is_a_list_of_known_columns():
    assert parse_group_by([]) == ("vendor", "model")
    assert parse_group_by(["day, vendor", "status"]) == ("day", "vendor", "status")
    assert parse_group_by(["user_id"], everyone=True) == ("user_id",)
    for wrong in ("prompt", "vendor;drop", "user_id", "vendor,", "ts"):
        with pytest.raises(BadRequest):
            parse_group_by([wrong])
