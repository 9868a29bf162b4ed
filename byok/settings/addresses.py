"""What an address that an operator writes may look like."""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

_HOST = re.compile(r"[\w.-]*\w[\w.-]*")


def is_http(url: str) -> bool:
    """Whether it is an http or https address of a host, with nobody's name, query or fragment in it."""
    parts = _parts(url)
    if parts is None or parts.scheme not in ("http", "https"):
        return False
    return is_host(parts.hostname or "") and not parts.username and not parts.query and not parts.fragment


def is_host(name: str) -> bool:
    """Whether it is a host's name, in any script, or an IP address: no pattern, and nothing beside it."""
    try:
        return bool(_HOST.fullmatch(name) or ipaddress.ip_address(name))
    except ValueError:
        return False


def is_origin(url: str) -> bool:
    """Whether it is such an address without a path."""
    return is_http(url) and not urlsplit(url).path.strip("/")


def is_smtp(url: str) -> bool:
    """Whether it is a mail server's address: smtp or smtps, a host, and at most a name, a password and a port."""
    parts = _parts(url)
    if parts is None or parts.scheme not in ("smtp", "smtps"):
        return False
    return bool(parts.hostname) and not parts.path.strip("/") and not parts.query and not parts.fragment


def is_safe_origin(url: str) -> bool:
    """Whether nobody on the way can read or change what goes there: https, or an address of this machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme == "https" or host in ("localhost", "::1") or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for what is no port
    except ValueError:
        return None
    return parts
