"""Whoever asks while records are published, merged, purged and erased gets every record once: never doubled, never missing."""

import random
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from byok.accounts import users
from byok.erasures import publish
from byok.pricing import catalogue
from byok.recording import publisher
from byok.recording.journal import Journal
from byok.recording.publisher import merge_hot
from byok.recording.reader import Reader
from byok.store import questions
from byok.store.engine import Engine
from byok.store.scope import Scope
from byok.zones import EARLIEST, LATEST
from tests.samples import NOON, usage_record
from tests.test_retention import House

SECONDS = 8.0


@pytest.mark.slow
def test_answers_are_exact_while_everything_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "FILES_PER_TIER", 3)
    house = House(tmp_path / "data")
    ada = house.add("ada", plan="enterprise")
    free = house.add("free", plan="free")
    rng, over, faults = random.Random(20261122), threading.Event(), []
    written = [0]
    reader = Reader(house.root / "usage", house.root / "journal")
    kept = {ada: 365, free: 7}
    engine = Engine(reader, catalogue.load(), retention=lambda: kept, keys=list, now=lambda: NOON + timedelta(hours=1))
    did = {"publish": 0, "merge": 0, "purge": 0, "erase": 0, "look": 0}

    def guarded(work):
        def run() -> None:
            try:
                while not over.is_set():
                    work()
            except Exception as fault:
                faults.append(fault)
                over.set()

        return threading.Thread(target=run)

    def write() -> None:
        journal = Journal(house.root / "journal", seal_every_s=0.2)
        try:
            for _ in range(200):
                assert journal.append(usage_record(written[0], user_id=ada))
                written[0] += 1
                if rng.random() < 0.2:
                    journal.append(usage_record(written[0], user_id=free, ts=NOON - timedelta(days=rng.uniform(6, 9))))
                    time.sleep(0.005)
        finally:
            journal.close()

    def keep() -> None:
        did["publish"] += publish(house.table, house.root / "journal", house.db).segments
        did["merge"] += merge_hot(house.table, now=NOON)
        did["purge"] += house.retention.purge(now=NOON, force=True)["rows"]
        house.retention.sweep(older_than_s=1)

    def erase() -> None:
        who = house.add(f"guest{did['erase']}", plan="team")
        house.log(who, 5)
        house.retention.erase_user(who, now=NOON)
        did["erase"] += 1
        time.sleep(0.3)

    def look() -> None:
        least = written[0]
        said = questions.usage(engine, Scope(ada, EARLIEST, LATEST)).totals["total_calls"]
        assert least <= said <= written[0] + 1, f"{said} said, {least} to {written[0]} written"
        did["look"] += 1

    threads = [guarded(work) for work in (write, keep, erase, look, look)]
    for thread in threads:
        thread.start()
    over.wait(SECONDS)
    over.set()
    for thread in threads:
        thread.join()
    print(did, written)
    assert faults == []
    assert all(did.values()), f"something never happened, so this test would prove little: {did}"
    assert engine.quarantined == []
    publish(house.table, house.root / "journal", house.db)
    house.retention.purge(now=NOON, force=True)
    assert house.rows()[ada] == written[0]
    assert set(house.rows()) <= {ada, free} and users.by_id(house.db, ada)
    engine.close()
    house.db.close()


def test_the_tail_is_in_few_pieces_however_often_it_was_looked_at(tmp_path: Path) -> None:
    """Every question reads them all: a thousand pieces of one record took most of a second a page."""
    journal, reader = Journal(tmp_path / "journal"), Reader(tmp_path / "usage", tmp_path / "journal")
    try:
        for number in range(200):
            assert journal.append(usage_record(number))
            view = reader.view()
            assert view.tail.num_rows == number + 1
            assert view.tail["ts"].num_chunks <= 9  # one more at most whenever the records double, and one without any
        assert view.tail["prompt_tokens"].to_pylist() == [100 + number for number in range(200)]
    finally:
        journal.close()


def test_the_tail_is_in_few_pieces_however_many_segments_wait(tmp_path: Path) -> None:
    """Where nothing can be published a segment is left every few seconds; each record is seen once, also when lines are taken back."""
    house, sealed = House(tmp_path), 100
    house.add("ada", plan="enterprise")
    journal, reader = Journal(tmp_path / "journal", seal_every_s=3600), Reader(tmp_path / "usage", tmp_path / "journal")
    try:
        for number in range(sealed):
            assert journal.append(usage_record(number))
            journal._seal()
            assert journal.append(usage_record(1000 + number))
            view = reader.view()
            assert view.tail["ts"].num_chunks <= 40
            assert sorted(view.tail["prompt_tokens"].to_pylist()) == _counts(number + 1)
        (tmp_path / "journal").joinpath(sorted(path.name for path in (tmp_path / "journal").glob("*.jsonl"))[0]).write_bytes(b"")
        assert sorted(reader.view().tail["prompt_tokens"].to_pylist()) == _counts(sealed)[1:]
    finally:
        journal.close()
        house.db.close()


def _counts(number: int) -> list[int]:
    return [*range(100, 100 + number), *range(1100, 1100 + number)]
