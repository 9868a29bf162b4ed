"""The dashboard as people meet it: `byok web` over sample data, and a real browser."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser

from byok.services import Services
from byok.settings import Settings
from tests.ui import sample_data
from tests.ui.chromium import chromium

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Site:
    """A running installation: its address, and the way into its books."""

    url: str
    services: Services


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("site")
    settings = Settings(data=root / "data", master_key_file=root / "master.key", web_port=_free_port(), gateway_port=8080)
    with Services(settings) as opened:
        sample_data.fill(opened, now=datetime.now(UTC))
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("BYOK_")},
            "BYOK_DATA": str(settings.data),
            "BYOK_MASTER_KEY_FILE": str(settings.master_key_file),
            "BYOK_WEB_PORT": str(settings.web_port),
        }
        with (root / "web.log").open("w") as log:
            process = subprocess.Popen([sys.executable, "-m", "byok", "web"], cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            _wait(f"http://127.0.0.1:{settings.web_port}/healthz", process, root / "web.log")
            yield Site(f"http://127.0.0.1:{settings.web_port}", opened)
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Not for the whole session: its event loop runs in this thread as long as it is open, and other tests need one of their own."""
    with chromium() as found:
        yield found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(address).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.3)
    pytest.fail(f"web did not start: {log.read_text()[-2000:]}")
