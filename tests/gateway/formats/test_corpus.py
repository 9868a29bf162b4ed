"""Every recorded exchange of a vendor and path that the gateway serves is counted as its vendor billed it."""

import gzip
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import brotli
import pytest
import zstandard

from byok.errors import PathNotAllowed
from byok.gateway.reading import Outcome, Reading
from byok.gateway.vendors import Route, native_route, vendors
from byok.settings import Settings
from byok.usage import TokenCounts
from tests.corpus import corpus

OUR_NAMES = {"google": "gemini", "alibaba": "qwen"}
TABLE = vendors(Settings())
ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": gzip.compress,
    "br": lambda body: brotli.compress(body, quality=4),
    "zstd": zstandard.ZstdCompressor().compress,
}
PARTS = ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens")


@pytest.fixture(scope="module")
def exchanges() -> list[dict]:
    files = sorted(Path(corpus("vendor-responses")).glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def served(exchanges: list[dict]) -> Iterator[tuple[dict, Route]]:
    for exchange in exchanges:
        if (route := route_of(exchange)) is not None:
            yield exchange, route


def route_of(exchange: dict) -> Route | None:
    vendor = TABLE.get(OUR_NAMES.get(exchange["vendor"], exchange["vendor"]))
    try:
        return native_route(vendor, exchange["endpoint_path"], "POST") if vendor else None
    except PathNotAllowed:
        return None


def read(exchange: dict, route: Route, encoding: str) -> Outcome:
    body = ENCODINGS[encoding](exchange["response_body"].encode())
    chance = random.Random(exchange["id"] + encoding)
    reading = Reading(route.format, streamed=exchange["stream"], content_type=exchange["content_type"] or "", content_encoding=encoding)
    at = 0
    while at < len(body):
        size = chance.choice((1, 2, 3, 19, 257, 1460, 1460, 4096))
        piece = body[at : at + size]
        assert reading.feed(piece) is piece
        at += size
    assert reading.finish() == b""
    return reading.outcome()


def agrees(counts: TokenCounts, told: dict) -> bool:
    """The corpus writes null for what was not reported, and asks to read it as 0."""
    return all((getattr(counts, part) or 0) == (told[part] or 0) for part in PARTS)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_exchange_is_counted_as_billed(exchanges: list[dict], encoding: str):
    wrong, booked = [], 0
    for exchange, route in served(exchanges):
        if not route.booked:
            continue
        booked += 1
        outcome = read(exchange, route, encoding)
        readings = [told for told in (exchange["usage_expected"], exchange["usage_alternative"]) if told]
        if readings:
            right = outcome.usage_source == "vendor" and any(agrees(outcome.counts, told) for told in readings)
        else:
            right = outcome.usage_source in ("none", "estimated") and outcome.counts.prompt_tokens is None
        if exchange["status"] == 200:
            right = (
                right and bool(outcome.failure_status) == bool(exchange["error_in_body"]) and outcome.model == exchange["response_model"]
            )
        if not right:
            wrong.append((exchange["vendor"], exchange["id"], outcome))
    assert booked > 400
    assert wrong == []


def test_token_counting_is_passed_on_and_not_booked(exchanges: list[dict]):
    routes = [route for exchange, route in served(exchanges) if exchange["dialect"] == "count-tokens"]
    assert routes
    assert not any(route.booked for route in routes)


def test_what_is_out_of_scope_is_named(exchanges: list[dict], capsys: pytest.CaptureFixture[str]):
    left_out = Counter()
    for exchange in exchanges:
        if route_of(exchange) is None:
            vendor = OUR_NAMES.get(exchange["vendor"], exchange["vendor"])
            known = vendor in TABLE
            left_out[f"{vendor} {exchange['endpoint_path']}" if known else vendor] += 1
    with capsys.disabled():
        for name, count in sorted(left_out.items()):
            reason = "no path that the gateway serves" if " " in name else "no vendor of the gateway"
            print(f"\n  out of scope: {count:3} x {name}: {reason}", end="")
    assert {name for name in left_out if " " in name} <= {"ollama /api/chat"}
