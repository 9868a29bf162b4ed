"""Three machines with a gateway and a keeper each, two with a dashboard, one S3 store, one PostgreSQL: whatever is killed or cut off,
no acknowledged call is lost and none is doubled. An independent ledger counts. BYOK_ROUNDS says how many rounds (default 6)."""

import os
import random
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import httpx
import pyarrow.parquet as pq
import pytest

from byok import doctor
from byok import settings as settings_room
from byok.accounts import database, hosts
from byok.recording.publisher import merge, write_by_month
from byok.recording.reader import Reader
from byok.recording.table import Overtaken, Table
from byok.settings import RemoteStore
from tests.e2e.installation import Installation, wait_until
from tests.samples import usage_record
from tests.scale.postgres_server import PostgresServer
from tests.scale.s3_servers import S3Server
from tests.scale.test_s3 import as_table

ROUNDS = int(os.environ.get("BYOK_ROUNDS", "6"))
MACHINES = 3


def test_a_leader_that_was_overtaken_rewrites_nothing(s3: S3Server, tmp_path, monkeypatch):
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    url = s3.url()
    old, new = (Table(RemoteStore(url, tmp_path / name, 1000)) for name in ("old", "new"))
    old.fence, new.fence = (lambda: 1), (lambda: 2)
    for number in range(4):
        with old.writing():
            old.commit(write_by_month(old.directory, as_table([usage_record(number)])))
    merge(new)
    for number in (5, 6):
        with old.writing():
            old.commit(write_by_month(old.directory, as_table([usage_record(number)])))  # adding is everybody's
    with pytest.raises(Overtaken):
        merge(old)
    merge(new)
    assert sum(file.rows for file in new.snapshot().files) == 6


class Ledger:
    """Calls through all gateways, each with a number of completion tokens of its own; notes which were answered."""

    def __init__(self, machines: list[Installation], token: str) -> None:
        self.machines, self.token = machines, token
        self.sent = 0
        self.answered: set[int] = set()
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(machine,)) for machine in machines]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _work(self, machine: Installation) -> None:
        with httpx.Client(timeout=10) as client:
            while not self._stop.wait(0.15):
                with self._lock:
                    self.sent += 1
                    number = self.sent
                body = {"model": "echo-1", "max_tokens": number, "messages": [{"role": "user", "content": "x"}]}
                headers = {"authorization": f"Bearer {self.token}"}
                try:
                    answer = client.post(f"{machine.gateway}/v1/chat/completions", json=body, headers=headers)
                except httpx.TransportError:
                    continue
                if answer.status_code == 200:
                    self.answered.add(number)


def booked(machine: Installation) -> list[int]:
    settings = settings_room.load(machine.env)
    reader = Reader(settings.usage_dir, settings.journal_dir)
    view = reader.view()
    reader.fetch(file.path for file in view.files)
    return [n for file in view.files for n in pq.read_table(file.path, partitioning=None)["completion_tokens"].to_pylist()]


@pytest.mark.slow
def test_whatever_is_killed_or_cut_off_no_call_is_lost_and_none_is_doubled(s3: S3Server, postgres: PostgresServer, tmp_path, monkeypatch):
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    dice = random.Random(9)
    shared = {"BYOK_STORE_URL": s3.url(), "BYOK_ACCOUNTS_URL": postgres.url(), "BYOK_PUBLISH_EVERY_S": "1", **s3.env}
    machines: list[Installation] = []
    for number in range(MACHINES):
        root = tmp_path / f"machine{number}"
        root.mkdir()
        if machines:
            shared["BYOK_MASTER_KEY_FILE"] = machines[0].env["BYOK_MASTER_KEY_FILE"]
        machines.append(Installation(root, **shared))
    running = {(number, name) for number in range(MACHINES) for name in ("gateway", "keeper")} | {(0, "web"), (1, "web")}
    ledger = None
    try:
        token = machines[0].add_user("ada@example.org")
        for number, name in sorted(running):
            machines[number].start(name, ready=False)
        for machine in machines:
            machine.wait_ready("gateway", 180)
        ledger = Ledger(machines, token)
        wait_until(lambda: len(ledger.answered) > 20, 120)
        done: Counter[str] = Counter()
        for _ in range(ROUNDS):
            what = dice.choice(["kill", "kill", "kill", "s3", "postgres", "freeze"])
            number, name = dice.choice(sorted(running))
            done[f"{what} {name}" if what == "kill" else what] += 1
            if what == "kill":
                machines[number].kill(name)
                time.sleep(dice.uniform(0, 2))
                machines[number].start(name, ready=False)
            elif what == "s3":
                s3.stop()
                time.sleep(dice.uniform(0, 4))
                s3.start()
            elif what == "postgres":
                postgres.stop()
                time.sleep(dice.uniform(0, 4))
                postgres.start()
            else:
                with s3.frozen():
                    time.sleep(dice.uniform(0, 6))
            time.sleep(dice.uniform(0.5, 2))
            print(f"round {done.total()}: {what}, {ledger.sent} sent, {len(ledger.answered)} answered", flush=True)
        known = len(ledger.answered)
        wait_until(lambda: len(ledger.answered) > known + 10, 180)
        ledger.stop()
        for machine in machines:
            machine.stop("gateway")
        settings = settings_room.load(machines[0].env)
        wait_until(lambda: not any(list((machine.data / "journal").glob("*.jsonl")) for machine in machines), 240)
        found = booked(machines[0])
        assert sorted(found) == sorted(set(found)), "doubled"
        assert ledger.answered - set(found) == set(), "lost"
        assert set(found) <= set(range(1, ledger.sent + 1))
        print(f"{dict(done)}: {ledger.sent} calls sent, {len(ledger.answered)} answered, {len(found)} booked; lost 0, doubled 0")
        with database.open_database(settings.accounts_database) as db:
            assert len(hosts.every(db)) == MACHINES
        for number in (0, 1):
            machines[number].wait_ready("web", 120)
            base = machines[number].web
            assert httpx.get(f"{base}/usage", headers={"authorization": f"Bearer {token}"}, timeout=60).json()["total_calls"] == len(found)
        machines[2].kill("keeper")
        later = datetime.now(UTC) + timedelta(seconds=hosts.SILENT_AFTER_S + 60)
        silent = hosts.name_of(machines[2].data)
        said = [
            finding for finding in doctor.examine(settings, machines[0].env, now=later) if finding.what == "machines" and not finding.ok
        ]
        assert any(silent in finding.said for finding in said)
    finally:
        if ledger is not None:
            ledger.stop()
        for machine in machines:
            machine.close()
