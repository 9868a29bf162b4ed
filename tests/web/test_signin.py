"""Sign-in, sign-out and setting a password, as a browser meets them."""

import re
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from byok.accounts import passwords, sessions, users
from byok.forms import local_path
from tests.web.conftest import Home, csrf_of

PASSWORD = "seven quiet lanterns"


@pytest.fixture
def browser(home: Home) -> TestClient:
    return home.browser()


@pytest.fixture
def visitor(shared_home: Home) -> TestClient:
    return shared_home.browser()


@pytest.fixture
def password(home: Home) -> str:
    passwords.set_password(home.services.db, home.ada.user.id, PASSWORD, now=home.services.now())
    return PASSWORD


def sign_in(browser: TestClient, target: str = "/", headers: dict[str, str] | None = None, **fields: str):
    page = browser.get("/auth/sign-in", params={"next": target}, headers=headers)
    shown = re.search(r'name="next" value="([^"]*)"', page.text)[1].replace("&amp;", "&")
    return browser.post("/auth/sign-in", data={"csrf": csrf_of(page.text), "next": shown, **fields}, headers=headers)


def test_visitors_are_sent_to_sign_in_and_back_to_where_they_wanted(home, browser, password):
    sent = browser.get("/explore?range=7d&vendor=openai")
    assert sent.status_code == 303
    assert sent.headers["location"] == "/auth/sign-in?next=/explore%3Frange%3D7d%26vendor%3Dopenai"
    page = browser.get(sent.headers["location"])
    assert page.status_code == 200
    answer = browser.post(
        "/auth/sign-in",
        data={"csrf": csrf_of(page.text), "next": "/explore?range=7d&vendor=openai", "email": " Ada@Example.org", "password": password},
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/explore?range=7d&vendor=openai")
    assert browser.get(answer.headers["location"]).text == "the dashboard at /explore"


def test_sign_in_by_access_token_and_the_cookie(home, browser):
    answer = sign_in(browser, token=f"  {home.ada.token} ")
    assert answer.status_code == 303
    cookie = next(value for value in answer.headers.get_list("set-cookie") if value.startswith("byok_session="))
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert home.ada.token not in cookie
    assert browser.get("/").text == "the dashboard at /"
    assert browser.get("/auth/sign-in?next=/keys").headers["location"] == "/keys", "who is signed in need not do it again"


@pytest.mark.parametrize("header", ["x-forwarded-proto", None])
def test_the_cookie_is_secure_behind_tls(home, browser, header, monkeypatch):
    if header is None:
        monkeypatch.setattr(
            home.door.signin.routes[0].endpoint.__self__.services,
            "settings",
            home.services.settings.model_copy(update={"public_url": "https://byok.test"}),
        )
    answer = sign_in(browser, token=home.ada.token, headers={header: "https"} if header else None)
    cookies = answer.headers.get_list("set-cookie")
    assert cookies
    assert all("Secure" in cookie for cookie in cookies)


@pytest.mark.parametrize(
    "fields",
    [
        {"email": "ada@example.org", "password": "not this one"},
        {"email": "nobody@example.org", "password": PASSWORD},
        {"token": "byok_aaaaaaaa_" + "b" * 43},
        {"token": ""},
        {"email": "", "password": ""},
        {},
    ],
)
def test_a_wrong_secret_says_nothing_more_than_that(home, browser, password, fields):
    answer = sign_in(browser, **fields)
    assert answer.status_code == 401
    assert "That did not match" in answer.text
    assert "byok_session" not in str(answer.headers.get_list("set-cookie"))
    assert not any(value and value in answer.text for name, value in fields.items() if name != "email")


def test_guessing_is_slowed_down(home, browser, password):
    statuses = [sign_in(browser, email="ada@example.org", password=f"wrong number {n}").status_code for n in range(10)]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    assert sign_in(browser, email="ada@example.org", password=password).status_code == 429, "also the right one has to wait"
    home.later(hours=1)
    assert sign_in(browser, email="ada@example.org", password=password).status_code == 303


def test_a_claimed_address_does_not_help_to_guess(shared_home, visitor, monkeypatch):
    seen = []
    monkeypatch.setattr(passwords, "check", lambda *_, address, **__: seen.append(address))
    for claimed in ("203.0.113.1", "203.0.113.2, 127.0.0.1"):
        fields = {"email": "ada@example.org", "password": "a guess at random"}
        assert sign_in(visitor, headers={"x-forwarded-for": claimed}, **fields).status_code == 401
        shared_home.browser().post("/auth/token", json=fields, headers={"x-forwarded-for": claimed})
    assert seen == ["198.51.100.7"] * 4


@pytest.mark.parametrize("forged", ["", "0" * 64, None])
def test_a_form_from_elsewhere_is_refused(shared_home, visitor, forged):
    visitor.get("/auth/sign-in")
    fields = {"token": shared_home.ada.token} | ({} if forged is None else {"csrf": forged})
    answer = visitor.post("/auth/sign-in", data=fields)
    assert answer.status_code == 403
    assert "byok_session" not in visitor.cookies


def test_a_form_of_another_browser_or_another_origin_is_refused(home, browser):
    page = home.browser().get("/auth/sign-in")
    browser.get("/auth/sign-in")
    fields = {"csrf": csrf_of(page.text), "token": home.ada.token}
    assert browser.post("/auth/sign-in", data=fields).status_code == 403
    fields["csrf"] = csrf_of(browser.get("/auth/sign-in").text)
    for origin in ("http://byok.test:3000", "null", "https://evil.example", "http://["):
        assert browser.post("/auth/sign-in", data=fields, headers={"origin": origin}).status_code == 403
    assert browser.post("/auth/sign-in", data=fields, headers={"origin": "http://byok.test"}).status_code == 303


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil",
        "javascript:alert(1)",
        "",
        "evil",
        "/\t/evil.example",
        "/%0d%0a\r\nx: y",
        "/auth/sign-out",
        "///evil",
        "/" + "x" * 3000,
        "/ö",
    ],
)
def test_next_leads_nowhere_else(shared_home, visitor, target):
    answer = sign_in(visitor, target, token=shared_home.ada.token)
    assert answer.headers["location"] == "/"


def test_local_path_keeps_what_is_local():
    for path in ("/", "/costs?range=7d&vendor=a%20b", "/explore#x"):
        assert local_path(path) == path


def test_sign_out_ends_the_session_at_once(home):
    browser = home.signed_in(home.ada)
    copied = browser.cookies["byok_session"]
    assert browser.get("/auth/sign-out").status_code == 200, "a link alone signs nobody out"
    assert browser.get("/").status_code == 200
    assert browser.post("/auth/sign-out").status_code == 403
    answer = browser.post("/auth/sign-out", data={"csrf": csrf_of(browser.get("/auth/sign-out").text)})
    assert (answer.status_code, answer.headers["location"]) == (303, "/auth/sign-in")
    assert browser.get("/").status_code == 303
    thief = home.browser()
    thief.cookies.set("byok_session", copied)
    assert thief.get("/").status_code == 303


def test_each_sign_in_is_a_new_session_and_ends_the_one_before(home):
    browser = home.browser()
    browser.cookies.set("byok_session", "planted-by-somebody-else", domain="byok.test", path="/")
    seen = {"planted-by-somebody-else"}
    for _ in range(2):
        page = browser.get("/auth/sign-out")  # a form for a browser that is signed in, too
        csrf = csrf_of(page.text if page.status_code == 200 else browser.get("/auth/sign-in").text)
        assert browser.post("/auth/sign-in", data={"csrf": csrf, "token": home.ada.token}).status_code == 303
        seen.add(browser.cookies["byok_session"])
    assert len(seen) == 3
    assert len(sessions.of_user(home.services.db, home.ada.user.id, now=home.services.now())) == 1


def test_sessions_end_by_idleness_disabling_and_password_change(home):
    browser = home.signed_in(home.ada)
    home.later(hours=7)
    assert browser.get("/").status_code == 200
    home.later(hours=7)
    assert browser.get("/").status_code == 200
    home.later(hours=9)
    assert browser.get("/").status_code == 303
    browser = home.signed_in(home.ada)
    passwords.set_password(home.services.db, home.ada.user.id, PASSWORD, now=home.services.now())
    assert browser.get("/").status_code == 303
    browser = home.signed_in(home.ada)
    users.change(home.services.db, home.ada.user.id, disabled=True)
    assert browser.get("/").status_code == 303


def test_a_password_is_set_by_a_link_that_works_once(home, browser):
    link = passwords.set_link(home.services.db, home.ada.user.id, now=home.services.now())
    page = browser.get("/auth/set-password", params={"token": link})
    assert page.headers["referrer-policy"] == "same-origin"
    fields = {"csrf": csrf_of(page.text), "token": link, "password": PASSWORD, "again": PASSWORD}
    assert "not the same" in browser.post("/auth/set-password", data=fields | {"again": "another"}).text
    weak = browser.post("/auth/set-password", data=fields | {"password": "short", "again": "short"})
    assert (weak.status_code, "12" in weak.text) == (400, True)
    assert browser.post("/auth/set-password", data=fields | {"csrf": "x"}).status_code == 403
    done = browser.post("/auth/set-password", data=fields)
    assert (done.status_code, done.headers["location"]) == (303, "/")
    assert browser.get("/").text == "the dashboard at /"
    again = home.browser()
    fields["csrf"] = csrf_of(again.get("/auth/set-password", params={"token": link}).text)
    used = again.post("/auth/set-password", data=fields)
    assert used.status_code == 403
    assert "byok_session" not in again.cookies
    assert sign_in(home.browser(), email="ada@example.org", password=PASSWORD).status_code == 303


def test_a_link_that_is_late(home, browser):
    link = passwords.set_link(home.services.db, home.ada.user.id, now=home.services.now())
    home.clock[0] += timedelta(days=2)
    csrf = csrf_of(browser.get("/auth/set-password", params={"token": link}).text)
    answer = browser.post("/auth/set-password", data={"csrf": csrf, "token": link, "password": PASSWORD, "again": PASSWORD})
    assert answer.status_code == 403
    assert "expired" in answer.text


def test_pages_are_strict_and_load_nothing_from_elsewhere(shared_home, visitor):
    pages = [visitor.get("/auth/sign-in?next=/%3Cscript%3E"), visitor.get("/auth/set-password?token=%22%3E%3Cscript%3E")]
    pages.append(shared_home.signed_in(shared_home.ada).get("/auth/sign-out"))
    for page in pages:
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert "<script" not in page.text
        assert not re.search(r'(src|href)="(?!/)', page.text)
        assert 'name="viewport"' in page.text
    address = re.search(r'href="(/auth/style.css[^"]*)"', pages[0].text)[1]
    style = visitor.get(address)
    assert style.headers["content-type"].startswith("text/css")
    assert "prefers-color-scheme: dark" in style.text
    assert "url(" not in style.text


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"\xff\xfe=%", "application/x-www-form-urlencoded"),
        (b"--x\r\nbroken", "multipart/form-data; boundary=x"),
        (b"{}", "application/json"),
        (b"a=1&" * 100, "application/x-www-form-urlencoded"),
    ],
)
def test_forms_that_are_none(shared_home, visitor, body, kind):
    assert visitor.post("/auth/sign-in", content=body, headers={"content-type": kind}).status_code in (400, 401, 403)


def test_odd_cookies_are_nobody(shared_home, visitor):
    for value in ("x", "x" * 5000, '"', "a=b;;=", "\x7f", shared_home.ada.token):
        answer = visitor.get("/", headers={"cookie": f"byok_session={value}"})
        assert answer.status_code == 303, value
