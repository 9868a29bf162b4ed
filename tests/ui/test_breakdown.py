"""From rows of a series to bars: gaps filled, the largest by name, the rest as Other, unknown not as zero."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from byok.ui import charts, course_charts
from byok.ui.breakdown import breakdown, courses, sparks
from byok.ui.periods import buckets
from byok.ui.theme import OTHER, looks

DAYS = [datetime(2026, 11, day, tzinfo=UTC) for day in (20, 21, 22)]


def row(day: int, vendor: str, calls: int, cost: str | None = "0.5", failed: int = 0) -> dict[str, object]:
    money = None if cost is None else Decimal(cost)
    return {"start": DAYS[day], "vendor": vendor, "calls": calls, "failed": failed, "total_tokens": calls * 10, "cost_usd": money}


def test_a_day_without_calls_is_zero_and_one_without_a_price_is_unknown():
    (part,) = breakdown([row(0, "a", 2), row(2, "a", 1, None)], DAYS, "cost", column="vendor").parts
    assert part.values == (Decimal("0.5"), 0, None)


def test_six_by_name_and_the_rest_as_other_last():
    rows = [row(0, f"v{number}", number) for number in range(1, 10)]
    parts = breakdown(rows, DAYS, "calls", column="vendor").parts
    assert [part.name for part in parts] == ["v9", "v8", "v7", "v6", "v5", "v4", OTHER]
    assert parts[-1].total == 1 + 2 + 3
    assert sum(part.total for part in parts) == sum(range(1, 10))


def test_a_seventh_alone_keeps_its_name():
    rows = [row(0, f"v{number}", number) for number in range(1, 8)]
    assert OTHER not in [part.name for part in breakdown(rows, DAYS, "calls", column="vendor").parts]


def test_other_is_not_known_where_none_of_its_calls_has_a_price():
    rows = [row(0, f"v{number}", 1, str(number)) for number in range(1, 10)]
    rows += [row(1, "v1", 1, None), row(2, "v1", 1, None), row(2, "v2", 1)]
    assert breakdown(rows, DAYS, "cost", column="vendor").parts[-1].values == (1 + 2 + 3, None, Decimal("0.5"))


def test_what_is_free_is_known_though_the_cost_of_some_calls_is_not():
    free, unpriced = breakdown(
        [row(0, "free", 1, "0"), row(1, "free", 1, None), row(1, "unpriced", 1, None)], DAYS, "cost", column="vendor"
    ).parts
    assert free.known and not unpriced.known


def test_the_repeated_hour_of_a_clock_change_stays_two_bars():
    berlin = ZoneInfo("Europe/Berlin")
    hours = buckets(datetime(2026, 10, 25, tzinfo=berlin), datetime(2026, 10, 25, 4, tzinfo=berlin), "hour", berlin)
    first = datetime(2026, 10, 25, 0, tzinfo=UTC)
    rows = [row(0, "a", 1) | {"start": first}, row(0, "a", 5) | {"start": first + timedelta(hours=1)}]
    (part,) = breakdown(rows, hours, "calls", column="vendor").parts
    assert part.values == (0, 0, 1, 5, 0)


def test_courses_of_the_cards():
    found = courses([row(0, "x", 4, failed=1), row(2, "x", 1)], DAYS)
    assert found == {"cost": [0.5, 0, 0.5], "tokens": [40, 0, 10], "calls": [4, 0, 1], "failed": [25, 0, 0]}
    assert courses([], DAYS)["calls"] == [0, 0, 0]


def test_sparks_fold_nothing():
    rows = [row(0, f"v{number}", number) for number in range(1, 10)]
    assert len(sparks(rows, DAYS, "calls", column="vendor")) == 9


def style(*, mode: str = "light", running: bool = True) -> charts.Style:
    return charts.Style("cost", "day", looks(["a", "b"]), str, mode, running)


def figure(rows: list[dict[str, object]], *, mode: str = "light", running: bool = True) -> dict[str, object]:
    series = breakdown(rows, DAYS, "cost", column="vendor")
    return charts.stacked_bars(series, style(mode=mode, running=running))


def test_a_bar_says_what_it_is_and_which_one_was_clicked():
    trace = figure([row(0, "a", 2, "1234.5")])["data"][0]
    assert trace["customdata"][0] == ["a", "$1,234.50", "Fri Nov 20, 2026", "2026-11-20T00:00:00+00:00"]
    assert trace["customdata"][2][2] == "Sun Nov 22, 2026, so far"


def test_colours_follow_the_entity_and_the_mode():
    light, dark = figure([row(0, "b", 2)])["data"][0], figure([row(0, "b", 2)], mode="dark")["data"][0]
    assert light["marker"]["color"] == looks(["a", "b"]).of("b").light
    assert dark["marker"]["color"] == looks(["a", "b"]).of("b").dark


def test_a_click_on_the_days_before_fades_nothing_and_is_one_on_its_bucket():
    series = breakdown([row(0, "a", 2)], DAYS, "cost", column="vendor")
    earlier = charts.Earlier("the 3 days before", [1, 2, 3], [day - timedelta(days=3) for day in DAYS])
    for drawn in (chart(series, style(running=False), earlier=earlier) for chart in (charts.stacked_bars, course_charts.lines)):
        assert [trace["unselected"] for trace in drawn["data"]] == [trace["selected"] for trace in drawn["data"]]
        assert [data[3] for data in drawn["data"][-1]["customdata"]] == [day.isoformat() for day in DAYS]


def test_a_complete_period_has_no_bar_marked():
    assert figure([row(2, "a", 2)], running=False)["data"][0]["marker"]["opacity"] == [1, 1, 1]
    assert "annotations" not in figure([row(2, "a", 2)], running=False)["layout"]


def test_the_chart_in_a_sentence():
    series = breakdown([row(0, "a", 2, "1.5"), row(1, "b", 1, "0.25")], DAYS, "cost", column="vendor")
    said = charts.described(series, style(), by="vendor")
    assert said == "Stacked bars: cost per day by vendor, $1.75 in total. a $1.50, b $0.25."


def test_what_has_no_value_has_no_name_in_the_legend():
    found = breakdown([row(1, "priced", 1), row(1, "unpriced", 1, None)], DAYS, "cost", column="vendor")
    assert [part.name for part in found.parts] == ["priced", "unpriced"]
    assert [part.name for part in found.drawn] == ["priced"]


def test_few_calls_are_marked_by_whole_numbers():
    style = charts.Style("calls", "day", looks(["a"]), str, "light", running=False)
    axis = charts.stacked_bars(breakdown([row(0, "a", 2)], DAYS, "calls", column="vendor"), style)["layout"]["yaxis"]
    assert (axis["dtick"], axis["tickformat"]) == (1, ",d")
