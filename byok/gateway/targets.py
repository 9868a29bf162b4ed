"""Where a request to a vendor goes, and the head that it has there."""

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from byok.gateway.upstream import Outgoing, Unreachable

_TARGET = re.compile(rb"[!-~]+")
_LINE = b": ".join


class Origin(NamedTuple):
    """What a connection is to."""

    host: str
    port: int
    secure: bool


class Target(NamedTuple):
    """Where a URL leads: the connection's origin, and the request line's path with the host header."""

    origin: Origin
    path: bytes
    host: bytes


def target_of(url: str) -> Target:
    """Return where this URL leads.

    >>> target_of("https://api.openai.com/v1/models")
    Target(origin=Origin(host='api.openai.com', port=443, secure=True), path=b'/v1/models', host=b'api.openai.com')
    """
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    host = name if port == (443 if secure else 80) else f"{name}:{port}"
    return Target(Origin(parts.hostname or "", port, secure), (parts.path or "/").encode("latin-1"), host.encode("idna"))


def request_head(request: Outgoing, target: Target) -> bytes:
    """Return the request's head as it is sent; raises `Unreachable` for what would not be one."""
    path = target.path + b"?" + request.query if request.query else target.path
    lines = [b"%b %b HTTP/1.1\r\nhost: %b" % (request.method.encode("ascii"), path, target.host)]
    lines += map(_LINE, request.headers)
    if request.body or request.method not in ("GET", "HEAD", "DELETE"):
        lines.append(b"content-length: %d" % len(request.body))
    lines.append(b"\r\n")
    head = b"\r\n".join(lines)
    if head.count(b"\n") != len(lines) + 1 or not _TARGET.fullmatch(path):  # a line break in a value would begin a header of its own
        raise Unreachable
    return head
