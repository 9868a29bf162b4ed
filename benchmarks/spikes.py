"""The search for spikes: its NAB score beside published detectors, what the choice of knobs cost, and how often it cries wolf.

`BYOK_CORPUS` names the folder of the recorded corpora (default: ../shared/corpus beside the checkout); what is not there is left out.
Real traces of calls are an hour long at most: quiet months are made of their sizes and of their unrest from minute to minute.
"""

import csv
import itertools
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from benchmarks.nab import PROFILES, Floats, Labelled, best_threshold, score
from byok import demo
from byok.pricing import catalogue
from byok.recording.files import SCHEMA
from byok.recording.reader import View
from byok.spikes import series
from byok.spikes.episodes import Episode
from byok.store import unusual
from byok.store.engine import Engine
from byok.store.scope import EveryonesScope
from byok.zones import EARLIEST, LATEST

KNOBS = {
    "BEYOND_NOISE": (1.5, 1.75, 2.0, 2.5, 3.0),
    "BEYOND_HABIT": (1.2, 1.5, 2.0, 3.0),
    "ONCE_IN_DAYS": (7, 14, 28),
    "RESTLESS_S": (21_600, 43_200, 86_400),
    "MEMORY_S": (28 * 86_400, 56 * 86_400, 84 * 86_400),
}
WEEKS, SERIES, SEED = 26, 20, 20261125
END, DEMO_DAY = datetime(2026, 11, 2, tzinfo=UTC), date(2026, 11, 18)
_OFFICE = np.array([0, 0, 0, 0, 0, 1, 2, 5, 10, 13, 14, 12, 7, 10, 13, 12, 10, 7, 4, 3, 2, 2, 1, 0], float) / 138
_WEEK = np.array([1.0, 1.1, 1.15, 1.05, 0.85, 0.15, 0.12])


def main() -> int:
    place = Path(os.environ.get("BYOK_CORPUS", Path(__file__).resolve().parents[2] / "shared" / "corpus"))
    if (place / "anomaly").exists():
        _print_nab(place / "anomaly")
    _print_demo()
    if (place / "traces").exists():
        _print_quiet(place / "traces")
    return 0


@dataclass
class Held:
    """A reader over rows in memory."""

    rows: pa.Table
    shared: bool = False

    def view(self) -> View:
        return View(1, (), self.rows, 1, pc.max(self.rows["ts"]).as_py(), 0)

    def fetch(self, files: object) -> None:
        """There are none."""


def nab_corpus(place: Path) -> dict[str, tuple[Labelled, Floats]]:
    """Name -> a series with its windows, and its values."""
    found = {}
    for name, windows in json.loads((place / "labels" / "combined_windows.json").read_text()).items():
        table = pyarrow.csv.read_csv(place / "data" / name)
        times = table["timestamp"].to_numpy().astype("datetime64[us]")
        labelled = Labelled(times, [(np.datetime64(begin), np.datetime64(end)) for begin, end in windows])
        found[name] = labelled, table["value"].to_numpy().astype(float)
    return found


def _scored(corpus: dict[str, tuple[Labelled, Floats]]) -> dict[str, Floats]:
    return {n: series.scores(labelled.times.astype("datetime64[s]").astype(np.int64), values) for n, (labelled, values) in corpus.items()}


def _print_nab(place: Path) -> None:
    corpus = nab_corpus(place)
    labelled = {name: item for name, (item, _) in corpus.items()}
    print(f"NAB, open part: {len(corpus)} series, {sum(len(item.windows) for item in labelled.values())} windows")
    ours = _scored(corpus)
    rows = {"ours, threshold 0.5": [score(ours, labelled, 0.5, profile) for profile in PROFILES.values()]}
    rows["ours, best threshold"] = [best_threshold(ours, labelled, profile)[1] for profile in PROFILES.values()]
    quiet = [name for name, item in labelled.items() if not item.windows]
    print("told on the quiet ones:", sum(int((ours[name][labelled[name].learning_rows :] >= 0.5).sum()) for name in quiet))
    with (place / "subset_scores_open.csv").open() as file:
        for detector, group in itertools.groupby(csv.DictReader(file), key=lambda row: row["detector"]):
            by_profile = {row["profile"]: float(row["open_subset"]) for row in group}
            rows[detector or "silent"] = [by_profile[name] for name in PROFILES]
    print("| detector |", " | ".join(PROFILES), "|")
    for name, values in sorted(rows.items(), key=lambda row: -row[1][0]):
        print(f"| {name} |", " | ".join(f"{value:.1f}" for value in values), "|")
    _print_knobs(corpus)


def _print_knobs(corpus: dict[str, tuple[Labelled, Floats]]) -> None:
    """Each knob alone, and what those chosen without a group of series get on that group."""
    labelled = {name: item for name, (item, _) in corpus.items()}
    groups = {name: "artificial" if name.startswith("artificial") else name for name in corpus}
    found = {}
    for knob, values in KNOBS.items():
        held = getattr(series, knob)
        for value in values:
            setattr(series, knob, value)
            found[knob, value] = _scored(corpus)
        setattr(series, knob, held)
        print(f"| {knob} |", ", ".join(f"{value:g}: {score(found[knob, value], labelled, 0.5):.1f}" for value in values), "|")
    left_out: dict[str, Floats] = {}
    for group in set(groups.values()):
        others = {name: item for name, item in labelled.items() if groups[name] != group}
        best = max(found, key=lambda setting: score(found[setting], others, 0.5))
        left_out |= {name: found[best][name] for name in labelled if groups[name] == group}
    print(f"each group scored with the setting that is best on the others: {score(left_out, labelled, 0.5):.1f}")


def _print_quiet(place: Path) -> None:
    """Series of which nothing stands out: habits of a year's half, with the sizes and the unrest of real traces."""
    sizes, unrest = _trace(place)
    rng = np.random.default_rng(SEED)
    shapes: dict[str, Callable[[], Floats]] = {
        "steady around the clock": lambda: np.full(WEEKS * 168, rng.uniform(2, 30)),
        "office hours": lambda: np.outer(np.tile(_WEEK, WEEKS), _OFFICE * rng.uniform(20, 300)).ravel(),
        "a few calls": lambda: np.full(WEEKS * 168, rng.uniform(0.05, 1)),
    }
    print("| quiet series | series-months | spikes | per 1,000 series-months |")
    for name, level in shapes.items():
        rows = [_calls(number, level(), rng, sizes, unrest) for number in range(SERIES)]
        found = _found(pa.concat_tables(rows), END)
        months = SERIES * (WEEKS - 2) * 7 / 30
        print(f"| {name} | {months:.0f} | {len(found)} | {1000 * len(found) / months:.0f} |")


def _trace(place: Path) -> tuple[np.ndarray, Floats]:
    """Prompt and completion tokens of real calls, and how much busier or quieter each minute was than those around it."""
    table = pq.read_table(place / "azure_2023_code.parquet")
    sizes = np.stack([table[name].to_numpy() for name in ("prompt_tokens", "completion_tokens")], axis=1)
    seconds = table["ts"].cast(pa.timestamp("us")).to_numpy().astype("datetime64[s]").astype(np.int64)
    minutes = np.bincount((seconds - seconds.min()) // 60).astype(float)
    around = np.convolve(minutes, np.ones(9) / 9, mode="same")
    return sizes, (minutes / np.maximum(around, 1))[4:-5]


def _calls(number: int, level: Floats, rng: np.random.Generator, sizes: np.ndarray, unrest: Floats) -> pa.Table:
    counts = rng.poisson(level * rng.choice(unrest, len(level)))
    hour = np.repeat(np.arange(len(level)), counts)
    begin = int((END - timedelta(weeks=WEEKS)).timestamp())
    drawn = sizes[rng.integers(0, len(sizes), len(hour))]
    fixed = {
        "user_id": f"usr_q{number}",
        "key_id": "key_q1",
        "vendor": "openai",
        "model": "gpt-4o",
        "endpoint": "chat",
        "usage_source": "vendor",
    }
    columns = {
        "ts": pa.array((begin + hour * 3600 + rng.integers(0, 3600, len(hour))) * 1_000_000, pa.int64()),
        "prompt_tokens": pa.array(drawn[:, 0]),
        "completion_tokens": pa.array(drawn[:, 1]),
        "total_tokens": pa.array(drawn.sum(axis=1)),
        "status": pa.array(np.where(rng.random(len(hour)) < 0.02, 429, 200)),
    } | {name: pa.repeat(value, len(hour)) for name, value in fixed.items()}
    nothing = pa.nulls(len(hour))
    return pa.table([columns.get(field.name, nothing).cast(field.type) for field in SCHEMA], schema=SCHEMA)


def _found(rows: pa.Table, now: datetime, zone_of: Mapping[str, str] = MappingProxyType({})) -> list[Episode]:
    days = dict.fromkeys(pc.unique(rows["user_id"]).to_pylist(), 365)
    engine = Engine(Held(rows), catalogue.load(), retention=lambda: days, keys=list, now=lambda: now, zones_of=lambda _: zone_of)  # type: ignore[arg-type]
    try:
        return unusual.episodes(engine, EveryonesScope(EARLIEST, LATEST))
    finally:
        engine.close()


def _print_demo() -> None:
    """The sample's year: what it plants, and what else is told. What lies on the day of a named episode of its user is no false alarm."""
    day, now = DEMO_DAY, datetime.combine(DEMO_DAY, time(21), UTC)
    ids = {person.email: f"usr_demo{person.name}" for person in demo.PEOPLE}
    zones = {ids[person.email]: person.tz for person in demo.PEOPLE}
    keys = {(one.email, one.label): "key_demo1" for one in demo.SERIES}
    rows = demo.calls(day, now - timedelta(days=365), now, user_ids=ids, key_ids=keys)
    found = _found(rows, now, zones)
    planted = demo.runaways(day)
    loops = [[e for e in found if e.user_id == ids[one.email] and _overlap(e, one.began, one.ended)] for one in planted]
    named = {(ids[e.email], day + timedelta(days=n)) for e in demo.EPISODES for n in range(e.first_day, e.last_day + 1)}
    false = Counter(
        (e.user_id, f"{e.began:%Y-%m}") for e in found if (e.user_id, e.began.astimezone(ZoneInfo(zones[e.user_id])).date()) not in named
    )
    months = _series_months(rows)
    print(f"sample of a year: {sum(map(bool, loops))} of {len(planted)} runaway loops found")
    print(f"  false alarms: {false.total()} in {months} series-months, {1000 * false.total() / months:.0f} per 1,000,")
    print(f"  at most {max(false.values(), default=0)} a user and month")


def _overlap(one: Episode, began: datetime, ended: datetime) -> bool:
    return one.began < ended and began < one.hours[-1].hour + timedelta(hours=1)


def _series_months(rows: pa.Table) -> int:
    """In how many months how many series had any call."""
    series_of = rows.select(["user_id", "vendor", "model"]).append_column("month", pc.strftime(rows["ts"], "%Y-%m"))
    return int(series_of.group_by(series_of.column_names).aggregate([]).num_rows)
