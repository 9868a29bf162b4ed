"""What is remembered of a file answers exactly as the file does, to the last digit, whoever asks, whenever, in whatever zone."""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from byok.store import money, questions
from byok.store.engine import Engine
from byok.store.scope import EveryonesScope, Scope
from byok.store.seating import Wanted
from byok.zones import EARLIEST, LATEST

USERS = ["usr_ada1", "usr_bob1", "usr_cas1", "usr_dee1"]
MODELS = [("openai", "gpt-4o"), ("openai", "gpt-4o-mini"), ("anthropic", "claude-haiku-4"), ("qwen", "unpriced-1"),
          ("deepseek", "deepseek-v4-flash")]  # fmt: skip
FIRST = datetime(2026, 9, 20, tzinfo=UTC)
EVERYONE = EveryonesScope(EARLIEST, LATEST)
ZONES = ["UTC", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe", "Africa/Monrovia"]


@pytest.fixture
def rows(record):
    chance = random.Random(11)

    def make(count: int, begin: datetime = FIRST, days: int = 60) -> list[dict]:
        made = []
        for _ in range(count):
            vendor, model = chance.choice(MODELS)
            known = chance.random() < 0.9
            prompt = chance.randrange(5000) if known else None
            cached = chance.randrange(prompt + 1) if prompt else None
            counts = {"prompt_tokens": prompt, "completion_tokens": chance.randrange(900) if known else None, "cached_tokens": cached}
            moment = begin + timedelta(microseconds=chance.randrange(days * 86_400_000_000))
            status, user_id = chance.choice([200, 200, 200, 429, 500]), chance.choices(USERS, (6, 3, 1, 1))[0]
            made.append(record(moment, user_id, vendor=vendor, model=model, status=status, **counts))
        return made

    return make


@pytest.fixture
def pair(world, rows):
    """Two engines over one store: one remembers every file, one nothing."""
    world.retention = dict.fromkeys(USERS, 365)
    for month, begin in (("2026-09", FIRST), ("2026-10", FIRST + timedelta(days=20)), ("2026-11", FIRST + timedelta(days=41))):
        world.reader.publish(rows(300, begin, 20), month=month)
    world.reader.append(rows(40))
    shared = {"retention": lambda: world.retention, "keys": list, "now": lambda: world.now}
    remembering = Engine(world.reader, world.catalogue, **shared, remember_from_rows=1, busy_rows=100, hold_rows=0)
    direct = Engine(world.reader, world.catalogue, **shared, remember_from_rows=10**9)
    yield remembering, direct
    remembering.close()
    direct.close()


def everything(engine, scope) -> list:
    answers = [questions.summary(engine, scope)]
    answers += [questions.usage(engine, scope, group_by=group_by) for group_by in (("vendor", "model"), ("month", "status"))]
    answers += [questions.usage(engine, scope, group_by=group_by, cost=True) for group_by in (("status",), ("day", "model"))]
    answers += [questions.usage(engine, scope, group_by=("user_id",), cost=cost) for cost in (False, True)]
    answers += [money.costs(engine, scope, group_by=(name,)) for name in ("model", "month")]
    return [*answers, questions.series(engine, scope, grain="hour", by="vendor").to_pylist()]


def how(engine, scope):
    """How the engine would answer: the files it reads, and the remembered sums it adds."""
    return engine._seating(engine.view(), Wanted(scope, summed=True))


def same(pair, scope) -> None:
    for mine, direct in zip(everything(pair[0], scope), everything(pair[1], scope), strict=True):
        assert mine == direct


@pytest.mark.parametrize("zone", ZONES)
def test_everyones_sums_are_those_of_the_files_in_every_zone(pair, zone):
    scope = EveryonesScope(EARLIEST, LATEST, zone)
    same(pair, scope)
    assert how(pair[0], scope).files == [] and how(pair[0], scope).known, "the files were read, so this proved nothing"
    assert how(pair[1], scope).known == []


@pytest.mark.parametrize("user_id", USERS)
def test_a_users_sums_are_those_of_the_files(pair, user_id, zone="Asia/Kathmandu"):
    questions.summary(pair[0], EveryonesScope(EARLIEST, LATEST, zone))
    scope = Scope(user_id, EARLIEST, LATEST, zone)
    same(pair, scope)
    assert bool(how(pair[0], scope).known) == (user_id == "usr_ada1")


def test_large_files_are_remembered_before_anybody_asks(pair, monkeypatch):
    monkeypatch.setattr("byok.store.remembered.AHEAD_ROWS", 300)
    pair[0].remember_aside().settle(60)
    for scope in (Scope("usr_ada1", EARLIEST, LATEST, "Europe/Berlin"), EVERYONE):
        assert how(pair[0], scope).files == [] and how(pair[0], scope).known
        same(pair, scope)


def test_one_users_question_is_remembered_after_it(pair, world):
    scope = Scope("usr_ada1", EARLIEST, LATEST, "Europe/Berlin")
    questions.summary(pair[0], scope)
    assert how(pair[0], scope).known == [], "the first answer must not wait for what is remembered"
    aside = pair[0].remember_aside()
    for _ in range(2):  # the first finds out that there are too many records to be held
        questions.summary(pair[0], scope)
        aside.settle(60)
    assert how(pair[0], scope).files == [] and len(how(pair[0], scope).summed) == 3
    same(pair, scope)
    for path in Path(world.reader.view().files[0].path).parent.glob("*"):
        path.unlink()  # a file that goes before its turn comes harms nobody
    elsewhere = Scope("usr_ada1", EARLIEST, LATEST, "Asia/Kathmandu")
    pair[0]._remembered._learn_aside(world.reader.view().files[0], 900)
    aside.settle(60)
    assert how(pair[0], elsewhere).known == []


def test_what_could_not_be_remembered_once_is_tried_again(pair, world, monkeypatch):
    scope, aside = Scope("usr_ada1", EARLIEST, LATEST, "Europe/Berlin"), pair[0].remember_aside()
    with monkeypatch.context() as patch:
        patch.setattr(pair[0]._remembered, "_learn", lambda *_: (_ for _ in ()).throw(OSError("no memory")))
        for _ in range(2):
            questions.summary(pair[0], scope)
            aside.settle(60)
    assert how(pair[0], scope).known == []
    questions.summary(pair[0], scope)
    aside.settle(60)
    assert how(pair[0], scope).files == []
    same(pair, scope)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu"])
def test_a_period_that_begins_within_an_hour_needs_no_file_either(pair, world, zone):
    """As a plan's does: it moves on with the clock."""
    aside, begins = pair[0].remember_aside(), world.now - timedelta(days=40, minutes=17)
    for _ in range(3):
        questions.summary(pair[0], Scope("usr_ada1", begins, LATEST, zone))
        aside.settle(60)
    for minutes in (0, 43, 600):
        scope = Scope("usr_ada1", begins + timedelta(minutes=minutes, microseconds=1), LATEST, zone)
        same(pair, scope)
        assert how(pair[0], scope).files == [], "all of it was kept"
    same(pair, Scope("usr_ada1", begins - timedelta(days=2), LATEST, zone))
    same(pair, Scope("usr_ada1", begins, begins + timedelta(minutes=9), zone))
    same(pair, Scope("usr_bob1", begins, LATEST, zone))


@pytest.mark.parametrize(("minutes", "zone"), [(0, "UTC"), (30, "Asia/Kolkata"), (60 * 24 * 21 + 30, "UTC"), (17, "Asia/Kathmandu")])
def test_any_bound_cuts_the_same_rows(pair, minutes, zone):
    border = FIRST + timedelta(days=8, minutes=minutes)
    for since, until in ((border, LATEST), (EARLIEST, border), (border, border + timedelta(days=30, seconds=minutes))):
        same(pair, EveryonesScope(since, until, zone))
        same(pair, Scope("usr_ada1", since, until, zone))


@pytest.mark.parametrize(
    "filters",
    [
        {"vendors": ("openai",)},
        {"models": ("gpt-4o", "unpriced-1")},
        {"statuses": (429, 500)},
        {"key_ids": ("key_one1",)},
        {"user_ids": ("usr_bob1",)},
    ],
)
def test_filters_hold(pair, filters):
    same(pair, EveryonesScope(EARLIEST, LATEST, "Europe/Berlin", **filters))


@pytest.mark.slow
def test_retention_hides_the_same_rows_as_the_clock_goes_on(pair, world):
    world.retention = {"usr_ada1": 30, "usr_bob1": 47, "usr_cas1": 3650}  # and usr_dee1 is not known
    for step in (timedelta(), timedelta(microseconds=1), timedelta(hours=5), timedelta(days=-2), timedelta(days=40)):
        world.now += step
        same(pair, EveryonesScope(EARLIEST, LATEST, "Europe/Berlin"))
        same(pair, Scope("usr_ada1", EARLIEST, LATEST))
    assert how(pair[0], EVERYONE).files == []


def test_a_shorter_plan_hides_at_once_and_a_longer_shows_again(pair, world):
    whole = questions.summary(pair[0], EVERYONE)["calls"]
    world.retention = dict.fromkeys(USERS, 20)
    same(pair, EVERYONE)
    assert questions.summary(pair[0], EVERYONE)["calls"] < whole
    world.retention = dict.fromkeys(USERS, 365)
    same(pair, EVERYONE)
    assert questions.summary(pair[0], EVERYONE)["calls"] == whole
    world.retention = {}
    same(pair, EVERYONE)
    assert questions.summary(pair[0], EVERYONE)["cost_usd"] == 0


def test_more_rows_to_hide_than_are_kept_apart_are_read_from_the_file(pair, world, monkeypatch):
    monkeypatch.setattr("byok.store.remembered._MOST_LEAVING", 10)
    world.retention = dict.fromkeys(USERS, 40)
    same(pair, EVERYONE)
    assert how(pair[0], EVERYONE).files


def test_the_live_tail_is_added(pair, world, rows):
    same(pair, EVERYONE)
    world.reader.append(rows(25))
    same(pair, EVERYONE)


def test_a_file_that_is_gone_takes_its_sums_along(pair, world, rows):
    same(pair, EVERYONE)
    first, *_ = world.reader.files
    kept = len(pair[0]._remembered._files)
    world.reader.publish(rows(50), month="2026-09")

    world.reader.drop(Path(first.path))
    same(pair, EVERYONE)
    assert first.path not in pair[0]._remembered._files and len(pair[0]._remembered._files) == kept
    for table in ("all_3600", "users"):
        assert pair[0].connection().execute(f"select count(distinct part) from remembered.{table}").fetchone() == (kept,)


def test_sums_too_large_to_be_kept_are_read_from_the_file(pair, world, record):
    world.reader.publish([record(FIRST, prompt_tokens=2**62, completion_tokens=2**62 - 1, model="unpriced-1") for _ in range(3)])
    same(pair, EVERYONE)
    assert how(pair[0], EVERYONE).files == [world.reader.files[-1].path]


def test_many_ask_while_files_come_and_go(pair, world, rows):

    def ask(_: int) -> None:
        totals = questions.usage(pair[0], EVERYONE).totals
        assert totals["total_calls"] == totals["success"] + totals["failed"]

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, number) for number in range(40)]
        for _ in range(10):
            world.reader.publish(rows(20))
            world.reader.drop(Path(world.reader.files[0].path))
        for one in asked:
            one.result()
    same(pair, EVERYONE)


def test_a_broken_file_is_set_aside_before_it_is_remembered(pair, world, rows):
    bad = world.reader.publish(rows(30))
    bad.write_bytes(bad.read_bytes()[:100])
    answer = questions.usage(pair[0], EVERYONE)
    assert answer.incomplete and answer.totals["total_calls"] == 940


def test_each_users_sums_are_remembered_for_the_bounds_asked(pair, world):
    for days in range(7):
        scope = EveryonesScope(FIRST + timedelta(days=days, minutes=13), FIRST + timedelta(days=50), user_ids=("usr_ada1", "usr_bob1"))
        for _ in range(2):
            mine, direct = (questions.usage(engine, scope, group_by=("user_id",)) for engine in pair)
            assert mine == direct and len(mine.rows) == 2
    seating = pair[0]._seating(pair[0].view(), Wanted(scope, by_user=True))
    assert seating.known and not seating.files, "the files were read, so this proved nothing"
    assert all(len(file.of_users) <= 4 for file in pair[0]._remembered._files.values())


def test_sums_that_are_forgotten_before_they_are_read_are_not_missed(pair, world, monkeypatch):
    questions.summary(pair[0], EVERYONE)
    sit_down, times = pair[0]._sit_down, []

    def forget_and_sit_down(**how):
        times.append(how)
        if len(times) == 1:  # between the look at what is remembered and the question
            gone = Path(world.reader.files[0].path)
            world.reader.drop(gone)
            pair[0]._remembered.forget_all_but(world.reader.view())
        return sit_down(**how)

    monkeypatch.setattr(pair[0], "_sit_down", forget_and_sit_down)
    same(pair, EVERYONE)
    assert len(times) > len(everything(pair[1], EVERYONE)), "nothing was asked again, so this proved nothing"
