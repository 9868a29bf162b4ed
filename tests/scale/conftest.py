"""Real servers for the tests past one machine. Without the server or its package a test is skipped, and says what is missing."""

from collections.abc import Iterator

import pytest

from tests.scale import postgres_server
from tests.scale.postgres_server import PostgresServer


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    if reason := postgres_server.missing():
        pytest.skip(reason)
    server = PostgresServer()
    yield server
    server.close()
