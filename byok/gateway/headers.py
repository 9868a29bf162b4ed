"""Which headers go on to the vendor, and which come back. Names are lower-case bytes, as ASGI gives them."""

import re
from collections.abc import Iterable, Sequence
from urllib.parse import unquote_to_bytes

import msgspec

Headers = list[tuple[bytes, bytes]]

REQUEST_ID = b"x-byok-request-id"
VENDOR_KEY = b"x-byok-vendor-key"
KEY_ID = b"x-byok-key"
CREDENTIALS = (b"authorization", b"x-api-key", b"x-goog-api-key")

_OURS = b"x-byok-"
_STAY_HERE = (_OURS, b"x-forwarded-")
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
_OTHER_METHOD = frozenset((b"x-http-method-override", b"x-http-method", b"x-method-override"))  # one that nobody here has allowed
# What proxies in front of us say of who calls: to a vendor all calls come from here.
_OF_THE_CALLER = frozenset(
    (
        *(b"forwarded", b"via", b"x-real-ip", b"x-client-ip", b"x-cluster-client-ip", b"x-original-forwarded-for", b"true-client-ip"),
        *(b"cf-connecting-ip", b"cf-connecting-ipv6", b"cf-ipcountry", b"fastly-client-ip", b"fly-client-ip", b"x-azure-clientip"),
        b"x-envoy-external-address",
    )
)
# `expect` was answered here; length and host are those of the new request.
_NEVER_SENT = _HOP_BY_HOP | _OTHER_METHOD | _OF_THE_CALLER | {*CREDENTIALS, b"api-key", b"cookie", b"host", b"content-length", b"expect"}
_USUAL_CONNECTION = (b"keep-alive", b"close")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")  # one such value would make the server refuse the whole answer
_NEVER_RETURNED = _HOP_BY_HOP | {b"set-cookie", b"set-cookie2"}
_OF_THE_HEAD = _NEVER_RETURNED | {b"content-length", b"content-encoding", b"content-type"}  # what the relay itself has to look at
_NEVER_TRAILING = _NEVER_RETURNED | {b"content-length", b"content-encoding", b"content-type", b"host"}


class AnswerHead(msgspec.Struct, frozen=True):
    """What the relay needs of a vendor's headers, read in one pass."""

    returned: Headers  # what goes on to the client, names in lower case; without the length
    content_type: bytes
    encoding: bytes
    length: int | None


def first(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The first value of a header, or None."""
    for found, value in headers:
        if found == name:
            return value
    return None


def to_vendor(headers: Headers) -> Headers:
    """The client's headers without credentials, cookies, hop-by-hop, our own, and what proxies in front of us added about the client."""
    dropped = _with_named_in_connection(headers, _NEVER_SENT)
    return [pair for pair in headers if pair[0] not in dropped and not pair[0].startswith(_STAY_HERE)]


def of_answer(headers: Sequence[tuple[bytes, bytes]], request_id: bytes) -> AnswerHead:
    """Read a vendor's headers: those for the client are without hop-by-hop, cookies and length, under our request id."""
    kept: Headers = []
    content_type = encoding = b""
    length: int | None = None
    named: frozenset[bytes] = frozenset()
    is_clean = not _CONTROL.search(b"".join([value for _, value in headers]))
    for name, value in headers:
        name = name.lower()
        if name in _OF_THE_HEAD:
            if name == b"content-length":
                length = int(value) if value.isdigit() else None
                continue
            if name == b"content-type":
                content_type = value
            elif name == b"content-encoding":
                encoding = encoding + b", " + value if encoding else value  # two lines say the same as one
            else:
                if name == b"connection" and value not in _USUAL_CONNECTION:
                    named |= _tokens(value)
                continue
        if (is_clean or not _CONTROL.search(value)) and not name.startswith(_OURS):
            kept.append((name, value))
    if named:
        kept = [pair for pair in kept if pair[0] not in named]
    kept.append((REQUEST_ID, request_id))
    return AnswerHead(kept, content_type, encoding, length)


def trailing(headers: Sequence[tuple[bytes, bytes]]) -> Headers:
    """A vendor's trailers that may follow our answer: nothing that frames or belongs to a head."""
    if not headers:
        return []
    lowered = [(name.lower(), value) for name, value in headers]
    return [pair for pair in lowered if pair[0] not in _NEVER_TRAILING and not pair[0].startswith(_OURS) and not _CONTROL.search(pair[1])]


def without_key(query: bytes) -> bytes:
    """The query string without any `key=`: a key never travels in an address."""
    if b"key" not in query.lower() and b"%" not in query:
        return query
    return b"&".join(part for part in query.split(b"&") if unquote_to_bytes(part.partition(b"=")[0]).strip().lower() != b"key")


def _with_named_in_connection(headers: Headers, dropped: frozenset[bytes]) -> frozenset[bytes]:
    for name, value in headers:
        if name == b"connection" and value not in _USUAL_CONNECTION:
            dropped |= _tokens(value)
    return dropped


def _tokens(value: bytes) -> frozenset[bytes]:
    return frozenset(token.strip().lower() for token in value.split(b","))
