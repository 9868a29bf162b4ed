"""Content-Encoding undone beside the relay, in bounded pieces: what a bomb unpacks to never exists as a whole."""

import zlib
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Protocol

import brotli
import zstandard

PIECE_BYTES = 65536
MAX_BETWEEN_BYTES = 64 * 2**20
_MOST_ENCODINGS = 3
_GZIP_BEGINS = 0x1F
_TEXT_BEGINS = b"{:dei\r\n"  # an object, or a stream's comment or field; no frame of zstd begins so
_ZSTD_SLICE = 256  # four bytes can unpack to 128 KiB, and the library returns all at once: so at most 8 MiB a step
_ZSTD_WINDOW = 8 * 2**20  # what RFC 8878 asks a decoder to support


class Unreadable(Exception):
    """This body is not in the encoding that its header names, or in one that nobody reads here."""


class Decoder(Protocol):
    """Undoes one encoding, piece by piece."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` unpacks to; raises `Unreadable`. Not taking all of it is allowed, then the decoder is spent."""
        ...


def decoder(content_encoding: str) -> Decoder | None:
    """Return what undoes this header value, None if there is nothing to undo; raises `Unreadable` for an unknown one."""
    names = [name for part in content_encoding.split(",") if (name := part.strip().lower()) not in ("", "identity")]
    if not names:
        return None
    if len(names) > _MOST_ENCODINGS or not _DECODERS.keys() >= set(names):
        raise Unreadable
    found = [_DECODERS[name]() for name in names]
    return found[0] if len(found) == 1 else _Chain(found)


class _Chain:
    """One encoding in another, as they were applied. What lies between them has a bound, for it may come to nothing."""

    def __init__(self, decoders: Sequence[Decoder]) -> None:
        self._last, *self._before = decoders
        self._room = MAX_BETWEEN_BYTES

    def feed(self, data: bytes) -> Iterator[bytes]:
        pieces: Iterator[bytes] = iter((data,))
        for decoder in reversed(self._before):
            pieces = self._counted(chain.from_iterable(map(decoder.feed, pieces)))
        return chain.from_iterable(map(self._last.feed, pieces))

    def _counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._room -= len(piece)
            if self._room < 0:
                raise Unreadable
            yield piece


class _Gzip:
    """gzip, also of several members; some hosts write the header above a plain body."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(31)
        self._plain: bool | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._plain is None and data:
            self._plain = data[0] != _GZIP_BEGINS
        if self._plain:
            yield data
            return
        while data:
            if self._member.eof:
                if not (data := data.lstrip(b"\0")):  # padding is allowed
                    return
                self._member = zlib.decompressobj(31)
            yield from _inflate(self._member, data)
            data = self._member.unused_data


class _Deflate:
    """deflate: zlib's frame, or none at all, as some servers send it."""

    def __init__(self) -> None:
        self._member: zlib._Decompress | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._member is None:
            framed = data[:1] != b"" and data[0] & 0x0F == 8
            self._member = zlib.decompressobj(15 if framed else -15)
        if not self._member.eof:
            yield from _inflate(self._member, data)


class _Brotli:
    def __init__(self) -> None:
        self._decompressor = brotli.Decompressor()

    def feed(self, data: bytes) -> Iterator[bytes]:
        try:
            while piece := self._decompressor.process(data, output_buffer_limit=PIECE_BYTES):
                yield piece
                if self._decompressor.is_finished():
                    return
                data = b""  # what it has taken in may unpack to more: it says that it can take more before it has given all
        except brotli.error as error:
            raise Unreadable from error


class _Zstd:
    """zstd, also of several frames; or a plain body below its header."""

    def __init__(self) -> None:
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        self._frame = self._decompressor.decompressobj(read_across_frames=True)
        self._plain: bool | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._plain is None and data:
            self._plain = data[0] in _TEXT_BEGINS
        if self._plain:
            yield data
            return
        try:
            for at in range(0, len(data), _ZSTD_SLICE):
                yield self._frame.decompress(data[at : at + _ZSTD_SLICE])
        except zstandard.ZstdError as error:
            raise Unreadable from error


def _inflate(member: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    try:
        while True:
            yield (piece := member.decompress(data, PIECE_BYTES))
            data = member.unconsumed_tail
            if member.eof or (not data and len(piece) < PIECE_BYTES):  # past its end a member keeps its tail: the rest is in `unused_data`
                return
    except zlib.error as error:
        raise Unreadable from error


_DECODERS: dict[str, type[_Gzip] | type[_Deflate] | type[_Brotli] | type[_Zstd]] = {
    "gzip": _Gzip,
    "x-gzip": _Gzip,
    "deflate": _Deflate,
    "br": _Brotli,
    "zstd": _Zstd,
}
