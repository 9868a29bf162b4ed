"""What the keeper does at its start."""

import base64
import threading
from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.schedulers.background import BackgroundScheduler
from structlog.testing import capture_logs

from byok import keeper
from byok import settings as settings_room
from byok.accounts.errors import AccountsTooNew, AccountsUnavailable
from byok.recording.places import StoreAway
from byok.recurrence import Recurrence


def test_a_keeper_whose_accounts_go_away_while_it_starts_waits_for_them(tmp_path, monkeypatch):
    stop, tries = threading.Event(), []

    class Away(keeper.Notifications):
        def __init__(self, settings):
            tries.append(1)
            if len(tries) < 3:
                raise AccountsUnavailable("it was stopped")
            stop.set()
            super().__init__(settings)

    monkeypatch.setattr(keeper, "Notifications", Away)
    monkeypatch.setattr(keeper, "LOOK_AGAIN_S", 0)
    key = tmp_path / "master.key"
    key.write_text(base64.b64encode(bytes(range(32))).decode())
    key.chmod(0o600)
    keeper._work(settings_room.load({"BYOK_DATA": str(tmp_path / "data"), "BYOK_MASTER_KEY_FILE": str(key)}), stop)
    assert len(tries) == 3


def test_a_keeper_that_stands_by_says_for_whom(tmp_path, monkeypatch):
    stop, lock = threading.Event(), tmp_path / "keeper.lock"
    monkeypatch.setattr(keeper, "LOOK_AGAIN_S", 0)
    monkeypatch.setattr(stop, "wait", lambda _: stop.set())
    with keeper._only_one(lock, threading.Event()) as first, capture_logs() as said, keeper._only_one(lock, stop) as second:
        assert (first, second) == (True, False)
    assert [(line["event"], line["reason"]) for line in said] == [("standing_by", "another keeper works")]


@pytest.mark.parametrize(("every", "rest"), [(1, 12), (2, 20), (8, 8), (12, 0), (24, 0)])
def test_a_row_past_retention_goes_within_a_day_however_seldom_purges_are(every, rest):
    assert keeper.longest_rest(timedelta(hours=every)) == timedelta(hours=rest)


def test_jobs_go_on_when_the_clock_is_set_back(monkeypatch):
    stop, ran = threading.Event(), threading.Event()
    monkeypatch.setattr(keeper, "LOOK_AGAIN_S", 0.01)
    scheduler = BackgroundScheduler(timezone=UTC)
    ahead = datetime.now(UTC) + timedelta(days=1)  # as it stands after a run under a clock that was a day ahead
    scheduler.add_job(ran.set, "interval", seconds=5, next_run_time=ahead, id="publish")
    scheduler.start()
    waiting = threading.Thread(target=keeper.wait, args=(scheduler, stop))
    waiting.start()
    try:
        assert ran.wait(30)
    finally:
        stop.set()
        waiting.join()
        scheduler.shutdown()


def test_a_keeper_does_not_wait_for_a_database_of_a_newer_version_to_grow_old():
    def opened() -> None:
        raise AccountsTooNew

    with pytest.raises(AccountsTooNew):
        keeper._as_soon_as(opened, threading.Event(), Exception)


def test_a_fault_that_lasts_is_told_when_it_begins_every_ten_minutes_and_when_it_is_over(monkeypatch):
    now, faults = [0.0], iter([OSError(28, "full")] * 300 + [StoreAway("timeout")] + [None] * 2)
    monkeypatch.setattr(keeper, "Recurrence", lambda: Recurrence(clock=lambda: now[0]))

    def job() -> None:
        now[0] += 5
        if (fault := next(faults)) is not None:
            raise fault

    run_once = keeper._guarded("publish", job)
    with capture_logs() as said:
        for _ in range(303):
            run_once()
    assert [(line["event"], line["count"]) for line in said] == [
        ("job_failed", 1),
        ("job_failed", 120),
        ("job_failed", 120),
        ("job_refused", 1),
        ("job_works_again", 301),
    ]


def test_a_keeper_that_waits_for_the_accounts_does_not_say_so_every_second(monkeypatch):
    monkeypatch.setattr(keeper, "LOOK_AGAIN_S", 0)
    tries = iter(range(50))

    def opened() -> int:
        if (tried := next(tries)) < 49:
            raise AccountsUnavailable("it was stopped")
        return tried

    with capture_logs() as said:
        assert keeper._as_soon_as(opened, threading.Event(), Exception) == 49
    assert [line["event"] for line in said] == ["accounts_unavailable"]
