"""Two users, an admin and nobody at every route of the gateway, made from its tables: ada's key serves ada only."""

import re
from datetime import UTC, datetime
from functools import cache
from random import Random

import httpx
import pytest
from hypothesis import Phase, find, settings
from hypothesis import strategies as st

from byok.accounts import access_tokens, key_vault, users
from byok.gateway import web_door
from byok.gateway.routes import Gateway
from byok.gateway.routing import MODELS_PATH
from byok.gateway.vendors import ECHO, ONE_API_PATHS, vendors
from byok.settings import load
from tests.gateway.conftest import VENDORS, secret_of

PUBLIC = {"/healthz", "/readyz", "/metrics"}  # nothing of anybody in them
BODY = {"model": "gpt-4o-mini", "messages": [], "input": "x"}


@cache
def sample(pattern: re.Pattern[str]) -> str:
    return find(
        st.from_regex(pattern, fullmatch=True), lambda _: True, random=Random(1), settings=settings(phases=[Phase.generate], database=None)
    )


@cache
def native_routes() -> list[tuple[str, str]]:
    """Every method and one path of every pattern, of every vendor that wants a key."""
    found = {
        (method, f"/{vendor.name}{root}{sample(kind.pattern)}")
        for vendor in vendors(load({})).values()
        if vendor.name != ECHO
        for root, family in vendor.roots
        for kind in family.kinds
        for method in kind.methods
    }
    return sorted(found)


@pytest.fixture
def others(house) -> dict[str, dict[str, str]]:
    """What bob and an admin send along. Neither has a vendor key."""
    made = {}
    for email, admin in (("bob@example.org", False), ("root@example.org", True)):
        user = users.add(house.services.db, email, now=datetime.now(UTC), admin=admin)
        token = access_tokens.create(house.services.db, user.id, now=datetime.now(UTC))
        made[email] = {"authorization": f"Bearer {token}"}
    return made


@pytest.fixture
def stranger(house):
    with httpx.Client(base_url=house.url, timeout=20) as found:
        yield found


def ask(client: httpx.Client, method: str, path: str, headers: dict[str, str]) -> httpx.Response:
    body = BODY | ({"model": "openai/gpt-4o-mini"} if path in ONE_API_PATHS else {})
    return client.request(method, path, headers=headers, json=body if method in ("POST", "PATCH") else None)


def said(answer: httpx.Response) -> tuple[int, str]:
    """Status and text, without the request's own id."""
    return answer.status_code, answer.text.replace(answer.headers["x-byok-request-id"], "")


def test_pages_without_a_token_are_only_these():
    assert set(Gateway._PAGES) == PUBLIC


@pytest.mark.parametrize("path", sorted(PUBLIC))
def test_a_public_page_says_nothing_of_anybody(house, client, path):
    assert client.post("/v1/chat/completions", json={"model": "echo/echo-1", "messages": []}).status_code == 200
    answer = httpx.get(house.url + path)
    assert answer.status_code == 200
    for canary in (house.user.id, house.user.email, house.token, *house.key_ids.values(), *map(secret_of, VENDORS)):
        assert canary not in answer.text


def test_nobody_uses_the_key_of_ada_at_any_route(house, vendor, others, stranger):
    routes = native_routes() + [("POST", path) for path in ONE_API_PATHS]
    assert len(routes) > 200
    wrong = []
    for method, path in routes:
        name = path.split("/")[1]
        key_id = house.key_ids.get(name, house.key_ids["openai"])
        if ask(stranger, method, path, {"x-byok-key": key_id}).status_code != 401:
            wrong.append(("nobody", method, path))
        if name not in (*house.key_ids, "v1"):
            continue  # the same patterns at a vendor that ada has no key of
        for email, bearer in others.items():
            answer = ask(stranger, method, path, bearer | {"x-byok-key": key_id})
            unknown = ask(stranger, method, path, bearer | {"x-byok-key": "key_0123456789abcdef"})
            if answer.status_code not in (403, 404) or said(answer) != said(unknown):
                wrong.append((email, method, path, answer.status_code, answer.text[:80]))
            if answer.status_code == 404 and "endpoint_not_offered" not in answer.text:
                wrong.append((email, method, path, answer.text[:80]))
    assert wrong == []
    assert vendor.seen == [], "nothing reached a vendor"
    assert house.records() == []


def test_ada_reaches_her_vendors_at_those_routes(house, vendor, stranger):
    """So that the test above is about whose key it is, and not about paths that nobody reaches."""
    reached = [(m, p) for m, p in native_routes() if p.split("/")[1] in VENDORS]
    assert reached
    for method, path in reached[::7]:
        assert ask(stranger, method, path, house.bearer).status_code not in (401, 403, 404), (method, path)
    assert len(vendor.seen) == len(reached[::7])


def test_the_list_of_models_is_not_for_strangers(house, others):
    assert httpx.get(house.url + MODELS_PATH).status_code == 401
    for bearer in others.values():
        listed = httpx.get(house.url + MODELS_PATH, headers=bearer).text
        assert not any(key_id in listed for key_id in house.key_ids.values())


def test_what_is_handed_on_is_what_web_guards():
    """Each of these is in web's own matrix, or is a sign-in page."""
    from tests.web.test_isolation import MATRIX

    guarded = {path for _, path in MATRIX}
    for route in web_door._ROUTES:
        assert any(path == route or path.startswith(route + "/") for path in guarded), route


def test_a_key_that_is_hers_is_nobody_elses_in_the_vault(house, others):
    for user in users.all_users(house.services.db):
        mine = {key.id for key in key_vault.of_user(house.services.db, user.id)}
        assert mine == (set(house.key_ids.values()) if user.id == house.user.id else set())
