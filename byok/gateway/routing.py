"""Which vendor, which key and which address serve a request. Only our own table decides on the address; the request picks from it."""

import re
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from byok.accounts.access_tokens import Grant
from byok.errors import BadRequest, NotFound
from byok.gateway import allow_list, hard_budgets, models, requests, vendors
from byok.gateway import headers as header_rules
from byok.gateway.booked_names import BookedNames
from byok.gateway.identity import Identity
from byok.gateway.relay import Call
from byok.gateway.sent import Sent
from byok.gateway.upstream import Outgoing
from byok.gateway.vendors import Route, Vendor
from byok.settings import Settings
from byok.usage import PASSTHROUGH_KEY

MODELS_PATH = "/v1/models"
ECHO_KEY = "key_echo"  # the built-in vendor needs no key; its calls are booked under this id
_KEY_ID = re.compile(rb"key_[A-Za-z0-9]{4,40}")
_SECRET = re.compile(rb"[!-~]{1,4096}")


class Arrival(msgspec.Struct, frozen=True):
    """One request as it came: ASGI scope, what its headers say, raw path, our id for it, wall clock and `time.monotonic()`."""

    scope: dict[str, Any]
    sent: Sent
    path: str
    request_id: bytes
    ts: datetime
    started: float


class Target(NamedTuple):
    """What a path asks for: a route of a vendor, or one of the paths whose vendor the model decides."""

    route: Route | None
    one_api_path: str


class Routing:
    """Which vendor and which key serve a request."""

    def __init__(self, settings: Settings, identity: Identity) -> None:
        self._vendors: dict[str, Vendor] = vendors.vendors(settings)
        self._identity = identity
        self._one_api: dict[tuple[str, str], Route] = {}  # one per vendor and path
        self._names = BookedNames(lambda: identity.allowed_names, processes=settings.gateway_processes)

    def target(self, path: str, method: str) -> Target | None:
        """What this path means; None for the list of models and for one of them. Raises `NotFound`, `PathNotAllowed`."""
        if method == "POST" and path in vendors.ONE_API_PATHS:
            return Target(None, path)
        if method == "GET" and (path == MODELS_PATH or path.startswith(f"{MODELS_PATH}/")):
            return None
        name, _, rest = path[1:].partition("/")
        vendor = self._vendors.get(name)
        if vendor is None:
            raise _no_such_route(path)
        return Target(vendors.native_route(vendor, "/" + rest, method), "")

    async def call(self, arrival: Arrival, target: Target, grant: Grant, body: bytes) -> Call:
        """Everything the relay needs. Raises `InvalidJson`, `ModelUnknown`, `ModelNotAllowed`, `VendorKeyMissing`, `BudgetExceeded`
        and what is wrong with our own headers."""
        model: str | None
        head = _read_head(arrival, target, body)
        if target.route is None:
            vendor, model, body = self._by_model(head.model, body)
            route = self._one_api_route(vendor, target.one_api_path)
        else:
            route, model = target.route, target.route.model or head.model
        if grant.models:
            allow_list.check(grant.models, route, body, is_form=arrival.sent.is_form)
        key_id, credential = await self._key(arrival, route, grant.user.id)
        if grant.stops and route.booked:
            hard_budgets.check(grant.stops, route.vendor.name, key_id, now=arrival.ts)
        adds_usage = route.asks_usage and head.stream and not head.include_usage
        if adds_usage:
            body = requests.add_include_usage(body)
        return Call(
            request_id=arrival.request_id,
            ts=arrival.ts,
            started=arrival.started,
            user_id=grant.user.id,
            key_id=key_id,
            route=route,
            model=model,
            streamed=head.stream or ":stream" in route.upstream_path,
            strip_usage_chunk=adds_usage,
            names=self._names,
            outgoing=Outgoing(
                method=arrival.scope["method"],
                url=route.url,
                query=header_rules.without_key(arrival.scope["query_string"]),
                headers=self._headers(arrival, route, credential, plain=adds_usage),
                body=body,
            ),
        )

    def _one_api_route(self, vendor: Vendor, path: str) -> Route:
        route = self._one_api.get((vendor.name, path))
        if route is None:
            route = self._one_api[vendor.name, path] = vendors.one_api_route(vendor, path)
        return route

    def _by_model(self, model: str | None, body: bytes) -> tuple[Vendor, str, bytes]:
        """The vendor that serves this model. `vendor/model` names it; that prefix, and nothing else, is taken off the body."""
        if not model:
            raise BadRequest("The request names no model.", remedy='Add "model", for example "echo/echo-1" or "gpt-4o-mini".')
        vendor, name = models.find_vendor(model, self._vendors)
        return self._vendors[vendor], name, requests.strip_vendor_prefix(body, vendor) if name != model else body

    async def _key(self, arrival: Arrival, route: Route, user_id: str) -> tuple[str, tuple[bytes, bytes] | None]:
        """(key id, header with the vendor key): the caller's own for this one call, else a stored one."""
        name = route.vendor.name
        if name == vendors.ECHO:
            return ECHO_KEY, None
        brought = arrival.sent.vendor_key
        if brought is not None:
            if not _SECRET.fullmatch(brought):
                raise BadRequest("The header x-byok-vendor-key holds no key.", remedy="Send the key alone, without Bearer and spaces.")
            return PASSTHROUGH_KEY, route.credential(brought.decode("ascii"))
        named = arrival.sent.key_id
        if named is not None and not _KEY_ID.fullmatch(named):
            raise BadRequest("The header x-byok-key holds no key id.", remedy="Send the id that the Keys page shows, key_…")
        key_id, secret = await self._identity.vendor_key(user_id, name, None if named is None else named.decode("ascii"))
        return key_id, route.credential(secret.reveal())

    def _headers(self, arrival: Arrival, route: Route, credential: tuple[bytes, bytes] | None, *, plain: bool) -> header_rules.Headers:
        if route.vendor.name == vendors.ECHO:
            return [pair for pair in arrival.sent.pairs if pair[0].startswith(b"x-byok-echo-")]
        found = arrival.sent.for_vendor if credential is None else [*arrival.sent.for_vendor, credential]
        if plain:  # only from a plain stream can the extra chunk be taken out again
            found = [pair for pair in found if pair[0] != b"accept-encoding"]
            found.append((b"accept-encoding", b"identity"))
        return found


_NO_HEAD = requests.RequestHead(model=None, stream=False, include_usage=False)


def _read_head(arrival: Arrival, target: Target, body: bytes) -> requests.RequestHead:
    """What the body says. What is passed on without being booked (files, lists) is not looked into."""
    if target.route is not None and not target.route.booked:
        return _NO_HEAD
    if target.route is not None and arrival.sent.is_form:
        return requests.RequestHead(model=requests.multipart_model(body), stream=False, include_usage=False)
    return requests.read_request(body)


def _no_such_route(path: str) -> NotFound:
    """With the remedy for a base URL of the wrong length, which is what mostly leads here."""
    if f"/v1{path}" in vendors.ONE_API_PATHS:
        remedy = "The base URL lacks its /v1, as in http://127.0.0.1:8080/v1."
    elif path.startswith("/v1/v1/"):
        remedy = "Take /v1 off the base URL: this client adds it by itself."
    elif path.startswith("/v1beta/"):
        remedy = "The base URL of Gemini's own clients ends in /gemini, as in http://127.0.0.1:8080/gemini."
    else:
        remedy = "POST /v1/chat/completions, GET /v1/models and /<vendor>/… are."
    return NotFound("There is no such route.", remedy=remedy)
