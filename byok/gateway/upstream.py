"""Sends one request to a vendor and hands back its answer as it arrives. The rest of the gateway knows only `Upstream`."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import aiohttp
import certifi
from multidict import CIMultiDict
from yarl import URL

from byok.gateway.headers import Headers

CONNECT_S = 10.0
IDLE_S = 15.0  # shorter than servers keep an idle connection, so that a reused one is rarely stale
PIECE_BYTES = 64 * 1024
MAX_HEADER_BYTES = 64 * 1024
_NOT_ADDED = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")


@dataclass(slots=True)
class Outgoing:
    """One request to a vendor; `url` is origin and path, `query` without the question mark."""

    method: str
    url: str
    query: bytes
    headers: Headers
    body: bytes


class Unreachable(Exception):
    """No answer: the vendor could not be reached, or left before its answer began. Nothing was relayed."""


class Silent(Exception):
    """The vendor sent nothing for longer than the limit."""


class Broken(Exception):
    """The answer ended before its end. `rest` is what had arrived and was not read yet."""

    def __init__(self, rest: bytes = b"") -> None:
        super().__init__()
        self.rest = rest


class Answer(Protocol):
    """A vendor's answer whose head has arrived. `headers` are raw, in the vendor's order."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]

    async def read(self) -> bytes:
        """The next bytes as they came, b"" at the clean end; raises `Silent` or `Broken`."""
        ...

    def close(self) -> None:
        """Let go: an unfinished answer ends its connection, which tells the vendor to stop."""
        ...


class Upstream(Protocol):
    async def send(self, request: Outgoing) -> Answer:
        """Send and wait for the answer's head; raises `Unreachable` or `Silent`. Cancelling it ends the connection."""
        ...

    async def close(self) -> None: ...


class AiohttpUpstream:
    """HTTP/1.1 over pooled connections. No redirects, cookies, decompression or proxies from the environment.

    A request is sent at most once (aiohttp repeats only GET and its like): a POST that met a dying connection may have been billed.
    """

    def __init__(self, *, silence_s: float, connect_s: float = CONNECT_S) -> None:
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_s, sock_connect=connect_s, sock_read=silence_s)
        self._trusted = ssl.create_default_context()
        self._trusted.load_verify_locations(certifi.where())  # some machines have no store of their own
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: Outgoing) -> "AiohttpAnswer":
        session = self._session or self._open()
        url = f"{request.url}?{request.query.decode('latin-1')}" if request.query else request.url
        try:
            response = await session.request(
                request.method,
                URL(url, encoded=True),
                headers=_headers(request),
                data=_body(request.body),
                skip_auto_headers=_NOT_ADDED,
                allow_redirects=False,
            )
        except aiohttp.ConnectionTimeoutError:
            raise Unreachable from None
        except TimeoutError:
            raise Silent from None
        except (aiohttp.ClientError, OSError, ssl.SSLError, ValueError):
            raise Unreachable from None
        if not 200 <= response.status <= 599:
            response.close()
            raise Unreachable
        return AiohttpAnswer(response)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        """In the running loop, so not in the constructor."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S, ssl=self._trusted),
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )
        return self._session


class AiohttpAnswer:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._content = response.content
        self.status = response.status
        self.headers: Sequence[tuple[bytes, bytes]] = response.raw_headers

    async def read(self) -> bytes:
        try:
            return await self._content.readany()
        except TimeoutError:
            raise Silent from None
        except (aiohttp.ClientError, OSError):
            raise Broken(self._unread()) from None

    def close(self) -> None:
        if self._content.is_eof():
            self._response.release()
        else:
            self._response.close()

    def _unread(self) -> bytes:
        """What lies in the buffer when the connection breaks: aiohttp's own reads would withhold it behind the error."""
        with suppress(Exception):
            return self._content._read_nowait(-1)
        return b""


def _headers(request: Outgoing) -> CIMultiDict[str]:
    headers = CIMultiDict((name.decode("latin-1"), _text(value)) for name, value in request.headers)
    if len(request.body) > PIECE_BYTES:
        headers["content-length"] = str(len(request.body))
    return headers


def _text(value: bytes) -> str:
    """aiohttp writes header values as UTF-8, so that is how the bytes stay as they are."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _body(body: bytes) -> bytes | AsyncIterator[bytes] | None:
    if not body:
        return None
    return body if len(body) <= PIECE_BYTES else _pieces(body)


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    """A large body in pieces, so that a slow vendor slows the sending and the loop stays free."""
    view = memoryview(body)
    for start in range(0, len(body), PIECE_BYTES):
        yield bytes(view[start : start + PIECE_BYTES])
        await asyncio.sleep(0)
