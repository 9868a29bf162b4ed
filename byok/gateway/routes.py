"""The gateway's ASGI routes: who calls, what is asked, and every fault of ours in the caller's own wire format."""

import asyncio
import contextlib
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

import msgspec
import structlog

from byok.accounts.access_tokens import Grant
from byok.errors import ByokError
from byok.gateway import allow_list, body, headers, models, refusals, web_door
from byok.gateway.echo import EchoUpstream
from byok.gateway.exchange import EXCHANGE, Exchange
from byok.gateway.http1 import Http1Upstream
from byok.gateway.identity import Accounts, Identity
from byok.gateway.limits import Limits
from byok.gateway.metrics import CONTENT_TYPE, Metrics
from byok.gateway.relay import Call, Relay
from byok.gateway.routing import MODELS_PATH, Arrival, Routing
from byok.gateway.sent import SENT, Sent
from byok.gateway.upstream import Upstream
from byok.gateway.vendors import ECHO
from byok.recording import segments
from byok.recording.journal import Journal
from byok.services import Services
from byok.settings import Settings
from byok.usage import UsageRecord

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

TEND_EVERY_S = 0.5
log = structlog.get_logger("byok.gateway")


class Gateway:
    """The ASGI app. Opens journal and connections on the lifespan's startup, closes them when all calls are booked.

    `upstreams` are by vendor name; the one under "" serves the rest. `accounts` is closed by whoever opened it.
    """

    def __init__(
        self,
        settings: Settings,
        accounts: Accounts,
        *,
        upstreams: Mapping[str, Upstream] | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self._identity = Identity(accounts)
        self._routing = Routing(settings, self._identity)
        self._limits = Limits(settings.requests_per_minute, settings.calls_at_once, processes=settings.gateway_processes)
        self._upstreams: dict[str, Upstream] = {"": Http1Upstream(silence_s=settings.upstream_timeout_s), ECHO: EchoUpstream()}
        self._upstreams.update(upstreams or {})
        self._web = web_door.WebDoor(settings)
        self._journal = journal
        self._relays: set[asyncio.Task[Any]] = set()
        self._tending: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ids = random.Random(secrets.randbits(256))  # noqa: S311 - they tell calls apart, and protect nothing

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self._answer(scope, receive, send) if scope["type"] == "http" else self._live(receive, send)

    # -- life --

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        if self._journal is None:
            most_bytes = self.settings.journal_max_mb * 1_000_000
            self._journal = Journal(self.settings.journal_dir, fsync=self.settings.fsync, most_bytes=most_bytes)
        await asyncio.to_thread(models.listing, ())  # reads the price files now, not in the first call
        self._identity.tend()
        self._tending = asyncio.create_task(self._tend())

    async def stop(self) -> None:
        """Wait for calls that were cut to be booked, then seal the journal."""
        if self._tending is not None:
            self._tending.cancel()
        if self._relays:
            await asyncio.wait(self._relays, timeout=5)
        for upstream in self._upstreams.values():
            await upstream.close()
        await self._web.close()
        if self._journal is not None:
            await asyncio.to_thread(self._journal.close)
        await asyncio.to_thread(self._identity.close)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.start()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(TEND_EVERY_S)
            self._identity.tend()
            self._limits.forget_old()
            self.metrics.settle(self._journal)

    # -- one request --

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, ts = time.monotonic(), datetime.now(UTC)
        request_id = b"req_%024x" % self._ids.getrandbits(96)
        path = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
        try:
            await self._route(Arrival(scope, scope.get(SENT) or Sent(scope["headers"]), path, request_id, ts, started), receive, send)
        except body.ClientGone:
            self.metrics.refused("client_gone")
        except ByokError as error:
            await self._refuse(error, path, request_id, send)
        except Exception as error:
            log.error("gateway_fault", error=error, exc_info=error)
            with contextlib.suppress(RuntimeError):  # an answer that has begun cannot be refused any more: it breaks off
                await self._refuse(InternalFault(), path, request_id, send)

    async def _route(self, arrival: Arrival, receive: Receive, send: Send) -> None:
        path, method = arrival.path, arrival.scope["method"]
        if (page := self._PAGES.get(path)) is not None and method in ("GET", "HEAD"):
            await page(self, arrival, send)
            return
        if web_door.is_for_web(path):
            return await self._web.pass_on(arrival.scope, path, receive, send, arrival.request_id)
        target = self._routing.target(path, method)
        grant = await self._identity.grant(arrival.sent)
        user = grant.user
        body.check_length(arrival.scope["headers"], self.settings.max_body_mb)
        if target is None:
            return await self._models(arrival, grant, send)
        with self._limits.call(user.id, user.requests_per_minute, user.calls_at_once):
            call = await self._routing.call(arrival, target, grant, await body.read(receive, self.settings.max_body_mb))
            await self._relay(call, arrival.scope.get(EXCHANGE), send)

    async def _relay(self, call: Call, client: Exchange | None, send: Send) -> None:
        vendor = call.route.vendor.name
        upstream = self._upstreams.get(vendor) or self._upstreams[""]
        relay = Relay(call, upstream, send, self._book, silence_s=self.settings.upstream_timeout_s)
        task = asyncio.current_task(self._loop)
        assert task is not None  # noqa: S101 - ASGI applications run in tasks
        self._relays.add(task)
        self.metrics.call_begins()
        try:
            await relay.run(task, client)
        finally:
            self.metrics.call_ended(vendor, relay.status, time.monotonic() - call.started)
            self._relays.discard(task)

    async def _book(self, make: Callable[[], UsageRecord]) -> None:
        """Nothing that goes wrong here may reach the answer."""
        try:
            record, journal = make(), self._journal
            if journal is None:
                raise RuntimeError("the gateway has not been started")
            if self.settings.fsync == "always":  # waits for the disk, so not in the loop
                await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, journal.append, record))
            else:
                journal.append(record)
            self._identity.note_outcome(record.key_id, record.status)
        except Exception as error:
            self.metrics.record_lost()
            log.error("record_lost", error=error, exc_info=error)

    async def _refuse(self, error: ByokError, path: str, request_id: bytes, send: Send) -> None:
        self.metrics.refused(error.code)
        content = refusals.body(error, path)
        await send({"type": "http.response.start", "status": error.status, "headers": refusals.headers(error, len(content), request_id)})
        await send({"type": "http.response.body", "body": content, "more_body": False})

    # -- pages of our own --

    async def _models(self, arrival: Arrival, grant: Grant, send: Send) -> None:
        """GET /v1/models and /v1/models/{id}: what the caller has keys for and the token allows, in OpenAI's shape."""
        vendors = await self._identity.vendors_with_keys(grant.user.id)
        permitted = partial(allow_list.permits, grant.models)
        name = unquote(arrival.path.removeprefix(MODELS_PATH)[1:])
        found = models.retrieved(name, vendors, permitted) if name else models.listing(vendors, permitted)
        await _page(arrival, send, 200, msgspec.json.encode(found))

    async def _healthz(self, arrival: Arrival, send: Send) -> None:
        await _page(arrival, send, 200, b'{"status": "ok"}')

    async def _readyz(self, arrival: Arrival, send: Send) -> None:
        faults = [fault for fault in (self._journal_fault(), await self._identity.fault()) if fault]
        content = {"status": "not ready", "reasons": faults} if faults else {"status": "ready"}
        await _page(arrival, send, 503 if faults else 200, msgspec.json.encode(content))

    def _journal_fault(self) -> str | None:
        return "the journal is not open" if self._journal is None else self._journal.fault

    async def _metrics(self, arrival: Arrival, send: Send) -> None:
        self.metrics.settle(self._journal)
        if self.settings.gateway_workers > 1:  # the others settle in their own time
            await asyncio.sleep(TEND_EVERY_S + 0.05)
        self.metrics.waiting(await asyncio.to_thread(_if_readable, segments.waiting_bytes, self.settings.journal_dir))
        self.metrics.quarantined(await asyncio.to_thread(_if_readable, segments.quarantined_lines, self.settings.journal_dir))
        await _page(arrival, send, 200, self.metrics.page(), CONTENT_TYPE)

    _PAGES: ClassVar[Mapping[str, Any]] = {"/healthz": _healthz, "/readyz": _readyz, "/metrics": _metrics}


class InternalFault(ByokError):
    """A fault of ours that nobody foresaw; the log names it."""

    status, code = 500, "internal_error"

    def __init__(self) -> None:
        super().__init__("Something went wrong inside the gateway.", remedy="Try again; the operator finds the reason in the log.")


def create_app(settings: Settings, accounts: Accounts | None = None, **parts: Any) -> Gateway:
    """The gateway as an ASGI app: send it the lifespan's startup first. Without `accounts` those of the settings are opened."""
    return Gateway(settings, accounts if accounts is not None else Services(settings), **parts)


def _if_readable(count: Callable[[Path], int], journal_dir: Path) -> int:
    """What cannot be looked at counts as none: the other figures are wanted then more than ever."""
    try:
        return count(journal_dir)
    except OSError:
        return 0


async def _page(arrival: Arrival, send: Send, status: int, content: bytes, content_type: bytes = b"application/json") -> None:
    found = [(b"content-type", content_type), (b"content-length", b"%d" % len(content)), (headers.REQUEST_ID, arrival.request_id)]
    await send({"type": "http.response.start", "status": status, "headers": found})
    await send({"type": "http.response.body", "body": content, "more_body": False})
