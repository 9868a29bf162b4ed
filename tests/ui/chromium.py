"""A headless Chromium: the system's if there is one, else Playwright's own."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, sync_playwright

ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP: dict[str, Any] = {"viewport": {"width": 1440, "height": 1000}}
DARK: dict[str, Any] = DESKTOP | {"color_scheme": "dark"}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True}
PATIENCE_MS = 120_000  # a machine that does other things, too


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser; skips the test with a reason where none is installed."""
    system = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=system, args=ARGS)
        except Error as error:
            pytest.skip(f"no Chromium: install one, or run `playwright install chromium` ({type(error).__name__})")
        yield browser
        browser.close()


def open_page(browser: Browser, look: dict[str, Any], cookies: Any = None) -> Page:
    """A visitor in New York, with the cookies of an earlier visit if given."""
    context = browser.new_context(timezone_id="America/New_York", locale="en-US", storage_state=cookies, **look)
    context.set_default_timeout(PATIENCE_MS)
    return context.new_page()


def sign_in(page: Page, address: str, email: str, password: str) -> None:
    """Open an address and sign in on the page that comes instead."""
    page.goto(address)
    page.get_by_label("E-mail").fill(email)
    page.get_by_role("textbox", name="Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).first.click()
    page.wait_for_url(address)


_QUIET = """([ms, patience]) => new Promise((done, failed) => {
    const busy = '[data-test-script-state=running], [data-testid=stStatusWidget], [data-stale=true], [data-testid=stSkeleton]'
    const start = performance.now()
    let since = start
    const look = new MutationObserver(() => { since = performance.now() })
    look.observe(document, {subtree: true, childList: true, attributes: true, characterData: true})
    const timer = setInterval(() => {
        if (document.querySelector(busy)) since = performance.now()
        const late = performance.now() - start > patience
        if (performance.now() - since < ms && !late) return
        clearInterval(timer)
        look.disconnect()
        late ? failed(new Error('the page never came to rest')) : done()
    }, 25)
})"""


def settle(page: Page) -> None:
    """Wait until the script has run, nothing on the page is stale, and nothing has changed for a while."""
    page.wait_for_timeout(100)  # for the click to arrive
    page.evaluate(_QUIET, [300, PATIENCE_MS])


def drawn(page: Page) -> None:
    """Wait until the Overview's chart and table are drawn."""
    page.locator(".js-plotly-plot .barlayer .point").first.wait_for(state="attached")  # a bar of zero is never visible
    page.locator("[data-testid=stDataFrame] canvas").first.wait_for()
    settle(page)
