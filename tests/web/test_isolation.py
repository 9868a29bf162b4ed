"""Two users: whatever bob does with ada's ids, he learns and changes nothing. The list is made from the route table."""

from decimal import Decimal
from pathlib import Path

import pytest

from byok import downloads
from byok.accounts import access_tokens, alert_rules, budgets, key_vault
from byok.accounts.alert_rules import Target, Terms
from byok.accounts.key_vault import Secret
from byok.store.scope import Scope
from tests.samples import NOON
from tests.web.conftest import Home

ADAS_KEY_SECRET = "sk-adas-secret-0123456789"

# Each route, with one of ada's ids where it takes one ({key}, {token}, {link}); its answer to bob, and to nobody at all.
MATRIX: dict[tuple[str, str], tuple[str, dict | None, set[int], set[int]]] = {
    ("GET", "/usage"): ("/usage?key_id={key}&cost=true", None, {200}, {401}),
    ("DELETE", "/usage"): ("/usage", None, {409}, {401}),
    ("GET", "/usage/series"): ("/usage/series?key_id={key}", None, {200}, {401}),
    ("GET", "/usage/spikes"): ("/usage/spikes", None, {200}, {401}),
    ("GET", "/usage/export"): ("/usage/export?format=jsonl&key_id={key}", None, {200}, {401}),
    ("GET", "/costs"): ("/costs?key_id={key}", None, {200}, {401}),
    ("GET", "/costs/what-if"): ("/costs/what-if?key_id={key}&cached_share=0.5", None, {200}, {401}),
    ("GET", "/costs/forecast"): ("/costs/forecast?key_id={key}", None, {200}, {401}),
    ("POST", "/auth/token"): ("/auth/token", None, {200}, {401}),
    ("GET", "/me"): ("/me", None, {200}, {401}),
    ("GET", "/keys"): ("/keys", None, {200}, {401}),
    ("POST", "/keys"): ("/keys", {"vendor": "openai", "secret": "sk-bobs-own-key-123"}, {201}, {401}),
    ("DELETE", "/keys/{key_id}"): ("/keys/{key}", None, {404}, {401}),
    ("GET", "/access-tokens"): ("/access-tokens", None, {200}, {401}),
    ("POST", "/access-tokens"): ("/access-tokens", {"label": "bobs"}, {201}, {401}),
    ("DELETE", "/access-tokens/{token_id}"): ("/access-tokens/{token}", None, {404}, {401}),
    ("GET", "/models"): ("/models", None, {200}, {401}),
    ("GET", "/alerts"): ("/alerts", None, {200}, {401}),
    ("POST", "/alerts"): ("/alerts", {"channel": "mail"}, {201}, {401}),
    ("DELETE", "/alerts/{rule_id}"): ("/alerts/{rule}", None, {404}, {401}),
    ("POST", "/alerts/{rule_id}/pause"): ("/alerts/{rule}/pause", None, {404}, {401}),
    ("POST", "/alerts/{rule_id}/resume"): ("/alerts/{rule}/resume", None, {404}, {401}),
    ("POST", "/alerts/{rule_id}/test"): ("/alerts/{rule}/test", None, {404}, {401}),
    ("GET", "/admin/usage"): ("/admin/usage?user_id=usr_ada1", None, {403}, {401}),
    ("GET", "/admin/spikes"): ("/admin/spikes", None, {403}, {401}),
    ("GET", "/admin/users"): ("/admin/users", None, {403}, {401}),
    ("GET", "/budgets"): ("/budgets", None, {200}, {401}),
    ("POST", "/budgets"): ("/budgets", {"usd": "5"}, {201}, {401}),
    ("DELETE", "/budgets/{budget_id}"): ("/budgets/{budget}", None, {404}, {401}),
    ("GET", "/admin/budgets"): ("/admin/budgets", None, {403}, {401}),
    ("POST", "/admin/budgets"): ("/admin/budgets", {"user_id": "usr_ada1", "usd": "5"}, {403}, {401}),
    ("DELETE", "/admin/budgets/{budget_id}"): ("/admin/budgets/{budget}", None, {403}, {401}),
    ("GET", "/download/{link}"): ("/download/{link}", None, {404}, {401}),
    ("GET", "/openapi.json"): ("/openapi.json", None, {200}, {200}),
    ("GET", "/docs"): ("/docs", None, {200}, {200}),
    ("GET", "/healthz"): ("/healthz", None, {200}, {200}),
    ("GET", "/readyz"): ("/readyz", None, {200}, {200}),
    ("GET", "/metrics"): ("/metrics", None, {200}, {200}),
    ("GET", "/auth/sign-in"): ("/auth/sign-in", None, {303}, {200}),
    ("POST", "/auth/sign-in"): ("/auth/sign-in", None, {403}, {403}),
    ("GET", "/auth/sign-out"): ("/auth/sign-out", None, {200}, {303}),
    ("POST", "/auth/sign-out"): ("/auth/sign-out", None, {403}, {403}),
    ("GET", "/auth/set-password"): ("/auth/set-password", None, {200}, {200}),
    ("POST", "/auth/set-password"): ("/auth/set-password", None, {403}, {403}),
    ("POST", "/auth/oidc/start"): ("/auth/oidc/start", None, {403}, {403}),
    ("GET", "/auth/oidc/callback"): ("/auth/oidc/callback?code=x&state=y", None, {404}, {404}),
    ("GET", "/auth/oidc/connect"): ("/auth/oidc/connect", None, {303}, {303}),
    ("GET", "/auth/unsubscribe"): ("/auth/unsubscribe?token={rule}", None, {404}, {404}),
    ("POST", "/auth/unsubscribe"): ("/auth/unsubscribe?token={rule}", None, {404}, {404}),
    ("GET", "/auth/style.css"): ("/auth/style.css", None, {200}, {200}),
}


def routes(home: Home) -> set[tuple[str, str]]:
    found = set()

    def walk(table) -> None:
        for route in table:
            inner = getattr(route, "routes", None) or getattr(getattr(route, "original_router", None), "routes", None)
            if inner:
                walk(inner)
            else:
                found.update((method, route.path) for method in route.methods - {"HEAD"})

    walk(home.door.api.routes)
    walk(home.door.signin.routes)
    return found


@pytest.fixture
def ids(home: Home) -> dict[str, str]:
    key = key_vault.add(
        home.services.db, home.services.master, "usr_ada1", "openai", ADAS_KEY_SECRET, now=home.services.now(), label="adas-label"
    )
    token = access_tokens.of_user(home.services.db, "usr_ada1")[0].id
    target = Target("slack", Secret("https://hooks.slack.com/services/adas-secret-path"), "hooks.slack.com")
    rule, _ = alert_rules.add(home.services.db, home.services.master, "usr_ada1", Terms(), target, now=home.services.now())
    budget = budgets.put(home.services.db, "usr_ada1", usd=Decimal("77.77"), now=home.services.now())
    return {"key": key.id, "token": token, "link": link_of_ada(home), "budget": budget.id, "rule": rule.id}


def link_of_ada(home: Home) -> str:
    scope = Scope("usr_ada1", NOON.replace(hour=0), NOON.replace(hour=23))
    return downloads.offer("usr_ada1", scope, "jsonl", "usage.jsonl", now=home.services.now()).rsplit("/", 1)[-1]


def test_every_route_is_in_the_matrix(shared_home):
    assert routes(shared_home) == set(MATRIX)


@pytest.mark.parametrize("route", MATRIX, ids=" ".join)
def test_bob_learns_and_changes_nothing(home, ids, route):
    path, body, to_bob, to_nobody = MATRIX[route]
    browser = home.signed_in(home.bob)
    bearer = home.bob.bearer

    def ask(some_ids: dict[str, str]):
        return browser.request(route[0], path.format(**some_ids), json=body, headers=bearer)

    answer = ask(ids)
    assert answer.status_code in to_bob
    for canary in (
        ADAS_KEY_SECRET,
        "adas-secret-path",
        "adas-label",
        "ada@example.org",
        "usr_ada1",
        home.ada.token,
        "key_main1",
        '"total_tokens":8235',
        "77.77",
    ):
        assert canary not in answer.text
    unknown = {"key": "key_0123456789abcdef", "token": "abcdefgh", "link": "x" * 43}
    unknown |= {"budget": "bud_0123456789abcdef", "rule": "alr_0123456789abcdef"}
    if set(ids) & set(path.replace("}", "{").split("{")):
        other = ask(unknown)
        assert (other.status_code, other.content) == (answer.status_code, answer.content), "no difference to an id that does not exist"
    assert home.browser().request(route[0], path.format(**ids), json=body).status_code in to_nobody
    assert home.client.get("/usage", headers=home.ada.bearer).json()["total_calls"] == 5
    assert [key.id for key in key_vault.of_user(home.services.db, "usr_ada1")] == [ids["key"]]
    assert [rule.id for rule in alert_rules.of_user(home.services.db, "usr_ada1")] == [ids["rule"]]
    assert [one.id for one in budgets.of_user(home.services.db, "usr_ada1")] == [ids["budget"]]


@pytest.mark.parametrize("page", ["", *sorted(path.stem for path in (Path(__file__).parents[2] / "pages").glob("*.py"))])
def test_every_page_is_for_who_is_signed_in(shared_home, page):
    """What a page then shows of whom is tested with the page; Users is for admins (tests/pages/test_users.py)."""
    browser = {"accept": "text/html"}
    sent = shared_home.browser().get(f"/{page}", headers=browser)
    assert (sent.status_code, sent.headers["location"].partition("?")[0]) == (303, "/auth/sign-in")
    for person in (shared_home.ada, shared_home.bob, shared_home.root):
        assert shared_home.signed_in(person).get(f"/{page}", headers=browser).text == f"the dashboard at /{page}"


@pytest.mark.parametrize(
    ("method", "path"), [route for route in MATRIX if route[0] == "GET" and route[1].startswith("/admin")], ids=" ".join
)
def test_an_admin_has_the_routes_for_admins(shared_home, method, path):
    assert shared_home.client.request(method, path, headers=shared_home.root.bearer).status_code == 200


def test_bob_cannot_use_the_link_but_ada_can_once(home, ids):
    ada, bob = home.signed_in(home.ada), home.signed_in(home.bob)
    path = f"/download/{ids['link']}"
    assert home.browser().get(path).status_code == 401
    assert home.client.get(path, headers=home.ada.bearer).status_code == 401, "the cookie is asked for, not a token"
    assert bob.get(path).status_code == 404
    answer = ada.get(path)
    assert answer.status_code == 200
    assert len(answer.text.splitlines()) == 5
    assert "usr_bob1" not in answer.text
    assert answer.headers["content-disposition"] == 'attachment; filename="usage.jsonl"'
    assert answer.headers["cache-control"] == "no-store"
    assert ada.get(path).status_code == 404


def test_a_link_is_good_for_a_minute(home):
    ada = home.signed_in(home.ada)
    late, timely = link_of_ada(home), link_of_ada(home)
    home.later(seconds=59)
    assert ada.get(f"/download/{timely}").status_code == 200
    home.later(seconds=2)
    assert ada.get(f"/download/{late}").status_code == 404


def test_links_do_not_pile_up(home):
    first = link_of_ada(home)
    for _ in range(1_000):
        link_of_ada(home)
    assert len(downloads.REGISTRY._offers) <= 1_000
    assert home.signed_in(home.ada).get(f"/download/{first}").status_code == 404
