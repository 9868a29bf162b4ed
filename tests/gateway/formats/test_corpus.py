"""Every recorded exchange of a vendor and path that the gateway serves is counted as its vendor billed it."""

import random
from typing import Any

import pytest

from byok.gateway.reading import Outcome, Reading
from byok.gateway.vendors import Route
from tests.recorded import ENCODINGS, agrees, out_of_scope, readings, served


@pytest.fixture(scope="module")
def recorded() -> list[tuple[dict[str, Any], Route]]:
    return served()


def read(exchange: dict[str, Any], route: Route, encoding: str) -> Outcome:
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


# The corpus names the model that a stream begins with; this one's own `fallback` and `iterations` name the one that answered and is billed.
ANSWERED = {"66411e60ec0a03c2": "claude-opus-4-8"}


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_exchange_is_counted_as_billed(recorded: list[tuple[dict[str, Any], Route]], encoding: str):
    wrong, booked = [], 0
    for exchange, route in recorded:
        if not route.booked:
            continue
        booked += 1
        outcome = read(exchange, route, encoding)
        if told := readings(exchange):
            right = outcome.usage_source == "vendor" and any(agrees(outcome.counts, one) for one in told)
        else:
            right = outcome.usage_source in ("none", "estimated") and outcome.counts.prompt_tokens is None
        if exchange["status"] == 200:
            model = ANSWERED.get(exchange["id"], exchange["response_model"])
            right = right and bool(outcome.failure_status) == bool(exchange["error_in_body"]) and outcome.model == model
        if not right:
            wrong.append((exchange["vendor"], exchange["id"], outcome))
    assert booked > 400
    assert wrong == []


def test_token_counting_is_passed_on_and_not_booked(recorded: list[tuple[dict[str, Any], Route]]):
    routes = [route for exchange, route in recorded if exchange["dialect"] == "count-tokens"]
    assert routes
    assert not any(route.booked for route in routes)


def test_what_is_out_of_scope_is_named(capsys: pytest.CaptureFixture[str]):
    left_out = out_of_scope()
    with capsys.disabled():
        for name, count in sorted(left_out.items()):
            reason = "no path that the gateway serves" if " " in name else "no vendor of the gateway"
            print(f"\n  out of scope: {count:3} x {name}: {reason}", end="")
    assert {name for name in left_out if " " in name} == set()
