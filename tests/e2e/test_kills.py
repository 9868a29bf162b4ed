"""kill -9 of every process, again and again under load: what a client saw the end of is stored once, and nothing is invented."""

import json
import random
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from byok.accounts import jobs, users
from byok.accounts.database import open_database
from byok.recording.journal import Journal
from tests.e2e.installation import Installation, wait_until
from tests.samples import usage_record
from tests.vendor import LoopbackVendor, Reply, Seen

ROUNDS = 20
CLIENTS = 6
SEED = 20261122


def completion(number: int) -> int:
    return number * 7 % 1000 + 1


def answer(seen: Seen) -> Reply:
    """The usage names the call: prompt_tokens is its number. The ledger has it, synced, before the client can."""
    body = json.loads(seen.body)
    number = int(body["messages"][0]["content"])
    usage = {"prompt_tokens": number, "completion_tokens": completion(number), "total_tokens": number + completion(number)}
    head = {"id": "chatcmpl-1", "created": 1, "model": "gpt-4o-mini"}
    if not body.get("stream"):
        choices = [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}]
        return Reply(
            body=json.dumps(head | {"object": "chat.completion", "choices": choices, "usage": usage}).encode(), ledger={"call": number}
        )
    words = [head | {"choices": [{"index": 0, "delta": {"content": f"w{n} "}, "finish_reason": None}]} for n in range(4)]
    events = [*words, head | {"choices": [], "usage": usage}]
    pieces = [f"data: {json.dumps(event)}\n\n".encode() for event in events] + [b"data: [DONE]\n\n"]
    return Reply(headers=(("content-type", "text/event-stream"),), body=pieces, between_s=0.005, ledger={"call": number})


class Load:
    """Clients that call without a pause; a call is acknowledged when its last byte arrived."""

    def __init__(self, base: str, token: str) -> None:
        self.acknowledged: set[int] = set()
        self._base, self._token = base, token
        self._stop, self._lock, self._next = threading.Event(), threading.Lock(), 0
        self._threads = [threading.Thread(target=self._call_on, daemon=True) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _call_on(self) -> None:
        with httpx.Client(base_url=self._base, headers={"authorization": f"Bearer {self._token}"}, timeout=10) as client:
            while not self._stop.is_set():
                with self._lock:
                    self._next += 1
                    number = self._next
                if not self._call(client, number):
                    self._stop.wait(0.05)

    def _call(self, client: httpx.Client, number: int) -> bool:
        stream = number % 2 == 0
        body = {"model": "gpt-4o-mini", "stream": stream, "messages": [{"role": "user", "content": str(number)}]}
        if stream:
            body["stream_options"] = {"include_usage": True}
        try:
            got = client.post("/v1/chat/completions", json=body)
        except httpx.TransportError:
            return False
        if got.status_code != 200 or (stream and not got.text.endswith("data: [DONE]\n\n")):
            return False
        self.acknowledged.add(number)
        return True


def stored(installation: Installation) -> list[tuple[int, int]]:
    rows = installation.sql("select prompt_tokens, completion_tokens from usage where status = 200 and usage_source = 'vendor'")
    return [(row["prompt_tokens"], row["completion_tokens"]) for row in rows]


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_or_doubled_when_processes_are_killed(install, tmp_path):
    rng = random.Random(SEED)
    ledger = tmp_path / "ledger.jsonl"
    with LoopbackVendor(answer, ledger=ledger) as vendor:
        installation: Installation = install(BYOK_OPENAI_BASE_URL=f"{vendor.url}/v1", BYOK_PUBLISH_EVERY_S="0.5")
        token = installation.add_user("kill@example.org", plan="team")
        installation.command("key", "add", "kill@example.org", "--vendor", "openai", stdin="vk-kill-0123456789\n")
        installation.start("gateway", "web", "keeper")
        load = Load(installation.gateway, token)
        worst_s = 0.0
        for _ in range(ROUNDS):
            for name in rng.sample(["gateway", "web", "keeper"], 3):
                time.sleep(rng.uniform(0.05, 0.6))
                installation.kill(name)
                installation.start(name, ready=False)
            started = time.monotonic()
            installation.wait_ready("gateway")
            worst_s = max(worst_s, time.monotonic() - started)
            time.sleep(rng.uniform(0.1, 0.5))
        installation.wait_ready("web")
        load.end()
    answered = {json.loads(line)["call"] for line in Path(ledger).read_text().splitlines()}
    wait_until(lambda: {number for number, _ in stored(installation)} >= load.acknowledged, seconds=20, step=1)
    found = stored(installation)
    numbers = [number for number, _ in found]
    print(f"{3 * ROUNDS} kills, {len(load.acknowledged)} acknowledged, {len(found)} stored, slowest start {worst_s:.1f} s")
    assert len(load.acknowledged) > 300, "too few calls for this test to prove anything"
    assert load.acknowledged - set(numbers) == set(), "lost"
    assert len(numbers) == len(set(numbers)), "doubled"
    assert set(numbers) <= answered, "invented"
    assert all(tokens == completion(number) for number, tokens in found)
    usage = httpx.get(f"{installation.web}/usage", headers={"authorization": f"Bearer {token}"}, timeout=30).json()
    assert usage["success"] >= len(found)


@pytest.mark.slow
@pytest.mark.parametrize("process", ["gateway", "web", "keeper"])
def test_an_erasure_that_was_killed_is_finished_by_the_next_start_of_any_process(install, process):
    installation: Installation = install()
    installation.add_user("gone@example.org")
    user_id = json.loads(installation.command("user", "show", "gone@example.org", "--json"))["id"]
    journal = Journal(installation.data / "journal")
    for number in range(20):
        assert journal.append(usage_record(number, user_id=user_id, ts=datetime.now(UTC)))
    journal.close()
    installation.command("compact")
    with open_database(f"sqlite:///{installation.data / 'accounts.db'}") as db:
        jobs.put(db, jobs.ERASE_USERS_PENDING, "begun")
        users.remove(db, user_id)  # and then the machine lost power
    assert _files_with(installation.data, user_id)
    installation.start(process)
    wait_until(lambda: not _files_with(installation.data, user_id), seconds=60)


def _files_with(directory: Path, text: str) -> list[Path]:
    found = []
    for path in directory.rglob("*"):
        try:
            raw = path.read_bytes() if path.is_file() else b""
            decoded = str(pq.ParquetFile(path).read(["user_id"]).to_pylist()).encode() if raw[:4] == b"PAR1" else b""
        except (FileNotFoundError, pa.ArrowInvalid):  # gone, or being written
            continue
        found += [path] if text.encode() in raw + decoded else []
    return found
