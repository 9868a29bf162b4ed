"""A gateway with one user, in memory or on a socket, in front of a vendor whose every byte the test decides."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from byok import settings as settings_room
from byok.accounts import access_tokens, key_vault, users
from byok.gateway.routes import Gateway, create_app
from byok.gateway.run import server
from byok.recording import segments
from byok.services import Services
from byok.settings import Settings
from byok.usage import UsageRecord
from tests.vendor import LoopbackVendor, Reply

VENDORS = ("openai", "anthropic", "gemini", "deepseek", "minimax", "ollama")


@dataclass
class House:
    """An installation for a test: settings, accounts, a user with a token and keys, and what was booked."""

    settings: Settings
    services: Services
    user: users.User
    token: str
    key_ids: dict[str, str]
    gateway: Gateway | None = None
    url: str = ""
    stop: Callable[[], None] = field(default=lambda: None)

    @property
    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}

    def records(self) -> list[UsageRecord]:
        """Everything in the journal, by time."""
        lines = [line for segment in segments.listed(self.settings.journal_dir) for line in segments.read_lines(segment.path).good]
        found = [msgspec.json.decode(line, type=UsageRecord) for line in lines]
        return sorted(found, key=lambda record: record.ts)

    def wait_for_records(self, count: int, timeout_s: float = 60.0) -> list[UsageRecord]:
        deadline = time.monotonic() + timeout_s
        while len(found := self.records()) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        return found


def secret_of(vendor: str) -> str:
    return f"sk-{vendor}-0123456789-stored"


@contextmanager
def house_in(directory: Path, *, config: Path | None = None, **more: str) -> Iterator[House]:
    environ = {"BYOK_DATA": str(directory / "data"), "BYOK_MASTER_KEY_FILE": str(directory / "master.key"), **more}
    settings = settings_room.load(environ, config=config or directory / "none.toml")
    now = datetime.now(UTC)
    with Services(settings) as services:
        user = users.add(services.db, "ada@example.org", now=now)
        token = access_tokens.create(services.db, user.id, now=now)
        add = partial(key_vault.add, services.db, services.master, user.id, now=now)
        key_ids = {vendor: add(vendor, secret_of(vendor)).id for vendor in VENDORS}
        yield House(settings, services, user, token, key_ids)


@contextmanager
def on_a_socket(house: House, *, grace_s: int = 30, **parts: Any) -> Iterator[House]:
    """The gateway under its real server, in a thread. `house.stop()` ends it as SIGTERM does and waits."""
    import socket

    app = create_app(house.settings, house.services, **parts)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    serving = server(app, grace_s=grace_s)
    thread = threading.Thread(target=lambda: serving.run(sockets=[listener]), name="gateway")
    thread.start()

    def stop() -> None:
        serving.should_exit = True
        thread.join(grace_s + 10)

    house.gateway, house.url, house.stop = app, f"http://127.0.0.1:{listener.getsockname()[1]}", stop
    try:
        yield house
    finally:
        stop()


def base_urls(vendor: LoopbackVendor) -> dict[str, str]:
    """Every vendor's address is the loopback vendor, in the form that its own SDK takes."""
    with_version = {f"BYOK_{name.upper()}_BASE_URL": f"{vendor.url}/v1" for name in VENDORS}
    return with_version | {"BYOK_ANTHROPIC_BASE_URL": vendor.url, "BYOK_GEMINI_BASE_URL": vendor.url}


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[LoopbackVendor]:
    with LoopbackVendor(Reply(), ledger=tmp_path / "ledger") as running:
        yield running


@pytest.fixture
def house(tmp_path: Path, vendor: LoopbackVendor) -> Iterator[House]:
    with house_in(tmp_path, BYOK_UPSTREAM_TIMEOUT_S="2", **base_urls(vendor)) as found, on_a_socket(found):
        yield found


@pytest.fixture
def client(house: House) -> Iterator[httpx.Client]:
    """Signed in with the user's access token; for calls that tests do not cut short."""
    with httpx.Client(base_url=house.url, headers=house.bearer, timeout=20) as found:
        yield found


# For tests that need a house of another kind.
@pytest.fixture
def make_house() -> Callable[..., Any]:
    return house_in


@pytest.fixture
def serve_house() -> Callable[..., Any]:
    return on_a_socket
