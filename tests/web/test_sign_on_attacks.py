"""What a sign-in service, or somebody between it and us, could try: nobody is let in, and nothing of it is kept."""

import dataclasses
import gzip
import hashlib
import hmac
import io
import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
import structlog
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from byok import logs, oidc
from byok.accounts import identities
from byok.accounts.identities import Identity
from byok.oidc import Description, ServiceRefused
from tests.vendor import JSON, Reply
from tests.web.conftest import Home, installation
from tests.web.sign_on import CLIENT_ID, SECRET, Service, b64, come_back, leave, published, rsa_key

OTHER_KEY, WEAK_KEY = rsa_key(), rsa_key(1024)
CURVE_KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def service(shared_key=rsa_key()) -> Iterator[Service]:  # noqa: B008  (one key for all: making one takes long)
    with Service(key=shared_key) as made:
        yield made


@pytest.fixture
def home(tmp_path: Path, service: Service, request: pytest.FixtureRequest) -> Iterator[Home]:
    secret = tmp_path / "client.secret"
    secret.write_text(SECRET)
    more = {"ISSUER": service.issuer, "CLIENT_ID": CLIENT_ID, "CLIENT_SECRET_FILE": str(secret)} | getattr(request, "param", {})
    with installation(tmp_path, BYOK_PUBLIC_URL="http://byok.test", **{f"BYOK_OIDC_{name}": value for name, value in more.items()}) as made:
        service.now = lambda: int(made.services.now().timestamp())
        identities.connect(made.services.db, Identity(service.issuer, "person-1"), made.ada.user.id, now=made.services.now())
        yield made


@pytest.fixture
def spoken(home: Home) -> Iterator[io.StringIO]:
    """What the logs say at their most talkative."""
    out, root = io.StringIO(), logging.getLogger()
    before = (list(root.handlers), root.level)
    logs.setup(home.services.settings.model_copy(update={"log_level": "debug"}), "web", stream=out)
    yield out
    root.handlers, root.level = before
    structlog.reset_defaults()
    logging.captureWarnings(False)


def visit(home: Home, service: Service, browser=None, extra: str = ""):
    browser = browser or home.browser()
    return come_back(browser, service.visit(leave(browser)) + extra)


def key_text(service: Service) -> bytes:
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    return service.key.public_key().public_bytes(serialization.Encoding.PEM, kind)


def forged(service: Service, claims: dict, header: dict, signature: bytes) -> str:
    return ".".join(b64(json.dumps(part).encode()) for part in (header, claims)) + "." + b64(signature)


def mac(service: Service, claims: dict, secret: bytes, header: dict | None = None) -> str:
    text = ".".join(b64(json.dumps(part).encode()) for part in (header or {"alg": "HS256", "kid": "one"}, claims))
    return f"{text}.{b64(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def test_an_honest_service_lets_in_and_pkce_is_used(home, service):
    browser = home.browser()
    address = leave(browser, next="/costs")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    assert (asked["response_type"], asked["code_challenge_method"], asked["tenant"]) == ("code", "S256", "a")
    assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3
    assert come_back(browser, service.visit(address)).headers["location"] == "/costs"
    assert browser.get("/").status_code == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "of another visit"},
        {"nonce": None},
        {"nonce": ["x"]},
        {"aud": "another client"},
        {"aud": []},
        {"aud": ["another client"]},
        {"aud": [CLIENT_ID, "another client"]},
        {"aud": [CLIENT_ID, "another client"], "azp": "another client"},
        {"aud": CLIENT_ID, "azp": "another client"},
        {"aud": f"{CLIENT_ID} "},
        {"aud": None},
        {"iss": "https://another.example"},
        {"iss": None},
        {"iss": ["x"]},
        {"exp": 1_000_000_000},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"iat": 4_000_000_000},
        {"iat": None},
        {"nbf": 4_000_000_000},
        {"sub": None},
        {"sub": ""},
        {"sub": 1},
        {"sub": "x" * 256},
        {"sub": "person-1\u0000"},
        {"sub": ["person-1"]},
    ],
    ids=str,
)
def test_an_id_token_that_is_not_for_this_visit_opens_nothing(home, service, claims):
    service.claims = claims
    browser = home.browser()
    answer = visit(home, service, browser)
    assert (answer.status_code, "could not be completed" in answer.text) == (502, True)
    assert browser.get("/").status_code == 303
    assert service.issued, "the service was not asked, so this test would prove nothing"


FORGERIES: dict[str, Callable[[Service, dict], str]] = {
    "alg none": lambda service, claims: forged(service, claims, {"alg": "none"}, b""),
    "alg NoNe": lambda service, claims: forged(service, claims, {"alg": "NoNe", "kid": "one"}, b""),
    "no alg": lambda service, claims: forged(service, claims, {"kid": "one"}, b"x"),
    "alg is a list": lambda service, claims: forged(service, claims, {"alg": ["RS256"], "kid": "one"}, b"x"),
    "HS256 with the public key": lambda service, claims: mac(service, claims, key_text(service)),
    "HS256 with the client secret": lambda service, claims: mac(service, claims, SECRET.encode()),
    "RS256 in name, HS256 in fact": lambda service, claims: mac(service, claims, key_text(service), {"alg": "RS256", "kid": "one"}),
    "another key, same kid": lambda service, claims: service.sign(claims, key=OTHER_KEY),
    "another key, unknown kid": lambda service, claims: service.sign(claims, key=OTHER_KEY, kid="two"),
    "another key in the header": lambda service, claims: service.sign(claims, key=OTHER_KEY, jwk=published(OTHER_KEY)),
    "another key's address": lambda service, claims: service.sign(claims, key=OTHER_KEY, jku="http://127.0.0.1:1/jwks"),
    "critical extension": lambda service, claims: service.sign(claims, crit=["exp"]),
    "cut": lambda service, claims: service.sign(claims)[:-4],
    "changed claims": lambda service, claims: ".".join(
        (service.sign(claims).split(".")[0], b64(json.dumps(claims | {"sub": "x"}).encode()), service.sign(claims).split(".")[2])
    ),
    "two parts": lambda service, claims: service.sign(claims).rsplit(".", 1)[0],
    "no token": lambda service, claims: "",
    "nonsense": lambda service, claims: "ä" * 9,
    "too long": lambda service, claims: service.sign(claims | {"name": "x" * 20_000}),
    "claims are a list": lambda service, claims: forged(service, [claims], {"alg": "RS256", "kid": "one"}, b"x"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_id_token_opens_nothing(home, service, forgery):
    service.token = FORGERIES[forgery]
    browser = home.browser()
    answer = visit(home, service, browser)
    assert (answer.status_code, browser.get("/").status_code) == (502, 303)


@pytest.mark.parametrize(
    ("key", "facts"),
    [(WEAK_KEY, {}), (OTHER_KEY, {"use": "enc"}), (OTHER_KEY, {"alg": "RS512"}), (OTHER_KEY, {"d": "AQAB"}), (OTHER_KEY, {"kty": "oct"})],
    ids=["1024 bits", "for encryption", "of another algorithm", "private half published", "of another kind"],
)
def test_a_key_that_is_not_for_this_is_not_used(home, service, key, facts):
    service.keys = [published(key) | facts, {"kty": "oct", "k": b64(SECRET.encode()), "kid": "one"}, {}]
    service.token = lambda service, claims: service.sign(claims, key=key)
    assert visit(home, service).status_code == 502


def test_keys_change_and_curves_are_known(home, service):
    assert visit(home, service).status_code == 303
    service.keys = [published(service.key, "one"), published(CURVE_KEY, "curve", crv="P-256"), published(OTHER_KEY, "new")]
    for key, kid, algorithm in ((OTHER_KEY, "new", "RS256"), (OTHER_KEY, "new", "PS384"), (CURVE_KEY, "curve", "ES256")):
        service.token = lambda service, claims, use=(key, kid, algorithm): service.sign(claims, key=use[0], kid=use[1], algorithm=use[2])
        assert visit(home, service).status_code == 303, (kid, algorithm)
    service.token = lambda service, claims: service.sign(claims, key=OTHER_KEY, kid="new")
    service.keys = [published(service.key, "one")]
    home.door.signin.routes[0].endpoint.__self__.services.settings = home.services.settings.model_copy()  # as after `KEPT_S`
    assert visit(home, service).status_code == 502, "a key that was withdrawn"


def test_only_the_service_that_was_asked_may_answer(home, service):
    assert visit(home, service, extra="&iss=https%3A%2F%2Fanother.example").status_code == 502
    assert visit(home, service, extra=f"&iss={service.issuer}").status_code == 303
    service.description = {"authorization_response_iss_parameter_supported": True}
    home.door.signin.routes[0].endpoint.__self__.services.settings = home.services.settings.model_copy()
    assert visit(home, service).status_code == 502, "it promised to name itself"
    assert visit(home, service, extra=f"&iss={service.issuer}").status_code == 303


def test_answers_that_nobody_asked_for(home, service):
    browser = home.browser()
    assert browser.get("/auth/oidc/callback").status_code == 403
    assert browser.get("/auth/oidc/callback?code=x&state=y").status_code == 403
    back = service.visit(leave(browser))
    own = parse_qs(urlsplit(back).query)["state"][0]
    assert come_back(browser, back.replace(own, own[:-1] + ("A" if own[-1] != "A" else "B"))).status_code == 403
    assert come_back(browser, back).status_code == 403, "the round trip ended with the wrong state"
    other = home.browser()
    mine, foreign = service.visit(leave(browser)), service.visit(leave(other))
    code = parse_qs(urlsplit(foreign).query)["code"][0]
    own_code = parse_qs(urlsplit(mine).query)["code"][0]
    assert come_back(browser, mine.replace(own_code, code)).status_code == 502, "a code of another visit fails at PKCE"
    assert browser.get("/").status_code == 303


@pytest.mark.parametrize("said", ["error=access_denied&error_description=<script>canary", "x=1"])
def test_a_refusal_is_told_in_our_words(home, service, said):
    browser = home.browser()
    state = parse_qs(urlsplit(leave(browser)).query)["state"][0]
    answer = browser.get(f"/auth/oidc/callback?state={state}&{said}")
    assert (answer.status_code, "canary" in answer.text) == (403, False)
    assert "did not let you in" in answer.text


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/jwks"])
@pytest.mark.parametrize(
    "reply",
    [
        Reply(302, [("location", "/elsewhere")]),
        Reply(500),
        Reply(404),
        Reply(200, [JSON], b"<html>"),
        Reply(200, [JSON], b"{}"),
        Reply(200, [JSON], b"[" * 100_000),
        Reply(200, [JSON], b'{"keys": "x", "id_token": 1, "issuer": null}'),
        Reply(200, [JSON], b" " * 300_000),
        Reply(200, [JSON], b"{}", length=9, then="reset"),
    ],
    ids=["redirect", "500", "404", "HTML", "empty", "deep", "wrong types", "too long", "broken off"],
)
def test_a_service_that_answers_oddly_lets_nobody_in(home, service, path, reply):
    service.replies[path] = reply
    browser = home.browser()
    csrf = browser.get("/auth/sign-in").text.split('name="csrf" value="', 1)[1].split('"', 1)[0]
    answer = browser.post("/auth/oidc/start", data={"csrf": csrf})
    if path.startswith("/.well"):
        assert answer.status_code == 502
    else:
        assert visit(home, service, browser).status_code == 502
    assert browser.get("/").status_code == 303
    assert not [seen for seen in service.vendor.seen if "elsewhere" in seen.target], "a redirect was followed"


@pytest.mark.parametrize(
    "reply", [{"headers": [JSON, ("content-encoding", "gzip")], "body": gzip.compress(b" " * 2**20)}, {"between_s": 0.1}]
)
def test_a_service_can_use_up_neither_memory_nor_time(home, service, monkeypatch, reply):
    monkeypatch.setattr(oidc, "_LONGEST_S", 0.3)
    service.replies["/.well-known/openid-configuration"] = Reply(**{"headers": [JSON], "body": [b" "] * 20} | reply)
    csrf = (browser := home.browser()).get("/auth/sign-in").text.split('name="csrf" value="', 1)[1].split('"', 1)[0]
    answer = browser.post("/auth/oidc/start", data={"csrf": csrf})
    said = "packed" if "body" in reply else "does not answer"
    assert (answer.status_code, said in answer.text) == (502, True)


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "https://another.example"},
        {"authorization_endpoint": "http://accounts.example/authorize"},
        {"token_endpoint": "http://accounts.example/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"userinfo_endpoint": "http://169.254.169.254/latest"},
        {"response_types_supported": ("id_token", "token")},
        {"token_endpoint": "http://127.0.0.1:8080/token"},
    ],
    ids=str,
)
def test_a_description_that_leads_astray_is_not_believed(change):
    good = Description(
        issuer="https://accounts.example",
        authorization_endpoint="https://accounts.example/authorize",
        token_endpoint="https://tokens.example/token",
        jwks_uri="https://tokens.example/keys",
    )
    oidc._check_description(good, "https://accounts.example")
    wrong = Description(**{name: getattr(good, name) for name in good.__struct_fields__} | change)
    with pytest.raises(ServiceRefused):
        oidc._check_description(wrong, "https://accounts.example")


@pytest.mark.parametrize("home", [{"JOIN": "anyone"}], indirect=True, ids=["anyone"])
def test_what_is_told_about_somebody_else_is_not_taken(home, service):
    service.subject = "person-2"
    service.userinfo = {"sub": "person-1", "email": "root@example.org", "email_verified": True}
    assert visit(home, service).status_code == 502
    assert identities.find(home.services.db, Identity(service.issuer, "person-2")) is None
    service.userinfo = {"email": "two@example.org", "email_verified": "true"}
    assert visit(home, service).status_code == 303
    assert identities.find(home.services.db, Identity(service.issuer, "person-2")).email == "two@example.org"


@pytest.mark.parametrize("home", [{"JOIN": "anyone"}], indirect=True, ids=["anyone"])
def test_the_same_subject_of_another_issuer_is_somebody_else(home, service):
    identities.connect(home.services.db, Identity("https://another.example", "person-9"), home.root.user.id, now=home.services.now())
    service.subject = "person-9"
    assert visit(home, service).status_code == 303
    assert identities.find(home.services.db, Identity(service.issuer, "person-9")).id != home.root.user.id


@pytest.mark.parametrize("home", [{"JOIN": "anyone"}], indirect=True, ids=["anyone"])
def test_nothing_of_a_visit_is_kept_but_issuer_and_subject(home, service, tmp_path, spoken):
    said = {"name": "canaryname", "picture": "canarypicture", "phone_number": "canaryphone", "email": "canarymail@example.org"}
    service.subject, service.claims, service.userinfo = "canarysubject", said, said
    for fault in (False, True):
        service.token = (lambda service, claims: service.sign(claims)[:-4]) if fault else None
        browser = home.browser()
        address = leave(browser)
        back = service.visit(address)
        come_back(browser, back)
    asked = parse_qs(urlsplit(address).query) | parse_qs(urlsplit(back).query)
    secrets = [asked[name][0] for name in ("state", "nonce", "code_challenge", "code")]
    secrets += [*service.issued, *(token.split(".")[1] for token in service.issued), "at-secret", SECRET]
    files = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
    said_in_logs = spoken.getvalue().encode()
    written = files + said_in_logs
    assert b"canarysubject" in files, "nobody came in, so this test would prove nothing"
    assert b"sign_on_failed" in said_in_logs
    assert b"canarysubject" not in said_in_logs
    for canary in [*said.values(), *secrets]:
        assert canary.encode() not in written, canary


def test_the_secret_goes_in_the_body_where_the_service_wants_it_there(home, service):
    service.description = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    assert visit(home, service).status_code == 303
    [sent] = [seen for seen in service.vendor.seen if seen.target == "/token"]
    assert sent.header("authorization") is None


def test_an_answer_shows_nothing_of_itself():
    answer = oidc.Answer(Identity("i", "s"), {"name": "canary"}, "canary")
    assert "canary" not in repr(answer)
    assert dataclasses.is_dataclass(answer)


def test_times_are_those_of_the_installation(home, service):
    service.now = lambda: int(time.time()) + 10_000_000
    assert visit(home, service).status_code == 502
    assert jwt.get_unverified_header(service.issued[0])["alg"] == "RS256"
