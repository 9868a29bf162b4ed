"""A small installation with real files, and pages opened in it without a browser."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import MappingProxyType

import pytest
import streamlit as st
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from byok import services
from byok.accounts import sessions, users
from byok.accounts.users import User
from byok.recording.journal import Journal
from byok.services import Services
from byok.settings import Settings
from byok.usage import UsageRecord
from tests.samples import usage_record

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 22, 14, 30, tzinfo=UTC)
Opener = Callable[..., AppTest]


@pytest.fixture(scope="session", autouse=True)
def _packages_read_once() -> Iterator[None]:
    """For each page that a test opens Streamlit looks through every installed package for components: longer than most pages take."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        yield


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Services]:
    """An empty installation whose clock stands at `NOW`."""
    with Services(Settings(data=tmp_path / "data", master_key_file=tmp_path / "master.key")) as opened:
        opened.now = lambda: NOW  # type: ignore[method-assign]
        services.use(opened)
        st.cache_data.clear()
        yield opened
        services.use(None)


@pytest.fixture
def ada(book: Services) -> User:
    return users.add(book.db, "ada@example.org", now=NOW - timedelta(days=40), plan="indie", name="Ada")


@pytest.fixture
def record(book: Services) -> Iterator[Callable[..., UsageRecord]]:
    """Book a call of a user, as the gateway does: into the journal."""
    journal = Journal(book.settings.journal_dir, fsync="batch")

    def booked(user: User, *, ago: timedelta = timedelta(hours=1), **fields: object) -> UsageRecord:
        usual = {"ts": NOW - ago, "user_id": user.id, "prompt_tokens": 1_000_000, "completion_tokens": 0, "total_tokens": 1_000_000}
        made = usage_record(**(usual | fields))  # type: ignore[arg-type]
        assert journal.append(made)
        return made

    yield booked
    journal.close()


@pytest.fixture
def open_app(book: Services) -> Opener:
    """Open the app (or a page by itself) as a user, or signed out, at an address; `state` is what the session has already."""

    def opened(
        user: User | None = None,
        /,
        *,
        script: str = "app.py",
        page: str | None = None,
        state: Mapping[str, object] = MappingProxyType({}),
        **query: str | list[str],
    ) -> AppTest:
        app = AppTest.from_file(str(ROOT / script), default_timeout=300)
        if user:
            app.session_state["own_session"] = sessions.start(book.db, user.id, now=NOW)
        for name, said in state.items():
            app.session_state[name] = said
        for name, value in query.items():
            app.query_params[name] = value
        app.run()
        return app.switch_page(page).run() if page else app

    return opened
