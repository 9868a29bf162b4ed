"""A sign-in service that speaks OpenID Connect: where to send people, and who came back.

Authorization code flow with PKCE. References: https://openid.net/specs/openid-connect-core-1_0.html,
https://openid.net/specs/openid-connect-discovery-1_0.html, RFC 7636 (PKCE), RFC 8725 (JWT), RFC 9207 (issuer in the answer).
Nothing of what the service says is stored or logged; what leaves this room is issuer, subject and, where asked for, a verified e-mail.
"""

import asyncio
import base64
import hashlib
import time
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from ssl import SSLContext
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import httpx
import jwt
import msgspec

from byok.accounts.identities import Identity
from byok.errors import ByokError
from byok.settings import Settings
from byok.settings.addresses import is_safe_origin

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
LEEWAY_S = 60
KEPT_S = 300.0  # how long the service's description and keys are believed
_TIMEOUT_S, _LONGEST_S = 10, 30  # of silence, and in all
_MOST_BYTES = 256 * 1024
_LONGEST_TOKEN, _LONGEST_SUBJECT = 16_384, 255
_LEAST_RSA_BITS = 2048
_MEMBERS = {"RSA": "n", "EC": "x", "OKP": "x"}
_KINDS = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
# The clock is ours (`now`), so PyJWT checks signature, presence and audience, and we the rest.
_OPTIONS: Any = {"require": ["iss", "sub", "aud", "exp", "iat"], "verify_exp": False, "verify_iat": False, "verify_nbf": False}
T = TypeVar("T", bound=msgspec.Struct)


class ServiceUnreachable(ByokError):
    status, code = 502, "sign_on_unreachable"

    def __init__(self) -> None:
        super().__init__(
            "The sign-in service does not answer.", remedy="Try again in a minute; an operator finds the cause with: byok doctor"
        )


class ServiceRefused(ByokError):
    """The service did not give what is needed, or what it gave is not believed; `why` is of our own words."""

    status, code = 502, "sign_on_refused"

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(
            f"The sign-in could not be completed: {why}.", remedy="Begin again; if it persists, an operator finds more with: byok doctor"
        )


class Description(msgspec.Struct, frozen=True):
    """What the service says of itself, as far as we need it."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    response_types_supported: tuple[str, ...] = ("code",)
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    id_token_signing_alg_values_supported: tuple[str, ...] = ("RS256",)
    code_challenge_methods_supported: tuple[str, ...] = ()
    authorization_response_iss_parameter_supported: bool = False


class _Tokens(msgspec.Struct, frozen=True):
    id_token: str
    access_token: str = ""


class _Keys(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """Who came back. The claims and the token are for `email`, and go with this object."""

    identity: Identity
    claims: dict[str, Any]
    access_token: str


class Provider:
    """The sign-in service of the settings. Its description and keys are asked for when needed, and anew after `KEPT_S`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.issuer = settings.oidc_issuer
        self._description: tuple[float, Description] | None = None
        self._keys: tuple[float, list[dict[str, Any]]] | None = None

    async def describe(self) -> Description:
        """Raises `ServiceUnreachable`, or `ServiceRefused` for a description that names another issuer or an unsafe address."""
        if self._description is None or time.monotonic() - self._description[0] > KEPT_S:
            said = _decoded(await _fetch("GET", f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"), Description)
            _check_description(said, self.issuer)
            self._description = time.monotonic(), said
        return self._description[1]

    async def address(self, *, redirect_uri: str, state: str, nonce: str, verifier: str) -> str:
        """Where to send the browser. Raises as `describe`."""
        endpoint = (await self.describe()).authorization_endpoint
        asked = {
            "response_type": "code",
            "client_id": self.settings.oidc_client_id,
            "redirect_uri": redirect_uri,
            "scope": self.settings.oidc_scopes,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge(verifier),
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    async def check_issuer(self, said: str | None) -> None:
        """Refuse an answer that names another service, or none where the service promised to name itself (RFC 9207)."""
        promised = (await self.describe()).authorization_response_iss_parameter_supported
        if (said is None and promised) or (said is not None and said != self.issuer):
            raise ServiceRefused("the answer came from another sign-in service")

    async def redeem(self, code: str, *, redirect_uri: str, verifier: str, nonce: str, now: datetime) -> Answer:
        """Exchange the code and return who it was for. Raises `ServiceUnreachable`, `ServiceRefused`."""
        tokens = await self._exchange(code, redirect_uri, verifier)
        claims = await self._claims(tokens.id_token)
        self._check_claims(claims, nonce, now.timestamp())
        return Answer(Identity(self.issuer, claims["sub"]), claims, tokens.access_token)

    async def email(self, answer: Answer) -> str:
        """The e-mail of who came back, if the service says that it verified it; else an empty text."""
        claims, said = answer.claims, await self.describe()
        if "email" not in claims and said.userinfo_endpoint and answer.access_token:
            bearer = {"authorization": f"Bearer {answer.access_token}"}
            claims = _object(await _fetch("GET", said.userinfo_endpoint, headers=bearer))
            if claims.get("sub") != answer.identity.subject:
                raise ServiceRefused("it told about somebody else")
        email = claims.get("email")
        return email if isinstance(email, str) and claims.get("email_verified") in (True, "true") else ""

    async def _exchange(self, code: str, redirect_uri: str, verifier: str) -> _Tokens:
        said, ours = await self.describe(), self.settings.oidc_client_id
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri, "code_verifier": verifier}
        headers, secret = {"content-type": "application/x-www-form-urlencoded"}, client_secret(self.settings)
        if secret is None:
            form["client_id"] = ours
        elif "client_secret_basic" in said.token_endpoint_auth_methods_supported:
            pair = f"{quote(ours, safe='')}:{quote(secret, safe='')}"
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": ours, "client_secret": secret}
        return _decoded(await _fetch("POST", said.token_endpoint, headers=headers, content=urlencode(form).encode()), _Tokens)

    async def _claims(self, token: str) -> dict[str, Any]:
        """The claims of an ID token whose signature is the service's."""
        if len(token) > _LONGEST_TOKEN:
            raise ServiceRefused("its ID token is too long")
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise ServiceRefused("its ID token is none") from None
        algorithm = header.get("alg")
        if algorithm not in ALGORITHMS:
            raise ServiceRefused("its ID token is not signed in a way that is trusted")
        for fresh in (False, True):  # keys change: what is signed with an unknown one is worth a second look
            for key in _fitting(await self._published(fresh=fresh), header.get("kid"), algorithm):
                try:
                    decoded: dict[str, Any] = jwt.decode(
                        token, key, algorithms=[algorithm], audience=self.settings.oidc_client_id, issuer=self.issuer, options=_OPTIONS
                    )
                    return decoded
                except jwt.InvalidSignatureError:
                    continue
                except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
                    raise ServiceRefused("its ID token is not for this installation") from None
        raise ServiceRefused("its ID token is not signed by it")

    async def _published(self, *, fresh: bool) -> list[dict[str, Any]]:
        if self._keys is None or fresh or time.monotonic() - self._keys[0] > KEPT_S:
            address = (await self.describe()).jwks_uri
            self._keys = time.monotonic(), _decoded(await _fetch("GET", address), _Keys).keys
        return self._keys[1]

    def _check_claims(self, claims: dict[str, Any], nonce: str, now: float) -> None:
        ours, subject = self.settings.oidc_client_id, claims["sub"]
        audience = [claims["aud"]] if isinstance(claims["aud"], str) else claims["aud"]
        party = claims.get("azp", ours if audience == [ours] else None)
        if party != ours:  # a token for several must say that we are the one who asked
            raise ServiceRefused("its ID token is not for this installation")
        if claims.get("nonce") != nonce:
            raise ServiceRefused("its ID token belongs to another sign-in")
        times = [claims["exp"], claims["iat"], claims.get("nbf", 0)]
        if any(isinstance(value, bool) or not isinstance(value, int | float) for value in times):
            raise ServiceRefused("its ID token has no times")
        expires, issued, begins = times
        if expires <= now - LEEWAY_S or issued > now + LEEWAY_S or begins > now + LEEWAY_S:
            raise ServiceRefused("its ID token is not of now; do the clocks agree?")
        if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT or not subject.isprintable():
            raise ServiceRefused("its ID token names nobody")


def client_secret(settings: Settings) -> str | None:
    """The text of the secret's file, or None for a public client. Raises `ServiceRefused` if it cannot be read."""
    if settings.oidc_client_secret_file is None:
        return None
    try:
        secret = settings.oidc_client_secret_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise ServiceRefused("BYOK_OIDC_CLIENT_SECRET_FILE cannot be read") from None
    if not secret:
        raise ServiceRefused("BYOK_OIDC_CLIENT_SECRET_FILE is empty")
    return secret


def challenge(verifier: str) -> str:
    """PKCE's S256.

    >>> challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'
    """
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _check_description(said: Description, issuer: str) -> None:
    if said.issuer != issuer:
        raise ServiceRefused("it calls itself by another name than BYOK_OIDC_ISSUER")
    for address in (said.authorization_endpoint, said.token_endpoint, said.jwks_uri, said.userinfo_endpoint):
        # A service on the network must not send us to this machine's own addresses, nor anyone over plain http.
        if address and not (address.startswith("https://") or (issuer.startswith("http://") and is_safe_origin(address))):
            raise ServiceRefused("it names an address without https")
    if not any("code" in types.split() for types in said.response_types_supported):
        raise ServiceRefused("it does not offer the authorization code flow")


def _fitting(keys: list[dict[str, Any]], kid: object, algorithm: str) -> list[jwt.PyJWK]:
    """The published signing keys that a token with this header may be checked with: public ones, of the algorithm's own kind."""
    kind, found = _KINDS[algorithm[:2]], []
    for key in keys:
        if key.get("kty") != kind or key.get("use", "sig") != "sig" or key.get("alg", algorithm) != algorithm:
            continue
        if kid is not None and key.get("kid", kid) != kid:
            continue
        if not isinstance(key.get(_MEMBERS[kind]), str) or "d" in key:  # none, or one whose other half everybody has
            continue
        try:
            made = jwt.PyJWK({name: value for name, value in key.items() if name != "alg"}, algorithm=algorithm)
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        if kind != "RSA" or getattr(made.key, "key_size", 0) >= _LEAST_RSA_BITS:
            found.append(made)
    return found


@cache
def _certificates() -> SSLContext:
    return httpx.create_ssl_context()


async def _fetch(method: str, address: str, *, headers: dict[str, str] | None = None, content: bytes | None = None) -> bytes:
    """The body of a 200, at most `_MOST_BYTES`. No redirect is followed: an address is one of those in the description, or none.

    Nothing is unpacked: of five kilobytes there could come gigabytes, before anybody has counted them.
    """
    asked, body = {"accept": "application/json", "accept-encoding": "identity", **(headers or {})}, bytearray()
    try:
        async with (
            asyncio.timeout(_LONGEST_S),
            httpx.AsyncClient(verify=_certificates(), timeout=_TIMEOUT_S, follow_redirects=False) as client,
            client.stream(method, address, headers=asked, content=content) as answer,
        ):
            if answer.status_code >= 500:
                raise ServiceUnreachable
            if answer.status_code != 200:
                raise ServiceRefused(f"it answered with status {answer.status_code}")
            if answer.headers.get("content-encoding", "identity").lower() != "identity":
                raise ServiceRefused("its answer is packed, which it was asked not to do")
            async for piece in answer.aiter_raw():
                body += piece
                if len(body) > _MOST_BYTES:
                    raise ServiceRefused("its answer is too long")
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
        raise ServiceUnreachable from None
    return bytes(body)


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, RecursionError):
        raise ServiceRefused("its answer is not what the standard asks for") from None


def _object(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        raise ServiceRefused("its answer is not what the standard asks for") from None
