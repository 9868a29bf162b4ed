"""A fresh accounts database per test: SQLite, or the server that BYOK_TEST_POSTGRES_URL names (its tables are dropped each time)."""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from byok.accounts import users
from byok.accounts.database import Database, open_database, scrub
from byok.accounts.users import User

SERVER = os.environ.get("BYOK_TEST_POSTGRES_URL", "")


@pytest.fixture
def url(tmp_path: Path) -> str:
    if not SERVER:
        return f"sqlite:///{tmp_path / 'data' / 'accounts.db'}"
    engine = sa.create_engine(SERVER)
    with engine.begin() as connection:
        connection.execute(sa.text("drop schema public cascade"))
        connection.execute(sa.text("create schema public"))
    engine.dispose()
    return SERVER


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'data' / 'accounts.db'}"


@pytest.fixture(scope="session")
def fresh_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite file; copied, because migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("accounts") / "fresh.db"
    with open_database(f"sqlite:///{path}") as opened:
        scrub(opened)
    return path


@pytest.fixture
def db(url: str, fresh_file: Path) -> Iterator[Database]:
    if not SERVER:
        place = Path(url.removeprefix("sqlite:///"))
        place.parent.mkdir(parents=True)
        shutil.copy(fresh_file, place)
    with open_database(url) as opened:
        yield opened


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def master() -> bytes:
    return bytes(range(100, 132))


@pytest.fixture
def ada(db: Database, now: datetime) -> User:
    return users.add(db, "ada@example.org", now=now)


@pytest.fixture
def bob(db: Database, now: datetime) -> User:
    return users.add(db, "bob@example.org", now=now)
