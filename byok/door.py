"""The one door of the web process: what goes to the API, what to the sign-in pages, and who may pass to the dashboard.

Nobody without a valid session reaches Streamlit: no page, no web socket, no file. Only its static assets and its health may be had.
Pure ASGI, so that streams stay streams.
"""

import time
from collections.abc import Callable
from http.cookies import SimpleCookie
from urllib.parse import quote

import structlog
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from byok import dashboard_policy, pages_html
from byok.address import header, is_same_origin
from byok.answers import Internal, RequestTooLarge, UnknownPath, error
from byok.api_paths import API_PATHS, SIGN_IN
from byok.errors import ByokError, Unauthorized
from byok.forms import signed_in
from byok.metrics import WebMetrics
from byok.pool import Pool
from byok.services import Services

log = structlog.get_logger("byok.web")

OUR_OWN = frozenset(("download", "healthz", "readyz", "metrics"))  # answered beside the API, to this port alone
NEVER_PAGES = frozenset(("v1", "api"))  # a typing error there must not be answered with a page
ALSO_PAGES = frozenset(("alerts", "costs", "keys"))  # the dashboard has a page of this name, too
STREAMLITS_OWN = frozenset(("_stcore", "media", "component", "static", "app"))
MOST_BYTES = 64 * 1024  # of a body to API or sign-in


class Door:
    """ASGI middleware in front of `dashboard`. `start` gives the HTML with which a page begins; without it the dashboard does."""

    def __init__(
        self,
        dashboard: ASGIApp,
        *,
        api: ASGIApp,
        signin: ASGIApp,
        services: Services,
        pool: Pool,
        metrics: WebMetrics,
        start: Callable[[str], bytes | None] | None = None,
    ) -> None:
        self.dashboard, self.api, self.signin, self.start = dashboard, api, signin, start
        self.services, self.pool, self.metrics = services, pool, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._watched(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        else:
            await self.dashboard(scope, receive, send)

    async def _watched(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count and time the request; an unforeseen fault becomes a log line and, if nothing was sent yet, a 500."""
        started, status = time.perf_counter(), 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._pass(scope, receive, noting)
        except ByokError as fault:  # the accounts are away
            log.warning("request_refused", method=scope["method"], code=fault.code)
            if not status:
                await pages_html.fault(fault, scope)(scope, receive, noting)
        except Exception as fault:  # whatever it is, its text may quote the request
            log.error("request_failed", method=scope["method"], exc_info=fault)
            if not status:
                await error(Internal())(scope, receive, noting)
        finally:
            self.metrics.note(scope, status, time.perf_counter() - started)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        first = _first_segment(scope["path"])
        if first == SIGN_IN:
            app = self.api if scope["path"] == "/auth/token" else self.signin
            await _within_limit(app, scope, receive, send)
        elif first in OUR_OWN or (first in API_PATHS and not (first in ALSO_PAGES and _is_navigation(scope))):
            await _within_limit(self.api, scope, receive, send)
        elif first in NEVER_PAGES or (first not in STREAMLITS_OWN and not _is_page_request(scope)):
            await error(UnknownPath())(scope, receive, send)
        elif _is_free(scope["path"]):
            await self.dashboard(scope, receive, dashboard_policy.sending(send))
        else:
            await self._guarded(scope, receive, send)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        if await self._knows(scope):
            page = self.start(scope["path"][1:]) if self.start and _is_start(scope) else None
            shown = Response(page, media_type="text/html", headers={"cache-control": "no-cache"}) if page else self.dashboard
            await shown(scope, receive, dashboard_policy.sending(send, page))
        elif _first_segment(scope["path"]) in STREAMLITS_OWN:
            await error(Unauthorized())(scope, receive, send)
        else:
            await _to_sign_in(scope)(scope, receive, send)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            passes, code = is_same_origin(scope, self.services.settings) and await self._knows(scope), 4401
        except ByokError:
            passes, code = False, 1013  # try again later, which Streamlit does
        if passes:
            await self.dashboard(_judged(scope), receive, send)
        else:
            await receive()  # websocket.connect
            await send({"type": "websocket.close", "code": code})  # before accepting: the browser sees 403

    async def _knows(self, scope: Scope) -> bool:
        return await signed_in(cookies_of(scope), self.services, self.pool) is not None


def cookies_of(scope: Scope) -> dict[str, str]:
    """The cookies of a request by name; one that cannot be read is left out."""
    found = SimpleCookie()
    for name, value in scope["headers"]:
        if name == b"cookie":
            for part in value.decode("latin-1").split(";"):
                found.load(part.strip())
    return {name: morsel.value for name, morsel in found.items()}


def _first_segment(path: str) -> str:
    return path.split("/", 2)[1] if path.startswith("/") else ""


def _is_page_request(scope: Scope) -> bool:
    """Whether a person may have typed or followed this address; a program that shows a token wants JSON."""
    return scope["method"] in ("GET", "HEAD") and not header(scope, b"authorization")


def _is_navigation(scope: Scope) -> bool:
    """Whether a browser asks for a page here. Programs do not ask for HTML."""
    return _is_page_request(scope) and "text/html" in header(scope, b"accept")


def _is_start(scope: Scope) -> bool:
    """Whether a browser begins a visit here: at a page of the dashboard, none of its files."""
    return scope["method"] == "GET" and _is_navigation(scope) and not set("/.") & set(scope["path"][1:])


def _is_free(path: str) -> bool:
    """Streamlit's scripts and styles, the same for everyone, and its health; nothing that climbs out of there."""
    return path == "/_stcore/health" or (path.startswith("/static/") and ".." not in path and "\\" not in path and "//" not in path)


def _judged(scope: Scope) -> Scope:
    """A connection whose origin is known to be ours. Streamlit would judge it again, not knowing `BYOK_PUBLIC_URL`, and to do so stop for
    everybody while it asks a service on the internet for our address."""
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name != b"origin"]}


def _to_sign_in(scope: Scope) -> Response:
    target = quote(scope["path"], safe="/")
    if scope["query_string"]:
        target += "?" + scope["query_string"].decode("latin-1")
    where = "/auth/sign-in" if target == "/" else f"/auth/sign-in?next={quote(target, safe='/')}"
    return RedirectResponse(where, 303, headers={"cache-control": "no-store"})


async def _within_limit(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Pass on unless the body is larger than `MOST_BYTES`, declared or not."""
    declared = header(scope, b"content-length")
    if declared.isdigit() and int(declared) > MOST_BYTES:
        await error(RequestTooLarge())(scope, receive, send)
        return
    taken = 0

    async def counting() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > MOST_BYTES:
            raise RequestTooLarge
        return message

    await app(scope, counting, send)
