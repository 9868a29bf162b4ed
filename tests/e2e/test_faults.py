"""What an operator's machine can do to the processes: full and read-only disks, keepers that stand still, a copy taken in full run."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from byok.recording.reader import Reader
from tests.e2e.installation import PROJECT, Installation, wait_until
from tests.soak.calls import Caller, Load, answer
from tests.vendor import LoopbackVendor

BODY = {"model": "echo-1", "messages": [{"role": "user", "content": "one two three"}]}
CHAT = "/v1/chat/completions"
pytestmark = pytest.mark.slow


class Client:
    """One user of an installation."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.headers = {"authorization": f"Bearer {installation.add_user('ada@example.org', plan='team')}"}

    def call(self) -> bool:
        answered = httpx.post(f"{self.installation.gateway}{CHAT}", json=BODY, headers=self.headers, timeout=20)
        return answered.status_code == 200 and "one two three" in answered.text

    def usage(self) -> httpx.Response:
        return httpx.get(f"{self.installation.web}/usage", headers=self.headers, timeout=20)

    def stored(self) -> int:
        return int(self.usage().json()["total_calls"])

    def metric(self, name: str) -> int:
        found = re.search(rf"^{name} (\S+)$", httpx.get(f"{self.installation.gateway}/metrics").text, re.MULTILINE)
        assert found
        return int(float(found[1]))

    def ready(self) -> httpx.Response:
        return httpx.get(f"{self.installation.gateway}/readyz", timeout=20)


@pytest.fixture
def disk(tmp_path):
    """A file system of its own, 12 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip("mounting a file system needs more rights")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_on_a_full_disk_calls_go_on_losses_are_counted_and_it_recovers_by_itself(install, disk):
    installation: Installation = install(BYOK_DATA=str(disk / "data"))
    client = Client(installation)
    installation.start("gateway", "web", "keeper")
    assert all(client.call() for _ in range(5))
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"x" * 4096)
    answered = 5
    while client.metric("byok_records_lost_total") < 3:
        assert client.call(), "a call failed because the disk is full"
        answered += 1
        assert answered < 500
    assert (client.ready().status_code, "No space" in client.ready().text) == (503, True)
    assert client.usage().status_code == 200
    filler.unlink()
    wait_until(lambda: client.ready().status_code == 200)
    lost = client.metric("byok_records_lost_total")
    assert all(client.call() for _ in range(5))
    assert client.metric("byok_records_lost_total") == lost
    wait_until(lambda: client.stored() == answered + 5 - lost)
    installation.command("compact")
    assert client.stored() == answered + 5 - lost == client.metric("byok_records_total")


def test_a_read_only_directory_is_told_and_healed_without_a_restart(install, disk):
    installation: Installation = install(BYOK_DATA=str(disk / "data"))
    client = Client(installation)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    installation.start("gateway", "web", "keeper", ready=False)
    wait_until(lambda: _answers(installation.gateway) and _answers(installation.web), seconds=60)
    assert client.call() and client.call()
    assert (client.ready().status_code, "Read-only" in client.ready().text) == (503, True)
    assert client.metric("byok_records_lost_total") == 2
    assert client.usage().status_code == 200
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    wait_until(lambda: client.ready().status_code == 200)
    assert client.call()
    wait_until(lambda: client.stored() == 1)
    wait_until(lambda: list((disk / "data" / "usage").glob("month=*/*.parquet")), seconds=30)  # the keeper has kept trying


def _answers(base: str) -> bool:
    try:
        return httpx.get(f"{base}/healthz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def test_a_second_keeper_waits_for_the_first_to_end_not_only_to_stand_still(install):
    installation: Installation = install(BYOK_PUBLISH_EVERY_S="0.2")
    client = Client(installation)
    installation.start("gateway", "web", "keeper")
    first = installation._processes["keeper"]
    run = [sys.executable, "-m", "byok", "keeper"]
    with (installation.root / "second.log").open("wb") as log:
        second = subprocess.Popen(run, cwd=PROJECT, env=installation.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_until(lambda: "standing_by" in installation.log("second"), seconds=30)
        assert client.call()
        wait_until(lambda: _published(installation) == 1, seconds=30)
        first.send_signal(signal.SIGSTOP)
        assert client.call()
        time.sleep(2.5)  # the second looks once a second
        assert client.stored() == 2, "what is not published is read from the journal"
        first.send_signal(signal.SIGCONT)
        wait_until(lambda: _published(installation) == 2, seconds=30)
        first.send_signal(signal.SIGSTOP)
        assert client.call()
        installation.kill("keeper")
        wait_until(lambda: _published(installation) == 3, seconds=30)
        assert client.stored() == 3
    finally:
        second.kill()
        second.wait()


def _published(installation: Installation) -> int:
    view = Reader(installation.data / "usage", installation.data / "journal").view()
    return sum(file.rows for file in view.files)


def test_a_call_is_visible_within_two_seconds_of_its_end(install):
    installation: Installation = install(BYOK_PUBLISH_EVERY_S="0.5")
    client = Client(installation)
    installation.start("gateway", "web")
    client.usage()  # the first question pays for imports
    _check_that_calls_are_visible(client, "no keeper")
    installation.start("keeper")
    wait_until(lambda: _published(installation) == 20)
    _check_that_calls_are_visible(client, "keeper")


def _check_that_calls_are_visible(client: Client, with_what: str) -> None:
    before, waits = client.stored(), []
    for number in range(before + 1, before + 21):
        assert client.call()
        ended = time.monotonic()
        wait_until(lambda number=number: client.stored() >= number, seconds=20, step=0.01)
        waits.append(time.monotonic() - ended)
    print(f"{with_what}: visible after {sorted(waits)[10]:.3f} s (median), {sorted(waits)[18]:.3f} s (p95)")
    assert sorted(waits)[18] <= 2, with_what


def test_every_open_stream_ends_and_has_its_row_when_the_gateway_is_told_to_stop(install):
    installation: Installation = install()
    client = Client(installation)
    installation.start("gateway", "web")
    whole: list[bool] = []

    def stream() -> None:
        headers = client.headers | {"x-byok-echo-delay-ms": "300"}
        with httpx.stream(
            "POST", f"{installation.gateway}{CHAT}", json=BODY | {"stream": True, "max_tokens": 20}, headers=headers, timeout=60
        ) as answered:
            whole.append(answered.read().endswith(b"data: [DONE]\n\n"))

    streams = [threading.Thread(target=stream) for _ in range(50)]
    for one in streams:
        one.start()
    wait_until(lambda: client.metric("byok_open_calls") == 50, step=0.3)
    assert installation.stop("gateway") == 0
    for one in streams:
        one.join(60)
    assert whole == [True] * 50
    assert client.stored() == 50


STEPS = re.search(r"```sh\n(umask 077 .*?)```", (PROJECT / "docs" / "operations.md").read_text(), re.S)


def test_a_backup_taken_in_full_run_is_restored_with_every_call_once(install, tmp_path):
    with LoopbackVendor(answer, ledger=tmp_path / "ledger.jsonl") as vendor:
        installation: Installation = install(BYOK_OPENAI_BASE_URL=f"{vendor.url}/v1", BYOK_PUBLISH_EVERY_S="0.2")
        token = installation.add_user("ada@example.org", plan="team")
        installation.command("key", "add", "ada@example.org", "--vendor", "openai", stdin="vk-backup-0123456789\n")
        installation.start("gateway", "web", "keeper")
        caller = Caller("ada", token)
        load = Load(lambda: (caller, installation.gateway), clients=4, pause_s=0.01)
        wait_until(lambda: len(load.acknowledged_by("ada")) > 100 and _published(installation), seconds=60)
        before = load.acknowledged_by("ada")
        assert STEPS
        (installation.root / ".venv").symlink_to(Path(sys.executable).parent.parent)
        for line in STEPS[1].splitlines():
            subprocess.run(
                line, shell=True, cwd=installation.root, capture_output=True
            )  # a segment may vanish under cp: then it is published
            time.sleep(0.3)  # the keeper publishes meanwhile
        load.end()
    restored = tmp_path / "restored"
    shutil.copytree(installation.root / "backup", restored)
    installation.env["BYOK_DATA"] = str(restored)
    assert "ada@example.org" in installation.command("user", "list")
    numbers = _calls(installation)
    assert before <= set(numbers) <= load.sent["ada"] and len(numbers) == len(set(numbers))
    installation.command("compact")
    assert _calls(installation) == numbers


def _calls(installation: Installation) -> list[int]:
    return sorted(row["prompt_tokens"] for row in installation.sql("select prompt_tokens from usage where status = 200"))
