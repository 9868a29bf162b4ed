"""Sign-in by a real sign-in service (OpenID Connect) that runs in a process of its own, as a browser meets it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from byok.accounts import identities, passwords, sessions, users
from byok.accounts.errors import UserUnknown
from byok.accounts.identities import Identity
from tests.web.conftest import Home, csrf_of, installation
from tests.web.sign_on import CLIENT_ID, SECRET, come_back, leave, log_in_there, real_service


@pytest.fixture(scope="session")
def issuer() -> Iterator[str]:
    with real_service() as address:
        yield address


@pytest.fixture
def home(tmp_path: Path, issuer: str, request: pytest.FixtureRequest) -> Iterator[Home]:
    secret = tmp_path / "client.secret"
    secret.write_text(f"{SECRET}\n")
    more = {"ISSUER": issuer, "CLIENT_ID": CLIENT_ID, "CLIENT_SECRET_FILE": str(secret)} | getattr(request, "param", {})
    with installation(tmp_path, BYOK_PUBLIC_URL="http://byok.test", **{f"BYOK_OIDC_{name}": value for name, value in more.items()}) as made:
        made.clock[0] = datetime.now(UTC)  # the service's clock is the real one
        yield made


def anyone(**more: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("home", [{"JOIN": "anyone", **more}], indirect=True, ids=["anyone"])


def tell(issuer: str, subject: str, **claims: object) -> None:
    """Let the service know this about a person."""
    assert httpx.put(f"{issuer}/users/{subject}", json=claims).status_code == 204


def visit(home: Home, subject: str, browser=None, **fields: str):
    """Out to the service and back, in a browser; the last answer."""
    browser = browser or home.browser()
    return come_back(browser, log_in_there(leave(browser, **fields), subject))


def invited(home: Home) -> str:
    return passwords.set_link(home.services.db, home.ada.user.id, now=home.services.now())


def everyone(home: Home) -> set[str]:
    return {user.email for user in users.all_users(home.services.db)}


def test_the_sign_in_page_has_the_button(home):
    page = home.browser().get("/auth/sign-in")
    assert ">Single sign-on</button>" in page.text
    assert 'action="/auth/oidc/start"' in page.text


@pytest.mark.parametrize("home", [{"LABEL": 'Sign in at <"Acme">'}], indirect=True, ids=["label"])
def test_the_button_says_what_the_operator_wants(home):
    assert "Sign in at &lt;&#34;Acme&#34;&gt;</button>" in home.browser().get("/auth/sign-in").text


def test_an_invitation_ties_the_service_to_the_account_and_is_used_up(home, issuer):
    link, browser = invited(home), home.browser()
    page = browser.get("/auth/set-password", params={"token": link})
    assert ">Single sign-on</button>" in page.text
    answer = visit(home, "person-7", browser, link=link)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert browser.get("/").text == "the dashboard at /"
    assert identities.find(home.services.db, Identity(issuer, "person-7")) == home.ada.user
    assert not passwords.has_password(home.services.db, home.ada.user.id)
    page = home.browser()
    fields = {"csrf": csrf_of(page.get("/auth/sign-in").text), "link": link}
    assert page.post("/auth/oidc/start", data=fields).status_code == 403
    browser = home.browser()
    answer = visit(home, "person-7", browser, next="/costs?range=7d")
    assert (answer.status_code, answer.headers["location"]) == (303, "/costs?range=7d")
    assert len(sessions.of_user(home.services.db, home.ada.user.id, now=home.services.now())) == 2
    answer = browser.post("/auth/sign-out", data={"csrf": csrf_of(browser.get("/auth/sign-out").text)})
    assert answer.status_code == 303
    assert browser.get("/").status_code == 303


def test_who_was_not_invited_gets_no_account(home):
    before = everyone(home)
    answer = visit(home, "stranger")
    assert answer.status_code == 403
    assert "You have no account here yet." in answer.text
    assert "byok_session" not in str(answer.headers.get_list("set-cookie"))
    assert everyone(home) == before


@anyone(PLAN="indie")
def test_anyone_gets_an_account_where_the_operator_wants_that(home, issuer):
    tell(issuer, "person-1", email="New.One@Example.org", email_verified=True, name="Canary Name")
    assert visit(home, "person-1").status_code == 303
    made = users.by_email(home.services.db, "new.one@example.org")
    assert (made.plan, made.admin, made.name) == ("indie", False, None)
    assert visit(home, "person-1").status_code == 303
    assert identities.find(home.services.db, Identity(issuer, "person-1")) == made, "the second time it is the same account"


@anyone()
def test_an_email_that_nobody_verified_is_not_taken_over(home, issuer):
    tell(issuer, "person-2", email="boss@example.org", email_verified=False)
    assert visit(home, "person-2").status_code == 303
    made = identities.find(home.services.db, Identity(issuer, "person-2"))
    assert made.email == f"{made.id.lower()}@oidc.invalid"


@anyone()
@pytest.mark.parametrize("verified", [True, False])
def test_the_email_of_another_user_opens_nothing(home, issuer, verified):
    tell(issuer, "mallory", email="ada@example.org", email_verified=verified)
    browser = home.browser()
    answer = visit(home, "mallory", browser)
    if verified:
        assert (answer.status_code, "There is an account with your e-mail already" in answer.text) == (409, True)
        assert browser.get("/").status_code == 303
    else:
        assert answer.status_code == 303
    owner = identities.find(home.services.db, Identity(issuer, "mallory"))
    assert owner is None or owner.id != home.ada.user.id
    assert not identities.of_user(home.services.db, home.ada.user.id)


@anyone(DOMAINS="example.com, Example.net")
@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"email": "a@example.net", "email_verified": True}, 303),
        ({"email": "b@example.com", "email_verified": False}, 403),
        ({"email": "c@example.com.evil.test", "email_verified": True}, 403),
        ({"email": "d@sub.example.com", "email_verified": True}, 403),
        ({"email_verified": True}, 403),
    ],
)
def test_only_verified_emails_of_the_domains_get_an_account(home, issuer, claims, status):
    subject = f"person-{claims.get('email', 'none')}"
    tell(issuer, subject, **claims)
    assert visit(home, subject).status_code == status


def test_an_account_is_connected_by_who_is_signed_in(home, issuer):
    browser = home.signed_in(home.ada)
    assert browser.get("/auth/oidc/connect").status_code == 200
    answer = visit(home, "person-8", browser, connect="1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    assert identities.find(home.services.db, Identity(issuer, "person-8")) == home.ada.user
    assert visit(home, "person-8").status_code == 303
    bob = home.signed_in(home.bob)
    taken = visit(home, "person-8", bob, connect="1")
    assert (taken.status_code, "belongs to another account" in taken.text) == (409, True)
    assert identities.find(home.services.db, Identity(issuer, "person-8")) == home.ada.user


def test_connecting_is_for_the_account_that_began_it(home, issuer):
    browser = home.signed_in(home.ada)
    back = log_in_there(leave(browser, connect="1"), "person-9")
    form = browser.get("/auth/sign-out").text
    browser.post("/auth/sign-in", data={"csrf": csrf_of(form), "token": home.bob.token})
    assert come_back(browser, back).status_code == 403
    assert identities.find(home.services.db, Identity(issuer, "person-9")) is None
    stranger = home.browser()
    csrf = csrf_of(stranger.get("/auth/sign-in").text)
    assert stranger.post("/auth/oidc/start", data={"csrf": csrf, "connect": "1"}).status_code == 403
    assert stranger.get("/auth/oidc/connect").headers["location"] == "/auth/sign-in?next=/account"


def test_a_disabled_user_stays_out(home, issuer):
    identities.connect(home.services.db, Identity(issuer, "person-3"), home.ada.user.id, now=home.services.now())
    users.change(home.services.db, home.ada.user.id, disabled=True)
    browser = home.browser()
    answer = visit(home, "person-3", browser)
    assert (answer.status_code, "disabled" in answer.text) == (403, True)
    assert browser.get("/").status_code == 303


def test_an_erased_user_is_a_stranger(home, issuer):
    identities.connect(home.services.db, Identity(issuer, "person-4"), home.ada.user.id, now=home.services.now())
    browser = home.signed_in(home.ada)
    back = log_in_there(leave(browser, connect="1"), "person-5")
    users.remove(home.services.db, home.ada.user.id, now=home.services.now())
    assert visit(home, "person-4").status_code == 403
    assert come_back(browser, back).status_code == 403
    with pytest.raises(UserUnknown):
        identities.connect(home.services.db, Identity(issuer, "person-5"), home.ada.user.id, now=home.services.now())


def test_disconnecting_ends_what_it_opened(home, issuer):
    db = home.services.db
    identities.connect(db, Identity(issuer, "person-6"), home.ada.user.id, now=home.services.now())
    browser = home.browser()
    visit(home, "person-6", browser)
    assert [one.issuer for one in identities.of_user(db, home.ada.user.id)] == [issuer]
    assert identities.disconnect(db, home.ada.user.id) == 1
    assert browser.get("/").status_code == 303
    assert visit(home, "person-6").status_code == 403


def test_the_way_back_leads_nowhere_else(home, issuer):
    identities.connect(home.services.db, Identity(issuer, "person-3"), home.ada.user.id, now=home.services.now())
    for target in ("https://evil.example", "//evil.example", "/\\evil.example", "/auth/sign-out", "x" * 3000):
        assert visit(home, "person-3", next=target).headers["location"] == "/"
    browser = home.browser()
    back = log_in_there(leave(browser), "person-3")
    mark = browser.cookies["byok_sign_on"].partition(".")[0]
    browser.cookies.clear()
    browser.cookies.set("byok_sign_on", f"{mark}.Ly9ldmlsLmV4YW1wbGU")  # //evil.example
    assert come_back(browser, back).headers["location"] == "/"


def test_a_round_trip_is_good_once_for_ten_minutes_and_in_one_browser(home, issuer):
    identities.connect(home.services.db, Identity(issuer, "person-3"), home.ada.user.id, now=home.services.now())
    browser = home.browser()
    back = log_in_there(leave(browser), "person-3")
    assert come_back(home.browser(), back).status_code == 403, "another browser"
    kept = browser.cookies["byok_sign_on"]
    assert come_back(browser, back).status_code == 303
    browser.cookies.set("byok_sign_on", kept)
    again = come_back(browser, back)
    assert (again.status_code, "used already" in again.text) == (403, True)
    browser = home.browser()
    back = log_in_there(leave(browser), "person-3")
    home.clock[0] += timedelta(minutes=10)
    assert come_back(browser, back).status_code == 403, "too late"


@pytest.mark.parametrize("home", [{"ISSUER": "http://127.0.0.1:9"}], indirect=True, ids=["away"])
def test_a_service_that_is_away_is_said(home):
    browser = home.browser()
    answer = browser.post("/auth/oidc/start", data={"csrf": csrf_of(browser.get("/auth/sign-in").text)})
    assert (answer.status_code, "does not answer" in answer.text) == (502, True)
