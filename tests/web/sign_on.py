"""Two sign-in services for tests: a real one in a process of its own, and one whose every word a test decides."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.testclient import TestClient

from tests.e2e.installation import free_port
from tests.vendor import JSON, LoopbackVendor, Reply, Seen
from tests.web.conftest import csrf_of

CLIENT_ID, SECRET = "byok-test", "client secret/+ 1"


@contextmanager
def real_service() -> Iterator[str]:
    """The issuer of a sign-in service that runs in a process of its own."""
    port = free_port()
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), "--require-nonce", "true"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    issuer = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"{issuer}/jwks")
                break
            except httpx.TransportError:
                assert process.poll() is None and time.monotonic() < end, "the sign-in service did not start"
                time.sleep(0.05)
        yield issuer
    finally:
        process.terminate()
        process.wait(10)


def log_in_there(address: str, subject: str) -> str:
    """What the service sends the browser back to, once `subject` has signed in there."""
    sent = httpx.post(address, data={"sub": subject})
    assert sent.status_code == 302, sent.text
    return sent.headers["location"]


def leave(browser: TestClient, **fields: str) -> str:
    """Press the button; the address at the service to which the page goes on."""
    page = browser.get("/auth/sign-in")
    if page.status_code != 200:  # signed in already
        page = browser.get("/auth/oidc/connect")
    answer = browser.post("/auth/oidc/start", data={"csrf": csrf_of(page.text), **fields})
    assert answer.status_code == 200, answer.text
    return unescape(answer.text.split('content="0;url=', 1)[1].split('"', 1)[0])


def come_back(browser: TestClient, address: str) -> Any:
    parts = urlsplit(address)
    return browser.get(f"{parts.path}?{parts.query}")


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def published(key: Any, kid: str = "one", **more: object) -> dict[str, object]:
    """A public key as the service publishes it."""
    algorithm = jwt.get_algorithm_by_name("RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256")
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig", **more}


@dataclass
class Service:
    """A service that follows the standard until a test says otherwise: `claims`, `description` and `replies` replace its words.

    It hands out one code per visit and insists on client, redirect address and PKCE, as a real one does.
    """

    key: Any = field(default_factory=rsa_key)
    now: Callable[[], int] = lambda: int(time.time())
    subject: str = "person-1"
    claims: dict[str, object] = field(default_factory=dict)
    header: dict[str, object] = field(default_factory=dict)
    description: dict[str, object] = field(default_factory=dict)
    userinfo: dict[str, object] = field(default_factory=dict)
    replies: dict[str, Reply] = field(default_factory=dict)
    keys: list[dict[str, object]] | None = None
    token: Callable[["Service", dict[str, object]], str] | None = None  # makes the ID token, in place of an honest one
    issued: list[str] = field(default_factory=list)
    _visits: dict[str, dict[str, str]] = field(default_factory=dict)
    vendor: LoopbackVendor = field(init=False)

    def __enter__(self) -> "Service":
        self.vendor = LoopbackVendor(self._answer).__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.vendor.__exit__(None, None, None)

    @property
    def issuer(self) -> str:
        return self.vendor.url

    def visit(self, address: str) -> str:
        """What it sends the browser back to, after the person signed in."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        code = f"code-{len(self._visits)}-{os.urandom(6).hex()}"
        self._visits[code] = asked
        return f"{asked['redirect_uri']}?code={code}&state={asked['state']}"

    def sign(self, claims: dict[str, object], *, key: Any = None, algorithm: str = "RS256", **header: object) -> str:
        payload = json.dumps(claims).encode()  # as they are: an encoder of tokens would look at them
        return jwt.PyJWS().encode(payload, key or self.key, algorithm=algorithm, headers={"kid": "one", **header})

    def _answer(self, seen: Seen) -> Reply:
        path = urlsplit(seen.target).path
        if path in self.replies:
            return self.replies[path]
        if path == "/.well-known/openid-configuration":
            return self._json(self._description())
        if path == "/jwks":
            return self._json({"keys": [published(self.key)] if self.keys is None else self.keys})
        if path == "/userinfo":
            return self._json({"sub": self.subject, **self.userinfo})
        if path == "/token":
            return self._redeem(seen)
        return Reply(404)

    def _description(self) -> dict[str, object]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize?tenant=a",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "response_types_supported": ["code", "code id_token"],
            "code_challenge_methods_supported": ["S256"],
            **self.description,
        }

    def _redeem(self, seen: Seen) -> Reply:
        form = {name: values[0] for name, values in parse_qs(seen.body.decode()).items()}
        asked = self._visits.pop(form.get("code", ""), None)
        sent = b64(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        basic = "Basic " + base64.b64encode(b"byok-test:client%20secret%2F%2B%201").decode()
        known = seen.header("authorization") == basic or form.get("client_secret") == SECRET
        if asked is None or sent != asked["code_challenge"] or form["redirect_uri"] != asked["redirect_uri"] or not known:
            return Reply(400, [JSON], b'{"error": "invalid_grant"}')
        now = self.now()
        claims = {"iss": self.issuer, "sub": self.subject, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        claims = {name: value for name, value in (claims | self.claims).items() if value is not None}
        self.issued.append(self.token(self, claims) if self.token else self.sign(claims, **self.header))
        return self._json({"id_token": self.issued[-1], "access_token": "at-secret", "token_type": "Bearer"})

    def _json(self, value: object) -> Reply:
        return Reply(200, [JSON], json.dumps(value).encode())
