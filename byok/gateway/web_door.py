"""Hands /usage, sign-in and the rest of web's routes on to the web process, so that one base URL serves a client."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from byok.address import client_address
from byok.api_paths import API_PATHS, SIGN_IN
from byok.errors import ByokError
from byok.gateway import headers as header_rules
from byok.gateway.body import ClientGone, Receive
from byok.settings import Settings

if TYPE_CHECKING:
    import httpx

Send = Callable[[Any], Awaitable[None]]

_API = tuple(f"/{first}" for first in sorted(API_PATHS))
_ROUTES = (*_API, f"/{SIGN_IN}")
_NOT_SENT = frozenset(
    (b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"expect", b"proxy-connection", b"x-forwarded-for")
)
_NOT_SENT_TO_API = _NOT_SENT | {b"accept"}  # a browser that asks here gets the API, not a page whose files are elsewhere
_NOT_RETURNED = frozenset((b"connection", b"keep-alive", b"transfer-encoding", b"date", b"server"))
_TIMEOUT_S, _CONNECT_S = 300, 5


class WebDown(ByokError):
    """The web process does not answer."""

    status, code = 502, "web_unreachable"

    def __init__(self) -> None:
        super().__init__(
            "The web process could not be reached.",
            remedy="Start it with: byok web (or all with: byok up). If it runs on another machine, BYOK_WEB_URL says where.",
        )


def is_for_web(path: str) -> bool:
    """Whether web answers this path."""
    return path.startswith(_ROUTES) and any(path == route or path.startswith(route + "/") for route in _ROUTES)


class WebDoor:
    """Streams requests to web and its answers back, cookies included: to a browser both ports are one site."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._origin = settings, settings.web_url or settings.web_here
        self._client: httpx.AsyncClient | None = None

    async def pass_on(self, scope: dict[str, Any], path: str, receive: Receive, send: Send, request_id: bytes) -> None:
        """Raises `WebDown` when web is not there; breaks off when web does so in the middle."""
        import httpx  # a start need not wait for it

        if self._client is None:
            self._client = httpx.AsyncClient(
                timeout=httpx.Timeout(_TIMEOUT_S, connect=_CONNECT_S),
                trust_env=False,
                follow_redirects=False,
                limits=httpx.Limits(max_connections=100),
            )
        query = scope["query_string"]
        not_sent = _NOT_SENT_TO_API if path.startswith(_API) else _NOT_SENT
        request = self._client.build_request(
            scope["method"],
            httpx.URL(self._origin + path, query=query or None),
            headers=[
                *(pair for pair in scope["headers"] if pair[0] not in not_sent),
                (b"x-forwarded-for", client_address(scope, self._settings).encode()),
            ],
            content=_body(receive) if _has_body(scope["headers"]) else None,
        )
        try:
            answer = await self._client.send(request, stream=True)
        except httpx.HTTPError:
            raise WebDown from None
        try:
            headers = [(name.lower(), value) for name, value in answer.headers.raw if name.lower() not in _NOT_RETURNED]
            headers.append((header_rules.REQUEST_ID, request_id))
            await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
            async for chunk in answer.aiter_raw():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except httpx.HTTPError:
            return  # no clean end: the server breaks the connection off
        finally:
            await answer.aclose()

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None


def _has_body(headers: header_rules.Headers) -> bool:
    return any(name == b"transfer-encoding" or (name == b"content-length" and value != b"0") for name, value in headers)


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body", False):
            return
