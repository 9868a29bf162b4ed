"""What holds for all tests: their order, and how a fresh accounts database comes to its tables."""

from collections.abc import Iterator
from functools import cache

import pytest

from byok.accounts import database

MIGRATE = database._migrate


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first, so that no worker is left alone with them at the end (the Makefile keeps this order)."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)  # stable: within a file nothing moves


@cache
def _tables() -> tuple[str, ...]:
    """What the migrations leave in a fresh SQLite file, as statements."""
    with database.open_database("sqlite://") as db, db.engine.connect() as connection:
        _, *made, _ = connection.connection.dbapi_connection.iterdump()  # type: ignore[union-attr]
    return tuple(made)


def _copy_or_migrate(db: database.Database) -> None:
    if db.is_sqlite and str(db.engine.url) != "sqlite://":
        with db.engine.connect() as connection:
            raw = connection.connection.dbapi_connection
            assert raw is not None
            statements = _tables()
            raw.execute("BEGIN IMMEDIATE")
            if not raw.execute("SELECT 1 FROM sqlite_master").fetchone():
                for statement in statements:
                    raw.execute(statement)
            raw.execute("COMMIT")
    if database._version(db) != database.HEAD:
        MIGRATE(db)


@pytest.fixture(scope="session", autouse=True)
def _copied_tables() -> Iterator[None]:
    """Migrating takes longer than most tests: in this process it is done once, and a fresh file gets the same tables as statements."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "_migrate", _copy_or_migrate)
        yield


@pytest.fixture
def real_migrations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the migrations are what is tested."""
    monkeypatch.setattr(database, "_migrate", MIGRATE)
