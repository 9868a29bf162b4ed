"""Real servers for the tests past one machine. Without the server or its package a test is skipped, and says what is missing."""

from collections.abc import Iterator

import pytest

from tests.scale import postgres_server, s3_servers
from tests.scale.postgres_server import PostgresServer
from tests.scale.s3_servers import S3Server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    if reason := postgres_server.missing():
        pytest.skip(reason)
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture(scope="session", params=s3_servers.KINDS)
def any_s3(request: pytest.FixtureRequest) -> Iterator[S3Server]:
    """A server of each kind."""
    yield from _s3(request.param)


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """The real one, which keeps what it has when it is killed."""
    yield from _s3("seaweed")


def _s3(kind: str) -> Iterator[S3Server]:
    if reason := s3_servers.missing(kind):
        pytest.skip(reason)
    server = S3Server(kind)
    yield server
    server.close()
