"""Days on which clocks change, hour by hour: nothing falls out of a chart or a table."""

import json
from datetime import UTC, datetime

import pytest

from byok.accounts import users
from tests.pages.conftest import NOW

BERLIN = {"range": "custom", "from": "2026-10-25", "to": "2026-10-25", "grain": "hour", "tz": "Europe/Berlin"}


@pytest.fixture
def twice_two(ada, record):
    """A call in each of the two hours at 02:00, the first for twice as much."""
    record(ada, ago=NOW - datetime(2026, 10, 25, 0, 10, tzinfo=UTC), prompt_tokens=2_000_000, total_tokens=2_000_000, latency_ms=1000)
    record(ada, ago=NOW - datetime(2026, 10, 25, 1, 20, tzinfo=UTC), latency_ms=9000)
    return ada


def bars(app, at: int) -> list[float]:
    figure = json.loads(app.get("plotly_chart")[at].proto.spec)
    return next(trace["y"] for trace in figure["data"] if trace["type"] == "bar")


def test_explore_has_a_column_for_each_of_two_equal_hours(twice_two, open_app):
    app = open_app(twice_two, page="pages/explore.py", metric="calls", **BERLIN)
    assert not app.error
    (row,) = app.dataframe[0].value.to_dict("records")
    assert {name: value for name, value in row.items() if "02:00" in name} == {"Sun Oct 25, 02:00 CEST": 1, "Sun Oct 25, 02:00 CET": 1}


def test_costs_over_time_has_the_cost_of_both(twice_two, open_app):
    app = open_app(twice_two, page="pages/costs.py", **BERLIN)
    assert bars(app, 1)[1:5] == [0, 0.3, 0.15, 0]


def test_reliability_counts_the_hour_that_a_change_by_half_an_hour_cuts(book, ada, record, open_app):
    record(ada, ago=NOW - datetime(2026, 10, 3, 15, 40, tzinfo=UTC))  # 02:40: the clock went from 02:00 to 02:30
    users.change(book.db, ada.id, plan="team")
    app = open_app(
        ada,
        page="pages/reliability.py",
        range="custom",
        **{"from": "2026-10-04", "to": "2026-10-04"},
        grain="hour",
        tz="Australia/Lord_Howe",
    )
    assert sum(bars(app, 0)) == 1
