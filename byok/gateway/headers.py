"""Which headers go on to the vendor, and which come back. Names are lower-case bytes, as ASGI gives them."""

import re
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

Headers = list[tuple[bytes, bytes]]

REQUEST_ID = b"x-byok-request-id"
VENDOR_KEY = b"x-byok-vendor-key"
KEY_ID = b"x-byok-key"
CREDENTIALS = (b"authorization", b"x-api-key", b"x-goog-api-key")

_OURS = b"x-byok-"
_HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    )
)
# `expect` was answered here; length and host are those of the new request.
_NEVER_SENT = _HOP_BY_HOP | {*CREDENTIALS, b"api-key", b"cookie", b"host", b"content-length", b"expect"}
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")  # one such value would make the server refuse the whole answer
_NEVER_RETURNED = _HOP_BY_HOP | {b"set-cookie", b"set-cookie2"}


def first(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The first value of a header, or None."""
    for found, value in headers:
        if found == name:
            return value
    return None


def to_vendor(headers: Iterable[tuple[bytes, bytes]], credential: tuple[bytes, bytes] | None) -> Headers:
    """The client's headers without credentials, cookies, hop-by-hop and our own; with the vendor's `credential` at the end."""
    headers = list(headers)
    dropped = _with_named_in_connection(headers, _NEVER_SENT)
    kept = [pair for pair in headers if pair[0] not in dropped and not pair[0].startswith(_OURS)]
    if credential is not None:
        kept.append(credential)
    return kept


def to_client(headers: Iterable[tuple[bytes, bytes]], request_id: bytes, *, keep_length: bool) -> Headers:
    """The vendor's headers without hop-by-hop and cookies, under our request id. Names come back in lower case.

    `keep_length` is false when the body may change on its way (the added usage chunk is removed).
    """
    lowered = [(name.lower(), value) for name, value in headers]
    dropped = _with_named_in_connection(lowered, _NEVER_RETURNED)
    if not keep_length:
        dropped |= {b"content-length"}
    kept = [pair for pair in lowered if pair[0] not in dropped and not pair[0].startswith(_OURS) and not _CONTROL.search(pair[1])]
    kept.append((REQUEST_ID, request_id))
    return kept


def without_key(query: bytes) -> bytes:
    """The query string without any `key=`: a key never travels in an address."""
    if b"key" not in query.lower() and b"%" not in query:
        return query
    return b"&".join(part for part in query.split(b"&") if unquote_to_bytes(part.partition(b"=")[0]).strip().lower() != b"key")


def _with_named_in_connection(headers: Headers, dropped: frozenset[bytes]) -> frozenset[bytes]:
    for name, value in headers:
        if name == b"connection" and value not in (b"keep-alive", b"close"):
            dropped |= {token.strip().lower() for token in value.split(b",")}
    return dropped
