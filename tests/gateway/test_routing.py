"""Who may call, with which key, and to where: nothing in a request decides on the address but a row of our own table."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from byok.accounts import access_tokens, api_tokens, key_vault, users
from byok.gateway import remembered
from byok.gateway.headers import without_key
from tests.vendor import LoopbackVendor, Reply

CHAT = "/v1/chat/completions"
QUESTION = {"model": "gpt-4o-mini", "messages": []}
MESSAGE = {"model": "claude-sonnet-4-5", "max_tokens": 5, "messages": []}


def error_of(answer: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = answer.json()["error"]
    return found


def now() -> datetime:
    return datetime.now(UTC)


# -- who --


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "x-goog-api-key"])
def test_each_vendor_s_own_header_may_carry_the_token(house: Any, vendor: LoopbackVendor, header: str) -> None:
    value = f"Bearer {house.token}" if header == "authorization" else house.token
    assert httpx.post(house.url + CHAT, json=QUESTION, headers={header: value}).status_code == 200
    assert vendor.seen[0].header("authorization") == "Bearer sk-openai-0123456789-stored"
    assert house.token not in str(vendor.seen)


def test_a_jwt_is_as_good_as_a_token(house: Any) -> None:
    jwt = api_tokens.issue(house.user.id, house.services.jwt_secret, now=now())
    assert httpx.post(house.url + CHAT, json=QUESTION, headers={"authorization": f"Bearer {jwt}"}).status_code == 200


WRONG = [
    "",
    "Bearer",
    "Bearer x' OR 1=1 --",
    "Basic abc",
    f"Bearer byok_{'a' * 8}_{'b' * 43}",
    "Bearer a.b.c",
    f"Bearer {'a' * 9000}",
    "byok_x",
]


@pytest.mark.parametrize("credential", WRONG)
@pytest.mark.parametrize("path", [CHAT, "/openai/v1/chat/completions", "/v1/models", "/v1/embeddings"])
def test_who_is_not_known_gets_one_and_the_same_401(house: Any, vendor: LoopbackVendor, credential: str, path: str) -> None:
    send = httpx.get if path == "/v1/models" else httpx.post
    answer = send(house.url + path, headers={"authorization": credential})
    assert (answer.status_code, error_of(answer)["code"], answer.headers["www-authenticate"]) == (401, "unauthorized", "Bearer")
    assert vendor.seen == []
    assert house.records() == []


def test_errors_have_the_caller_s_wire_format(house: Any) -> None:
    openai = httpx.post(house.url + CHAT).json()
    assert openai["error"]["type"] == "authentication_error"
    for path in ("/v1/messages", "/anthropic/v1/messages"):
        anthropic = httpx.post(house.url + path).json()
        assert (anthropic["type"], anthropic["error"]["type"]) == ("error", "authentication_error")
    gemini = httpx.post(house.url + "/gemini/v1beta/models/gemini-2.5-flash:generateContent").json()
    assert (gemini["error"]["code"], gemini["error"]["status"]) == (401, "UNAUTHENTICATED")


def test_two_credentials_that_contradict_are_refused(house: Any, vendor: LoopbackVendor) -> None:
    other = access_tokens.create(house.services.db, house.user.id, now=now())
    twice = [("authorization", f"Bearer {house.token}"), ("authorization", f"Bearer {house.token}")]
    assert httpx.post(house.url + CHAT, json=QUESTION, headers=twice).status_code == 400
    assert httpx.post(house.url + CHAT, json=QUESTION, headers=house.bearer | {"x-api-key": other}).status_code == 400
    assert vendor.seen == []


def test_a_vendor_key_beside_the_token_goes_nowhere(house: Any, vendor: LoopbackVendor) -> None:
    swapped = {"authorization": "Bearer sk-somebody-s-own-key-000000", "x-api-key": house.token}
    for headers in (swapped, house.bearer | {"x-api-key": "sk-somebody-s-own-key-000000"}):
        assert httpx.post(house.url + CHAT, json=QUESTION, headers=headers).status_code == 200
    assert "sk-somebody" not in str(vendor.seen)
    assert house.token not in str(vendor.seen)


def test_a_disabled_user_is_out_within_five_seconds(house: Any, client: httpx.Client) -> None:
    assert client.post(CHAT, json=QUESTION).status_code == 200
    users.change(house.services.db, house.user.id, disabled=True)
    assert remembered.FRESH_S < 5
    patience = time.monotonic() + 5
    while client.post(CHAT, json=QUESTION).status_code != 401:
        assert time.monotonic() < patience
        time.sleep(0.2)


def test_who_is_known_goes_on_while_the_accounts_fail(house: Any, client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.post(CHAT, json=QUESTION).status_code == 200
    other = access_tokens.create(house.services.db, house.user.id, now=now())
    monkeypatch.setattr(remembered, "FRESH_S", 0)
    monkeypatch.setattr(type(house.services), "db", property(lambda _: 1 / 0))
    assert client.post(CHAT, json=QUESTION).status_code == 200
    unknown = client.post(CHAT, json=QUESTION, headers={"authorization": f"Bearer {other}"})
    assert (unknown.status_code, error_of(unknown)["code"]) == (503, "accounts_unavailable")
    assert client.get("/readyz").status_code == 503


# -- with which key --


def test_no_key_is_a_403_with_the_remedy(house: Any, client: httpx.Client) -> None:
    answer = client.post("/moonshot/v1/chat/completions", json=QUESTION)
    assert (answer.status_code, error_of(answer)["code"]) == (403, "vendor_key_missing")
    assert "byok key add" in error_of(answer)["remedy"]
    named = client.post("/openai/v1/chat/completions", json=QUESTION, headers={"x-byok-key": "key_abcd1234"})
    assert (named.status_code, error_of(named)["code"]) == (403, "vendor_key_missing")
    assert "x-byok-key" in error_of(named)["message"], "the default key is there: it is the named one that is not"
    assert house.records() == []


def test_a_named_key_is_used_instead_of_the_default(house: Any, client: httpx.Client, vendor: LoopbackVendor) -> None:
    second = key_vault.add(house.services.db, house.services.master, house.user.id, "openai", "sk-second-000000", now=now())
    assert client.post(CHAT, json=QUESTION, headers={"x-byok-key": second.id}).status_code == 200
    assert vendor.seen[0].header("authorization") == "Bearer sk-second-000000"
    assert house.records()[0].key_id == second.id


@pytest.mark.parametrize("named", ["the key of another vendor", "the key of another user", "nonsense"])
def test_a_key_that_is_not_the_caller_s_for_this_vendor_is_never_sent(
    house: Any, client: httpx.Client, vendor: LoopbackVendor, named: str
) -> None:
    eve = users.add(house.services.db, "eve@example.org", now=now())
    of_eve = key_vault.add(house.services.db, house.services.master, eve.id, "openai", "sk-of-eve-000000", now=now()).id
    key_id = {"the key of another vendor": house.key_ids["anthropic"], "the key of another user": of_eve}.get(named, "' or 1=1 --")
    assert client.post(CHAT, json=QUESTION, headers={"x-byok-key": key_id}).status_code in (400, 403)
    assert vendor.seen == []


def test_a_passed_through_key_serves_one_call_and_leaves_no_trace(house: Any, client: httpx.Client, vendor: LoopbackVendor) -> None:
    answer = client.post("/moonshot/v1/chat/completions", json=QUESTION, headers={"x-byok-vendor-key": "sk-mine"})
    assert answer.status_code == 502, "moonshot's own address is not reachable here"
    client.post("/v1/messages", json=MESSAGE, headers={"x-byok-vendor-key": "sk-mine"})
    assert vendor.seen[0].header("x-api-key") == "sk-mine"
    assert vendor.seen[0].header("x-byok-vendor-key") is None
    assert [record.key_id for record in house.records()] == ["passthrough", "passthrough"]


def test_a_key_the_vendor_refuses_is_marked(house: Any, client: httpx.Client, vendor: LoopbackVendor) -> None:
    vendor.script = Reply(401, body=b'{"error": {}}')
    assert client.post(CHAT, json=QUESTION).status_code == 401
    deadline = time.monotonic() + 5
    while (key := _openai_key(house)).refused_at is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert key.refused_at is not None


def _openai_key(house: Any) -> Any:
    return next(key for key in key_vault.of_user(house.services.db, house.user.id) if key.vendor == "openai")


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        ("/openai/v1/chat/completions", "authorization", "Bearer sk-openai-0123456789-stored"),
        ("/anthropic/v1/messages", "x-api-key", "sk-anthropic-0123456789-stored"),
        ("/gemini/v1beta/models/gemini-2.5-flash:generateContent", "x-goog-api-key", "sk-gemini-0123456789-stored"),
        ("/gemini/v1beta/openai/chat/completions", "authorization", "Bearer sk-gemini-0123456789-stored"),
    ],
)
def test_the_key_travels_in_the_vendor_s_own_header(client: httpx.Client, vendor: LoopbackVendor, path: str, name: str, value: str) -> None:
    assert client.post(path, json={"model": "m"}).status_code == 200
    [seen] = vendor.seen
    assert seen.header(name) == value
    assert str(seen.headers).count("stored") == 1


# -- to where --


def test_an_unknown_model_is_a_404_with_the_nearest_names(house: Any, client: httpx.Client) -> None:
    answer = client.post(CHAT, json={"model": "gqt-4o-mini"})
    assert (answer.status_code, error_of(answer)["code"]) == (404, "model_unknown")
    assert "gpt-4o-mini" in error_of(answer)["remedy"]
    assert house.records() == []


@pytest.mark.parametrize("body", [b"", b"[]", b"not json", b'{"model": "gpt-4o-mini"', b"\xff\xfe", b'{"messages": []}', b'{"model": 7}'])
def test_a_body_that_says_no_model_is_a_400(house: Any, client: httpx.Client, vendor: LoopbackVendor, body: bytes) -> None:
    assert client.post(CHAT, content=body).status_code == 400
    assert vendor.seen == []
    assert house.records() == []


def test_the_models_listed_are_those_with_a_key(house: Any, client: httpx.Client) -> None:
    listed = {(entry["owned_by"], entry["object"]) for entry in client.get("/v1/models").json()["data"]}
    assert {vendor for vendor, _ in listed} == {"echo", "openai", "anthropic", "gemini", "deepseek", "minimax"}


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/openai",
        "/openai/",
        "/openai//v1/chat/completions",
        "/openai/v1/../v2/secrets",
        "/openai/v1/%2e%2e/%2e%2e/secrets",
        "/openai/v1%2fchat%2fcompletions",
        "/openai/v1/chat/completions/../../../admin",
        "/openai/v1@evil.example/",
        "/openai/@evil.example/v1/chat/completions",
        "/openai\\v1\\chat",
        "/openai/v1/chat/completions%00",
        "/openai/v1/organization/users",
        "/evil.example/v1/chat/completions",
        "/v1/..//evil",
    ],
)
def test_no_path_leads_elsewhere(house: Any, vendor: LoopbackVendor, path: str) -> None:
    answer = _raw(house, f"POST {path} HTTP/1.1")
    assert answer.split(b" ", 2)[1] in (b"400", b"404"), answer[:200]
    assert vendor.seen == []


@pytest.mark.parametrize("line", ["POST http://{evil}/v1/chat/completions HTTP/1.1", "POST //{evil}/v1/chat/completions HTTP/1.1"])
def test_no_host_leads_elsewhere(house: Any, vendor: LoopbackVendor, line: str) -> None:
    with LoopbackVendor(Reply()) as evil:
        host = evil.url.removeprefix("http://")
        more = f"x-forwarded-host: {host}\r\nx-original-url: /evil\r\n"
        _raw(house, line.format(evil=host), host=host, more=more, body=json.dumps(QUESTION | {"api_base": evil.url, "base_url": evil.url}))
        assert evil.seen == []
    assert all(seen.header("host") == vendor.url.removeprefix("http://") for seen in vendor.seen)


def _raw(house: Any, line: str, *, host: str = "x", more: str = "", body: str = "{}") -> bytes:
    import socket

    address, port = house.url.removeprefix("http://").split(":")
    with socket.create_connection((address, int(port)), timeout=5) as connection:
        more += f"content-length: {len(body)}\r\nconnection: close\r\n"
        head = f"{line}\r\nhost: {host}\r\nauthorization: Bearer {house.token}\r\n{more}\r\n"
        connection.sendall((head + body).encode("latin-1"))
        found = b""
        while piece := connection.recv(65536):
            found += piece
    return found


def test_a_key_in_the_address_is_taken_out(client: httpx.Client, vendor: LoopbackVendor) -> None:
    path = "/gemini/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse&key=AIzaSECRET&%6bey=AIzaSECRET&x=%20"
    client.post(path, json={})
    assert vendor.seen[0].target.partition("?")[2] == "alt=sse&x=%20"


@pytest.mark.parametrize(
    ("query", "left"),
    [(b"", b""), (b"alt=sse", b"alt=sse"), (b"key=x", b""), (b"a=%6b&KEY=1&b", b"a=%6b&b"), (b"monkey=1&k%65y", b"monkey=1")],
)
def test_a_key_is_taken_out_of_a_query_and_nothing_else(query: bytes, left: bytes) -> None:
    assert without_key(query) == left
