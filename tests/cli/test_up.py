"""`byok up` as a newcomer runs it: real processes, the printed call works at once, one signal ends all."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from byok.cli.processes import BEHIND_THE_GATEWAY

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN_S, STOP_WITHIN_S = 180, 35


class Up:
    def __init__(self, env: dict[str, str], log: Path, *options: str) -> None:
        self.log = log
        environ = {name: value for name, value in os.environ.items() if not name.startswith("BYOK_")} | env
        with log.open("wb") as out:
            command = [sys.executable, "-m", "byok", "up", *options]
            self.process = subprocess.Popen(command, cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def wait(self, text: str, seconds: float = READY_WITHIN_S) -> None:
        end = time.monotonic() + seconds
        while text not in self.text:
            assert self.process.poll() is None, self.text
            assert time.monotonic() < end, self.text
            time.sleep(0.1)

    def children(self) -> dict[str, int]:
        """Process ids by name, as the log of each names them."""
        lines = [json.loads(line) for line in self.text.splitlines() if line.startswith("{")]
        return {line["process"]: line["pid"] for line in lines if line["process"] != "up"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def up(installation, tmp_path) -> Iterator[Up]:
    ports = {"BYOK_GATEWAY_PORT": str(free_port()), "BYOK_WEB_PORT": str(free_port())}
    running = Up(installation.env | ports, tmp_path / "up.log")
    yield running
    running.process.kill()
    running.process.wait()


def test_the_printed_call_works_and_one_signal_ends_all(up, installation):
    up.wait("Starting")
    assert "curl" in up.text, "what to open and to paste stands there before anything answers"
    up.wait("BYOK is ready.")
    curl = re.search(r"curl (\S+) \\\n    -H \"(\w+): (Bearer byok_\S+)\" \\\n    -H \"(\S+): (\S+)\" \\\n    -d '(.*)'", up.text)
    assert curl, up.text
    request = urllib.request.Request(curl[1], curl[6].encode(), {curl[2]: curl[3], curl[4]: curl[5]})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert json.load(answer)["choices"][0]["message"]["content"]
    link = re.search(r"http://\S+/auth/set-password\?token=\S+", up.text)
    assert link
    with urllib.request.urlopen(link[0], timeout=10) as page:
        assert page.status == 200
    children = up.children()
    assert set(children) == {"gateway", "web", "keeper"}
    ours, behind = os.getpriority(os.PRIO_PROCESS, 0), BEHIND_THE_GATEWAY
    priorities = {name: os.getpriority(os.PRIO_PROCESS, pid) for name, pid in children.items()}
    assert priorities == {"gateway": ours, "web": min(ours + behind, 19), "keeper": min(ours + behind, 19)}
    if hasattr(os, "SCHED_BATCH") and os.sched_getscheduler(0) == os.SCHED_OTHER:
        classes = {name: _classes(pid) for name, pid in children.items()}
        assert classes == {"gateway": {os.SCHED_OTHER}, "web": {os.SCHED_BATCH}, "keeper": {os.SCHED_BATCH}}

    started = time.monotonic()
    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(STOP_WITHIN_S) == 0
    assert time.monotonic() - started < STOP_WITHIN_S
    assert [name for name, pid in children.items() if Path(f"/proc/{pid}").exists()] == []
    assert "Traceback" not in up.text
    assert installation.json("sql", "select count(*) as n from usage", "--format", "json") == [{"n": 1}]


def test_a_port_that_is_taken_is_one_line_before_anything_starts(installation, tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = installation.run("up", env={"BYOK_WEB_PORT": str(port), "BYOK_GATEWAY_PORT": str(free_port())})
    assert done.exit_code == 1
    assert f"127.0.0.1:{port} is in use" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not installation.data.exists()


def test_a_demo_never_fills_somebodys_directory(ada):
    ports = {"BYOK_GATEWAY_PORT": str(free_port()), "BYOK_WEB_PORT": str(free_port())}
    done = ada.run("up", "--demo", "--data", str(ada.data), env=ports)
    assert done.exit_code == 1
    assert "not sample data" in done.stderr


def _classes(pid: int) -> set[int]:
    """How the kernel treats each of a process's threads, those of libraries, too."""
    found = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            found.add(os.sched_getscheduler(int(task.name)))
    return found
