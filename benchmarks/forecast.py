"""How good the month-end forecast is: asked on many days of many months whose end is known. Seeded.

`python -m benchmarks forecast`. Beside simulated series: sums of calls out of real traces, the sample year, and a real daily series, where
the recorded corpora lie beside the checkout.
"""

import csv
import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from byok import forecast

SEED, SERIES = 20_261_125, 24
ASKED_ON = (2, 5, 8, 11, 14, 17, 20, 23, 26)  # days of the month, at their midnight
CORPUS = Path(__file__).resolve().parents[2] / "shared" / "corpus"
TRACES = ("azure_2023_code", "azure_2023_conv_first20pct", "mooncake_synthetic")
PRICES = ((2.5, 10.0), (0.15, 0.6), (3.0, 15.0), (0.8, 4.0), (0.14, 0.28))  # USD per million tokens in and out
WEEKS = (
    (1.0, 1.1, 1.15, 1.05, 0.85, 0.15, 0.12),
    (1.0,) * 7,
    (0.9, 0.9, 0.9, 1.0, 1.1, 1.3, 1.2),
    (1.0, 1.0, 1.0, 1.0, 0.9, 0.02, 0.02),
)
SIMULATED = ("steady", "level shifts", "runaway days", "few calls", "falling", "newcomers")

Rng = np.random.Generator
Values = Any  # np.ndarray, one element per day


class Series(NamedTuple):
    first: date
    values: Values


@dataclass(frozen=True)
class Asked:
    """One forecast with what came true, and what two simpler guesses say."""

    true: float
    middle: float
    low: float
    high: float
    last_month: float
    straight_line: float


class Score(NamedTuple):
    """Share of months that ended within the range; median relative errors of the middle and of the two simpler guesses."""

    asked: int
    within: float
    middle: float
    last_month: float
    straight_line: float


def score(asked: list[Asked]) -> Score:
    def error(name: str) -> float:
        return float(np.median([abs(getattr(one, name) - one.true) / one.true for one in asked]))

    within = sum(one.low <= one.true <= one.high for one in asked) / len(asked)
    return Score(len(asked), within, error("middle"), error("last_month"), error("straight_line"))


def back_test(series: Series) -> Iterator[Asked]:
    """Every month of the series that has a whole month before it, asked on the days `ASKED_ON`; months without use are left out."""
    days = [series.first + timedelta(days=n) for n in range(len(series.values))]
    at = {day: n for n, day in enumerate(days)}
    for month in (day for day in days if day.day == 1):
        until, before = (month + timedelta(days=32)).replace(day=1), (month - timedelta(days=1)).replace(day=1)
        if before not in at or until - timedelta(days=1) not in at:
            continue
        begin, end = at[month], at[until - timedelta(days=1)] + 1
        true = float(series.values[begin:end].sum())
        for day in ASKED_ON if true > 0 else ():
            now = begin + day - 1
            found = forecast.month_end(days[:now], series.values[:now].tolist(), today=days[now], until=until)
            if found.middle is None or found.low is None or found.high is None:
                continue
            line = found.so_far / (day - 1) * (end - begin)
            yield Asked(true, found.middle, found.low, found.high, float(series.values[at[before] : begin].sum()), line)


def simulated(kind: str, count: int, seed: int = SEED) -> list[Series]:
    """Daily cost of invented users: weekly pattern, growth, drift and noise drawn for each."""
    rng = np.random.default_rng([seed, SIMULATED.index(kind)])
    return [_simulated(rng, kind) for _ in range(count)]


def _simulated(rng: Rng, kind: str) -> Series:
    days = int(rng.integers(90, 400))
    first, t = _first_day(rng), np.arange(days)
    level = _level(rng, days)
    base = rng.uniform(0.3, 3) if kind == "few calls" else np.exp(rng.uniform(np.log(4), np.log(3000)))
    if kind == "level shifts":
        for at in np.flatnonzero(rng.random(days) < 1 / 60):
            level[at:] *= np.exp(rng.normal(0, 0.7))
    if kind == "falling":
        level *= np.exp(-0.25 * t / 30)
    if kind == "newcomers":
        level *= 1 - np.exp(-(t + 1) / rng.uniform(10, 40))
    shape = 1 / rng.uniform(0.08, 0.5) ** 2
    mean = base * level * _week(rng)[(first.weekday() + t) % 7] * rng.gamma(shape, 1 / shape, days)
    if kind == "runaway days":
        mean = mean + np.where(rng.random(days) < 1 / 45, base * level * rng.uniform(3, 12, days), 0)
    calls = rng.poisson(mean)
    sizes = np.exp(rng.normal(0, rng.uniform(0.5, 1.4) / np.sqrt(np.maximum(calls, 1))))
    return Series(first, 0.004 * calls * sizes)


def of_traces(folder: Path, count: int, seed: int = SEED) -> list[Series]:
    """Daily cost made of stretches of calls as they came in real traces, so many a day as a user's habit has it."""
    import pyarrow.parquet as pq

    columns = ["prompt_tokens", "completion_tokens"]
    traces = [pq.read_table(folder / f"{name}.parquet", columns=columns).to_pandas().to_numpy(float) for name in TRACES]
    rng = np.random.default_rng([seed, 100])
    return [_of_trace(rng, traces[rng.integers(len(traces))]) for _ in range(count)]


def _of_trace(rng: Rng, trace: Values) -> Series:
    days, first = int(rng.integers(90, 400)), _first_day(rng)
    upto = np.concatenate([[0], np.cumsum(trace @ np.array(PRICES[rng.integers(len(PRICES))]) / 1e6)])
    usual = np.exp(rng.uniform(np.log(2), np.log(150))) * _week(rng)[(first.weekday() + np.arange(days)) % 7] * _level(rng, days)
    values = np.zeros(days)
    for n, sessions in enumerate(rng.poisson(usual * rng.gamma(8, 1 / 8, days))):
        lengths = np.minimum(rng.geometric(1 / 20, sessions), len(upto) - 2)
        starts = rng.integers(0, len(upto) - 1 - lengths)
        values[n] = (upto[starts + lengths] - upto[starts]).sum()
    return Series(first, values)


def sample_year(years: int = 2) -> list[Series]:
    """The year of `byok up --demo`, drawn `years` times: each person's, each vendor's and everyone's daily cost."""
    from byok import demo
    from byok.accounts import plans
    from byok.pricing import catalogue

    prices = catalogue.load()
    owners = {series.email: series.email for series in demo.SERIES}
    labels = {(series.email, series.label): series.label for series in demo.SERIES}
    days_kept, found = dict(plans.PLAN_DAYS), list[Series]()
    for year in range(years):
        anchor = date(2026, 11, 22) - timedelta(days=demo.DAYS * year)
        end, first = datetime(anchor.year, anchor.month, anchor.day, tzinfo=UTC), anchor - timedelta(days=demo.DAYS)
        plans.PLAN_DAYS.update(dict.fromkeys(plans.PLAN_DAYS, demo.DAYS + 2))
        try:
            rows = demo.calls(anchor, end - timedelta(days=demo.DAYS), end, user_ids=owners, key_ids=labels).to_pandas()
        finally:
            plans.PLAN_DAYS.update(days_kept)
        day = (rows["ts"].dt.tz_localize(None) - np.datetime64(first)).dt.days.to_numpy()
        rates = {pair: prices.price_at(*pair, end) for pair in {(series.vendor, series.model) for series in demo.SERIES}}
        picos = np.array(
            [(rates[pair].input_pico, rates[pair].output_pico) for pair in zip(rows["vendor"], rows["model"], strict=True)], float
        )
        usd = (picos * rows[["prompt_tokens", "completion_tokens"]].fillna(0).to_numpy(float)).sum(1) / 1e12
        groups = [rows["user_id"], rows["vendor"], rows["user_id"] + rows["vendor"], rows["user_id"] * 0]
        for names in groups:
            found += [Series(first, np.bincount(day[names == name], usd[names == name], demo.DAYS)) for name in sorted(set(names))]
    return found


def taxi_rides(file: Path) -> list[Series]:
    """A real daily series with weekdays, holidays and a snowstorm: rides in New York, 2014/15."""
    sums: dict[date, float] = defaultdict(float)
    with file.open() as lines:
        for row in csv.DictReader(lines):
            sums[date.fromisoformat(row["timestamp"][:10])] += float(row["value"])
    days = sorted(sums)[1:-1]  # the first and the last are not whole
    return [Series(days[0], np.array([sums[day] for day in days]))]


def _first_day(rng: Rng) -> date:
    return date(2024, 1, 1) + timedelta(days=int(rng.integers(0, 700)))


def _week(rng: Rng) -> Values:
    week = np.array(WEEKS[rng.integers(len(WEEKS))]) * rng.gamma(40, 1 / 40, 7)
    return week / week.mean()


def _level(rng: Rng, days: int) -> Values:
    growth, drift = rng.normal(0.03, 0.08), rng.uniform(0, 0.03)  # per month, per day
    return np.exp(growth * np.arange(days) / 30 + np.cumsum(rng.normal(0, drift, days)))


def everything(count: int = SERIES, seed: int = SEED, corpus: Path = CORPUS) -> dict[str, list[Series]]:
    """All sets by name; those of the corpus only where it lies."""
    found = {f"simulated: {kind}": simulated(kind, count, seed) for kind in SIMULATED}
    if (corpus / "traces").is_dir():
        found["calls of real traces"] = of_traces(corpus / "traces", count, seed)
    found["sample year"] = sample_year()
    taxi = corpus / "anomaly" / "data" / "realKnownCause" / "nyc_taxi.csv"
    if taxi.is_file():
        found["taxi rides"] = taxi_rides(taxi)
    return found


def main() -> int:
    """Print the table; 1 if a goal is missed."""
    scores = {name: [one for series in part for one in back_test(series)] for name, part in everything().items()}
    whole = list(itertools.chain.from_iterable(scores.values()))
    print(f"{'':26}{'asked':>7}{'in range':>10}{'middle':>9}{'last month':>12}{'straight line':>15}")
    for name, asked in [*scores.items(), ("all", whole)]:
        line = score(asked)
        print(f"{name:26}{line.asked:7,}{line.within:10.1%}{line.middle:9.1%}{line.last_month:12.1%}{line.straight_line:15.1%}")
    total = score(whole)
    good = 0.75 <= total.within <= 0.85 and total.middle <= 0.8 * min(total.last_month, total.straight_line)
    print("goals met" if good else "a goal is MISSED", "(75-85 % in range; the middle's median error at most 80 % of either other)")
    return 0 if good else 1
