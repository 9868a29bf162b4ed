"""One POST to a web address that somebody typed: only to hosts the operator allows, to an address looked up once, never redirected.

The five known ways round a check of an address are closed by what is connected: the socket goes to the very address that was
checked, whatever the name says a moment later, and no answer can send it elsewhere.
"""

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import SplitResult, urlsplit

import certifi

from byok.errors import ByokError
from byok.notify.outcome import Outcome, later, moment, of_status, refused

TIMEOUT_S = 10.0
TOTAL_S = 20.0  # also for a receiver that sends its answer drop by drop
LONGEST_URL = 2000
_PORTS = {"https": 443, "http": 80}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class WebhookNotAllowed(ByokError):
    """The message never repeats the address: its path is the secret."""

    status, code = 400, "webhook_not_allowed"

    def __init__(self, hosts: Iterable[str]) -> None:
        super().__init__(
            "This address is not one that webhooks may point to.",
            remedy=f"Allowed are: {', '.join(hosts) or 'none'}. The operator lists others in BYOK_SLACK_HOSTS.",
        )


@dataclass(frozen=True, slots=True)
class Place:
    """An allowed address. `named`: the operator wrote the whole origin, so that it may lie in a private network."""

    scheme: str
    host: str
    port: int
    target: str
    named: bool


def allowed(url: str, hosts: Iterable[str]) -> Place:
    """Return where `url` points to if `hosts` (of `Settings.webhook_hosts`) allow that, else raise `WebhookNotAllowed`.

    >>> allowed("https://hooks.slack.com/services/T0/B0/x", ["hooks.slack.com"]).host
    'hooks.slack.com'
    """
    listed = list(hosts)
    plain = url.isascii() and url.isprintable() and len(url) <= LONGEST_URL and not set(url) & set(' \\"<>`{}|^')
    try:
        parts = urlsplit(url) if plain else SplitResult("", "", "", "", "")
        place = (parts.scheme, (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(parts.scheme, 0))
    except ValueError:
        raise WebhookNotAllowed(listed) from None
    if not parts.hostname or "@" in parts.netloc or parts.fragment:
        raise WebhookNotAllowed(listed)
    for entry in listed:
        whole = "://" in entry
        if place == (_origin(entry) if whole else ("https", entry.lower().rstrip("."), 443)):
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            return Place(place[0], place[1], place[2], target, whole)
    raise WebhookNotAllowed(listed)


def post(url: str, body: bytes, headers: Mapping[str, str], *, hosts: Iterable[str]) -> Outcome:
    """Send `body` to `url`; says what came of it and never raises for what the other side does."""
    try:
        place = allowed(url, hosts)
    except WebhookNotAllowed:
        return refused("host_not_allowed")
    try:
        with _connected(place) as sock, _given_up_after(sock, TOTAL_S):
            return _exchange(place, sock, body, headers)
    except _AddressRefused:
        return later("address_refused")
    except ssl.SSLError:
        return later("tls_failed")
    except TimeoutError:
        return later("timeout")
    except (OSError, http.client.HTTPException, ValueError):
        return later("unreachable")


class _AddressRefused(Exception):
    pass


@contextlib.contextmanager
def _connected(place: Place) -> Iterator[socket.socket]:
    found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    open_to = [entry for entry in found if may_reach(ipaddress.ip_address(entry[4][0]), named=place.named)]
    if not open_to:
        raise _AddressRefused
    with first_that_answers(open_to, TIMEOUT_S) as raw:
        if not may_reach(ipaddress.ip_address(raw.getpeername()[0]), named=place.named):
            raise _AddressRefused
        if place.scheme == "http":
            yield raw
        else:
            with _trusting().wrap_socket(raw, server_hostname=place.host) as secured:
                yield secured


def first_that_answers(entries: Sequence[Any], timeout_s: float) -> socket.socket:
    """A socket connected to the first of these (as `getaddrinfo` gives them) that takes it. Raises OSError if none does."""
    failed: OSError | None = None
    for family, kind, proto, _, address in entries:
        raw = socket.socket(family, kind, proto)
        raw.settimeout(timeout_s)
        try:
            raw.connect(address)
            return raw
        except OSError as error:
            raw.close()
            failed = error
    raise failed or OSError


def may_reach(address: Address, *, named: bool) -> bool:
    """Whether a webhook may connect there: the open internet, or what the operator wrote out, but never link-local (cloud metadata)."""
    inner = _inner(address)
    if inner.is_multicast or inner.is_unspecified or inner.is_link_local or inner.is_reserved:
        return False
    return named or inner.is_global


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, if it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None) or address


@cache
def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())  # some machines have no store of their own
    return context


@contextlib.contextmanager
def _given_up_after(sock: socket.socket, seconds: float) -> Iterator[None]:
    """Each read may take `TIMEOUT_S`; many small ones together no longer than this."""
    late = threading.Event()

    def give_up() -> None:
        late.set()
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException):
        if late.is_set():
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()


def _exchange(place: Place, sock: socket.socket, body: bytes, headers: Mapping[str, str]) -> Outcome:
    connection = http.client.HTTPConnection(place.host, place.port)
    connection.auto_open = 0
    connection.sock = sock
    name = f"[{place.host}]" if ":" in place.host else place.host
    connection.putrequest("POST", place.target, skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", name if place.port == _PORTS[place.scheme] else f"{name}:{place.port}")
    for name, value in {"content-length": str(len(body)), "connection": "close", "user-agent": "byok", **headers}.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = _final(connection.getresponse())
    theirs = moment(answer.getheader("date") or "")  # a clock that goes wrong goes as wrong in both
    return of_status(answer.status, answer.getheader("retry-after"), now=theirs or datetime.now(UTC))


def _final(answer: http.client.HTTPResponse) -> http.client.HTTPResponse:
    """What follows announcements such as 103: the library passes over 100 alone."""
    while 102 <= answer.status < 200:
        answer.headers = None  # type: ignore[assignment]  # so that it reads another head
        answer.begin()
    return answer


def _origin(entry: str) -> tuple[str, str, int]:
    parts = urlsplit(entry)
    return parts.scheme, (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(parts.scheme, 0)
