"""The line under the Overview that says where the month will end."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from byok.forecast import Forecast, Step
from byok.store.outlook import Outlook
from byok.ui import forecast, forecast_chart
from tests.pages.reading import text_of


@pytest.fixture
def a_month(ada, record):
    """A call a day at 0.15 USD, for four weeks."""
    for days in range(28):
        record(ada, ago=timedelta(days=days, hours=2))


def outlook_of(found: Forecast, *, metric="cost", days=None, unpriced=0) -> Outlook:
    days = {date(2026, 11, 3): 40.0} if days is None else days
    so_far = Decimal(str(found.so_far)) if found.so_far or not unpriced else None
    return Outlook(metric, date(2026, 11, 1), date(2026, 11, 20), date(2026, 12, 1), days, found, unpriced, so_far)


PATH = tuple(Step(date(2026, 11, 20) + timedelta(days=n), 40 + 2.0 * n, 40 + n, 40 + 3.0 * n) for n in range(11))
SURE = Forecast(40, 60, 50, 70, "From the last 60 days: all weekdays alike, level.", True, PATH)


def test_the_overview_ends_with_where_the_month_will_end(ada, a_month, open_app):
    said = text_of(open_app(ada))
    assert "November so far" in said
    assert "projected" in said
    assert "From the last 27 days" in said or "From the last 28 days" in said


def test_with_few_days_it_says_so_and_guesses_nothing(ada, record, open_app):
    record(ada)
    said = text_of(open_app(ada))
    assert "November so far" in said
    assert "projected" not in said
    assert "There is nothing before today to go by." in said


def test_the_sentence_names_amounts_range_and_budget():
    assert forecast.sentence(outlook_of(SURE)) == r"November so far **\$40\.00**, projected **\$60\.00** (\$50\.00–\$70\.00)."
    assert forecast.sentence(outlook_of(SURE), budget=50).endswith(r"budget \$50\.00: reached around Nov 25.")
    assert forecast.sentence(outlook_of(SURE), budget=40).endswith(": reached.")
    assert forecast.sentence(outlook_of(SURE), budget=500).endswith(r"budget \$500\.00.")
    assert "40 tokens" not in forecast.sentence(outlook_of(SURE, metric="tokens"))
    assert "**40** tokens" in forecast.sentence(outlook_of(SURE, metric="tokens"))


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_figure_goes_on_from_today(mode):
    figure = forecast_chart.band(outlook_of(SURE), budget=55, mode=mode)
    so_far, projected, budget = figure["data"][2:]
    assert (so_far["x"][-1], so_far["y"][-1]) == ("2026-11-20", 40)
    assert (projected["x"][0], projected["y"][0]) == ("2026-11-20", 40)
    assert (projected["x"][-1], projected["y"][-1]) == ("2026-11-30", 60)
    assert budget["y"] == [55, 55]
    assert figure["layout"]["xaxis"]["range"] == ["2026-11-01", "2026-11-30"]
    assert forecast_chart.described(outlook_of(SURE)) == (
        "A line of cost in November 2026: $40.00 so far, projected $60.00 at its end, between $50.00 and $70.00."
    )
