"""Tokens that must not open GET /usage, built one by one and sent as raw header bytes; the good one opens it before and after."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from byok.accounts import passwords, sessions, users
from tests.corpus import corpus
from tests.web.conftest import Home

Parts = dict[str, Any]


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Forge:
    """Builds tokens as the installation would, and every way they should not be."""

    def __init__(self, home: Home) -> None:
        self.home, self.secret = home, home.services.jwt_secret
        now = int(home.services.now().timestamp())
        self.header: Parts = {"alg": "HS256", "typ": "JWT"}
        self.claims: Parts = {
            "sub": home.ada.user.id,
            "iss": "byok",
            "aud": "byok-api",
            "iat": now,
            "nbf": now - 1,
            "exp": now + 300,
            "jti": "j1",
        }

    def token(
        self, header: Parts | bytes | None = None, claims: Parts | bytes | None = None, *, key: bytes | None = None, digest: str = "sha256"
    ) -> str:
        parts = [
            given if isinstance(given, bytes) else json.dumps(base | (given or {})).encode()
            for given, base in ((header, self.header), (claims, self.claims))
        ]
        signed = ".".join(map(b64, parts))
        return f"{signed}.{b64(hmac.new(self.secret if key is None else key, signed.encode(), digest).digest())}"

    def without(self, claim: str) -> str:
        return self.token(claims=json.dumps({k: v for k, v in self.claims.items() if k != claim}).encode())

    def text(self, old: str, new: str) -> str:
        """A claim whose JSON text no encoder would write."""
        return self.token(claims=json.dumps(self.claims).replace(old, new).encode())

    def resigned(self, header: bytes, payload: bytes) -> str:
        signature = hmac.new(self.secret, b64(header).encode() + b"." + payload, hashlib.sha256).digest()
        return f"{b64(header)}.{payload.decode()}.{b64(signature)}"


def unsigned(forge: Forge, header: Parts) -> str:
    return forge.token(header).rsplit(".", 1)[0] + "."


def other_last_character(token: str) -> str:
    """The same signature bytes in another spelling: the last character's low bits are not used."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = letters.index(token[-1])
    return token[:-1] + letters[last ^ 1]


def of_other_purpose(forge: Forge) -> str:
    return sessions.start(forge.home.services.db, forge.home.ada.user.id, now=forge.home.services.now())


def password_link(forge: Forge) -> str:
    return passwords.set_link(forge.home.services.db, forge.home.ada.user.id, now=forge.home.services.now())


def exp_text(forge: Forge) -> str:
    return str(forge.claims["exp"])


ATTACKS: dict[str, Callable[[Forge], str]] = {
    "alg-None": lambda f: unsigned(f, {"alg": "None"}),
    "alg-none": lambda f: unsigned(f, {"alg": "none"}),
    "alg-none-keepsig": lambda f: f.token({"alg": "none"}),
    "alg-null": lambda f: f.token({"alg": None}),
    "alg-missing": lambda f: f.token(b'{"typ":"JWT"}'),
    "alg-hs384": lambda f: f.token({"alg": "HS384"}, digest="sha384"),
    "alg-unknown": lambda f: f.token({"alg": "HS256\0"}),
    "hs-with-rsa-public": lambda f: f.token(key=b"-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n"),
    "jwk-oct": lambda f: f.token({"jwk": {"kty": "oct", "k": b64(b"attacker")}}, key=b"attacker"),
    "jku": lambda f: f.token({"jku": "https://evil.example/keys"}),
    "x5c": lambda f: f.token({"alg": "RS256", "x5c": ["MIIB"]}, key=b"attacker"),
    "kid-sqli": lambda f: f.token({"kid": "x' UNION SELECT 'attacker' -- "}, key=b"attacker"),
    "kid-path": lambda f: f.token({"kid": "../../../../dev/null"}, key=b""),
    "kid-nul": lambda f: f.token({"kid": "k\0"}, key=b"attacker"),
    "weak-changeme": lambda f: f.token(key=b"changeme"),
    "weak-default": lambda f: f.token(key=b"CHANGE_ME_IN_PRODUCTION"),
    "weak-empty": lambda f: f.token(key=b""),
    "master-key": lambda f: f.token(key=f.home.services.master),
    "sig-trunc": lambda f: f.token().rsplit(".", 1)[0] + "." + f.token().rsplit(".", 1)[1][:11],
    "sig-trailing": lambda f: other_last_character(f.token()),
    "sig-flipped": lambda f: f.token()[:-8] + ("A" if f.token()[-8] != "A" else "B") + f.token()[-7:],
    "sub-swapped": lambda f: ".".join(
        (f.token().split(".")[0], f.token(claims={"sub": "usr_bob1"}, key=b"x").split(".")[1], f.token().split(".")[2])
    ),
    "exp-missing": lambda f: f.without("exp"),
    "exp-past": lambda f: f.token(claims={"exp": f.claims["exp"] - 4000, "iat": f.claims["iat"] - 4000}),
    "exp-far": lambda f: f.token(claims={"exp": f.claims["iat"] + 86400}),
    "exp-inf": lambda f: f.text(exp_text(f), "1e400"),
    "exp-nan": lambda f: f.text(exp_text(f), "NaN"),
    "exp-bool": lambda f: f.token(claims={"exp": True}),
    "exp-text": lambda f: f.token(claims={"exp": exp_text(f)}),
    "nbf-future": lambda f: f.token(claims={"nbf": f.claims["iat"] + 3600}),
    "iat-missing": lambda f: f.without("iat"),
    "iat-future": lambda f: f.token(claims={"iat": f.claims["iat"] + 3600, "exp": f.claims["iat"] + 3900}),
    "aud-missing": lambda f: f.without("aud"),
    "aud-case": lambda f: f.token(claims={"aud": "BYOK-API"}),
    "aud-list": lambda f: f.token(claims={"aud": ["byok-api", "x"]}),
    "iss-missing": lambda f: f.without("iss"),
    "iss-wrong": lambda f: f.token(claims={"iss": "evil"}),
    "iss-list": lambda f: f.token(claims={"iss": ["byok"]}),
    "sub-missing": lambda f: f.without("sub"),
    "sub-int": lambda f: f.token(claims={"sub": 1}),
    "sub-sql": lambda f: f.token(claims={"sub": "usr_ada1' OR '1'='1"}),
    "sub-star": lambda f: f.token(claims={"sub": "*"}),
    "sub-path": lambda f: f.token(claims={"sub": "../usr_bob1"}),
    "sub-nul": lambda f: f.token(claims={"sub": "usr_ada1\0"}),
    "sub-surrogate": lambda f: f.text("usr_ada1", "\\ud800"),
    "sub-zwsp": lambda f: f.token(claims={"sub": "usr_ada1\u200b"}),
    "sub-case": lambda f: f.token(claims={"sub": "USR_ADA1"}),
    "dup-alg": lambda f: ".".join((b64(b'{"alg":"HS256","alg":"none"}'), f.token().split(".")[1], "")),
    "crit-empty": lambda f: f.token({"crit": []}),
    "crit-unknown": lambda f: f.token({"crit": ["x"], "x": 1}),
    "b64-false": lambda f: f.resigned(b'{"alg":"HS256","b64":false,"crit":["b64"]}', json.dumps(f.claims).replace(" ", "").encode()),
    "session-as-access": of_other_purpose,
    "password-link": password_link,
    "zip": lambda f: f.token({"zip": "DEF"}, zlib.compress(b"0" * 5_000)),
    "huge-payload": lambda f: f.token(claims={"x": "y" * 1_000_000}),
    "big-int": lambda f: f.text(exp_text(f), "9" * 100_000),
    "big-int-short": lambda f: f.text(exp_text(f), "9" * 4_000),
    "deep": lambda f: f.token(claims=b"[" * 5_000),
    "form-space": lambda f: " ",
    "form-empty": lambda f: "",
    "form-two-part": lambda f: "a.b",
    "form-dots": lambda f: "....",
    "form-nul": lambda f: "a\0.b.c",
    "form-json-null": lambda f: f.token(claims=b"null"),
    "form-json-list": lambda f: f.token(claims=b"[1]"),
    "form-not-utf8": lambda f: f.token(claims=b"\xff\xfe"),
    "form-bom": lambda f: f.token(claims=b"\xef\xbb\xbf" + json.dumps(f.claims).encode()),
    "form-utf16": lambda f: f.token(claims=json.dumps(f.claims).encode("utf-16")),
    "header-bom": lambda f: f.token(b'\xef\xbb\xbf{"alg":"HS256","typ":"JWT"}'),
    "dup-claim": lambda f: f.token(claims=b'{"sub":"usr_bob1",' + json.dumps(f.claims).encode()[1:]),
    "dup-header": lambda f: f.token(b'{"alg":"none","alg":"HS256","typ":"JWT"}'),
    "form-padding": lambda f: ".".join(part + "=" for part in f.token().split(".")),
}
TRANSPORT: dict[str, Callable[[str], list[bytes]]] = {
    "auth-noscheme": lambda token: [token.encode()],
    "auth-comma": lambda token: [f"Bearer {token}, Bearer x".encode()],
    "auth-tab": lambda token: [f"Bearer\t{token}".encode()],
    "auth-twice": lambda token: [f"Bearer {token}".encode(), b"Bearer x"],
    "auth-latin": lambda token: [f"Bearer {token}".encode() + b"\xff"],
    "auth-wrong-scheme": lambda token: [f"Token {token}".encode()],
}


def usage(home: Home, *values: bytes) -> tuple[int, dict[str, str], bytes]:
    """GET /usage with these raw Authorization values."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"byok.test"), *((b"authorization", value) for value in values)]
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/usage",
        "raw_path": b"/usage",
        "query_string": b"",
        "headers": headers,
        "client": ("198.51.100.7", 1),
        "scheme": "http",
        "server": ("byok.test", 80),
        "http_version": "1.1",
        "root_path": "",
    }
    asyncio.run(home.door(scope, receive, send))
    names = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], names, b"".join(message.get("body", b"") for message in sent)


@pytest.fixture
def forge(shared_home: Home) -> Forge:
    return Forge(shared_home)


@pytest.fixture
def refusal(shared_home: Home) -> bytes:
    return usage(shared_home)[2]


def assert_refused(home: Home, refusal: bytes, *values: bytes) -> None:
    started = time.monotonic()
    status, headers, body = usage(home, *values)
    assert status == 401
    assert body == refusal, "one body for all"
    assert headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("name", ATTACKS)
def test_forged_tokens_are_refused(shared_home, forge, refusal, name):
    good = f"Bearer {forge.token()}".encode()
    assert usage(shared_home, good)[0] == 200, "the control"
    assert_refused(shared_home, refusal, f"Bearer {ATTACKS[name](forge)}".encode("utf-8", "surrogatepass"))
    assert usage(shared_home, good)[0] == 200, "and it lives on"


@pytest.mark.parametrize("name", TRANSPORT)
def test_a_good_token_sent_wrongly_is_refused(shared_home, forge, refusal, name):
    assert_refused(shared_home, refusal, *TRANSPORT[name](forge.token()))


def test_tokens_end_with_a_password_change_a_disabled_and_an_erased_user(home):
    good, refusal = f"Bearer {Forge(home).token()}".encode(), usage(home)[2]
    passwords.set_password(home.services.db, home.ada.user.id, "six quiet lanterns", now=home.services.now())
    home.later(seconds=2)
    passwords.set_password(home.services.db, home.ada.user.id, "seven quiet lanterns", now=home.services.now())
    assert_refused(home, refusal, good)
    users.change(home.services.db, home.bob.user.id, disabled=True)
    for credential in (home.bob.token, home.bob.jwt):
        assert_refused(home, refusal, f"Bearer {credential}".encode())
    users.remove(home.services.db, home.root.user.id, now=home.services.now())
    for credential in (home.root.token, home.root.jwt):
        assert_refused(home, refusal, f"Bearer {credential}".encode())


def test_every_attack_of_the_corpus_is_built_here():
    listed = {entry["id"] for entry in json.loads(corpus("security/jwt_attacks.json").read_text())["tokens"]}
    elsewhere = {"control-ok", "sub-deleted", "auth-replay-logout"}
    assert listed - elsewhere <= set(ATTACKS) | set(TRANSPORT)
