"""Reliability: what failed, when and for whom, how fast the rest was, and how far the counts can be trusted."""

import json
from datetime import timedelta

import pytest

from tests.pages.conftest import NOW
from tests.pages.reading import headings, text_of

PAGE = "pages/reliability.py"
FAILED = {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None, "usage_source": "none", "ttft_ms": None}


def figures(app) -> list[dict]:
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def frame(app, column: str):
    """The table that has this column."""
    return next(one.value for one in app.dataframe if column in one.value.columns)


def a_bad_day(ada, record) -> None:
    """Ten calls of two models on two days: eight went well; two of gpt-4o were limited or overloaded."""
    for number in range(7):
        record(ada, ago=timedelta(hours=1, minutes=number), latency_ms=1000 * (number + 1), ttft_ms=100)
    record(ada, ago=timedelta(days=1), model="gpt-4o", usage_source="estimated", latency_ms=50_000)
    record(ada, ago=timedelta(days=1, minutes=1), model="gpt-4o", status=429, **FAILED)
    record(ada, ago=timedelta(days=1, minutes=2), model="gpt-4o", key_id="key_other2", status=529, **FAILED)


def test_rates_kinds_and_hours_are_those_of_the_records(ada, record, open_app):
    a_bad_day(ada, record)
    app = open_app(ada, page=PAGE, tz="UTC")
    words = text_of(app)
    assert "Error rate 20 %" in words
    assert "Rate limited 10 %" in words
    rate, kinds, week = figures(app)
    bars, line = rate["data"]
    assert (sum(bars["y"]), bars["yaxis"]) == (10, "y2")
    assert [value for value in line["y"] if value] == [pytest.approx(200 / 3)]
    assert None in line["y"], "a day without calls is a gap, not 0 %"
    assert sorted(kinds["data"][0]["y"]) == ["Overloaded", "Rate limited"]
    yesterday = (NOW - timedelta(days=1)).strftime("%a")
    assert [row[0][0] for row in week["data"][0]["customdata"]] == ["0"] * 7
    assert week["data"][0]["customdata"][week["data"][0]["y"].index(yesterday)][14] == ["2", "2 of 3 calls failed"]


def test_the_bar_of_a_period_that_runs_is_faint_and_says_so_far(ada, record, open_app):
    a_bad_day(ada, record)
    rate = figures(open_app(ada, page=PAGE))[0]
    assert rate["data"][0]["marker"]["opacity"] == [1.0] * 6 + [0.55]
    assert [(note["text"], note["yref"], note["y"]) for note in rate["layout"]["annotations"]] == [("so far", "y2", 7)]
    over = figures(open_app(ada, page=PAGE, range="custom", **{"from": "2026-11-20", "to": "2026-11-21"}))[0]
    assert set(over["data"][0]["marker"]["opacity"]) == {1.0}
    assert "annotations" not in over["layout"]


def test_hours_are_those_of_the_readers_zone(ada, record, open_app):
    record(ada, ago=timedelta(minutes=1), status=500, **FAILED)  # a Sunday, 14:29 in UTC
    _, _, week = figures(open_app(ada, page=PAGE, tz="Asia/Kolkata"))
    assert week["data"][0]["customdata"][week["data"][0]["y"].index("Sun")][19][0] == "1"


def test_who_fails_most_is_named_with_what_of(ada, record, open_app):
    a_bad_day(ada, record)
    app = open_app(ada, page=PAGE)
    who = frame(app, "mostly")
    assert who[["name", "failed", "calls", "mostly"]].values.tolist() == [
        ["gpt-4o", 2, 3, "429 rate limited"],
        ["gpt-4o-mini", 0, 7, "—"],
    ]
    app.segmented_control(key="who").set_value("key").run()
    assert frame(app, "mostly")[["name", "failed"]].values.tolist() == [["key_other2", 1], ["key_main1", 1]]


def test_percentiles_are_values_that_were_measured(ada, record, open_app):
    a_bad_day(ada, record)
    app = open_app(ada, page=PAGE)
    speeds = frame(app, "latency_p50").set_index("model")
    assert speeds.loc["gpt-4o-mini", ["latency_p50", "latency_p95", "ttft_p50"]].tolist() == [4.0, 7.0, 0.1]
    assert speeds.loc["gpt-4o", "calls"] == 1, "a failed call is not a fast one"
    assert "Latency, p95 50.0 s" in text_of(app)


def test_it_says_how_far_the_counts_can_be_trusted(ada, record, open_app):
    a_bad_day(ada, record)
    trust = frame(open_app(ada, page=PAGE), "meaning")
    assert trust[["counts", "calls", "success", "tokens"]].values.tolist() == [
        ["Exact", 7, 7, 7_000_000],
        ["Estimated", 1, 1, 1_000_000],
        ["Unknown", 2, 0, 0],
    ]


def test_the_newest_failures_stand_with_status_model_and_key(ada, record, open_app):
    a_bad_day(ada, record)
    recent = frame(open_app(ada, page=PAGE, tz="UTC"), "endpoint")
    assert recent[["at", "status", "model", "key"]].values.tolist() == [
        ["Nov 21, 14:29:00", "429 rate limited", "openai/gpt-4o", "key_main1"],
        ["Nov 21, 14:28:00", "529 vendor overloaded", "openai/gpt-4o", "key_other2"],
    ]


def test_without_failures_it_says_so_and_shows_speed_all_the_same(ada, record, open_app):
    record(ada)
    app = open_app(ada, page=PAGE)
    assert "Nothing failed: 1 call" in str(app.success[0].value)
    assert headings(app) == ["Error rate", "How fast models answer", "How far the counts can be trusted"]


def test_only_failures_leave_speed_out(ada, record, open_app):
    record(ada, status=500, **FAILED)
    app = open_app(ada, page=PAGE)
    assert "How fast models answer" not in headings(app)
    assert "First token, median —" in text_of(app)


def test_empty_says_how_to_begin(ada, open_app):
    assert headings(open_app(ada, page=PAGE)) == ["No calls yet"]


def test_filtered_out_and_past_retention_say_which(ada, record, open_app):
    record(ada, model="gpt-4o", ago=timedelta(days=20))
    record(ada)
    assert headings(open_app(ada, page=PAGE, model=["gpt-4o"])) == ["Nothing matches"]
    app = open_app(ada, page=PAGE, range="custom", **{"from": "2026-08-01", "to": "2026-08-05"})
    assert headings(app) == ["No longer kept"]


def test_signed_out_it_shows_the_form_only(ada, record, open_app):
    record(ada)
    assert not figures(open_app(None, script=PAGE))


def test_a_link_of_another_user_shows_nothing_of_them(ada, book, record, open_app):
    from byok.accounts import users

    eve = users.add(book.db, "eve@example.org", now=NOW)
    record(eve, key_id="key_eves1", status=500, **FAILED)
    record(ada)
    app = open_app(ada, page=PAGE, key=["key_eves1"])
    assert "Nothing matches" in text_of(app) and not app.metric


def test_an_admin_sees_which_user_fails_most(book, ada, record, open_app):
    from byok.accounts import users

    root = users.add(book.db, "root@example.org", now=NOW - timedelta(days=50), plan="enterprise", admin=True)
    a_bad_day(ada, record)
    record(root)
    app = open_app(root, page=PAGE, user=["everyone"], who="user")
    assert "Error rate 18 %" in text_of(app)
    app.segmented_control(key="who").set_value("user").run()
    assert frame(app, "mostly")[["name", "failed", "calls"]].values.tolist() == [["ada", 2, 10], ["root", 0, 1]]
