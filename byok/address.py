"""Where a request came from: for delays after wrong passwords and for the cookie's Secure; never stored with usage."""

import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from byok.settings import Settings


def header(scope: Mapping[str, Any], name: bytes) -> str:
    """The last header of this name, or an empty text."""
    found = [value for key, value in scope["headers"] if key == name]
    return found[-1].decode("latin-1") if found else ""


def client_address(scope: Mapping[str, Any], settings: Settings) -> str:
    """The address to slow down.

    A proxy of this machine (our gateway, nginx) or a trusted one names its own peer last in X-Forwarded-For; from anyone else that
    header is a claim.
    """
    peer = str((scope.get("client") or ("",))[0])
    said = header(scope, b"x-forwarded-for").rsplit(",", 1)[-1].strip()
    return said if _is_proxy(peer, settings) and _is_address(said) else peer


def is_https(scope: Mapping[str, Any], settings: Settings) -> bool:
    """Whether the visitor came by https; a claim of his own only makes his own cookie stricter."""
    said = header(scope, b"x-forwarded-proto").split(",", 1)[0].strip().lower()
    return "https" in (scope.get("scheme"), said) or settings.public_url.startswith("https:") or scope.get("scheme") == "wss"


def is_same_origin(scope: Mapping[str, Any], settings: Settings) -> bool:
    """Whether the page that sends this is ours. Cookies do not tell ports apart, so a neighbour on localhost could send them along."""
    origin = header(scope, b"origin")
    if not origin:
        return True  # not a browser, or a plain navigation
    try:
        place = urlsplit(origin).netloc
    except ValueError:  # such as "http://["
        return False
    return place in {header(scope, b"host"), urlsplit(settings.public_url).netloc} - {""}


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_proxy(text: str, settings: Settings) -> bool:
    if not _is_address(text):
        return False
    address = ipaddress.ip_address(text)
    return address.is_loopback or any(address in ipaddress.ip_network(network) for network in settings.proxies)
