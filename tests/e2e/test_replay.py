"""Five thousand real calls through the running product: the sums on every face equal what the recordings say."""

import asyncio
import csv
import io
import random
from collections import Counter
from typing import Any

import aiohttp
import httpx
import pyarrow.parquet as pq
import pytest

from tests.corpus import corpus
from tests.e2e.installation import Installation, wait_until
from tests.e2e.replaying import Exchange, answer_with, base_urls, exchanges
from tests.ui.chromium import DESKTOP, chromium, drawn, open_page, settle
from tests.vendor import LoopbackVendor

CALLS = 5_200
SECONDS = 15.0  # what the trace's 57 minutes are pressed into
SEED = 20261122


def arrivals() -> list[float]:
    """Seconds from the start at which the first CALLS calls of the trace arrive, compressed."""
    times = pq.read_table(corpus("traces/azure_2023_code.parquet"), columns=["ts"])["ts"].to_pylist()[:CALLS]
    first, span = times[0], (times[-1] - times[0]).total_seconds()
    return [(ts - first).total_seconds() / span * SECONDS for ts in times]


async def replay(base: str, token: str, plan: list[tuple[float, Exchange]]) -> list[tuple[Exchange, int, bytes]]:
    """Send every call at its time; what came back, in order."""
    started = asyncio.get_running_loop().time()
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(base, timeout=timeout, auto_decompress=False, connector=aiohttp.TCPConnector(limit=200)) as session:

        async def call(at: float, exchange: Exchange) -> tuple[Exchange, int, bytes]:
            await asyncio.sleep(at - (asyncio.get_running_loop().time() - started))
            headers = {"authorization": f"Bearer {token}"}
            async with session.post(exchange.target(), json=exchange.request(), headers=headers) as answer:
                return exchange, answer.status, await answer.read()

        return await asyncio.gather(*(call(at, exchange) for at, exchange in plan))


def expected_sums(sent: list[Exchange]) -> dict[str, int]:
    sums: Counter[str] = Counter(calls=len(sent), failed=sum(exchange.failed for exchange in sent))
    for exchange in sent:
        for name in ("prompt", "completion", "total"):
            sums[name] += (exchange.expected or {}).get(name) or 0
    return dict(sums)


def of_usage(answer: dict[str, Any]) -> dict[str, int]:
    sums = {name: sum(row[f"{name}_tokens"] for row in answer["usage"]) for name in ("prompt", "completion", "total")}
    assert sums["total"] == answer["total_tokens"] and answer["success"] + answer["failed"] == answer["total_calls"]
    return {"calls": answer["total_calls"], "failed": answer["failed"], **sums}


def of_records(rows: list[dict[str, Any]]) -> dict[str, int]:
    sums = {name: sum(int(row[f"{name}_tokens"] or 0) for row in rows) for name in ("prompt", "completion", "total")}
    return {"calls": len(rows), "failed": sum(not 200 <= int(row["status"]) < 300 for row in rows), **sums}


@pytest.fixture
def replayed(install):
    """The product after the replay: installation, token, what was sent."""
    recorded = exchanges()
    rng = random.Random(SEED)
    plan = [(at, rng.choice(recorded)) for at in arrivals()]
    with LoopbackVendor(answer_with(recorded)) as vendor:
        installation: Installation = install(**base_urls(vendor.port))
        token = installation.add_user("replay@example.org", plan="team")
        for name in {exchange.vendor for exchange in recorded}:
            installation.command("key", "add", "replay@example.org", "--vendor", name, stdin="vk-replay-0123456789\n")
        installation.start("gateway", "web", "keeper")
        answers = asyncio.run(replay(installation.gateway, token, plan))
    return installation, token, answers


@pytest.mark.slow
@pytest.mark.browser
def test_the_sums_on_every_face_equal_those_of_the_recordings(replayed):
    installation, token, answers = replayed
    different = [(e.vendor, e.path, status) for e, status, body in answers if (status, body) != (e.status, e.body)]
    assert different == [], "status and bytes reach the client as the vendor sent them"
    sent = [exchange for exchange, _, _ in answers]
    want = expected_sums(sent)
    assert len(sent) >= 5_000 and want["total"] > 1_000_000 and want["failed"] > 50, "too little was sent to prove anything"

    headers = {"authorization": f"Bearer {token}"}

    def usage(**query: str) -> dict[str, Any]:
        answer = httpx.get(f"{installation.web}/usage", params=query, headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    wait_until(lambda: usage()["total_calls"] >= len(sent), seconds=60)
    assert of_usage(usage()) == want
    per_vendor = {row["vendor"]: row["total_tokens"] for row in usage(group_by="vendor")["usage"]}
    assert per_vendor == {v: expected_sums([e for e in sent if e.vendor == v])["total"] for v in {e.vendor for e in sent}}
    assert of_records(installation.sql("select * from usage")) == want
    export = httpx.get(f"{installation.web}/usage/export", params={"format": "csv"}, headers=headers, timeout=60)
    assert of_records(list(csv.DictReader(io.StringIO(export.text)))) == want
    assert of_records(list(csv.DictReader(io.StringIO(installation.command("export", "replay@example.org"))))) == want
    assert on_the_overview(installation, token) == {name: want[name] for name in ("calls", "failed", "total")}


def on_the_overview(installation: Installation, token: str) -> dict[str, int]:
    """The figures of the page's cards; exact ones stand in their explanations."""
    with chromium() as browser:
        page = open_page(browser, DESKTOP)
        page.goto(f"{installation.web}/?range=24h")
        page.get_by_text("Use an access token").click()
        page.get_by_label("Access token").fill(token)
        page.get_by_role("button", name="Sign in with the token").click()
        drawn(page)
        requests = page.get_by_test_id("stMetricValue").nth(1).inner_text()
        explained = []
        for card in (2, 3):
            page.get_by_test_id("stMetric").nth(card).get_by_test_id("stTooltipHoverTarget").hover()
            explained.append(page.get_by_test_id("stTooltipContent").last.inner_text())
            page.mouse.move(0, 0)
            settle(page)
    total, failed = (int(text.split(" ")[0].replace(",", "")) for text in explained)
    return {"calls": int(requests.replace(",", "")), "failed": failed, "total": total}
