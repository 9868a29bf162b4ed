"""The small store of tests/store, and accounts beside it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import pytest

from byok.accounts import users
from byok.accounts.database import Database, open_database
from byok.accounts.users import User
from byok.budgets.counting import Counting
from byok.store.engine import Engine
from tests.store.conftest import ADA, BOB, World, _record


@dataclass
class Office:
    """Accounts with ada (a year is kept) and bob (30 days), the store, and the clock."""

    db: Database
    world: World
    counting: Counting

    def count(self) -> None:
        self.counting.count(now=self.world.now)

    def at(self, moment: str) -> None:
        self.world.now = datetime.fromisoformat(moment)

    def keep(self, user: User) -> None:
        self.world.retention[user.id] = user.retention_days


@pytest.fixture
def office(tmp_path) -> Iterator[Office]:
    world = World(tmp_path / "usage")
    with open_database("sqlite://") as db:
        users.add(db, "ada@example.org", now=world.now, plan="enterprise", user_id=ADA)
        users.add(db, "bob@example.org", now=world.now, plan="indie", user_id=BOB)
        asked: list[Engine] = [world.engine]
        yield Office(db, world, Counting(db, lambda: asked[0]))
    world.engine.close()


@pytest.fixture
def record():
    return _record
