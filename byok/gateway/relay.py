"""One call: send it, stream its answer back, read its usage beside, book exactly one record whatever happens."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import msgspec

from byok.errors import ByokError, VendorTimeout, VendorUnreachable
from byok.gateway import headers as header_rules
from byok.gateway.body import ClientGone
from byok.gateway.booked_names import BookedNames
from byok.gateway.exchange import Exchange
from byok.gateway.reading import Outcome, Reading
from byok.gateway.upstream import Answer, Broken, Outgoing, Silent, Unreachable, Upstream
from byok.gateway.vendors import Route
from byok.usage import TokenCounts, UsageRecord

Send = Callable[[dict[str, Any]], Awaitable[None]]
Book = Callable[[Callable[[], UsageRecord]], Awaitable[None]]

CLIENT_LEFT = 499
HOLD_S = 0.1
DRAIN_S = 120.0  # how long and how much a vendor is listened to that bills the whole answer anyway
DRAIN_BYTES = 16 * 1024 * 1024
_EVENT_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")
_NOTHING = Outcome(TokenCounts(), "none", None, failure_status=None, saw_final_usage=False, saw_content=False, complete=False)


class Call(msgspec.Struct, frozen=True):
    """What routing decided: whose call, for which model, to whom, and how its answer is to be read."""

    request_id: bytes
    ts: datetime
    started: float  # time.monotonic() when the request came
    user_id: str
    key_id: str
    route: Route
    model: str | None
    streamed: bool
    strip_usage_chunk: bool
    outgoing: Outgoing
    names: BookedNames


class Relay:
    """Carries one call. `run` returns when the client has the whole answer or is gone; a fault before the first byte is raised.

    `book` is given the making of the record and never raises. It is awaited once per booked call, before the client gets its last byte:
    who has seen the end can rely on the record.
    """

    def __init__(self, call: Call, upstream: Upstream, send: Send, book: Book, *, silence_s: float) -> None:
        self.call = call
        self.status = 0
        self._upstream = upstream
        self._send = send
        self._book = book
        self._silence_s = silence_s
        self._reading: Reading | None = None
        self._left = False
        self._had_usage = False  # the final usage went out before the client left
        self._ended = False
        self._between_events = True
        self._booked = not call.route.booked
        self._ttft_ms: int | None = None
        self._task: asyncio.Task[Any] | None = None
        self._drain_limit: asyncio.TimerHandle | None = None

    async def run(self, task: asyncio.Task[Any], client: Exchange | None) -> None:
        """`task` is the one that runs this; without `client` nobody notices that it leaves. Raises `ClientGone` if it has left already."""
        self._task = task
        if client is not None:
            if client.gone:
                raise ClientGone
            client.when_left = self._client_left
        try:
            await self._exchange()
        except asyncio.CancelledError:
            await self._finish(self.status if self._left else 502)
            if not self._left:  # the process is stopping
                raise
            task.uncancel()
        except BaseException:
            await self._finish(502)
            raise
        finally:
            self._ended = True
            if client is not None:
                client.when_left = None
            if self._drain_limit is not None:
                self._drain_limit.cancel()

    async def _exchange(self) -> None:
        try:
            answer = await self._upstream.send(self.call.outgoing)
        except Unreachable:
            await self._finish(502)
            self._refuse(VendorUnreachable(self.call.route.vendor.name))
            return
        except Silent:
            await self._finish(504)
            self._refuse(VendorTimeout(self.call.route.vendor.name, self._silence_s))
            return
        self.call.outgoing.body = b""  # a stream may last for minutes; the body is not needed any more
        try:
            await self._relay(answer)
        finally:
            answer.close()

    def _refuse(self, error: ByokError) -> None:
        if not self._left:
            raise error

    async def _relay(self, answer: Answer) -> None:
        self.status = answer.status
        call, head = self.call, header_rules.of_answer(answer.headers, self.call.request_id)
        if not self._booked and 200 <= answer.status < 300:  # an error's text is no usage
            self._reading = _reading(call, head)
        strips = call.strip_usage_chunk and self._reading is not None
        bodiless = answer.status in (204, 304)
        if bodiless or head.length == 0:  # the head is all the client waits for
            await self._finish(self.status)
        if head.length is not None and not strips and not bodiless:
            head.returned.append((b"content-length", b"%d" % head.length))
        await self._send({"type": "http.response.start", "status": answer.status, "headers": head.returned})
        try:
            await self._pass_on(answer, None if strips else head.length)
        except Broken:
            await self._cut(502)
        except Silent:
            await self._cut(504, told=self._silence_event(head))

    async def _pass_on(self, answer: Answer, length: int | None) -> None:
        """Chunk by chunk; the end is sent only after the booking."""
        reading, received = self._reading, 0
        data = await answer.read()
        while data:
            received += len(data)
            if self._left and received > DRAIN_BYTES:
                return await self._finish(self.status)
            following: bytes | None = None
            if reading is not None:
                data = reading.feed(data)
                if self._ttft_ms is None and reading.saw_content:
                    self._ttft_ms = self._elapsed_ms()
                if reading.complete and not self._booked and received != length:
                    following = await self._after_last_event(answer)
            if received == length or following == b"":
                break
            if data and not self._left:
                self._between_events = data.endswith(_EVENT_ENDS)
                await self._send({"type": "http.response.body", "body": data, "more_body": True})
            data = await answer.read() if following is None else following
        await self._end(data + reading.finish() if reading is not None else data, header_rules.trailing(answer.trailers))

    async def _after_last_event(self, answer: Answer) -> bytes | None:
        """What follows the format's last event: nearly always the end of the body, b"". None: nothing for a while, and the call is booked.

        The client gets that event only when the call is booked; but a body that goes on may tell more, so it is not booked too early.
        If the vendor breaks off here, the next read says so again, when the client has that event.
        """
        try:
            async with asyncio.timeout(HOLD_S):
                return await answer.read()
        except (TimeoutError, Broken, Silent):
            await self._finish(self.status)
            return None

    async def _end(self, last: bytes, trailers: header_rules.Headers) -> None:
        await self._finish(self.status)
        self._ended = True
        if self._left:
            return
        if not trailers:
            await self._send({"type": "http.response.body", "body": last, "more_body": False})
            return
        await self._send({"type": "http.response.body", "body": last, "more_body": True})
        await self._send({"type": "http.response.trailers", "headers": trailers})

    async def _cut(self, status: int, told: bytes = b"") -> None:
        """The vendor broke off: so does our answer, after what is `told` to the client, without the end that would make it look whole.

        A stream whose last event came was a whole answer all the same.
        """
        if self._reading is not None and self._reading.complete:
            status, told = self.status, b""
        rest = self._reading.finish() if self._reading is not None else b""
        await self._finish(status)
        if (rest or told) and not self._left:
            await self._send({"type": "http.response.body", "body": rest + told, "more_body": True})

    def _silence_event(self, head: header_rules.AnswerHead) -> bytes:
        """An error event of ours, where it can stand: between two events of a plain stream."""
        if not self._between_events or head.encoding or b"event-stream" not in head.content_type:
            return b""
        return self.call.route.format.error_event(VendorTimeout(self.call.route.vendor.name, self._silence_s))

    async def _finish(self, status: int) -> None:
        """Book the call, once. A client that had the final usage before it left has had its answer."""
        if self._left and not self._had_usage:
            status = CLIENT_LEFT
        self.status = status
        if self._booked:
            return
        self._booked = True
        await self._book(lambda: self._record(status))

    def _record(self, status: int) -> UsageRecord:
        outcome = self._reading.outcome() if self._reading is not None else _NOTHING
        call, counts = self.call, outcome.counts
        if 200 <= status < 300 and outcome.failure_status is not None:
            status = outcome.failure_status
        return UsageRecord(
            ts=call.ts,
            user_id=call.user_id,
            key_id=call.key_id,
            vendor=call.route.vendor.name,
            model=call.names.booked(call.user_id, call.model, outcome.model, status, call.route.vendor.name),
            endpoint=call.route.endpoint,
            prompt_tokens=counts.prompt_tokens,
            completion_tokens=counts.completion_tokens,
            total_tokens=counts.total_tokens,
            cached_tokens=counts.cached_tokens,
            cache_write_tokens=counts.cache_write_tokens,
            reasoning_tokens=counts.reasoning_tokens,
            status=status,
            usage_source=outcome.usage_source,
            latency_ms=self._elapsed_ms(),
            ttft_ms=self._ttft_ms,
        )

    def _elapsed_ms(self) -> int:
        return int((time.monotonic() - self.call.started) * 1000 + 0.5)

    def _client_left(self) -> None:
        if self._ended or self._task is None:
            return
        self._left = True
        self._had_usage = self._reading is not None and self._reading.outcome().saw_final_usage
        if self.call.route.vendor.leave == "drain":
            self._drain_limit = self._task.get_loop().call_later(DRAIN_S, self._task.cancel)
        else:
            self._task.cancel()


def _reading(call: Call, head: header_rules.AnswerHead) -> Reading:
    return Reading(
        call.route.format,
        streamed=call.streamed,
        content_type=head.content_type.decode("latin-1"),
        content_encoding=head.encoding.decode("latin-1"),
        strip_usage_chunk=call.strip_usage_chunk,
    )
