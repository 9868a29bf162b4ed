"""The sample usage of `make demo`: every runaway loop is found, and hardly anything else."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from byok import demo
from byok.pricing import catalogue
from byok.recording.reader import View
from byok.spikes.episodes import episodes
from byok.store import unusual
from byok.store.engine import Engine
from byok.store.scope import EveryonesScope
from byok.zones import EARLIEST, LATEST

ANCHOR = date(2026, 11, 18)
NOW = datetime(2026, 11, 18, 21, tzinfo=UTC)
IDS = {person.email: f"usr_demo{person.name}" for person in demo.PEOPLE}


class Held:
    """A reader over rows in memory."""

    shared = False

    def __init__(self, rows: pa.Table) -> None:
        self.rows = rows

    def view(self) -> View:
        return View(1, (), self.rows, 1, pc.max(self.rows["ts"]).as_py(), 0)

    def fetch(self, files: object) -> None:
        """There are none."""


@pytest.fixture(scope="module")
def engine():
    keys = {(series.email, series.label): "key_demo1" for series in demo.SERIES}
    rows = demo.calls(ANCHOR, NOW - timedelta(days=365), NOW, user_ids=IDS, key_ids=keys)
    engine = Engine(
        Held(rows), catalogue.load(), retention=lambda: dict.fromkeys(IDS.values(), 365), keys=list, now=lambda: NOW,
        zones_of=lambda _: {IDS[person.email]: person.tz for person in demo.PEOPLE},
    )  # fmt: skip
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def rows(engine):
    return unusual.spikes(engine, EveryonesScope(EARLIEST, LATEST))


@pytest.fixture(scope="module")
def found(rows):
    return episodes(rows, now=NOW)


@pytest.mark.slow
def test_each_runaway_loop_is_one_episode_from_its_first_hour(found):
    for loop in demo.runaways(ANCHOR):
        mine = [
            e for e in found if e.user_id == IDS[loop.email] and e.began < loop.ended and loop.began < e.hours[-1].hour + timedelta(hours=1)
        ]
        assert len(mine) == 1
        assert mine[0].began == loop.began.replace(minute=0, second=0)
        assert (mine[0].vendor, mine[0].model) == (loop.vendor, loop.model)
        assert mine[0].peak.score > 0.9


@pytest.mark.slow
def test_there_is_at_most_one_false_alarm_per_user_and_month(found):
    """What lies on the day of an episode that the sample names is no false alarm: loops, an outage, a key that had expired."""
    named = {
        (IDS[episode.email], ANCHOR + timedelta(days=day))
        for episode in demo.EPISODES
        for day in range(episode.first_day, episode.last_day + 1)
    }
    zone_of = {IDS[person.email]: ZoneInfo(person.tz) for person in demo.PEOPLE}
    others = [e for e in found if (e.user_id, e.began.astimezone(zone_of[e.user_id]).date()) not in named]
    counts: dict[tuple[str, str], int] = {}
    for episode in others:
        key = (episode.user_id, f"{episode.began:%Y-%m}")
        counts[key] = counts.get(key, 0) + 1
    assert max(counts.values(), default=0) <= 1
    assert len(others) <= 8  # in 58 months of six users


@pytest.mark.slow
def test_a_short_period_of_everyone_finds_what_a_long_one_does(engine, rows):
    """A short one asks first who could have a spike at all."""
    for spike in rows[::3]:
        begin = spike.hour - timedelta(hours=5)
        end = begin + timedelta(days=1)
        assert unusual.spikes(engine, EveryonesScope(begin, end)) == [row for row in rows if begin <= row.hour < end]
