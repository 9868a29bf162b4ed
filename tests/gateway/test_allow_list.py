"""Tokens that are for some models only: no body, path, form or second name in it leads to another."""

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from byok.accounts import access_tokens
from byok.gateway import allow_list, models
from byok.gateway.vendors import BUILT_IN
from tests.vendor import LoopbackVendor

CHAT = "/v1/chat/completions"
MINI = {"model": "gpt-4o-mini", "messages": []}


def client_for(house: Any, *patterns: str) -> httpx.Client:
    token = access_tokens.create(house.services.db, house.user.id, now=datetime.now(UTC), models=patterns)
    return httpx.Client(base_url=house.url, headers={"authorization": f"Bearer {token}"}, timeout=20)


@pytest.fixture
def mini(house: Any) -> Any:
    """A client whose token is for gpt-4o-mini only."""
    with client_for(house, "gpt-4o-mini") as found:
        yield found


# -- what a pattern means --


@pytest.mark.parametrize(
    ("pattern", "vendor", "model", "permitted"),
    [
        ("gpt-4o-mini", "openai", "gpt-4o-mini", True),
        ("gpt-4o-mini", "openai", "GPT-4o-mini", True),
        ("GPT-4o-mini", "openai", "gpt-4o-mini", True),
        ("gpt-4o-mini", "openai", "gpt-4o-mini-2024-07-18", True),
        ("gpt-4o-mini", "openai", "gpt-4o", False),
        ("gpt-4o", "openai", "gpt-4o-mini", False),
        ("gpt-4o", "openai", "gpt-4o-2024-05-13", False),  # an entry of its own: its price differs
        ("gpt-4o-mini", "openai", "gpt-4o-mini\n", False),
        ("gpt-4o-mini", "openai", "x/gpt-4o-mini", False),
        ("deepseek-v4-flash", "deepseek", "deepseek-chat", True),
        ("openai/gpt-4o-mini", "openai", "gpt-4o-mini", True),
        ("openai/gpt-4o-mini", "openrouter", "openai/gpt-4o-mini", False),
        ("openrouter/openai/*", "openrouter", "openai/gpt-4o-mini", True),
        ("anthropic/*", "anthropic", "claude-sonnet-4-5", True),
        ("anthropic/*", "openrouter", "anthropic/claude-sonnet-4-5", False),
        ("anthropic/*", "anthropicus", "claude", False),
        ("*/gpt-4o*", "groq", "gpt-4o-mini", True),
        ("claude-?onnet*", "anthropic", "claude-sonnet-4-5", True),
        ("gemini-2.5-flash", "gemini", "models/gemini-2.5-flash", True),
        ("gpt.4o.mini", "openai", "gpt-4o-mini", False),
        ("*", "lab", "anything", True),
    ],
)
def test_a_pattern_permits_what_it_says_and_no_more(pattern: str, vendor: str, model: str, permitted: bool) -> None:
    assert allow_list.permits((pattern,), vendor, model) is permitted


def test_no_list_permits_all() -> None:
    assert allow_list.permits((), "openai", "whatever")


# -- calls --


def refused(answer: httpx.Response) -> bool:
    return answer.status_code == 403 and "model_not_allowed" in answer.text


def test_the_models_of_the_list_are_called_and_others_are_a_403_with_the_remedy(house: Any, mini: httpx.Client) -> None:
    assert mini.post(CHAT, json=MINI).status_code == 200
    answer = mini.post(CHAT, json={"model": "gpt-4o", "messages": []})
    assert answer.status_code == 403
    error = answer.json()["error"]
    assert error["code"] == "model_not_allowed"
    assert "gpt-4o-mini" in error["remedy"]
    assert len(house.records()) == 1
    assert 'byok_refused_total{code="model_not_allowed"} 1.0' in mini.get("/metrics").text


def test_it_is_told_in_the_caller_s_format(mini: httpx.Client) -> None:
    message = mini.post("/v1/messages", json={"model": "claude-sonnet-4-5", "messages": []})
    assert (message.status_code, message.json()["error"]["type"]) == (403, "permission_error")
    gemini = mini.post("/gemini/v1beta/models/gemini-2.5-flash:generateContent", json={})
    assert gemini.json()["error"]["status"] == "PERMISSION_DENIED"
    assert refused(gemini)


ESCAPES: list[tuple[str, dict[str, Any] | bytes]] = [
    (CHAT, {"model": "openai/gpt-4o"}),
    (CHAT, {"model": "groq/gpt-4o-mini-evil"}),
    (CHAT, {"model": "GPT-4O"}),
    (CHAT, b'{"mod\\u0065l": "gpt-4o"}'),
    (CHAT, {"model": "gpt-4o-mini", "models": ["gpt-4o"]}),
    (CHAT, {"model": "gpt-4o-mini", "models": "gpt-4o"}),
    (CHAT, {"model": "gpt-4o-mini", "models": [{"id": "gpt-4o"}]}),
    (CHAT, {"model": "gpt-4o-mini", "preset": "dear"}),
    ("/openai/v1/chat/completions", {"model": "gpt-4o"}),
    ("/openai/v1/chat/completions", {}),
    ("/openai/v1/chat/completions", {"model": 7}),
    ("/openai/v1/responses", {"prompt": {"id": "pmpt_1"}}),
    ("/openai/v1/responses", {"model": "gpt-4o-mini", "tools": [{"type": "image_generation", "model": "gpt-image-1"}]}),
    ("/anthropic/v1/messages", {"model": "gpt-4o-mini", "tools": [{"type": "advisor", "model": "claude-opus-4-5"}]}),
    ("/anthropic/v1/messages", {"model": "gpt-4o-mini", "fallbacks": [{"model": "gpt-4o-mini"}, {"model": "claude-opus-4-5"}]}),
    ("/anthropic/v1/messages", {"model": "gpt-4o-mini", "fallbacks": "default"}),
    ("/anthropic/v1/messages", {"model": "gpt-4o-mini", "fallbacks": [{"max_tokens": 1}]}),
    ("/anthropic/v1/messages", {"model": "gpt-4o-mini", "fallbacks": {"model": "gpt-4o-mini"}}),
    ("/openai/v1/chat/completions", {"model": "gpt-4o-mini", "fallbacks": ["gpt-4o"]}),
    ("/gemini/v1beta/models/gemini-2.5-flash:generateContent", {"model": "gpt-4o-mini"}),
    ("/gemini/v1beta/models/gpt-4o-mini:generateContent", {"model": "models/gemini-2.5-flash"}),
    ("/gemini/v1beta/models/gpt-4o-mini:batchGenerateContent", {"batch": {}}),
    ("/gemini/v1beta/models/gemini-2.5-flash:countTokens", {}),
    ("/gemini/v1beta/interactions", {"agent": "deep-research"}),
    ("/gemini/v1beta/interactions", {"model": "gpt-4o-mini", "agent": "deep-research"}),
    ("/anthropic/v1/messages/count_tokens", {"model": "claude-sonnet-4-5"}),
    ("/openai/v1/batches", {"input_file_id": "file-1"}),
    ("/openai/v1/files", {}),
    ("/anthropic/v1/messages/batches", {"requests": [{"params": {"model": "claude-opus-4-5"}}]}),
]


@pytest.mark.parametrize(("path", "body"), ESCAPES, ids=lambda value: value if isinstance(value, str) else None)
def test_no_other_way_leads_to_another_model(mini: httpx.Client, vendor: LoopbackVendor, path: str, body: dict[str, Any] | bytes) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert refused(mini.post(path, content=content)), path
    assert vendor.seen == []


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"gpt-4o-mini","model":"gpt-4o"}',
        b'{"model":"gpt-4o","mod\\u0065l":"gpt-4o-mini"}',
        b'{"model":"gpt-4o-mini","models":["gpt-4o"],"models":["gpt-4o-mini"]}',
        b'{"model":"gpt-4o-mini","tools":[{"model":"gpt-4o","model":"gpt-4o-mini"}]}',
        b'{"model":"gpt-4o-mini","fallbacks":[{"model":"gpt-4o","model":"gpt-4o-mini"}]}',
    ],
)
def test_two_readings_of_a_body_are_refused(mini: httpx.Client, vendor: LoopbackVendor, body: bytes) -> None:
    answer = mini.post(CHAT, content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "duplicate_key")
    assert vendor.seen == []


def test_a_form_can_hold_a_second_model_so_it_needs_the_whole_vendor(house: Any, mini: httpx.Client, vendor: LoopbackVendor) -> None:
    form = {"data": {"model": "gpt-4o-mini", "prompt": "x"}, "files": {"file": b"..."}}
    assert refused(mini.post("/openai/v1/audio/transcriptions", **form))
    assert vendor.seen == []
    with client_for(house, "openai/*") as whole:
        assert whole.post("/openai/v1/audio/transcriptions", **form).status_code == 200


def test_a_vendor_key_of_the_caller_s_own_is_no_way_around(mini: httpx.Client) -> None:
    assert refused(mini.post(CHAT, json={"model": "gpt-4o"}, headers={"x-byok-vendor-key": "sk-mine-000000"}))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/openai/v1/chat/completions", {"model": "gpt-4o-mini-2024-07-18"}),
        (CHAT, {"model": "openai/gpt-4o-mini", "models": ["gpt-4o-mini"], "fallbacks": [{"model": "gpt-4o-mini"}, "gpt-4o-mini"]}),
        (CHAT, {"model": "gpt-4o-mini", "fallbacks": None}),
        (CHAT, {"model": "gpt-4o-mini", "fallbacks": []}),
        (CHAT, {"model": "gpt-4o-mini", "tools": [{"type": "function", "function": {"parameters": {"model": "gpt-4o"}}}], "agent": None}),
        ("/openai/v1/responses/input_tokens", {"model": "gpt-4o-mini"}),
    ],
)
def test_what_is_on_the_list_goes_through(mini: httpx.Client, path: str, body: dict[str, Any]) -> None:
    assert mini.post(path, json=body).status_code == 200


def test_gemini_s_model_stands_in_the_path(house: Any, vendor: LoopbackVendor) -> None:
    with client_for(house, "gemini-2.5-flash") as flash:
        for call in ("generateContent", "streamGenerateContent", "countTokens"):
            assert flash.post(f"/gemini/v1beta/models/gemini-2.5-flash:{call}", json={}).status_code == 200
            assert refused(flash.post(f"/gemini/v1beta/models/gemini-2.5-pro:{call}", json={}))
    assert len(vendor.seen) == 3


def test_what_names_no_model_needs_the_whole_vendor(house: Any, mini: httpx.Client, vendor: LoopbackVendor) -> None:
    for path in ("/openai/v1/files", "/openai/v1/models", "/openai/v1/responses/resp_1", "/openai/v1/batches"):
        assert refused(mini.get(path)), path
    assert vendor.seen == []
    with client_for(house, "openai/*", "gemini-2.5-flash") as whole:
        assert whole.get("/openai/v1/files").status_code == 200
        assert refused(whole.get("/gemini/v1beta/files"))


# -- lists --


def ids(answer: httpx.Response) -> list[str]:
    return [entry["id"] for entry in answer.json()["data"]]


def test_the_list_shows_the_allowed_models_only(house: Any, mini: httpx.Client) -> None:
    assert ids(mini.get("/v1/models")) == ["gpt-4o-mini"]
    with client_for(house, "anthropic/*", "echo-1") as other:
        assert {entry["owned_by"] for entry in other.get("/v1/models").json()["data"]} == {"anthropic", "echo"}
    with client_for(house, "moonshot/*") as without_key:
        assert ids(without_key.get("/v1/models")) == []


def test_one_model_is_found_in_openai_s_shape_or_is_openai_s_404(house: Any, client: httpx.Client, mini: httpx.Client) -> None:
    entry = {"id": "gpt-4o", "object": "model", "created": 0, "owned_by": "openai"}
    assert client.get("/v1/models/gpt-4o").json() == entry
    assert client.get("/v1/models/openai%2Fgpt-4o").json() == entry
    assert client.get("/v1/models/openai/gpt-4o").json() == entry
    assert client.get("/v1/models/gpt-4o-2024-08-06").json() == entry
    unknown, forbidden = client.get("/v1/models/gpt-4x"), mini.get("/v1/models/gpt-4o")
    keyless = client.get("/v1/models/kimi-k2.6")
    for answer in (unknown, forbidden, keyless):
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
        assert answer.json()["error"]["message"] == unknown.json()["error"]["message"]
    assert mini.get("/v1/models/gpt-4o-mini").status_code == 200
    assert httpx.get(f"{house.url}/v1/models/gpt-4o").status_code == 401


def test_every_model_of_the_list_can_be_retrieved() -> None:
    for entry in models.listing(BUILT_IN)["data"]:
        assert models.retrieved(entry["id"], BUILT_IN) == entry
    with pytest.raises(models.ModelNotListed):
        models.retrieved("x" * 100_000, BUILT_IN)
