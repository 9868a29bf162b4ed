"""The recorded exchanges of the vendors, and what the gateway's own table makes of each: its route, or why it has none."""

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import brotli
import zstandard

from byok.errors import PathNotAllowed
from byok.gateway.vendors import Route, native_route, vendors
from byok.settings import Settings
from tests.corpus import corpus

OUR_NAMES = {"google": "gemini", "alibaba": "qwen"}
TABLE = vendors(Settings())
ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": lambda body: gzip.compress(body, mtime=0),
    "br": lambda body: brotli.compress(body, quality=4),
    "zstd": zstandard.ZstdCompressor().compress,
}
PARTS = ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens")


def exchanges() -> list[dict[str, Any]]:
    """All of them, in the order of the files."""
    files = sorted(Path(corpus("vendor-responses")).glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def route_of(exchange: dict[str, Any]) -> Route | None:
    """Where a call to this vendor's path leads, None if it is out of the gateway's scope."""
    vendor = TABLE.get(OUR_NAMES.get(exchange["vendor"], exchange["vendor"]))
    try:
        return native_route(vendor, exchange["endpoint_path"], "POST") if vendor else None
    except PathNotAllowed:
        return None


def served() -> list[tuple[dict[str, Any], Route]]:
    """The exchanges within the gateway's scope."""
    return [(exchange, route) for exchange in exchanges() if (route := route_of(exchange)) is not None]


def out_of_scope() -> Counter[str]:
    """How many exchanges are not served, by vendor; with the path where the vendor is known and the path is not."""
    found: Counter[str] = Counter()
    for exchange in exchanges():
        if route_of(exchange) is None:
            vendor = OUR_NAMES.get(exchange["vendor"], exchange["vendor"])
            found[f"{vendor} {exchange['endpoint_path']}" if vendor in TABLE else vendor] += 1
    return found


def readings(exchange: dict[str, Any]) -> list[dict[str, int | None]]:
    """What may be booked of it: the corpus's reading, and a second defensible one where it has one. Empty: no usage was reported."""
    return [told for told in (exchange["usage_expected"], exchange["usage_alternative"]) if told]


def agrees(counts: Any, told: dict[str, int | None]) -> bool:
    """Whether counts (or a record) say the same. The corpus writes null for what was not reported, and asks to read it as 0."""
    return all((getattr(counts, part) or 0) == (told[part] or 0) for part in PARTS)
