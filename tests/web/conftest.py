"""An installation in a temporary folder with two users, an admin and about ten records, behind the real door without Streamlit."""

import base64
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from byok import downloads
from byok.accounts import access_tokens, api_tokens, users
from byok.accounts.users import User
from byok.door import Door
from byok.recording.journal import Journal
from byok.services import Services
from byok.settings import Settings, load
from byok.usage import UsageRecord
from byok.web import create_door
from tests.samples import NOON, usage_record


@dataclass
class Person:
    user: User
    token: str
    jwt: str

    @property
    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}


@dataclass
class Home:
    """The installation, its people and a client at its door. The clock stands where a test puts it."""

    services: Services
    ada: Person
    bob: Person
    root: Person
    door: Door
    client: TestClient
    clock: list[datetime]

    def later(self, **span: float) -> None:
        self.clock[0] += timedelta(**span)

    def browser(self, address: str = "198.51.100.7") -> TestClient:
        """A browser of its own, with no cookies."""
        return TestClient(self.door, base_url="http://byok.test", follow_redirects=False, client=(address, 50_000))

    def signed_in(self, person: Person) -> TestClient:
        """A browser, signed in by access token."""
        browser = self.browser()
        form = browser.get("/auth/sign-in")
        answer = browser.post("/auth/sign-in", data={"csrf": csrf_of(form.text), "token": person.token, "next": "/"})
        assert answer.status_code == 303, answer.text
        return browser


def csrf_of(page: str) -> str:
    return page.split('name="csrf" value="', 1)[1].split('"', 1)[0]


def place(folder: Path, **more: str) -> Settings:
    """Settings of an installation in `folder`, with a master key of its own, and `more` by their names in the environment."""
    key = folder / "master.key"
    key.write_text(base64.b64encode(secrets.token_bytes(32)).decode())
    key.chmod(0o600)
    return load({"BYOK_DATA": str(folder / "data"), "BYOK_MASTER_KEY_FILE": str(key), **more}, config=folder / "none.toml")


def add_person(services: Services, email: str, **facts: Any) -> Person:
    now = services.now()
    user = users.add(services.db, email, now=now, **facts)
    token = access_tokens.create(services.db, user.id, now=now)
    return Person(user, token, api_tokens.issue(user.id, services.jwt_secret, now=now))


def book(services: Services, *records: UsageRecord) -> None:
    """Book records as the gateway does."""
    journal = Journal(services.settings.journal_dir)
    for record in records:
        assert journal.append(record)
    journal.close()


@contextmanager
def installation(folder: Path, **more: str) -> Iterator[Home]:
    clock = [NOON + timedelta(hours=1)]
    with Services(place(folder, **more)) as services:
        services.now = lambda: clock[0]  # type: ignore[method-assign]
        ada = add_person(services, "ada@example.org", plan="team", user_id="usr_ada1")
        bob = add_person(services, "bob@example.org", plan="team", user_id="usr_bob1")
        root = add_person(services, "root@example.org", plan="enterprise", admin=True, user_id="usr_root1")
        book(
            services,
            usage_record(0),
            usage_record(1),
            usage_record(2, model="gpt-4o", prompt_tokens=7000, completion_tokens=900, total_tokens=7900),
            usage_record(3, status=429, prompt_tokens=None, completion_tokens=None, total_tokens=None, usage_source="none"),
            usage_record(4, vendor="ollama", model="home-grown", key_id="key_other1"),
            usage_record(5, user_id="usr_bob1", key_id="key_bobs1", prompt_tokens=999_000, completion_tokens=1, total_tokens=999_001),
        )
        door = create_door(services, dashboard)
        yield Home(services, ada, bob, root, door, TestClient(door, base_url="http://byok.test", follow_redirects=False), clock)
        door.pool.close()
        for made in (ada, bob, root):
            downloads.REGISTRY.forget(made.user.id)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return place(tmp_path)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """An installation of the test's own."""
    with installation(tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """One installation for all tests that only look."""
    with installation(tmp_path_factory.mktemp("shared")) as made:
        yield made


async def dashboard(scope, receive, send):
    """Stands for Streamlit: says where it was reached, and accepts any socket."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 1000})
        return
    await PlainTextResponse(f"the dashboard at {scope['path']}")(scope, receive, send)
