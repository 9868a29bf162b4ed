"""While the accounts database is away: people get a page that says so and tries again, programs get JSON."""

import pytest
from starlette.websockets import WebSocketDisconnect

from byok.accounts import sessions
from byok.accounts.errors import AccountsUnavailable

PAGE = {"accept": "text/html,application/xhtml+xml", "host": "byok.test", "origin": "http://byok.test"}


@pytest.fixture
def browser(home, monkeypatch):
    found = home.signed_in(home.ada)

    def away(*_, **__):
        raise AccountsUnavailable("the database server: OperationalError")

    monkeypatch.setattr(sessions, "find", away)
    return found


@pytest.mark.parametrize("path", ["/", "/costs?range=7d", "/auth/sign-in"])
def test_a_person_is_told_and_the_page_tries_again(browser, path):
    answer = browser.get(path, headers=PAGE)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.headers["content-type"].startswith("text/html")
    assert "The accounts database cannot be used just now" in answer.text
    assert '<meta http-equiv="refresh" content="5">' in answer.text
    assert answer.headers["cache-control"] == "no-store"


def test_a_program_gets_its_code(browser):
    answer = browser.get("/media/0123.csv")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "accounts_unavailable")


def test_a_socket_is_told_to_come_again(browser):
    with pytest.raises(WebSocketDisconnect) as refused, browser.websocket_connect("ws://byok.test/_stcore/stream"):
        pass
    assert refused.value.code == 1013
