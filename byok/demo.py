"""Sample usage for `byok up --demo`: six people, a year, believable days. The same day always gets the same calls.

What there is to find stands in `EPISODES`; besides, working hours in four time zones, quiet weekends, slow growth, and plans that keep
less.

The shapes are those of public traces. Lengths are log-normal: in Azure's LLM inference trace of 2023 the logarithms of prompts spread by
1.36 (code) and 0.93 (conversation), those of completions by 0.85 and 0.92. Minutes of one hour are uneven: calls per minute vary by 0.78
of their mean (code) and 0.21 (conversation). In llmperf's measurements of 2024 the first token takes around 0.22 s, spread by 0.2 around a
host's own; a further token 4 to 30 ms, the same within 0.1 for a host and model; rate limits come in long runs, hardly ever alone.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

from byok.accounts import jobs, key_vault, users
from byok.accounts.database import Database
from byok.accounts.plans import PLAN_DAYS, Plan, keep_after
from byok.services import Services

if TYPE_CHECKING:
    import pyarrow as pa

DAYS = 365
_SEED = 20_260_606
_FACT = "demo"
Keys = Mapping[tuple[str, str], str]  # owner's e-mail and key's label -> key id
_OFFICE = (0, 0, 0, 0, 0, 1, 2, 5, 10, 13, 14, 12, 7, 10, 13, 12, 10, 7, 4, 3, 2, 2, 1, 0)
_EVENINGS = (3, 1, 0, 0, 0, 0, 1, 2, 3, 3, 3, 3, 4, 3, 3, 4, 5, 6, 8, 10, 12, 12, 9, 6)
_AROUND_THE_CLOCK = (4,) * 24
_WEEK = (1.0, 1.1, 1.15, 1.05, 0.85, 0.15, 0.12)  # Monday first
_EVERY_DAY = (1.0,) * 7


@dataclass(frozen=True)
class _Person:
    email: str
    name: str
    plan: Plan
    tz: str
    admin: bool = False


class _Traits(NamedTuple):
    """How far the logarithms of lengths spread, and how uneven the minutes of an hour are (standard deviation over mean)."""

    prompt: float
    completion: float
    unevenness: float


CONVERSATION, CODE = _Traits(0.93, 0.92, 0.21), _Traits(1.36, 0.85, 0.78)


@dataclass(frozen=True)
class _Series:
    """One habit: who calls what, how often (calls on a full working day), with how many tokens (medians), from and to which day.

    Days are counted from the day of the first fill.
    """

    email: str
    label: str
    vendor: str
    model: str
    calls: float
    prompt: int
    completion: int
    hours: tuple[int, ...] = _OFFICE
    week: tuple[float, ...] = _WEEK
    endpoint: str = "chat"
    cached: float = 0.0
    reasoning: float = 0.0
    growth: float = 1.0
    first_day: int = -DAYS
    last_day: int | None = None
    ms_per_token: float = 14.0
    traits: "_Traits" = CONVERSATION


PEOPLE = (
    _Person("ada@demo.example", "Ada", "enterprise", "Europe/Berlin", admin=True),
    _Person("ben@demo.example", "Ben", "enterprise", "America/New_York"),
    _Person("chen@demo.example", "Chen", "enterprise", "Asia/Shanghai"),
    _Person("dora@demo.example", "Dora", "team", "Europe/Berlin"),
    _Person("eli@demo.example", "Eli", "indie", "Asia/Kolkata"),
    _Person("fay@demo.example", "Fay", "free", "America/New_York"),
)
_SWITCH, _DRAFTS = -118, -160
SERIES = (
    _Series("ada@demo.example", "support bot", "openai", "gpt-4o", 85, 1900, 320, cached=0.35, growth=1.8, last_day=_SWITCH),
    _Series("ada@demo.example", "support bot", "openai", "gpt-4o-mini", 110, 1900, 330, cached=0.35, growth=1.3, first_day=_SWITCH),
    _Series(
        "ada@demo.example", "writing", "anthropic", "claude-sonnet-4-5", 28, 3200, 900, endpoint="messages", growth=1.5, ms_per_token=19
    ),
    _Series(
        "ada@demo.example", "side project", "gemini", "gemini-2.5-flash", 9, 900, 260, hours=_EVENINGS, week=_EVERY_DAY, endpoint="generate"
    ),
    _Series(
        "ben@demo.example",
        "review",
        "anthropic",
        "claude-sonnet-4-5",
        45,
        5200,
        700,
        endpoint="messages",
        cached=0.6,
        growth=2.2,
        ms_per_token=19,
        traits=CODE,
    ),
    _Series("ben@demo.example", "nightly agent", "openai", "gpt-4o", 14, 5200, 700, hours=_AROUND_THE_CLOCK, week=_EVERY_DAY),
    _Series(
        "ben@demo.example",
        "review",
        "anthropic",
        "claude-haiku-4",
        60,
        1500,
        220,
        endpoint="messages",
        first_day=-210,
        ms_per_token=8,
        traits=CODE,
    ),
    _Series("chen@demo.example", "research", "deepseek", "deepseek-v4-pro", 55, 2600, 1400, reasoning=0.55, growth=1.4, ms_per_token=30),
    _Series("chen@demo.example", "drafts", "deepseek", "deepseek-v4-flash", 70, 3100, 420, first_day=_DRAFTS, ms_per_token=7),
    _Series("chen@demo.example", "research", "qwen", "qwen3-max", 32, 2100, 640, growth=0.8),
    _Series("chen@demo.example", "translation", "minimax", "minimax-m3", 24, 1200, 1150, hours=_AROUND_THE_CLOCK, week=_EVERY_DAY),
    _Series("dora@demo.example", "reports", "gemini", "gemini-2.5-flash", 48, 7400, 520, endpoint="generate", cached=0.2),
    _Series("eli@demo.example", "prototype", "openai", "gpt-4o-mini", 30, 700, 280, hours=_EVENINGS, week=_EVERY_DAY),
    _Series("fay@demo.example", "homework", "openai", "gpt-4o-mini", 8, 380, 240, hours=_EVENINGS, week=_EVERY_DAY),
)
_RUNAWAY = "nightly agent"
_RUNAWAY_DAYS = (-87, -9)
_LOOP_CALLS, _LOOP_FROM_S, _LOOP_S = 2400, 8000, 12_000  # 02:13 to 05:33, an answer every five seconds, each with all of those before
_LIMITED_DAYS, _LIMITED_S, _LIMITED_SHARE = (
    0.09,
    2400,
    0.55,
)  # on how many days a vendor's limit is hit, how long, how many calls it refuses
_OUTAGE_DAY, _OUTAGE_HOURS = -24, tuple(range(13, 17))
_EXPIRED_DAY, _EXPIRED_HOURS = -41, tuple(range(12))
_STATUSES = {200: 0.979, 429: 0.003, 500: 0.004, 400: 0.005, 499: 0.007, 504: 0.002}


class Episode(NamedTuple):
    """Something planted: whose, on which days (counted as in `_Series`, the last included), in which column it shows, and what it is."""

    name: str
    email: str
    first_day: int
    last_day: int
    shows_in: str
    what: str


EPISODES = (
    Episode("switch", "ada@demo.example", _SWITCH, _SWITCH, "model", "The support bot left gpt-4o for gpt-4o-mini."),
    *(Episode("runaway", "ben@demo.example", day, day, "tokens", "The nightly agent called itself in a loop.") for day in _RUNAWAY_DAYS),
    Episode("outage", "ada@demo.example", _OUTAGE_DAY, _OUTAGE_DAY, "status", "Anthropic was overloaded for an afternoon."),
    Episode("outage", "ben@demo.example", _OUTAGE_DAY, _OUTAGE_DAY, "status", "Anthropic was overloaded for an afternoon."),
    Episode("expired key", "chen@demo.example", _EXPIRED_DAY, _EXPIRED_DAY, "status", "The deepseek keys had expired; new ones by noon."),
    Episode(
        "drafts",
        "chen@demo.example",
        _DRAFTS,
        _DRAFTS,
        "model",
        "Drafts are written by deepseek-v4-flash, whose price changed twice in 2026.",
    ),
)


def is_sample(db: Database) -> bool:
    """Whether this installation is empty or holds sample data: only then may more be put in."""
    return jobs.get(db, _FACT) is not None or not users.all_users(db)


def fill(services: Services, *, now: datetime) -> int:
    """Make the people and their usage up to `now`; later calls add what has passed since. Returns how many calls were added."""
    from byok import intake

    known = json.loads(jobs.get(services.db, _FACT) or "null")
    if known is None:
        known = {"anchor": now.date().isoformat(), "until": None}
        jobs.put(services.db, _FACT, json.dumps(known))
    anchor = date.fromisoformat(known["anchor"])
    since = datetime.fromisoformat(known["until"]) if known["until"] else datetime.combine(anchor - timedelta(days=DAYS), time(), UTC)
    rows = calls(anchor, since, now, user_ids=_people(services.db, since), key_ids=_keys(services, since))
    if rows.num_rows:
        import pyarrow.parquet as pq

        with tempfile.TemporaryDirectory(prefix="byok-demo-") as place:
            pq.write_table(rows, Path(place) / "sample.parquet")
            intake.book(Path(place) / "sample.parquet", services.settings, services.db, now=now)
        newest = rows.group_by("key_id").aggregate([("ts", "max")])
        for key_id, at in zip(newest["key_id"].to_pylist(), newest["ts_max"].to_pylist(), strict=True):
            key_vault.note_used(services.db, key_id, now=at)
    jobs.put(services.db, _FACT, json.dumps(known | {"until": now.isoformat()}))
    return int(rows.num_rows)


def calls(anchor: date, since: datetime, until: datetime, *, user_ids: Mapping[str, str], key_ids: Keys) -> "pa.Table":
    """The sample calls with `since <= ts < until` that plans keep at `until`, in the columns of the record, in order of time.

    `anchor` is the day of the first fill, from which the days of all that happens are counted.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from byok.recording.files import SCHEMA

    def instant(at: datetime) -> "pa.Scalar":
        return pa.scalar(at, SCHEMA.field("ts").type)

    zones = {person.email: ZoneInfo(person.tz) for person in PEOPLE}
    days_kept = {person.email: PLAN_DAYS[person.plan] for person in PEOPLE}
    numbers = range((since.date() - anchor).days - 1, (until.date() - anchor).days + 2)  # a local day may begin on another day in UTC
    parts = [SCHEMA.empty_table()]
    for index, series in enumerate(SERIES):
        days = [number for number in numbers if series.first_day <= number < (numbers.stop if series.last_day is None else series.last_day)]
        drawn = _joined([_draw(series, index, number, anchor, zones[series.email]) for number in days])
        if drawn is None:
            continue
        owner = {"user_id": user_ids[series.email], "key_id": key_ids[series.email, series.label]}
        fixed = owner | {"vendor": series.vendor, "model": series.model, "endpoint": series.endpoint}
        columns = _columns(series, drawn) | {name: pa.repeat(value, len(drawn.second)) for name, value in fixed.items()}
        rows = pa.table([pa.array(columns[field.name]).cast(field.type) for field in SCHEMA], schema=SCHEMA)
        first = max(since, keep_after(days_kept[series.email], until))
        parts.append(rows.filter(pc.and_(pc.greater_equal(rows["ts"], instant(first)), pc.less(rows["ts"], instant(until)))))
    return pa.concat_tables(parts).sort_by([("ts", "ascending"), ("user_id", "ascending")])


class _Drawn(NamedTuple):
    """What chance decided, one element per call. Drawn day by day, so that a day is the same whenever it is filled in."""

    number: Any  # of the local day, from the anchor
    midnight: Any  # of that day, seconds since 1970
    second: Any  # of that day
    loop: Any  # how far a runaway loop had come (0 to 1), -1 outside of one
    uniform: Any  # three numbers in [0, 1)
    normal: Any  # five standard normal numbers
    limited: Any  # whether the vendor's limit of calls was used up just then


def _draw(series: _Series, index: int, number: int, anchor: date, zone: ZoneInfo) -> _Drawn:
    import numpy as np

    day = anchor + timedelta(days=number)
    rng = np.random.default_rng([_SEED, index, day.toordinal()])
    growth = series.growth ** min(1.0, (number + DAYS) / DAYS)
    count = rng.poisson(series.calls * growth * series.week[day.weekday()] * rng.gamma(12, 1 / 12))
    loop = np.full(count, -1.0)
    if series.label == _RUNAWAY and number in _RUNAWAY_DAYS:
        loop = np.concatenate([loop, np.linspace(0, 1, _LOOP_CALLS)])
    uniform = rng.random((len(loop), 3))
    shape = series.traits.unevenness**-2
    odds = np.cumsum(np.repeat(series.hours, 60) * rng.gamma(shape, 1 / shape, 1440))
    second = (np.searchsorted(odds / odds[-1], uniform[:, 0], side="right") + uniform[:, 1]) * 60
    second = np.where(loop < 0, second, _LOOP_FROM_S + loop * _LOOP_S + uniform[:, 1] * 4)
    begun = rng.uniform(8, 18) * 3600 if rng.random() < _LIMITED_DAYS else 1e9
    limited = (second >= begun) & (second < begun + _LIMITED_S)
    midnight = datetime.combine(day, time(), zone).timestamp()
    normal = rng.standard_normal((len(loop), 5))
    return _Drawn(np.full(len(loop), number), np.full(len(loop), midnight), second, loop, uniform, normal, limited)


def _joined(days: list[_Drawn]) -> _Drawn | None:
    import numpy as np

    return _Drawn(*(np.concatenate(parts) for parts in zip(*days, strict=True))) if days else None


def _columns(series: _Series, drawn: _Drawn) -> dict[str, Any]:
    """The columns in which the calls of a series differ."""
    import numpy as np
    import pyarrow as pa

    normal, status = drawn.normal.T, _statuses(series, drawn)
    left = status == 499
    known = (status == 200) | left
    prompt = (
        np.where(drawn.loop < 0, series.prompt * np.exp(series.traits.prompt * normal[0]), 4000 + 54_000 * drawn.loop)
        .clip(12, 180_000)
        .astype(np.int64)
    )
    completion = (series.completion * np.exp(series.traits.completion * normal[1]) / np.where(left, 3, 1)).clip(1, 16_000).astype(np.int64)
    ttft = 220 * np.exp(0.2 * normal[2]) + prompt / 60
    latency = np.where(known, ttft + completion * series.ms_per_token * np.exp(0.1 * normal[3]), 160 * np.exp(0.6 * normal[4]))

    def where_known(values: Any) -> "pa.Array":
        return pa.array(values.astype(np.int64), mask=~known)

    return {
        "ts": ((drawn.midnight + drawn.second) * 1_000_000).astype(np.int64),
        "prompt_tokens": where_known(prompt),
        "completion_tokens": where_known(completion),
        "total_tokens": where_known(prompt + completion),
        "cached_tokens": where_known(prompt * series.cached * drawn.uniform[:, 0]),
        "cache_write_tokens": where_known(np.zeros(len(prompt))),
        "reasoning_tokens": where_known(completion * series.reasoning * drawn.uniform[:, 1]),
        "status": status,
        "usage_source": pa.array(np.where(left, "estimated", np.where(known, "vendor", "none"))),
        "latency_ms": np.where(status == 504, 300_000, latency).astype(np.int64),
        "ttft_ms": where_known(ttft),
    }


def _statuses(series: _Series, drawn: _Drawn) -> Any:
    import numpy as np

    chance = drawn.uniform[:, 2]
    status = np.array(list(_STATUSES))[np.searchsorted(np.cumsum(list(_STATUSES.values())), chance * 0.999_999, side="right")]
    hour = (drawn.second // 3600).astype(int)
    status = np.where(drawn.limited & (chance < _LIMITED_SHARE), 429, status)
    if series.vendor == "anthropic":
        status = np.where((drawn.number == _OUTAGE_DAY) & np.isin(hour, _OUTAGE_HOURS) & (chance < 0.7), 529, status)
    if series.vendor == "deepseek":
        status = np.where((drawn.number == _EXPIRED_DAY) & np.isin(hour, _EXPIRED_HOURS), 401, status)
    return status


def _people(db: Database, now: datetime) -> dict[str, str]:
    """The sample users' ids by e-mail; makes those that are missing."""
    ids = {user.email: user.id for user in users.all_users(db)}
    for person in PEOPLE:
        if person.email not in ids:
            facts: dict[str, Any] = {"plan": person.plan, "admin": person.admin, "name": person.name, "tz": person.tz}
            ids[person.email] = users.add(db, person.email, now=now, user_id=f"usr_demo{person.name}", **facts).id
    return ids


def _keys(services: Services, since: datetime) -> dict[tuple[str, str], str]:
    """The sample keys' ids by owner's e-mail and label; makes those that are missing. Their secrets are invented and open nothing."""
    ids: dict[tuple[str, str], str] = {}
    for number, series in enumerate(SERIES):
        if (series.email, series.label) in ids:
            continue
        owner = users.by_email(services.db, series.email).id
        found = next((key.id for key in key_vault.of_user(services.db, owner) if key.label == series.label), None)
        if found is None:
            secret = f"sample-key-that-opens-nothing-{1000 + number * 137}"
            found = key_vault.add(services.db, services.master, owner, series.vendor, secret, now=since, label=series.label).id
        ids[series.email, series.label] = found
    return ids
