"""The HTML that a page begins with: whole, for those who are signed in, and only where a browser begins a visit."""

import re
from pathlib import Path

import pytest
import streamlit

from byok import start_page

STATIC = Path(streamlit.__file__).parent / "static"
BROWSER = {"accept": "text/html"}


@pytest.mark.parametrize("page", sorted(start_page.SCRIPTS))
def test_each_page_names_its_server_and_scripts_that_are_there(page):
    html = (start_page.html(page) or b"").decode()
    assert html.index("window.__streamlit") < html.index('<script type="module"')
    named = re.findall(r'href="\./(static/js/[^"]+)"></head>|href="\./(static/js/[^"]+)">', html)
    stems = {Path(first or second).name.split(".")[0] for first, second in named}
    assert stems >= set(start_page.SCRIPTS[page]), "another version of Streamlit names its files otherwise"
    assert all((STATIC / (first or second)).is_file() for first, second in named)


def test_an_address_that_nobody_knows_is_remembered_as_no_page_of_its_own():
    assert start_page.html("nowhere") is start_page.html("elsewhere")


def test_only_a_visit_of_somebody_who_is_signed_in_begins_with_it(home):
    home.door.start = start_page.html
    ada = home.signed_in(home.ada)
    for page in ("", "explore", "costs", "settings"):
        answer = ada.get(f"/{page}", headers=BROWSER)
        assert answer.content == start_page.html(page)
        assert (answer.headers["x-frame-options"], answer.headers["cache-control"]) == ("DENY", "no-cache")
    for path in ("/favicon.png", "/a/b", "/_stcore/host-config"):
        assert ada.get(path, headers=BROWSER).text == f"the dashboard at {path}"
    assert home.browser().get("/explore", headers=BROWSER).status_code == 303
