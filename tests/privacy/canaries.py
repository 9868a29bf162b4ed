"""Canaries, one per place that a call or an account has, and a search that knows them in every form in which text gets lost."""

import base64
import hashlib
import secrets
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

PIECE = 8  # a part of a secret as long as this is a leak
_INDEX = 8  # needles are found by their first bytes, all at once
LETTERS = string.ascii_letters + string.digits


def fresh(length: int = 24) -> str:
    """A canary: random letters and digits."""
    return "".join(secrets.choice(LETTERS) for _ in range(length))


@dataclass(frozen=True, order=True)
class Hit:
    """`slot` was found in `place` as `form`."""

    slot: str
    form: str
    place: str


class Search:
    """Finds every piece of eight characters of the canaries, plain and in each of these forms: JSON's and URLs' escapes, hex, UTF-16,
    base64 at three offsets; and the digests of the whole."""

    def __init__(self, canaries: Mapping[str, str]) -> None:
        self.canaries = dict(canaries)
        self._needles: dict[bytes, list[tuple[bytes, str, str]]] = {}
        for slot, canary in self.canaries.items():
            for form, needle in _forms(canary):
                self._needles.setdefault(needle[:_INDEX], []).append((needle, slot, form))
        heads = np.frombuffer(b"".join(self._needles), dtype="<u8")
        self._heads = np.unique(heads)
        self._seconds = np.zeros(1 << 16, dtype=bool)  # which two bytes a needle may begin with: rules out most of what is searched
        self._seconds[(heads & 0xFFFF).astype(np.uint16)] = True

    def look(self, data: bytes, place: str) -> set[Hit]:
        """All hits in these bytes."""
        if len(data) < _INDEX:
            return set()
        padded = np.frombuffer(data, dtype=np.uint8)
        pairs = padded[:-1].astype(np.uint16) | (padded[1:].astype(np.uint16) << 8)
        maybe = np.flatnonzero(self._seconds[pairs[: len(data) - _INDEX + 1]])
        windows = np.lib.stride_tricks.sliding_window_view(padded, _INDEX)[maybe]
        heads = np.ascontiguousarray(windows).view("<u8").ravel()
        found = maybe[np.isin(heads, self._heads)]
        hits = set()
        for at in found.tolist():
            for needle, slot, form in self._needles[data[at : at + _INDEX]]:
                if data.startswith(needle, at):
                    hits.add(Hit(slot, form, place))
        return hits

    def look_all(self, places: Iterable[tuple[str, bytes]]) -> set[Hit]:
        return {hit for place, data in places for hit in self.look(data, place) | self.look(place.encode(), f"the name {place}")}


def _forms(canary: str) -> Iterable[tuple[str, bytes]]:
    whole = canary.encode()
    for piece in (canary[at : at + PIECE] for at in range(len(canary) - PIECE + 1)):
        yield "plain", piece.encode()
        yield "JSON-escaped", "".join(f"\\u{ord(c):04x}" for c in piece).encode()
        yield "URL-encoded", "".join(f"%{ord(c):02X}" for c in piece).encode()
        yield "hex", piece.encode().hex().encode()
        yield "HEX", piece.encode().hex().upper().encode()
        yield "UTF-16", piece.encode("utf-16-le")
        yield "UTF-16", piece.encode("utf-16-be")
    for offset in range(3):
        # Of the first and last groups only what does not depend on the neighbours.
        coded = base64.b64encode(b"\0" * offset + whole).rstrip(b"=")[(4 if offset else 0) : -2]
        for at in range(len(coded) - 9):
            yield "base64", coded[at : at + 10]
            yield "base64", coded[at : at + 10].replace(b"+", b"-").replace(b"/", b"_")
    for name in ("md5", "sha1", "sha256"):
        digest = hashlib.new(name, whole, usedforsecurity=False)
        yield name, digest.hexdigest().encode()
        yield name, digest.digest()
        yield name, base64.b64encode(digest.digest())[:-4]
