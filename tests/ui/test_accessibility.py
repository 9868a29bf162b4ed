"""Every page by axe-core's rules, in light and in dark, and on a phone's width: no serious fault, nothing that scrolls sideways."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from byok.accounts import users
from byok.ui.theme import DARK as DARK_MODE
from tests.ui.chromium import DARK, DESKTOP, PHONE, open_page, settle, sign_in
from tests.ui.sample_data import FULL, PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PAGES = ["", *sorted(path.stem for path in (Path(__file__).parents[2] / "pages").glob("*.py") if path.stem != "overview")]
GRAVE = ("serious", "critical")


@pytest.fixture(scope="module")
def cookies(site, browser):
    """Of an admin, who has every page."""
    user = users.by_email(site.services.db, FULL)
    users.change(site.services.db, user.id, admin=True)
    page = open_page(browser, DESKTOP)
    sign_in(page, f"{site.url}/keys", FULL, PASSWORD)
    state = page.context.storage_state()
    page.context.close()
    yield state
    users.change(site.services.db, user.id, admin=False)


def opened(page, url: str) -> None:
    page.goto(url)
    page.get_by_role("heading", level=1).first.wait_for()
    settle(page)


def turned_to(page, name: str) -> None:
    """By the sidebar, as people do: without loading everything anew."""
    before = page.get_by_role("heading", level=1).first.inner_text()
    page.locator(f"[data-testid=stSidebarNav] a[href$='/{name}']").click()
    page.wait_for_function("before => document.querySelector('h1')?.innerText !== before", arg=before)
    settle(page)


def width_of(page) -> int:
    return page.evaluate("Math.max(document.documentElement.scrollWidth, document.querySelector('[data-testid=stMain]').scrollWidth)")


def faults(page) -> list[str]:
    rules = [rule for rule in Axe().run(page).response["violations"] if rule["impact"] in GRAVE]
    return [f"{rule['id']}: {node['html'][:160]}" for rule in rules for node in rule["nodes"] if not is_the_frameworks(rule["id"], node)]


def is_the_frameworks(rule: str, node: dict) -> bool:
    """What Streamlit itself draws and offers no way to change."""
    place = " ".join(map(str, node["target"])) + node["html"]
    if rule in ("list", "listitem"):
        return "stSidebarNav" in place or "<li class=" in node["html"]  # its navigation
    if rule == "svg-img-alt":
        return "graphics-symbol" in place  # the marks of a metric's small chart
    if rule == "color-contrast":
        facts = node["any"][0]["data"]
        # One primary colour is the ground of white labels and a text on the dark ground: no colour reaches 4.5 at both.
        one_for_both = DARK_MODE.primary.lower() in (facts["fgColor"], facts["bgColor"]) and facts["contrastRatio"] >= 4
        return one_for_both or 'class="token' in node["html"]  # its highlighting of code
    return False


@pytest.mark.parametrize("look", [DESKTOP, DARK], ids=["light", "dark"])
def test_no_page_has_a_serious_fault(site, browser, cookies, look):
    page = open_page(browser, look, cookies)
    opened(page, f"{site.url}/?range=30d")
    found, titles = {}, set()
    for name in PAGES:
        if name:
            turned_to(page, name)
        titles.add(page.title())
        if bad := faults(page):
            found[name or "overview"] = bad
        if width_of(page) > look["viewport"]["width"]:
            found[name or "overview"] = ["scrolls sideways"]
    page.context.close()
    assert found == {}
    assert len(titles) == len(PAGES), "tabs that look alike"


def test_no_page_scrolls_sideways_on_a_phone(site, browser, cookies):
    page = open_page(browser, PHONE, cookies)
    widths = {}
    for name in PAGES:
        opened(page, f"{site.url}/{name}?range=30d")
        widths[name or "overview"] = width_of(page)
    page.context.close()
    assert {name: width for name, width in widths.items() if width > PHONE["viewport"]["width"]} == {}
