"""Short memory in front of the accounts: fast, bounded, never longer than promised, and kind while the database fails."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from byok.errors import TooManyRequests
from byok.gateway import remembered
from byok.gateway.remembered import Remembered


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Database:
    """Counts the questions; answers, fails or hangs as the test says."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: Any = "ada"
        self.blocked: threading.Event | None = None

    def __call__(self) -> Any:
        self.asked += 1
        if self.blocked is not None:
            self.blocked.wait(5)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as found:
        yield found


def test_an_answer_is_asked_for_again_after_less_than_five_seconds(pool: ThreadPoolExecutor) -> None:
    clock, database = Clock(), Database()
    memory: Remembered[str, str] = Remembered(pool, clock=clock)

    async def story() -> None:
        assert await memory.get("t", database) == "ada"
        assert memory.fresh("t") == "ada"
        assert database.asked == 1
        clock.now += 5
        assert memory.fresh("t") is None
        database.answer = None
        assert await memory.get("t", database) is None
        assert memory.fresh("t") is None

    asyncio.run(story())


def test_many_who_wait_ask_once(pool: ThreadPoolExecutor) -> None:
    database = Database()
    memory: Remembered[str, str] = Remembered(pool)

    async def story() -> list[str | None]:
        return await asyncio.gather(*(memory.get("t", database) for _ in range(50)))

    assert asyncio.run(story()) == ["ada"] * 50
    assert database.asked == 1


def test_a_no_is_remembered_for_as_long_as_it_was_said(pool: ThreadPoolExecutor) -> None:
    clock, database = Clock(), Database()
    database.answer = None
    brief: Remembered[str, str] = Remembered(pool, no_s=2, clock=clock)
    never: Remembered[str, str] = Remembered(pool, clock=clock)

    async def story() -> None:
        for _ in range(3):
            assert await brief.get("t", database) is None
        assert database.asked == 1
        clock.now += 2
        assert await brief.get("t", database) is None
        assert database.asked == 2
        for _ in range(3):
            assert await never.get("t", database) is None
        assert database.asked == 5

    asyncio.run(story())


def test_while_the_database_fails_known_answers_go_on_for_a_bounded_time(pool: ThreadPoolExecutor) -> None:
    clock, database = Clock(), Database()
    memory: Remembered[str, str] = Remembered(pool, clock=clock)

    async def story() -> None:
        assert await memory.get("t", database) == "ada"
        database.answer = OSError("down")
        clock.now += 60
        memory.forget_old()
        assert await memory.get("t", database) == "ada"
        with pytest.raises(OSError, match="down"):
            await memory.get("unknown", database)
        clock.now += remembered.STALE_S
        with pytest.raises(OSError, match="down"):
            await memory.get("t", database)
        memory.forget_old()
        assert not memory._answers

    asyncio.run(story())


def test_a_database_that_hangs_does_not_hang_who_is_known(pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "PATIENCE_S", 0.05)
    clock, database = Clock(), Database()
    memory: Remembered[str, str] = Remembered(pool, clock=clock)

    async def story() -> None:
        assert await memory.get("t", database) == "ada"
        clock.now += 60
        database.blocked = threading.Event()
        assert await memory.get("t", database) == "ada"
        database.blocked.set()

    asyncio.run(story())


def test_while_a_database_hangs_only_one_caller_every_few_seconds_waits(pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, database = Clock(), Database()
    memory: Remembered[str, str] = Remembered(pool, clock=clock)
    waits: list[float | None] = []
    wait = asyncio.wait

    async def noting(futures: Any, *, timeout: float | None = None) -> Any:
        waits.append(timeout)
        return await wait(futures, timeout=min(timeout or 0, 0.02))

    async def story() -> None:
        for key in "abc":
            await memory.get(key, database)
        clock.now += 60
        database.blocked = threading.Event()
        monkeypatch.setattr(asyncio, "wait", noting)
        assert [await memory.get(key, database) for key in "abc"] == ["ada"] * 3
        clock.now += remembered.FRESH_S
        assert await memory.get("a", database) == "ada"
        assert waits == [remembered.PATIENCE_S, 0, 0, remembered.PATIENCE_S]
        database.blocked.set()

    asyncio.run(story())


def test_a_flood_is_bounded(pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MAX_WAITING", 3)
    monkeypatch.setattr(remembered, "MAX_NOES", 5)
    database = Database()
    memory: Remembered[str, str] = Remembered(pool, no_s=60)

    async def story() -> list[Any]:
        database.answer = None
        for number in range(20):
            await memory.get(f"no-{number}", database)
        assert len(memory._noes) == 5
        return await asyncio.gather(*(memory.get(f"t-{number}", database) for number in range(10)), return_exceptions=True)

    found = asyncio.run(story())
    assert [type(one) for one in found].count(TooManyRequests) == 7
