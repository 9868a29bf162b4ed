"""kill -9 of every process, again and again under load: what a client saw the end of is stored once, and nothing is invented."""

import json
import random
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
from byok.services import Services
from byok.settings import load
from tests.e2e.installation import Installation, wait_until
from tests.samples import usage_record
from tests.soak.calls import Caller, Load, answer, completion
from tests.vendor import LoopbackVendor

ROUNDS = 5
CLIENTS = 6
SEED = 20261122


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
        caller = Caller("kill", token)
        load = Load(lambda: (caller, installation.gateway), clients=CLIENTS)
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
    acknowledged = load.acknowledged_by("kill")
    answered = {json.loads(line)["call"] for line in Path(ledger).read_text().splitlines()}
    wait_until(lambda: {number for number, _ in stored(installation)} >= acknowledged, seconds=60, step=1)
    found = stored(installation)
    numbers = [number for number, _ in found]
    print(f"{3 * ROUNDS} kills, {len(acknowledged)} acknowledged, {len(found)} stored, slowest start {worst_s:.1f} s")
    assert len(acknowledged) > 300, "too few calls for this test to prove anything"
    assert acknowledged - set(numbers) == set(), "lost"
    assert len(numbers) == len(set(numbers)), "doubled"
    assert set(numbers) <= answered, "invented"
    assert all(tokens == completion(number) for number, tokens in found)
    usage = httpx.get(f"{installation.web}/usage", headers={"authorization": f"Bearer {token}"}, timeout=30).json()
    assert usage["success"] >= len(found)


@pytest.mark.slow
@pytest.mark.parametrize("process", ["gateway", "web", "keeper"])
def test_an_erasure_that_was_killed_is_finished_by_the_next_start_of_any_process(install, process):
    installation: Installation = install()
    with Services(load(installation.env)) as book:
        user_id = users.add(book.db, "gone@example.org", now=datetime.now(UTC)).id
    journal = Journal(installation.data / "journal")
    for number in range(20):
        assert journal.append(usage_record(number, user_id=user_id, ts=datetime.now(UTC)))
    journal.close()
    installation.command("compact")
    with open_database(f"sqlite:///{installation.data / 'accounts.db'}") as db:
        jobs.put(db, jobs.ERASE_USERS_PENDING, "begun")
        users.remove(db, user_id, now=datetime.now(UTC))  # and then the machine lost power
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
