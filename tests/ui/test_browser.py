"""The dashboard in a real browser: signed in, in both modes, on a phone, and clicked through."""

import contextlib
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Error as PlaywrightError

from byok.accounts import key_vault, sessions, users
from byok.recording.journal import Journal
from tests.samples import usage_record
from tests.ui.chromium import DARK, DESKTOP, PHONE, drawn, open_page, settle, sign_in
from tests.ui.sample_data import FULL, NEW, PASSWORD

pytestmark = pytest.mark.browser
slow = pytest.mark.slow
PICTURES = os.environ.get("BYOK_PICTURES")  # a directory: where given, the pages are photographed into it


def photograph(page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png")


@pytest.fixture(scope="module")
def cookies(site, browser):
    """Of a visit on which Ada signed in: a second sign-in is needed only where it is what is tested."""
    page = open_page(browser, DESKTOP)
    page.goto(f"{site.url}/keys")
    photograph(page, "sign-in")
    sign_in(page, f"{site.url}/what_we_store", FULL, PASSWORD)
    state = page.context.storage_state()
    page.context.close()
    return state


@pytest.fixture
def visit(site, browser, cookies):
    """Opens an address as Ada; every visitor leaves when the test ends."""
    opened = []

    def go(path: str, look=DESKTOP, before=lambda page: None):
        page = open_page(browser, look, cookies)
        opened.append(page)
        before(page)
        page.goto(f"{site.url}{path}")
        return page

    yield go
    for page in opened:
        page.context.close()


def width_of(page) -> int:
    return page.evaluate("Math.max(document.documentElement.scrollWidth, document.querySelector('[data-testid=stMain]').scrollWidth)")


def chart(page):
    return page.locator(".js-plotly-plot .barlayer .point")


def click_on(page, mark) -> None:
    """Plotly catches clicks with a layer of its own above the marks. Near a point of the line of the days before, it is that point's."""
    box = mark.bounding_box()
    x = box["x"] + box["width"] / 2
    for share in (0.5, 0.85, 0.15):
        y = box["y"] + box["height"] * share
        page.mouse.move(x - 3, y)
        page.mouse.move(x, y)
        page.wait_for_timeout(500)
        if "before" not in (page.locator(".hoverlayer").first.text_content() or ""):
            break
    page.mouse.click(x, y)


LOOKS = [
    pytest.param(DESKTOP, "light", id="light"),  # the one test with a browser that is never left out
    pytest.param(DARK, "dark", id="dark", marks=slow),
    pytest.param(PHONE, "phone", id="phone", marks=slow),
]


@pytest.mark.parametrize(("look", "name"), LOOKS)
def test_the_overview_is_drawn_without_faults_and_without_other_hosts(site, visit, look, name):
    faults, outside = [], []

    def listen(page):
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on(
            "request", lambda request: outside.append(request.url) if not request.url.startswith((site.url, "data:", "blob:")) else None
        )

    page = visit("/?range=30d", look, listen)
    drawn(page)
    assert "range=30d" in page.url
    assert (faults, outside) == ([], [])
    assert width_of(page) <= look["viewport"]["width"]
    photograph(page, f"overview-{name}")


@slow
def test_signing_in_survives_a_reload_and_keeps_the_address(site, visit):
    page = visit("/?vendor=openai&by=model")
    drawn(page)
    page.reload()
    drawn(page)
    assert "vendor=openai" in page.url
    assert "by=model" in page.url
    page.get_by_role("button", name="vendor openai").wait_for()


@slow
def test_a_click_on_a_bar_filters_and_goes_deeper_and_back_undoes_it(site, visit):
    page = visit("/?range=30d")
    drawn(page)
    click_on(page, chart(page).nth(5))
    page.get_by_role("heading", name="Cost by model").wait_for()
    page.wait_for_url("**by=model*")
    assert "vendor=anthropic" in page.url
    page.get_by_role("button", name="vendor anthropic").click()
    page.get_by_role("button", name="vendor anthropic").wait_for(state="detached")
    settle(page)
    assert "vendor=" not in page.url
    page.go_back()
    page.get_by_role("button", name="vendor anthropic").wait_for()
    page.go_back()
    page.get_by_role("heading", name="Cost by vendor").wait_for()
    assert page.url == f"{site.url}/?range=30d", "both controls that the click moved are back with one step"


_PLACE = """before => {
    const plot = document.querySelector('.js-plotly-plot'), {x, y} = plot.getBoundingClientRect()
    const {xaxis, yaxis} = plot._fullLayout, data = plot.data.find(one => one.name.includes('before') === before)
    return [x + xaxis._offset + xaxis.d2p(data.x[12]), y + yaxis._offset + yaxis.d2p(data.y[12] * (before ? 1 : 0.15))]
}"""
_BUCKETS = "n => document.querySelector('.js-plotly-plot')?.data?.[0].x.length === n"


@pytest.mark.parametrize("before", [False, True], ids=["bar", "line of the days before"])
def test_explore_goes_deeper_by_a_click_and_back_undoes_it(site, visit, before):
    page = visit("/explore?range=30d")
    chart(page).first.wait_for(state="attached")
    settle(page)
    x, y = page.evaluate(_PLACE, before)
    page.mouse.move(x - 4, y - 2)
    page.mouse.move(x, y)
    page.wait_for_timeout(500)
    page.mouse.click(x, y)
    page.wait_for_function(_BUCKETS, arg=24)
    page.wait_for_url("**grain=hour*")
    page.wait_for_url(re.compile(r"from=\d{4}-\d\d-\d\d.*to="))
    page.go_back()
    page.wait_for_function(_BUCKETS, arg=30)
    assert page.url == f"{site.url}/explore?range=30d"


def test_a_view_of_explore_is_kept_and_opened_again(visit):
    page = visit("/explore?range=30d&by=model&view=lines")
    page.get_by_role("heading", name="Cost by model").wait_for()
    settle(page)
    page.get_by_role("button", name="Views").click()
    page.get_by_label("Keep this view as").fill("models as lines")
    page.get_by_label("Keep this view as").press("Enter")
    page.get_by_role("link", name="models as lines").wait_for()
    page.goto(page.url.split("?")[0])
    page.get_by_role("heading", name="Cost by vendor").wait_for()
    settle(page)
    page.get_by_role("button", name="Views").click()
    page.get_by_role("link", name="models as lines").click()
    page.get_by_role("heading", name="Cost by model").wait_for()
    page.wait_for_url("**by=model*")
    settle(page)
    assert {"range=30d", "by=model", "view=lines"} <= set(page.url.split("?")[1].split("&"))


def test_filters_stay_on_other_pages_and_a_download_has_what_they_name(site, visit):
    page = visit("/?range=30d&model=kimi-k2-preview-0711")
    page.get_by_text("No price is known for").wait_for()
    drawn(page)
    calls = page.get_by_test_id("stMetricValue").nth(1).inner_text()
    page.get_by_role("link", name="Exports & API", exact=True).click()
    page.get_by_text(f"{calls} records").wait_for()
    settle(page)
    page.wait_for_url("**model=kimi-k2-preview-0711*")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download CSV").click()
    lines = Path(waiting.value.path()).read_text().splitlines()
    assert len(lines) == int(calls) + 1
    assert all("kimi-k2-preview-0711" in line for line in lines[1:])


@slow
def test_filters_are_drawn_when_they_are_opened_and_what_they_say_stays(visit):
    page = visit("/?range=30d")
    drawn(page)
    several, one = page.get_by_test_id("stMultiSelect"), page.get_by_test_id("stSelectbox")
    assert several.count() == one.count() == 0
    page.get_by_text("Filters", exact=True).click()
    several.filter(has_text="Vendor").get_by_role("combobox").click()
    page.get_by_role("option", name="anthropic").click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="vendor anthropic").wait_for()
    one.filter(has_text="Grain").get_by_role("combobox").click()
    page.get_by_role("option", name="hour").click()
    page.wait_for_url("**grain=hour*")
    settle(page)
    page.get_by_text("Filters", exact=True).click()
    several.filter(has_text="Model").wait_for(state="detached")
    assert (several.count(), one.count()) == (1, 1)
    for name in ("Costs", "SQL", "Explore"):
        page.get_by_role("link", name=name, exact=True).click()
        page.get_by_role("heading", name=name, exact=True).wait_for()
        settle(page)
    assert {"vendor=anthropic", "grain=hour", "range=30d"} <= set(page.url.split("?")[1].split("&"))
    page.get_by_role("button", name="vendor anthropic").click()
    page.get_by_role("button", name="vendor anthropic").wait_for(state="detached")
    settle(page)
    assert "vendor=" not in page.url and "grain=hour" in page.url
    page.get_by_role("link", name="Overview", exact=True).click()
    drawn(page)
    assert several.count() == 0


@slow
def test_sql_runs_by_a_click_only_and_its_file_is_what_it_shows(site, visit):
    page = visit("/sql?q=select+vendor%2C+count(*)+as+calls+from+usage+group+by+all+order+by+calls+desc")
    editor = page.get_by_role("textbox", name="Query")
    editor.wait_for()
    settle(page)
    assert editor.input_value().startswith("select vendor, count(*)")
    assert page.get_by_text("rows in").count() == 0, "an address alone must not run anything"
    page.get_by_role("heading", name="SQL", exact=True).wait_for()
    page.get_by_role("button", name="Run").click()
    page.get_by_text("rows in").wait_for()
    settle(page)
    photograph(page, "sql")
    shown = int(page.get_by_text("rows in").inner_text().split()[0])
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download CSV").click()
    lines = Path(waiting.value.path()).read_text().splitlines()
    assert lines[0] == "vendor,calls" and len(lines) == shown + 1
    page.get_by_role("tab", name="Chart").click()
    chart(page).first.wait_for(state="attached")
    photograph(page, "sql-chart")


@slow
def test_a_long_query_is_cancelled_by_a_click(site, visit):
    page = visit("/sql?q=select+count(*)+from+range(1000000)+a%2C+range(1000000)+b")
    page.get_by_role("textbox", name="Query").wait_for()
    settle(page)
    for _ in range(5):  # on a busy machine the click may come after the query's own limit of time
        page.get_by_role("button", name="Run").click()
        page.get_by_text("Running for").wait_for()
        with contextlib.suppress(PlaywrightError):
            page.get_by_role("button", name="Cancel").click(timeout=10_000)
        ended = page.get_by_text(re.compile("Cancelled before there was an answer|time limit")).first
        ended.wait_for()
        if "Cancelled" in ended.inner_text():
            break
        settle(page)
    assert page.get_by_text("Cancelled before there was an answer.").count()
    photograph(page, "sql-cancelled")


@slow
def test_a_key_is_added_and_revoked_by_hand(site, visit):
    page = visit("/keys")
    page.get_by_role("heading", name="Vendor keys").wait_for()
    settle(page)
    photograph(page, "keys")
    page.get_by_role("button", name="Add a key").click()
    page.get_by_role("textbox", name="Label").first.fill("by hand")
    page.get_by_role("textbox", name="Key", exact=True).fill("sk-canary-by-hand-4711")
    page.get_by_role("button", name="Store key").click()
    page.get_by_text("…4711", exact=False).first.wait_for()
    settle(page)
    assert "sk-canary-by-hand" not in page.content()
    user = users.by_email(site.services.db, FULL)
    (stored,) = [key for key in key_vault.of_user(site.services.db, user.id) if key.label == "by hand"]
    page.keyboard.press("Escape")
    settle(page)
    page.locator(f".st-key-revoke-{stored.id} button").click()
    page.get_by_role("textbox", name="Type 4711 to confirm").fill("4711")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Revoke key").click()
    page.get_by_text("by hand").wait_for(state="detached")
    assert "by hand" not in [key.label for key in key_vault.of_user(site.services.db, user.id)]


@slow
def test_the_empty_page_fills_by_itself_when_the_first_call_arrives(site, browser):
    page = open_page(browser, DESKTOP)
    sign_in(page, site.url, NEW, PASSWORD)
    page.get_by_role("heading", name="No calls yet").wait_for()
    settle(page)
    photograph(page, "empty")
    user = users.by_email(site.services.db, NEW)
    journal = Journal(site.services.settings.journal_dir, fsync="batch")
    assert journal.append(usage_record(ts=datetime.now(UTC), user_id=user.id))
    journal.close()
    drawn(page)
    assert page.get_by_test_id("stMetricValue").nth(1).inner_text() == "1"


@slow
def test_back_undoes_each_change_of_a_control_and_forward_does_it_again(site, visit):
    page = visit("/reliability?range=30d")
    settle(page)
    addresses = [page.url]
    for word in ("90d", "24h", "month"):
        page.get_by_role("radio", name=word, exact=True).click()
        page.wait_for_url(f"**range={word}")
        settle(page)
        addresses.append(page.url)
    page.get_by_role("link", name="Costs", exact=True).click()
    page.wait_for_url("**/costs?**")
    settle(page)
    for address in reversed(addresses):
        page.go_back()
        page.wait_for_url(address)
        word = address.rpartition("=")[2]
        page.get_by_role("radio", name=word, exact=True, checked=True).wait_for()
        settle(page)
    page.go_forward()
    page.wait_for_url(addresses[1])
    page.get_by_role("radio", name="90d", exact=True, checked=True).wait_for()


@slow
def test_the_small_charts_of_all_keys_stand_below_each_other(visit):
    page = visit("/keys")
    charts = page.locator("[data-testid=stHtml] img")
    charts.nth(3).wait_for()
    settle(page)
    assert len({round(box["x"]) for box in (chart.bounding_box() for chart in charts.all())}) == 1


@slow
def test_who_signs_in_again_is_back_where_the_session_ended(site, browser):
    page = open_page(browser, DESKTOP)
    vendors = {"vendor=openai", "vendor=anthropic"}
    sign_in(page, f"{site.url}/explore?range=30d&by=model&{'&'.join(sorted(vendors))}", FULL, PASSWORD)
    drawn(page)
    (secret,) = (cookie["value"] for cookie in page.context.cookies() if cookie["name"] == "byok_session")
    sessions.end(site.services.db, secret)
    page.get_by_role("radio", name="90d", exact=True).or_(page.get_by_role("button", name="90d", exact=True)).first.click()
    page.get_by_text("Your session has ended.").wait_for()
    page.get_by_role("link", name="Sign in").click()
    page.get_by_label("E-mail").fill(FULL)
    page.get_by_role("textbox", name="Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).first.click()
    drawn(page)
    assert page.url.startswith(f"{site.url}/explore?")
    assert {"range=90d", "by=model"} | vendors <= set(page.url.split("?")[1].split("&"))
    page.context.close()
