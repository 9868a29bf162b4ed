"""One answer of a vendor, read beside the relay: how much was used, never what was said. Bounded memory; never raises."""

import re
from collections.abc import Callable, Iterable
from contextlib import suppress

import msgspec

from byok.gateway import decoding, odd_json
from byok.gateway.blobs import LOOK_BYTES, look_at, without_blobs
from byok.gateway.events import ArraySplitter, EventSplitter, data_of, is_named_error
from byok.gateway.formats.failure import named_error_status
from byok.gateway.formats.shape import Format, Seen, whole
from byok.gateway.stripping import UsageChunkRemover
from byok.usage import TokenCounts, UsageSource

MAX_ANSWER_BYTES = 32 * 2**20  # of a whole JSON answer, images left out; its counts stay unknown beyond
MAX_DECODED_BYTES = 64 * 2**20  # of a compressed stream
_BYTES_PER_TOKEN = 4  # the usual rule of thumb, for estimates only
_UNKNOWN = TokenCounts()
_DATA = len("data: ")
_BEGINS = (b"{", b"d", b"e", b"[")  # of nearly every body
_LEAD = re.compile(rb"(?:[ \t\r\n\xef\xbb\xbf]++|:[^\r\n]*+[\r\n])*+")
_LINE_END = re.compile(rb"[\r\n]")


class Outcome(msgspec.Struct, frozen=True):
    """What an answer told. `failure_status` is the class of an error inside a 2xx answer and means nothing with other statuses."""

    counts: TokenCounts
    usage_source: UsageSource
    model: str | None
    failure_status: int | None
    saw_final_usage: bool
    saw_content: bool
    complete: bool


class Reading:
    """Reads one answer. The relay calls `feed` with every piece as it came, then `finish`; `outcome` may be asked at any time.

    `streamed` says whether the request asked for a stream; what the body really is shows its first byte. `strip_usage_chunk` takes the
    extra chunk of `include_usage` out again: of plain bodies only, so ask the vendor for an uncompressed one.
    """

    __slots__ = (
        "_array",
        "_blind",
        "_body",
        "_decode",
        "_events",
        "_format",
        "_in_comment",
        "_in_lines",
        "_look_at",
        "_read",
        "_seen",
        "_size",
        "_strip",
        "_unpacked",
    )

    def __init__(self, fmt: Format, *, streamed: bool, content_type: str, content_encoding: str, strip_usage_chunk: bool = False) -> None:
        self._format = fmt
        self._seen = Seen()
        self._body: list[bytes] = []
        self._size = 0  # of what is held
        self._look_at = LOOK_BYTES
        self._unpacked = 0
        self._blind = False
        self._in_comment = False
        self._events: EventSplitter | None = None
        self._array: ArraySplitter | None = None
        self._read: Callable[[Reading, bytes], None] = Reading._read_first  # no bound method: it would hold this for the collector to find
        self._decode: decoding.Decoder | None = None
        if content_encoding:
            try:
                self._decode = decoding.decoder(content_encoding)
            except decoding.Unreadable:
                self._blind = True
        self._in_lines = fmt.in_lines and "ndjson" in content_type.lower()
        stream = "event-stream" in content_type.lower() or (streamed and not content_type)
        self._strip = UsageChunkRemover() if strip_usage_chunk and stream and not content_encoding else None

    @property
    def saw_content(self) -> bool:
        """Whether something of the answer itself came: of a stream a piece of content, of a JSON answer its first byte."""
        return self._seen.content

    @property
    def complete(self) -> bool:
        """Whether the format's last event has been read."""
        return self._seen.ended

    def feed(self, data: bytes) -> bytes:
        """Read a piece of the body as it came, return what to relay: the same object, but for the extra usage chunk."""
        if not self._blind:
            try:
                if self._decode is None:
                    self._read(self, data)
                else:
                    self._read_decoded(self._decode.feed(data))
            except Exception:  # whatever a vendor sends, its answer goes on
                self._give_up()
        return data if self._strip is None else self._strip.feed(data)

    def finish(self) -> bytes:
        """Say that nothing more comes; return what is still to be relayed."""
        with suppress(Exception):
            if self._events is not None:
                self._read_event(self._events.rest())
            elif self._body and not self._blind:
                self._read_body()
        return b"" if self._strip is None else self._strip.finish()

    def outcome(self) -> Outcome:
        """Return what has been told up to now."""
        if self._body and not self._blind and not self._seen.ended:
            self._read_body()
        seen = self._seen
        counts, source = _counts(self._format, seen)
        return Outcome(
            counts=counts,
            usage_source=source,
            model=seen.model,
            failure_status=seen.failure,
            saw_final_usage=source == "vendor",
            saw_content=seen.content,
            complete=seen.ended,
        )

    def _read_decoded(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self._unpacked += len(piece)
            if self._unpacked > MAX_DECODED_BYTES:
                self._give_up()
            if self._blind:
                return
            if piece:
                self._read(self, piece)

    def _read_first(self, data: bytes) -> None:
        """The first byte that is neither white nor of a comment tells a JSON answer from a stream, whatever the header says."""
        text = self._after_comments(data)
        if not text:
            return
        if self._in_lines:
            self._events = EventSplitter()
            self._read = Reading._read_lines
        elif text[0] == 0x7B or (text[0] == 0x5B and not self._format.in_arrays):
            self._seen.content = True
            self._read = Reading._collect
        elif text[0] == 0x5B:
            self._array = ArraySplitter()
            self._read = Reading._read_elements
        else:
            self._events = EventSplitter()
            self._read = Reading._read_events
        self._read(self, text)

    def _after_comments(self, data: bytes) -> bytes:
        """Some hosts write comments of a stream before a plain JSON answer, too, to keep the line awake."""
        begin = 0
        if data[:1] in _BEGINS and not self._in_comment:
            return data
        if self._in_comment:
            if (end := _LINE_END.search(data)) is None:
                return b""
            begin = end.end()
        if (lead := _LEAD.match(data, begin)) is not None:
            begin = lead.end()
        self._in_comment = data[begin : begin + 1] == b":"
        return b"" if self._in_comment else data[begin:]

    def _collect(self, data: bytes) -> None:
        self._body.append(data)
        self._size += len(data)
        if self._size >= self._look_at:
            self._body = [bytes(without_blobs(b"".join(self._body)))]
            self._size = len(self._body[0])
            self._look_at = look_at(self._size, MAX_ANSWER_BYTES)
        if self._size > MAX_ANSWER_BYTES:
            self._give_up()

    def _read_body(self) -> None:
        body = b"".join(self._body)
        self._body = [body]
        try:
            try:
                self._format.read_answer(body, self._seen)
            except odd_json.FAULTS as fault:
                self._format.read_answer(odd_json.mended(body, fault), self._seen)
        except Exception:
            return  # not complete yet, or not JSON
        self._body = []

    def _read_elements(self, data: bytes) -> None:
        array = self._array
        assert array is not None  # noqa: S101 - chosen with this way of reading
        for element in array.feed(data):
            self._read_data(element)
        if array.ended:
            self._seen.ended = True
            self._seen.final = self._seen.usage is not None

    def _read_events(self, data: bytes) -> None:
        events = self._events
        if events is None:  # given up
            return
        end = len(data) - 2
        if data.find(b"\n") == end and data.endswith(b"\n\n") and data.startswith(b"data: ") and b"\r" not in data and events.between:
            self._read_data(data[6:end])  # the usual piece of a stream: one event of one line
            return
        for event in events.feed(data):
            self._read_event(event)

    def _read_lines(self, data: bytes) -> None:
        self._read_events(data.replace(b"\r", b"\n").replace(b"\n", b"\n\n"))

    def _read_event(self, event: bytes) -> None:
        if data := data_of(event):
            pieces = self._seen.pieces
            self._read_data(data)
            named = len(event) > len(data) + _DATA and self._seen.pieces <= pieces  # what is content is no error
            if named and is_named_error(event) and self._seen.failure is None:
                self._seen.failure = named_error_status(data)

    def _read_data(self, data: bytes) -> None:
        try:
            try:
                self._format.read_event(data, self._seen)
            except odd_json.FAULTS as fault:
                lines = data.split(b"\n")
                if len(lines) > 1 and all(line[:1] in (b"{", b"[") for line in lines):  # events without a blank line between them
                    for line in lines:
                        self._read_data(line)
                else:
                    self._format.read_event(odd_json.mended(data, fault), self._seen)
        except Exception:  # one event that is not JSON says nothing about the next
            return

    def _give_up(self) -> None:
        self._blind = True
        self._body = []
        self._events = None


def _counts(fmt: Format, seen: Seen) -> tuple[TokenCounts, UsageSource]:
    counts = _UNKNOWN if seen.usage is None else fmt.counts(seen.usage)
    known = counts != _UNKNOWN
    if known and seen.final and (seen.ended or not seen.pieces):
        return counts, "vendor"
    unreported = max(seen.pieces, -(-seen.text_bytes // _BYTES_PER_TOKEN))  # a piece holds at least one token
    if unreported:
        completion = max(counts.completion_tokens or 0, unreported)
        counts = whole(
            counts.prompt_tokens,
            completion,
            cached=counts.cached_tokens,
            cache_write=counts.cache_write_tokens,
            reasoning=counts.reasoning_tokens,
        )
        return counts, "partial" if known else "estimated"
    return counts, "partial" if known else "none"
