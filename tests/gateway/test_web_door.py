"""One base URL serves a client: what web answers is handed on, and a web that is down is told in the API's own words."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from byok.gateway.web_door import is_for_web
from tests.vendor import JSON, LoopbackVendor, Reply


@pytest.mark.parametrize("path", ["/usage", "/usage/export", "/auth/token", "/keys/key_1", "/access-tokens", "/admin/usage", "/docs"])
def test_these_are_web_s(path: str) -> None:
    assert is_for_web(path)


@pytest.mark.parametrize("path", ["/", "/usages", "/metrics", "/v1/models", "/authx", "/openai/usage", "/v1/usage", "/download/x"])
def test_these_are_not_for_web(path: str) -> None:
    assert not is_for_web(path)


def test_a_request_goes_on_whole_and_its_answer_comes_back_whole(tmp_path: Path, make_house: Any, serve_house: Any) -> None:
    returned = [JSON, ("set-cookie", "session=1; HttpOnly"), ("x-byok-incomplete", "1"), ("location", "/auth/next")]
    with LoopbackVendor(Reply(303, returned, b'{"token": 1}')) as web:
        with make_house(tmp_path, BYOK_WEB_PORT=str(web.port)) as house, serve_house(house):
            headers = {"authorization": "Bearer x", "cookie": "a=b"}
            answer = httpx.post(house.url + "/auth/token?a=%2F", content=b"{}", headers=headers)
    [seen] = web.seen
    assert (seen.method, seen.target, seen.body) == ("POST", "/auth/token?a=%2F", b"{}")
    assert (seen.header("authorization"), seen.header("cookie"), seen.header("host")) == ("Bearer x", "a=b", house.url[7:])
    assert (answer.status_code, answer.content, answer.headers["set-cookie"]) == (303, b'{"token": 1}', "session=1; HttpOnly")
    assert (answer.headers["x-byok-incomplete"], answer.headers["location"]) == ("1", "/auth/next")
    assert answer.headers["x-byok-request-id"].startswith("req_")


@pytest.mark.parametrize(("path", "accept"), [("/keys", "*/*"), ("/auth/login", "text/html")])
def test_a_browser_gets_the_api_and_sign_in_here_but_no_page_of_the_dashboard(
    tmp_path: Path, make_house: Any, serve_house: Any, path: str, accept: str
) -> None:
    with LoopbackVendor(Reply(200, [JSON], b"{}")) as web, make_house(tmp_path, BYOK_WEB_URL=web.url) as house, serve_house(house):
        httpx.get(house.url + path, headers={"accept": "text/html"})
    assert web.seen[0].header("accept") == accept


def test_web_may_be_elsewhere(tmp_path: Path, make_house: Any, serve_house: Any) -> None:
    with LoopbackVendor(Reply(200, [JSON], b"{}")) as web, make_house(tmp_path, BYOK_WEB_URL=f"http://127.0.0.1:{web.port}") as house:
        with serve_house(house):
            assert httpx.get(house.url + "/usage").status_code == 200
    assert [seen.target for seen in web.seen] == ["/usage"]


def test_web_that_is_down_is_a_502_of_the_api(house: Any) -> None:
    answer = httpx.get(house.url + "/usage", headers=house.bearer)
    assert answer.status_code == 502
    assert set(answer.json()["error"]) == {"code", "message", "remedy"}
    assert answer.json()["error"]["code"] == "web_unreachable"
