"""API tokens: JWTs signed with HS256 that name a user for at most an hour. Rules as in RFC 8725; what is refused is never told apart."""

import base64
import binascii
import hmac
import json
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt

from byok.accounts.errors import JwtSecretInvalid
from byok.accounts.ids import is_user_id
from byok.accounts.master_key import subkey
from byok.settings import Settings

ISSUER = "byok"
AUDIENCE = "byok-api"
LONGEST_TTL_S = 3600
LEEWAY_S = 30
LONGEST_TOKEN = 8192
SHORTEST_SECRET_BYTES = 32
_HEADER_KEYS = {"alg", "typ", "kid"}
_PART = re.compile(r"[A-Za-z0-9_-]+")
_MICROSECONDS = "iat_us"  # the part of a second that `iat` leaves out
# The clock is ours (`now`), so PyJWT checks signature, presence, issuer and audience, and we the times.
_OPTIONS: Any = {
    "require": ["exp", "iat", "sub", "aud", "iss"],
    "strict_aud": True,
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
}


@dataclass(frozen=True, slots=True)
class Claim:
    """What a good token says: whose it is and when it was issued."""

    user_id: str
    issued_at: datetime


def jwt_secret(settings: Settings, master: bytes) -> bytes:
    """Return the HS256 secret: the stripped text of `jwt_secret_file`, else derived from the master key. Raises `JwtSecretInvalid`."""
    if settings.jwt_secret_file is None:
        return subkey(master, "jwt")
    try:
        secret = settings.jwt_secret_file.read_bytes().strip()
    except OSError as error:
        raise JwtSecretInvalid(error.strerror or type(error).__name__) from None
    if len(secret) < SHORTEST_SECRET_BYTES:
        raise JwtSecretInvalid(f"it has {len(secret)} bytes, {SHORTEST_SECRET_BYTES} is the least")
    if len(set(secret)) < 8:
        raise JwtSecretInvalid("it is a filler, not random")
    if any(hmac.compare_digest(secret, form) for form in (master, base64.b64encode(master), base64.urlsafe_b64encode(master))):
        raise JwtSecretInvalid("it is the master key, which must serve nothing else")
    return secret


def issue(user_id: str, secret: bytes, *, now: datetime, ttl_s: float = LONGEST_TTL_S) -> str:
    """Return a token of this user that lives for `ttl_s` seconds, one hour at most."""
    if not 1 <= ttl_s <= LONGEST_TTL_S:
        raise ValueError(f"an API token lives 1 to {LONGEST_TTL_S} seconds")
    issued = int(now.timestamp())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": user_id,
        "iat": issued,
        "exp": issued + int(ttl_s),
        "jti": secrets.token_urlsafe(12),
        _MICROSECONDS: now.microsecond,
    }
    return jwt.encode(claims, secret, algorithm="HS256")


def read(token: str, secret: bytes, *, now: datetime) -> Claim | None:
    """Return what a good token says, else None. Never raises. Whether the user still exists is for `identify` to say.

    The moment of issue is there so that tokens older than a password change can be refused.
    """
    if len(token) > LONGEST_TOKEN or not _is_canonical(token):
        return None
    try:
        decoded = jwt.decode_complete(token, secret, algorithms=["HS256"], audience=AUDIENCE, issuer=ISSUER, options=_OPTIONS)
    except Exception:  # the text is a stranger's: deep nesting, huge numbers and broken Unicode fail in many ways
        return None
    claims = decoded["payload"]
    if not all(map(_is_unambiguous, token.split(".")[:2])):
        return None
    if not _is_plain_header(decoded["header"]) or not _is_in_time(claims, now.timestamp()) or not is_user_id(claims["sub"]):
        return None
    return Claim(claims["sub"], datetime.fromtimestamp(claims["iat"], UTC).replace(microsecond=claims.get(_MICROSECONDS, 0)))


def _is_canonical(token: str) -> bool:
    # One token, one text: caches and revocations by text cannot be side-stepped with other spellings of the same bytes.
    parts = token.split(".")
    return len(parts) == 3 and all(_PART.fullmatch(part) and _is_canonical_part(part) for part in parts)


def _is_canonical_part(part: str) -> bool:
    try:
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        return False
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == part


def _is_unambiguous(part: str) -> bool:
    """Whether everybody reads the same in it: UTF-8 without a mark before it, no name twice (RFC 7519, 4)."""
    try:
        json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode(), object_pairs_hook=_no_name_twice)
    except ValueError:
        return False
    return True


def _no_name_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name came twice")
    return found


def _is_plain_header(header: dict[str, Any]) -> bool:
    return header.keys() <= _HEADER_KEYS and header.get("typ", "JWT") == "JWT"


def _is_in_time(claims: dict[str, Any], now: float) -> bool:
    times = [claims["iat"], claims["exp"], claims.get("nbf", 0), claims.get(_MICROSECONDS, 0)]
    if any(type(value) is not int for value in times):  # a bool is an int too, to isinstance
        return False
    issued, expires, begins, part = (int(value) for value in times)
    if not 0 <= part < 1_000_000 or not 0 < expires - issued <= LONGEST_TTL_S:
        return False
    return issued <= now + LEEWAY_S and begins <= now + LEEWAY_S and expires > now - LEEWAY_S
