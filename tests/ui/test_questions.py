"""The five commonest questions, answered in a real browser from the first page on, and how many clicks each takes."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.ui.chromium import DESKTOP, drawn, open_page, settle, sign_in
from tests.ui.sample_data import FULL, PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.slow]


class Reader:
    """Somebody in front of the first page who counts clicks."""

    def __init__(self, page) -> None:
        self.page, self.clicks = page, 0

    def click(self, place) -> None:
        place.click()
        self.clicks += 1
        settle(self.page)

    def sees(self, heading: str) -> None:
        self.page.get_by_role("heading", name=heading, exact=True).wait_for()


@pytest.fixture(scope="module")
def page(site, browser):
    found = open_page(browser, DESKTOP)
    sign_in(found, site.url, FULL, PASSWORD)
    yield found
    found.context.close()


@pytest.fixture
def reader(site, page):
    page.goto(site.url)
    drawn(page)
    return Reader(page)


def test_what_did_last_week_cost_and_why(reader):
    page = reader.page
    assert page.get_by_test_id("stMetricValue").first.inner_text().startswith("$")
    assert page.get_by_test_id("stMetricDelta").first.inner_text(), "against the week before"
    reader.click(page.locator(".st-key-by").get_by_text("model", exact=True))
    reader.sees("Cost by model")
    assert "claude-sonnet-4-5" in page.locator(".legendtext").all_text_contents()
    assert reader.clicks == 1


def test_which_key(reader):
    reader.click(reader.page.locator(".st-key-by").get_by_text("key", exact=True))
    reader.sees("Cost by key")
    assert any("production" in name for name in reader.page.locator(".legendtext").all_text_contents())
    assert reader.clicks == 1


def test_which_model_fails(reader):
    reader.click(reader.page.get_by_role("link", name="Reliability", exact=True))
    reader.sees("Who fails most")
    reader.page.locator(".st-key-who").get_by_text("model", exact=True).wait_for()
    assert reader.clicks == 1


def test_how_will_the_month_end(reader):
    reader.page.locator(".st-key-month-end").get_by_text("projected").wait_for()
    assert reader.clicks == 0


def test_a_month_for_accounting(reader):
    page, today = reader.page, datetime.now(UTC).date()
    month = (today.replace(day=1) - timedelta(days=1)).replace(day=1)
    reader.click(page.get_by_role("link", name="Exports & API", exact=True))
    reader.click(page.locator(f".st-key-month-{month} button"))
    reader.click(page.get_by_text("records-with-cost", exact=True))
    with page.expect_download() as waiting:
        reader.click(page.get_by_role("link", name="Download CSV"))
    rows = list(csv.DictReader(Path(waiting.value.path()).read_text().splitlines()))
    assert {row["ts"][:7] for row in rows} <= {f"{month:%Y-%m}", f"{month + timedelta(days=31):%Y-%m}"}  # the reader's days, not UTC's
    assert len(rows) > 1000 and any(row["cost_usd"] for row in rows)
    assert reader.clicks == 4
