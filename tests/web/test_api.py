"""GET /usage and the rest of the API: shapes, refusals, and that nobody sees another's."""

import functools
import io
import json
from decimal import Decimal

import pytest
import structlog

from byok import logs
from byok.accounts import key_vault, passwords
from byok.answers import encode
from byok.recording.files import SCHEMA
from tests.samples import NOON
from tests.web.conftest import Home, Person

ROW = ["vendor", "model", "prompt_tokens", "completion_tokens", "total_tokens", "calls", "success", "failed"]
PASSWORD = "seven quiet lanterns"


def get(home: Home, path: str, person: Person | None = None, **more):
    answer = home.client.get(path, headers=(person or home.ada).bearer, **more)
    return answer.status_code, answer.json()


def test_usage_has_the_promised_shape_order_and_sums(shared_home):
    status, body = get(shared_home, "/usage")
    assert status == 200
    assert list(body) == ["usage", "total_tokens", "total_calls", "success", "failed"]
    assert [list(row) for row in body["usage"]] == [ROW] * 3
    assert [(row["model"], row["total_tokens"], row["calls"], row["failed"]) for row in body["usage"]] == [
        ("gpt-4o", 7900, 1, 0),
        ("gpt-4o-mini", 221, 3, 1),
        ("home-grown", 114, 1, 0),
    ]
    assert [body[name] for name in ("total_tokens", "total_calls", "success", "failed")] == [8235, 5, 4, 1]


def test_no_calls_are_an_empty_answer(shared_home):
    assert get(shared_home, "/usage", shared_home.root) == (
        200,
        {"usage": [], "total_tokens": 0, "total_calls": 0, "success": 0, "failed": 0},
    )


@pytest.mark.parametrize(
    ("query", "calls"),
    [
        ("vendor=openai", 4),
        ("vendor=openai&vendor=ollama", 5),
        ("model=gpt-4o", 1),
        ("key_id=key_other1", 1),
        ("status=429", 1),
        ("status=429&status=200", 5),
        ("status=failed", 1),
        ("status=success", 4),
        ("vendor=nobody", 0),
        ("since=2026-11-20&until=2026-11-21", 5),
        ("since=2026-11-20T12:00:02Z", 3),
        ("until=2026-11-20T12:00:02.000002Z", 2),
        ("until=2026-11-20T14:00:00%2B02:00", 0),
        ("since=2026-11-20T14:00:00+02:00", 5),
        ("since=2026-11-21&tz=Pacific/Kiritimati", 5),
    ],
)
def test_each_filter_leaves_in_what_it_names(shared_home, query, calls):
    assert get(shared_home, f"/usage?{query}")[1]["total_calls"] == calls


def test_groups_hold_exactly_their_columns_and_the_sums(shared_home):
    for group in ("vendor", "model", "key_id", "status", "day", "hour", "month", "day,vendor"):
        body = get(shared_home, f"/usage?group_by={group}")[1]
        assert [list(row) for row in body["usage"]] == [[*group.split(","), *ROW[2:]]] * len(body["usage"])
        assert body["total_calls"] == 5
    assert get(shared_home, "/usage?group_by=day&group_by=status&tz=Asia/Kolkata")[1]["usage"][0]["day"] == "2026-11-20"


def test_costs_are_numbers_with_all_nine_decimals(shared_home):
    text = shared_home.client.get("/usage?cost=true", headers=shared_home.ada.bearer).text
    body = json.loads(text, parse_float=Decimal)
    rows = {row["model"]: row for row in body["usage"]}
    assert str(rows["gpt-4o"]["cost_usd"]) == "0.026500000"
    assert rows["home-grown"]["cost_usd"] is None
    assert rows["home-grown"]["unpriced_calls"] == 1
    assert rows["gpt-4o-mini"]["unpriced_calls"] == 1  # the failed call, whose counts nobody knows
    assert list(body)[-2:] == ["cost_usd", "unpriced_calls"]
    assert body["cost_usd"] == sum(row["cost_usd"] or 0 for row in body["usage"])


@pytest.mark.parametrize(
    "query",
    [
        "venddor=x",
        "user_id=usr_bob1",
        "since=yesterday-ish",
        "since=2026-13-45",
        "tz=Mars/Olympus",
        "group_by=prompt",
        "group_by=vendor;drop",
        "group_by=user_id",
        "limit=1",
        "status=abc",
        "cost=perhaps",
        "since=2026-11-01&since=2026-11-02",
        "vendor=" + "x" * 200,
    ],
)
def test_wrong_parameters_are_refused_without_being_repeated(shared_home, query):
    status, body = get(shared_home, f"/usage?{query}")
    assert status == 400
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "remedy"}
    for value in ("venddor", "yesterday", "Mars", "drop", "perhaps", "xxxx", "usr_bob1"):
        assert value not in json.dumps(body)


def test_every_401_is_the_same(shared_home):
    headers = [
        {},
        {"authorization": "Bearer nonsense"},
        {"authorization": "Bearer byok_aaaaaaaa_" + "b" * 43},
        {"authorization": "Basic eDp5"},
        {"authorization": shared_home.ada.token},
        {"authorization": f"Bearer\t{shared_home.ada.jwt}"},
        {"authorization": f"Bearer {shared_home.ada.jwt}, Bearer x"},
        {"authorization": f"Bearer  {shared_home.ada.jwt}"},
        {"cookie": f"byok_session={shared_home.ada.token}"},
    ]
    answers = [shared_home.client.get("/usage", headers=one) for one in headers]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert {answer.headers["www-authenticate"] for answer in answers} == {'Bearer error="invalid_token"'}
    assert answers[0].json()["error"]["code"] == "unauthorized"


def test_the_session_cookie_is_no_key_to_the_api(home):
    assert home.signed_in(home.ada).get("/usage").status_code == 401


def test_unknown_paths_and_methods_answer_in_json(shared_home):
    for path in ("/usages", "/usage/nothing", "/usage/", "/admin/nothing", "/v1/usage", "/api/usage", "/auth/nothing", "/me/x"):
        answer = shared_home.client.get(path, headers=shared_home.ada.bearer)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found"), path
    answer = shared_home.client.put("/usage", headers=shared_home.ada.bearer)
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")
    assert shared_home.client.post("/overview").status_code == 404


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/usage", "DELETE, GET"), ("/keys", "GET, POST"), ("/admin/budgets", "GET, POST"), ("/auth/token", "POST"), ("/budgets/x", "DELETE")],
)
def test_a_refused_method_names_every_method_of_the_path(shared_home, path, allowed):
    assert shared_home.client.patch(path, headers=shared_home.ada.bearer).headers["allow"] == allowed


def test_answers_are_not_stored_anywhere(shared_home):
    for path in ("/usage", "/me", "/keys", "/usage/export", "/nothing", "/openapi.json", "/admin/users"):
        answer = shared_home.client.get(path, headers=shared_home.ada.bearer)
        if path != "/openapi.json":
            assert answer.headers["cache-control"] == "no-store", path


# -- tokens --


def test_a_jwt_for_an_access_token_and_for_a_password(home):
    passwords.set_password(home.services.db, home.ada.user.id, PASSWORD, now=home.services.now())
    home.later(seconds=2)
    by_token = home.client.post("/auth/token", headers=home.ada.bearer)
    by_password = home.client.post("/auth/token", json={"email": "ADA@example.org", "password": PASSWORD})
    for answer in (by_token, by_password):
        body = answer.json()
        assert answer.status_code == 200
        assert (list(body), body["token_type"], body["expires_in"]) == (["token", "token_type", "expires_in"], "Bearer", 3600)
        assert home.client.get("/me", headers={"authorization": f"Bearer {body['token']}"}).json()["email"] == "ada@example.org"


def test_a_jwt_does_not_renew_itself(shared_home):
    assert shared_home.client.post("/auth/token", headers={"authorization": f"Bearer {shared_home.ada.jwt}"}).status_code == 401


def test_wrong_passwords_get_the_one_401_and_then_wait(home):
    passwords.set_password(home.services.db, home.ada.user.id, PASSWORD, now=home.services.now())
    statuses = []
    for _ in range(12):
        answer = home.client.post("/auth/token", json={"email": "ada@example.org", "password": "not this one either"})
        statuses.append(answer.status_code)
    assert statuses[0] == 401
    assert statuses[-1] == 429
    assert set(statuses) == {401, 429}
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["error"]["code"] == "too_many_requests"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null x",
        b'"text"',
        b'{"email": "a@b.c"}',
        b'{"email": 1, "password": "canary-7"}',
        b"[" * 20_000,
        b'{"email":"a@b.c","password":"canary-7","x":1}',
        b"\xff\xfe",
    ],
)
def test_bodies_that_are_no_credentials(shared_home, body):
    answer = shared_home.client.post("/auth/token", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert set(answer.json()["error"]) == {"code", "message", "remedy"}
    assert "canary" not in answer.text


def test_a_large_body_is_refused_declared_or_not(shared_home):
    def pieces():
        for _ in range(100):
            yield b"x" * 1024

    headers = {"content-type": "application/json", **shared_home.ada.bearer}
    for body in (b"x" * 100_000, pieces()):
        answer = shared_home.client.post("/keys", content=body, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


# -- the rest --


def test_me_tells_of_the_caller(shared_home):
    assert get(shared_home, "/me") == (
        200,
        {
            "id": "usr_ada1",
            "email": "ada@example.org",
            "plan": "team",
            "retention_days": 90,
            "admin": False,
            "disabled": False,
            "created": shared_home.ada.user.public()["created"],
            "name": None,
            "tz": "UTC",
        },
    )


def test_keys_are_added_listed_and_revoked_and_never_shown(home):
    made = home.client.post(
        "/keys", json={"vendor": "openai", "secret": "sk-canary-0123456789wxyz", "label": "work"}, headers=home.ada.bearer
    )
    assert made.status_code == 201
    key = made.json()
    assert (key["last_four"], key["default"], key["vendor"], key["label"]) == ("wxyz", True, "openai", "work")
    listed = home.client.get("/keys", headers=home.ada.bearer)
    assert [found["id"] for found in listed.json()["keys"]] == [key["id"]]
    assert "canary" not in made.text + listed.text
    assert key_vault.choose(home.services.db, home.services.master, "usr_ada1", "openai")[1].reveal() == "sk-canary-0123456789wxyz"
    assert home.client.delete(f"/keys/{key['id']}", headers=home.ada.bearer).status_code == 204
    assert home.client.delete(f"/keys/{key['id']}", headers=home.ada.bearer).status_code == 404
    assert get(home, "/keys")[1] == {"keys": []}


@pytest.mark.parametrize(
    "new", [{"vendor": "no-such-vendor", "secret": "sk-canary-1"}, {"vendor": "openai", "secret": "  "}, {"vendor": "openai"}]
)
def test_keys_that_make_no_sense_are_refused(shared_home, new):
    answer = shared_home.client.post("/keys", json=new, headers=shared_home.ada.bearer)
    assert answer.status_code == 400
    assert "canary" not in answer.text


def test_access_tokens_are_made_listed_and_revoked(home):
    made = home.client.post("/access-tokens", json={"label": "laptop"}, headers=home.ada.bearer).json()
    bearer = {"authorization": f"Bearer {made['token']}"}
    assert home.client.get("/me", headers=bearer).status_code == 200
    listed = home.client.get("/access-tokens", headers=bearer)
    assert made["id"] in [found["id"] for found in listed.json()["access_tokens"]]
    assert made["token"] not in listed.text
    assert home.client.delete(f"/access-tokens/{made['id']}", headers=home.ada.bearer).status_code == 204
    assert home.client.get("/me", headers=bearer).status_code == 401


def test_models_have_exact_prices(shared_home):
    text = shared_home.client.get("/models", headers=shared_home.ada.bearer).text
    rows = {row["model"]: row for row in json.loads(text, parse_float=Decimal)["models"]}
    assert len(rows) >= 17
    assert rows["gpt-4o"]["input_usd_per_mtok"] == Decimal("2.5")


def test_costs_come_dearest_first(shared_home):
    body = get(shared_home, "/costs")[1]
    assert [row["model"] for row in body["costs"]] == ["gpt-4o", "gpt-4o-mini", "home-grown"]
    assert (body["unpriced_calls"], body["total_calls"]) == (2, 5)


def test_costs_are_split_into_parts_that_add_up_and_name_their_prices(shared_home):
    text = shared_home.client.get("/costs", headers=shared_home.ada.bearer).text
    body = json.loads(text, parse_float=Decimal)
    parts = ("input_usd", "cached_usd", "written_usd", "output_usd", "request_usd")
    for row in [*body["costs"], body]:
        assert (row["cost_usd"] is None and row["output_usd"] is None) or sum(row[name] for name in parts) == row["cost_usd"]
    for name in ("cached_tokens", "cache_write_tokens"):
        assert body[name] == sum(row[name] for row in body["costs"])
    assert [row["price_sources"] for row in body["costs"]] == [["as stated by the product's owner (2026-06-06)"]] * 2 + [[]]
    assert body["costs"][0]["usd_per_1000_calls"] is not None
    assert "price_sources" not in get(shared_home, "/costs?group_by=day")[1]["costs"][0]


def test_what_if_reprices_the_calls_that_are_named(shared_home):
    body = get(shared_home, "/costs/what-if?replace=openai/gpt-4o=openai/gpt-4o-mini")[1]
    first = body["what_if"][0]
    assert (first["model"], first["to_model"]) == ("gpt-4o", "gpt-4o-mini")
    assert first["what_if_usd"] < first["cost_usd"] and body["difference_usd"] < 0
    assert "tokenizer" in body["note"]
    again = get(shared_home, "/costs/what-if?replace=openai/gpt-4o=openai/gpt-4o-mini&replace=openai/gpt-4o-mini=openai/gpt-4o")[1]
    assert [row["to_model"] for row in again["what_if"]][:2] in (["gpt-4o-mini", "gpt-4o"], ["gpt-4o", "gpt-4o-mini"])


@pytest.mark.parametrize("query", ["", "replace=gpt-4o", "replace=openai/gpt-4o=openai/none", "cached_share=2", "cached_share=x", "swap=a"])
def test_a_what_if_that_makes_no_sense_is_refused(shared_home, query):
    status, body = get(shared_home, f"/costs/what-if?{query}")
    assert status == 400 and body["error"]["remedy"]


def test_a_series_is_cut_in_the_zone_that_was_asked_for(shared_home):
    body = get(shared_home, "/usage/series?grain=hour&by=vendor&tz=Europe/Berlin")[1]
    assert [(row["bucket"], row["vendor"], row["calls"]) for row in body["series"]] == [
        ("2026-11-20T13:00:00+01:00", "openai", 4),
        ("2026-11-20T13:00:00+01:00", "ollama", 1),
    ]
    assert get(shared_home, "/usage/series?grain=week")[0] == 400


@pytest.mark.parametrize("format", ["csv", "json", "jsonl", "parquet"])
def test_export_streams_ones_own_records(shared_home, format):
    answer = shared_home.client.get(f"/usage/export?format={format}&status=200", headers=shared_home.ada.bearer)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-disposition"] == f'attachment; filename="usage-2026-11-20.{format}"'
    assert b"usr_bob1" not in answer.content
    if format == "jsonl":
        rows = [json.loads(line) for line in answer.text.splitlines()]
        assert [list(row) for row in rows] == [SCHEMA.names] * 4
        assert rows[0]["ts"] == f"{NOON:%Y-%m-%dT%H:%M:%S.%fZ}"


def test_export_in_an_unknown_format(shared_home):
    assert get(shared_home, "/usage/export?format=xls")[0] == 400


def test_admins_see_all_users_and_others_do_not(shared_home):
    body = get(shared_home, "/admin/usage?group_by=user_id", shared_home.root)[1]
    assert [(row["user_id"], row["calls"]) for row in body["usage"]] == [("usr_bob1", 1), ("usr_ada1", 5)]
    assert get(shared_home, "/admin/usage?user_id=usr_ada1", shared_home.root)[1]["total_calls"] == 5
    assert [user["email"] for user in get(shared_home, "/admin/users", shared_home.root)[1]["users"]] == [
        "ada@example.org",
        "bob@example.org",
        "root@example.org",
    ]
    for path in ("/admin/usage", "/admin/users"):
        assert get(shared_home, path, shared_home.ada)[0] == 403


def test_rows_past_retention_are_hidden(home):
    home.later(days=90, minutes=-59, seconds=-58)  # 90 days after the second record
    assert home.client.get("/usage", headers={"authorization": f"Bearer {home.ada.token}"}).json()["total_calls"] == 3


def test_deleting_ones_records_needs_a_word_and_gives_a_receipt(home):
    refused = home.client.delete("/usage", headers=home.ada.bearer)
    assert (refused.status_code, refused.json()["error"]["code"], refused.json()["error"]["rows"]) == (409, "confirm_required", 5)
    part = home.client.delete("/usage?before=2026-11-20T12:00:02Z", headers=home.ada.bearer)
    assert part.json()["error"]["rows"] == 2
    assert get(home, "/usage")[1]["total_calls"] == 5
    receipt = home.client.delete("/usage?confirm=true&before=2026-11-20T12:00:02Z", headers=home.ada.bearer)
    assert receipt.status_code == 200
    assert list(receipt.json()) == ["receipt", "kind", "dry_run", "rows", "files", "seconds", "at"]
    assert (receipt.json()["kind"], receipt.json()["rows"]) == ("erase", 2)
    assert get(home, "/usage")[1]["total_calls"] == 3
    assert home.client.delete("/usage?confirm=true", headers=home.ada.bearer).json()["rows"] == 3
    assert get(home, "/usage")[1]["total_calls"] == 0
    assert get(home, "/usage", home.bob)[1]["total_calls"] == 1


@pytest.mark.parametrize(
    "query", ["confirm=yes", "before=soon", "confirm=true&before=soon", "user_id=usr_bob1&confirm=true", "tz=Mars/Olympus"]
)
def test_a_deletion_that_is_not_understood_removes_nothing(shared_home, query):
    assert shared_home.client.delete(f"/usage?{query}", headers=shared_home.ada.bearer).status_code == 400
    assert get(shared_home, "/usage")[1]["total_calls"] == 5


# -- for machines --


def test_openapi_and_its_page_name_every_route_and_load_nothing(shared_home):
    paths = shared_home.client.get("/openapi.json").json()["paths"]
    assert {"/usage", "/usage/export", "/usage/series", "/costs", "/models", "/me", "/auth/token", "/keys", "/admin/usage"} <= set(paths)
    page = shared_home.client.get("/docs")
    assert page.status_code == 200
    assert all(path in page.text for path in paths)
    assert "group_by" in page.text
    assert "<script" not in page.text
    shown_only = ("http://127.0.0.1:8501", "https://hooks.slack.com/services/…")  # in examples to copy
    assert "//" not in functools.reduce(lambda text, address: text.replace(address, ""), shown_only, page.text)
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_alive_ready_and_metrics(home):
    assert home.client.get("/healthz").json() == {"status": "ok"}
    assert home.client.head("/healthz").status_code == 200
    assert home.client.get("/readyz").json() == {"status": "ok"}
    home.client.delete("/keys/key_of_nobody1", headers=home.ada.bearer)
    text = home.client.get("/metrics").text
    assert "byok_quarantined_files 0.0" in text
    assert 'byok_web_requests_total{method="DELETE",route="/keys/{key_id}",status="404"} 1.0' in text
    assert "byok_web_request_seconds_count" in text
    assert "key_of_nobody1" not in text


def test_not_ready_when_the_accounts_cannot_be_read(home, monkeypatch):
    monkeypatch.setattr(home.services.db, "engine", None)
    answer = home.client.get("/readyz")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_ready")


def test_an_unforeseen_fault_is_a_500_and_a_line_without_its_text(home, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("canary-of-a-fault")

    lines = io.StringIO()
    logs.setup(home.services.settings, "web", stream=lines)
    try:
        monkeypatch.setattr("byok.api.usage.questions.usage", fail)
        answer = home.client.get("/usage?model=canary-of-a-query", headers=home.ada.bearer)
    finally:
        structlog.reset_defaults()
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal")
    assert '"event": "request_failed"' in lines.getvalue()
    assert "RuntimeError" in lines.getvalue()
    assert "canary" not in answer.text + lines.getvalue()


def test_sums_of_any_size_stay_exact():
    found = {
        "rows": [{"total_tokens": 2**80, "cost_usd": Decimal("12345678901234567890.123456789"), "calls": True, "wide": Decimal(2**70)}]
    }
    assert encode(found) == (
        b'{"rows":[{"total_tokens":1208925819614629174706176,"cost_usd":12345678901234567890.123456789,"calls":true,"wide":1180591620717411303424}]}'
    )


def test_the_forecast_says_what_it_knows(home):
    body = home.client.get("/costs/forecast?metric=calls&tz=Europe/Berlin", headers=home.ada.bearer).json()
    assert (body["metric"], body["tz"], body["enough"], body["middle"]) == ("calls", "Europe/Berlin", False, None)
    assert body["basis"]
    assert home.client.get("/costs/forecast?since=2026-01-01", headers=home.ada.bearer).status_code == 400
    assert home.client.get("/costs/forecast?metric=euros", headers=home.ada.bearer).json()["error"]["code"] == "invalid_parameter"
