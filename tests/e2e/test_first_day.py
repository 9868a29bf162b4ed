"""A newcomer's first day in a real browser: password, key, first call, its row on the page, a reload, a download."""

import csv
import re
from pathlib import Path

import openai
import pytest

from tests.e2e.installation import TOKEN, Installation
from tests.ui.chromium import DESKTOP, chromium, drawn, open_page, settle
from tests.vendor import LoopbackVendor, Reply

PASSWORD = "a long enough first password"
ANSWER = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"Good morning."},"finish_reason":"stop"}],"usage":{"prompt_tokens":1234,"completion_tokens":567,'
    b'"total_tokens":1801}}'
)


@pytest.mark.slow
@pytest.mark.browser
def test_from_an_invitation_to_a_downloaded_record(install):
    with LoopbackVendor(Reply(body=ANSWER)) as vendor, chromium() as browser:
        installation: Installation = install(BYOK_OPENAI_BASE_URL=f"{vendor.url}/v1")
        installation.add_user("ada@example.org", plan="team")
        link = re.search(r"http\S+/auth/set-password\S+", installation.command("user", "link", "ada@example.org"))
        assert link
        installation.start("gateway", "web", "keeper")
        page = open_page(browser, DESKTOP)

        page.goto(link.group())
        for field in page.locator("input[type=password]").all():
            field.fill(PASSWORD)
        page.locator("button[type=submit]").click()
        page.get_by_role("heading", name="No calls yet").wait_for()
        settle(page)

        page.get_by_role("link", name="Keys & budgets", exact=True).click()
        page.get_by_role("heading", name="Vendor keys").wait_for()
        settle(page)
        page.get_by_role("button", name="Add a key").click()
        page.get_by_role("combobox", name="Vendor").click()
        page.get_by_role("option", name="openai", exact=True).click()
        page.get_by_role("textbox", name="Label").first.fill("first")
        page.get_by_role("textbox", name="Key", exact=True).fill("sk-first-day-0123456789")
        page.get_by_role("button", name="Store key").click()
        page.get_by_text("…6789").first.wait_for()

        token = TOKEN.search(installation.command("access-token", "new", "ada@example.org"))
        assert token
        client = openai.OpenAI(base_url=f"{installation.gateway}/v1", api_key=token.group(), max_retries=0)
        said = client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "Good morning?"}])
        assert said.choices[0].message.content == "Good morning."
        assert vendor.seen[0].header("authorization") == "Bearer sk-first-day-0123456789"

        page.keyboard.press("Escape")
        page.get_by_role("link", name="Overview", exact=True).click()
        drawn(page)
        figures = [value.inner_text() for value in page.get_by_test_id("stMetricValue").all()]
        assert figures == ["$0.00053", "1", "1,801", "0 %"]
        page.reload()
        drawn(page)
        assert [value.inner_text() for value in page.get_by_test_id("stMetricValue").all()] == figures, "the session outlives a reload"

        page.get_by_role("link", name="Exports & API", exact=True).click()
        page.get_by_text("1 record").first.wait_for()
        settle(page)
        with page.expect_download() as waiting:
            page.get_by_role("link", name="Download CSV").click()
        (row,) = list(csv.DictReader(Path(waiting.value.path()).read_text().splitlines()))
        assert (row["vendor"], row["model"], row["total_tokens"], row["status"]) == ("openai", "gpt-4o-mini", "1801", "200")
