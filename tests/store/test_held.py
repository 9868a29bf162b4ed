"""What is held of a user's records answers exactly as the files do, whatever comes, goes, expires or changes its price."""

import random
import threading
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from byok.pricing.catalogue import Catalogue
from byok.store import money, questions, reliability
from byok.store.engine import Engine
from byok.store.held import Held
from byok.store.scope import EveryonesScope, Scope
from byok.store.seating import Wanted
from byok.zones import EARLIEST, LATEST

USERS = ["usr_ada1", "usr_bob1", "usr_cas1"]
MODELS = [("openai", "gpt-4o"), ("anthropic", "claude-haiku-4"), ("qwen", "unpriced-1"), ("deepseek", "deepseek-v4-flash")]
FIRST = datetime(2026, 9, 20, tzinfo=UTC)


@pytest.fixture
def rows(record):
    chance = random.Random(7)

    def make(count: int) -> list[dict]:
        made = []
        for _ in range(count):
            (vendor, model), prompt = chance.choice(MODELS), chance.choice([None, 0, 17, 4000, 250_000])
            counts = {
                "prompt_tokens": prompt,
                "completion_tokens": chance.choice([None, 3, 900]),
                "cached_tokens": chance.choice([None, 5]),
            }
            moment = FIRST + timedelta(microseconds=chance.randrange(60 * 86_400_000_000))
            made.append(record(moment, chance.choice(USERS), vendor=vendor, model=model, status=chance.choice([200, 200, 429]), **counts))
        return made

    return make


@pytest.fixture
def pair(world, rows):
    """Two engines over one store: one holds what its users ask for, one reads the files."""
    world.retention = dict.fromkeys(USERS, 365)
    for month in ("2026-09", "2026-10", "2026-11"):
        world.reader.publish(rows(80), month=month)
    world.reader.append(rows(20))
    shared = {"retention": lambda: world.retention, "keys": list, "now": lambda: world.now}
    shared["catalogue_now"] = lambda: world.catalogue
    holding, direct = Engine(world.reader, world.catalogue, **shared), Engine(world.reader, world.catalogue, **shared)
    holding.remember_aside()
    yield holding, direct
    holding.close()
    direct.close()


def everything(engine, scope) -> list:
    answers = [questions.summary(engine, scope), questions.extent(engine, scope.user_id), questions.facets(engine, scope)]
    answers += [
        questions.usage(engine, scope, group_by=by, cost=True) for by in (("vendor", "model"), ("key_id", "status"), ("day", "model"))
    ]
    answers += [questions.series(engine, scope, grain="hour", by="vendor").to_pylist(), money.costs(engine, scope, group_by=("model",))]
    return [*answers, reliability.sources(engine, scope)]


def holds(engine, scope) -> bool:
    view = engine.view()
    return engine._rows_held(view, scope, engine._seating(view, Wanted(scope))) is not None


def same(pair, scope, *, held: bool = True) -> None:
    questions.summary(pair[0], scope)
    pair[0].remember_aside().settle(60)
    assert holds(pair[0], scope) == held
    for mine, direct in zip(everything(pair[0], scope), everything(pair[1], scope), strict=True):
        assert mine == direct


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu"])
@pytest.mark.parametrize("user_id", USERS)
def test_held_rows_answer_as_the_files_do(pair, user_id, zone):
    same(pair, Scope(user_id, EARLIEST, LATEST, zone))
    same(pair, Scope(user_id, FIRST + timedelta(days=9, hours=5), FIRST + timedelta(days=40), zone, models=("gpt-4o",)))


def test_the_first_answer_does_not_wait(pair):
    scope = Scope("usr_ada1", EARLIEST, LATEST)
    release = threading.Event()
    pair[0].remember_aside().soon(lambda: release.wait(60) and None)
    answers = [questions.summary(engine, scope) for engine in pair]
    release.set()
    assert answers[0] == answers[1]
    assert not holds(pair[1], scope), "an engine that was not told to must hold nothing"


def test_a_process_that_has_just_begun_makes_ready_for_the_first_question(pair, monkeypatch):
    pair[0].remember_aside().settle(60)
    made = []
    monkeypatch.setattr("byok.store.engine.Desk", lambda *parts: made.append(parts))
    scope = Scope("usr_ada1", EARLIEST, LATEST)
    first = questions.summary(pair[0], scope)
    pair[0].remember_aside().settle(60)
    assert first == questions.summary(pair[0], scope)
    assert not made, "a question had to wait for a desk"


def test_whatever_happens_to_the_store_the_answers_stay_those_of_the_files(pair, world, rows):
    chance, scopes = random.Random(3), [Scope(user_id, EARLIEST, LATEST, "Europe/Berlin") for user_id in USERS]

    def merge() -> None:
        files = chance.sample(world.reader.files, 2)
        table = pa.concat_tables([pq.read_table(file.path, partitioning=None) for file in files])
        for file in files:
            world.reader.drop(file.path)
        world.reader.publish(table.to_pylist())

    happenings = [
        lambda: world.reader.publish(rows(30)),
        lambda: world.reader.append(rows(5)),
        merge,
        lambda: setattr(world.reader, "tail", world.reader.tail.slice(0, 0)),
        lambda: setattr(world, "now", world.now + timedelta(days=9)),
        lambda: world.retention.update({chance.choice(USERS): chance.choice([30, 50, 90, 365])}),
        lambda: world.retention.pop(chance.choice(USERS), None),
    ]
    for _ in range(15):
        chance.choice(happenings)()
        world.reader.version += 1
        scope = chance.choice(scopes)
        for mine, direct in zip(everything(pair[0], scope), everything(pair[1], scope), strict=True):
            assert mine == direct
        if chance.random() < 0.5:
            pair[0].remember_aside().settle(60)


def test_another_price_is_another_cost(pair, world):
    scope = Scope("usr_ada1", EARLIEST, LATEST)
    same(pair, scope)
    before = questions.summary(pair[0], scope)["cost_usd"]
    world.catalogue = Catalogue(model for model in world.catalogue.models() if model.vendor != "openai")
    same(pair, scope)
    assert questions.summary(pair[0], scope)["cost_usd"] != before


def test_files_that_are_gone_take_their_rows_along(pair, world):
    same(pair, Scope("usr_ada1", EARLIEST, LATEST))
    world.reader.files, world.reader.tail = [], world.reader.tail.slice(0, 0)
    world.reader.version += 1
    questions.extent(pair[0], "usr_bob1")
    assert "usr_ada1" not in pair[0]._held._people


def test_who_has_too_many_is_answered_from_the_files(world, rows):
    world.retention = dict.fromkeys(USERS, 365)
    world.reader.publish(rows(200))
    shared = {"retention": lambda: world.retention, "keys": list, "now": lambda: world.now}
    pair = Engine(world.reader, world.catalogue, **shared, hold_rows=30), Engine(world.reader, world.catalogue, **shared)
    pair[0].remember_aside()
    same(pair, Scope("usr_ada1", EARLIEST, LATEST), held=False)
    for engine in pair:
        engine.close()


def test_the_latest_askers_are_kept_when_memory_is_short(world, rows):
    world.reader.publish(rows(90))
    view = world.reader.view()
    table = pa.table({"user_id": ["usr_ada1"] * 50, "n": list(range(50))})
    held = Held(lambda user_id, files, tail, most: table, most_bytes=2 * table.nbytes)
    for user_id in ("usr_a", "usr_b", "usr_c", "usr_d"):
        held.hold(user_id, [file.path for file in view.files], view)
    assert "usr_d" in held._people and "usr_a" not in held._people


@pytest.mark.parametrize("order", [("latency_ms", ""), ("", "latency_ms")])
def test_a_file_of_an_older_version_reads_in_any_place(world, rows, order):
    for column in order:
        world.reader.publish(rows(30), without=(column,) if column else ())
    world.retention = dict.fromkeys(USERS, 365)
    engine = Engine(world.reader, world.catalogue, retention=lambda: world.retention, keys=list, now=lambda: world.now)
    scope = Scope("usr_ada1", EARLIEST, LATEST)
    found = pa.Table.from_batches(list(questions.records(engine, scope)))
    there = sum(file.rows for file in world.reader.files)
    mine = sum(
        1
        for file in world.reader.files
        for user in pq.read_table(file.path, partitioning=None)["user_id"].to_pylist()
        if user == "usr_ada1"
    )
    assert 0 < found.num_rows == mine < there
    assert 0 < found["latency_ms"].null_count < mine
    for asked in (engine, Engine(world.reader, world.catalogue, retention=lambda: world.retention, keys=list, now=lambda: world.now)):
        assert asked.connection().execute("select count(latency_ms) from usage where user_id = 'usr_ada1'").fetchone()[0] > 0
    engine.close()


def test_an_older_view_and_a_newer_one_each_get_their_own_rows(world, rows):
    """While a long export reads one view, pages ask over the next."""

    def read(user_id, files, tail, most):
        return pa.table({"user_id": [user_id] * (len(files) + tail.num_rows), "of": [*files, *(["tail"] * tail.num_rows)]})

    held = Held(read)
    for _ in range(2):
        world.reader.publish(rows(30))
    world.reader.append([row for row in rows(20) if row["user_id"] == "usr_ada1"])
    older = world.reader.view()
    world.reader.drop(older.files[0].path)
    world.reader.publish(rows(40))
    world.reader.tail = world.reader.tail.slice(1)
    newer = world.reader.view()
    for view, newest in ((older, older), (newer, newer), (older, newer), (newer, newer), (older, newer)):
        held.forget_all_but(newest)
        wanted = [file.path for file in view.files]
        found = held.rows("usr_ada1", wanted, view)["of"].to_pylist()
        assert sorted(found) == sorted(wanted + ["tail"] * view.tail.num_rows)


def test_no_record_is_both_held_and_in_a_remembered_sum(pair, world, rows):
    """Where a user is busy in one of two files whose rows are held together."""
    world.reader.publish(rows(300))
    shared = {"retention": lambda: world.retention, "keys": list, "now": lambda: world.now}
    both = Engine(world.reader, world.catalogue, **shared, remember_from_rows=1, busy_rows=60)
    both.remember_aside()
    scope = Scope("usr_ada1", EARLIEST, LATEST)
    same((both, pair[1]), scope)
    questions.summary(both, EveryonesScope(EARLIEST, LATEST))
    seating = both._seating(both.view(), Wanted(scope, summed=True))
    assert seating.known and seating.files
    same((both, pair[1]), scope)
    both.close()
