"""A running installation, used from outside: processes on free ports, commands, HTTP. What an operator has, nothing more."""

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

PROJECT = Path(__file__).resolve().parents[2]
TOKEN = re.compile(r"byok_[A-Za-z0-9]{8}_[A-Za-z0-9_-]{43}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Installation:
    """One data directory with its processes. Everything it started ends with `close`, at once: a test that is over waits for nothing."""

    def __init__(self, root: Path, **settings: str) -> None:
        self.root, self.data = root, root / "data"
        self.gateway_port, self.web_port = free_port(), free_port()
        self.gateway = f"http://127.0.0.1:{self.gateway_port}"
        self.web = f"http://127.0.0.1:{self.web_port}"
        key = root / "master.key"
        key.write_text(base64.b64encode(os.urandom(32)).decode())
        key.chmod(0o600)
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("BYOK_")} | {
            "HOME": str(root),
            "BYOK_DATA": str(self.data),
            "BYOK_MASTER_KEY_FILE": str(key),
            "BYOK_GATEWAY_PORT": str(self.gateway_port),
            "BYOK_WEB_PORT": str(self.web_port),
            **settings,
        }
        self.before: dict[str, list[str]] = {}  # what a process is started under, such as a tracer
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def command(self, *words: str, stdin: str = "") -> str:
        """Run `byok …`; its standard output. A failure shows what it said."""
        run = [sys.executable, "-m", "byok", *words]
        done = subprocess.run(run, cwd=PROJECT, env=self.env, input=stdin, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"byok {' '.join(words)}: {done.stderr or done.stdout}"
        return done.stdout

    def attempt(self, *words: str) -> str:
        """Run `byok …`; all that it said, whether or not it did it."""
        run = [sys.executable, "-m", "byok", *words]
        done = subprocess.run(run, cwd=PROJECT, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        return done.stdout + done.stderr

    def pid(self, name: str) -> int:
        return self._processes[name].pid

    def add_user(self, email: str, **options: str) -> str:
        """A new user; returns the access token that is shown once."""
        found = TOKEN.search(
            self.command("user", "add", email, *(word for name, value in options.items() for word in (f"--{name}", value)))
        )
        assert found
        return found.group()

    def sql(self, query: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(self.command("sql", query, "--format", "json"))
        return rows

    def start(self, *names: str, ready: bool = True) -> None:
        for name in names:
            log = (self.root / f"{name}.log").open("ab")
            run = [*self.before.get(name, ()), sys.executable, "-m", "byok", name]
            self._processes[name] = subprocess.Popen(run, cwd=PROJECT, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            log.close()
        for name in names if ready else ():
            self.wait_ready(name)

    def wait_ready(self, name: str, seconds: float = 90) -> None:
        base = {"gateway": self.gateway, "web": self.web}.get(name)
        end = time.monotonic() + seconds
        while base:
            assert self._processes[name].poll() is None, f"{name} ended: {self.log(name)}"
            assert time.monotonic() < end, f"{name} was not ready in time: {self.log(name)}"
            try:
                if httpx.get(f"{base}/readyz", timeout=2).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)

    def kill(self, name: str) -> None:
        """kill -9, nothing less."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def stop(self, name: str) -> int:
        """SIGTERM; the exit code."""
        process = self._processes.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(40)

    def log(self, name: str) -> str:
        return (self.root / f"{name}.log").read_text(errors="replace")[-2000:]

    def close(self) -> None:
        for name in list(self._processes):
            self.kill(name)


def wait_until(condition: Any, seconds: float = 60, step: float = 0.1) -> Any:
    """The condition's first true value; fails when there was none."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(step)
    return value
