"""An access token that is for some models only reads, and never grows into one that is for all."""

import pytest

from byok.accounts import access_tokens
from tests.web.conftest import csrf_of

MODELS = ["gpt-4o-mini", "anthropic/*"]


@pytest.fixture
def restricted(home) -> dict[str, str]:
    made = home.client.post("/access-tokens", json={"label": "ci", "models": MODELS}, headers=home.ada.bearer)
    assert (made.status_code, made.json()["models"]) == (201, MODELS)
    return {"authorization": f"Bearer {made.json()['token']}"}


def test_it_is_listed_with_its_models(home, restricted):
    listed = home.client.get("/access-tokens", headers=restricted).json()["access_tokens"]
    assert sorted(token["models"] for token in listed) == [[], MODELS]


@pytest.mark.parametrize("path", ["/usage", "/me", "/keys", "/models"])
def test_a_restricted_token_reads(home, restricted, path):
    assert home.client.get(path, headers=restricted).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/auth/token", None),
        ("POST", "/access-tokens", {"label": "wider"}),
        ("DELETE", "/access-tokens/aaaaaaaa", None),
        ("POST", "/keys", {"vendor": "openai", "secret": "sk-invented-9f8e7d6c"}),
        ("DELETE", "/keys/key_aaaa", None),
        ("DELETE", "/usage?confirm=true", None),
    ],
)
def test_it_makes_and_changes_nothing(home, restricted, method, path, body):
    before = access_tokens.of_user(home.services.db, home.ada.user.id)
    answer = home.client.request(method, path, json=body, headers=restricted)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "token_restricted")
    assert "token" not in answer.json()
    assert len(access_tokens.of_user(home.services.db, home.ada.user.id)) == len(before)


def test_it_signs_nobody_in(home, restricted):
    browser = home.browser()
    form = browser.get("/auth/sign-in")
    token = restricted["authorization"].removeprefix("Bearer ")
    answer = browser.post("/auth/sign-in", data={"csrf": csrf_of(form.text), "token": token, "next": "/"})
    assert answer.status_code == 401
    assert "byok_session" not in answer.cookies
    home.signed_in(home.ada)  # as a token without a list does


def test_a_list_that_makes_no_sense_is_refused(home):
    answer = home.client.post("/access-tokens", json={"models": ["two words"]}, headers=home.ada.bearer)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
