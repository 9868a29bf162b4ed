"""Every recorded exchange within the gateway's scope, through the running gateway: counted as billed, not a byte changed, one row each.

The vendor on loopback cuts its answers into random small writes, with a length, chunked or ended by closing, plain and compressed. The
seed is printed; BYOK_TEST_SEED replays it.
"""

import asyncio
import os
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import msgspec
import pytest

from byok import settings as settings_room
from byok.accounts import access_tokens, users
from byok.gateway.vendors import ECHO, Route, one_api_route
from byok.recording import segments
from byok.services import Services
from byok.settings import Settings
from byok.usage import UsageRecord
from tests.e2e.installation import Installation
from tests.recorded import ENCODINGS, TABLE, agrees, readings, served
from tests.vendor import LoopbackVendor, Reply, Seen

SEED = int(os.environ.get("BYOK_TEST_SEED") or random.SystemRandom().randrange(10**6))
CALLERS = 6
MARK = "x-recorded"
ONE_API = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages", "embeddings": "/v1/embeddings"}


class Caller(NamedTuple):
    """A user whose calls come one after the other, so that its records are in their order."""

    user_id: str
    token: str


class Came(NamedTuple):
    """What came back for one exchange, and in which way it was asked for."""

    exchange: dict[str, Any]
    status: int
    body: bytes


class Case(NamedTuple):
    """One call: an exchange, where it is sent, and how the vendor packs its answer."""

    exchange: dict[str, Any]
    route: Route
    path: str
    model: str
    encoding: str

    @property
    def body(self) -> bytes:
        return ENCODINGS[self.encoding](self.exchange["response_body"].encode())

    def request(self) -> dict[str, Any]:
        if self.route.endpoint == "generate" or not self.route.booked:
            return {"contents": []}
        asked: dict[str, Any] = {"model": self.model, "input": "hi", "messages": [{"role": "user", "content": "hi"}]}
        if self.exchange["stream"]:
            asked |= {"stream": True, "stream_options": {"include_usage": True}}  # asked for, so that every byte comes through
        return asked


def native(encoding_of: Callable[[int], str]) -> list[Case]:
    """Every exchange on its vendor's own path."""
    found = []
    for number, (exchange, route) in enumerate(served()):
        path = f"/{route.vendor.name}{exchange['endpoint_path']}"
        found.append(Case(exchange, route, path, exchange["request_model"] or "m-1", encoding_of(number)))
    return found


def over_the_one_api() -> list[Case]:
    """Every exchange of a format that the one API speaks, its model named `vendor/model`."""
    found = []
    for exchange, route in served():
        path = ONE_API.get(route.endpoint, "")
        if path in route.vendor.one_api and one_api_route(route.vendor, path).format is route.format:
            found.append(Case(exchange, route, path, f"{route.vendor.name}/{exchange['request_model'] or 'm-1'}", ""))
    return found


def cut(body: bytes, chance: random.Random) -> list[bytes]:
    """The body in up to forty pieces, some of one byte."""
    places = {chance.randrange(1, len(body)) for _ in range(chance.randrange(1, 30))} if len(body) > 1 else set()
    places |= {place + 1 for place in list(places)[:10] if place + 1 < len(body)}
    ends = sorted(places)
    return [body[begin:end] for begin, end in zip([0, *ends], [*ends, len(body)], strict=True)]


def answer_with(cases: list[Case]) -> Callable[[Seen], Reply]:
    def script(seen: Seen) -> Reply:
        number = int(seen.header(MARK) or 0)
        case, chance = cases[number], random.Random(f"{SEED} {number}")
        headers = [("content-type", case.exchange["content_type"] or "application/json")]
        if case.encoding:
            headers.append(("content-encoding", case.encoding))
        framing: Any = chance.choice(("length", "chunked", "chunked", "close"))
        return Reply(status=case.exchange["status"], headers=headers, body=cut(case.body, chance), framing=framing)

    return script


async def send(base: str, callers: list[Caller], cases: list[Case]) -> list[list[Came]]:
    """What came back, by caller, in order; the calls of different callers at the same time."""
    connector = aiohttp.TCPConnector(limit=CALLERS)
    async with aiohttp.ClientSession(base, auto_decompress=False, connector=connector, timeout=aiohttp.ClientTimeout(60)) as session:

        async def in_turn(number: int, caller: Caller) -> list[Came]:
            came = []
            for at in range(number, len(cases), CALLERS):
                headers = {"authorization": f"Bearer {caller.token}", "x-byok-vendor-key": "sk-passed-through", MARK: str(at)}
                async with session.post(cases[at].path, json=cases[at].request(), headers=headers) as answer:
                    came.append(Came(cases[at].exchange, answer.status, await answer.read()))
            return came

        return await asyncio.gather(*(in_turn(number, caller) for number, caller in enumerate(callers)))


def check(cases: list[Case], came: list[Came], records: list[UsageRecord]) -> list[Any]:
    """What is wrong with one caller's calls."""
    wrong: list[Any] = []
    by_id = {(case.exchange["vendor"], case.exchange["id"]): case for case in cases}
    booked = []
    for one in came:
        case = by_id[one.exchange["vendor"], one.exchange["id"]]
        if (one.status, one.body) != (one.exchange["status"], case.body):
            wrong.append(("bytes", case.path, one.exchange["id"], one.status, one.body[:200]))
        if case.route.booked:
            booked.append(case)
    if len(booked) != len(records):
        return [*wrong, ("rows", len(booked), len(records))]
    wrong += [
        ("counts", case.path, case.exchange["id"], record) for case, record in zip(booked, records, strict=True) if not right(case, record)
    ]
    return wrong


def right(case: Case, record: UsageRecord) -> bool:
    exchange = case.exchange
    if told := readings(exchange):
        counted = record.usage_source == "vendor" and any(agrees(record, one) for one in told)
    else:
        counted = record.usage_source in ("none", "estimated") and record.prompt_tokens is None
    status = not 200 <= record.status < 300 if exchange["error_in_body"] else record.status == exchange["status"]
    return counted and status and (record.vendor, record.endpoint) == (case.route.vendor.name, case.route.endpoint)


@pytest.fixture
def gateway_of(install: Any) -> Callable[[LoopbackVendor], tuple[Installation, Settings, list[Caller]]]:
    """A running gateway whose vendors are all the one on loopback."""

    def start(vendor: LoopbackVendor) -> tuple[Installation, Settings, list[Caller]]:
        addresses = {
            f"BYOK_{name.upper()}_BASE_URL": vendor.url + urlsplit(entry.base_url).path for name, entry in TABLE.items() if name != ECHO
        }
        installation: Installation = install(**addresses)
        settings = settings_room.load(installation.env, config=installation.root / "none.toml")
        now = datetime.now(UTC)
        with Services(settings) as services:
            ids = [users.add(services.db, f"u{number}@example.org", now=now).id for number in range(CALLERS)]
            callers = [Caller(user_id, access_tokens.create(services.db, user_id, now=now)) for user_id in ids]
        installation.start("gateway")
        return installation, settings, callers

    return start


def recorded_by(settings: Settings, user_id: str) -> list[UsageRecord]:
    lines = [line for segment in segments.listed(settings.journal_dir) for line in segments.read_lines(segment.path).good]
    found = [record for line in lines if (record := msgspec.json.decode(line, type=UsageRecord)).user_id == user_id]
    return sorted(found, key=lambda record: record.ts)


ROUNDS: dict[str, Callable[[], list[Case]]] = {
    "native": lambda: native(lambda _: ""),
    "native and compressed": lambda: native(lambda number: ("gzip", "br", "zstd")[number % 3]),
    "the one API": over_the_one_api,
}


@pytest.mark.slow
@pytest.mark.parametrize("way", ROUNDS)
def test_every_recorded_exchange_is_booked_as_billed(way: str, gateway_of: Any, capsys: pytest.CaptureFixture[str]) -> None:
    cases = ROUNDS[way]()
    with LoopbackVendor(answer_with(cases)) as vendor:
        installation, settings, callers = gateway_of(vendor)
        came = asyncio.run(send(installation.gateway, callers, cases))
        installation.stop("gateway")
    wrong = [
        fault for caller, those in zip(callers, came, strict=True) for fault in check(cases, those, recorded_by(settings, caller.user_id))
    ]
    booked = sum(case.route.booked for case in cases)
    with capsys.disabled():
        print(f"\n  {way}: {len(cases)} exchanges, {booked} of them booked, {len(wrong)} wrong (seed {SEED})", end="")
    assert wrong == []
    assert len(vendor.seen) == len(cases) > 400
