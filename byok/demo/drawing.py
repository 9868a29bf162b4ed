"""Drawing the calls of the sample data. The same day always gets the same calls.

The shapes are those of public traces. Lengths are log-normal: in Azure's LLM inference trace of 2023 the logarithms of prompts spread by
1.36 (code) and 0.93 (conversation), those of completions by 0.85 and 0.92. Minutes of one hour are uneven: calls per minute vary by 0.78
of their mean (code) and 0.21 (conversation). In llmperf's measurements of 2024 the first token takes around 0.22 s, spread by 0.2 around a
host's own; a further token 4 to 30 ms, the same within 0.1 for a host and model; rate limits come in long runs, hardly ever alone.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

from byok.accounts.plans import PLAN_DAYS, keep_after
from byok.demo.cast import DAYS, OUTAGES, PEOPLE, RUNAWAY, RUNAWAY_DAYS, SERIES, Series

if TYPE_CHECKING:
    import pyarrow as pa

Keys = Mapping[tuple[str, str], str]  # owner's e-mail and key's label -> key id
_SEED = 20_260_606
_LOOP_CALLS, _LOOP_FROM_S, _LOOP_S = 2400, 8000, 12_000  # 02:13 to 05:33, an answer every five seconds, each with all of those before
_LIMITED_DAYS = 0.09  # the share of days on which a vendor's limit is hit
_LIMITED_S, _LIMITED_SHARE = 2400, 0.55  # how long that lasts, and which part of the calls it refuses
_STATUSES = {200: 0.979, 429: 0.003, 500: 0.004, 400: 0.005, 499: 0.007, 504: 0.002}


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


class Runaway(NamedTuple):
    """A loop among the sample calls, which any search for spikes must find: whose, and from when to when (UTC)."""

    email: str
    vendor: str
    model: str
    began: datetime
    ended: datetime


def runaways(anchor: date) -> list[Runaway]:
    """The loops, oldest first. `anchor` is the day of the first fill."""
    zones, found = {person.email: ZoneInfo(person.tz) for person in PEOPLE}, []
    for series in (series for series in SERIES if series.label == RUNAWAY):
        for number in RUNAWAY_DAYS:
            midnight = datetime.combine(anchor + timedelta(days=number), time(), zones[series.email]).astimezone(UTC)
            began = midnight + timedelta(seconds=_LOOP_FROM_S)
            found.append(Runaway(series.email, series.vendor, series.model, began, began + timedelta(seconds=_LOOP_S + 4)))
    return found


class _Drawn(NamedTuple):
    """What chance decided, one element per call. Drawn day by day, so that a day is the same whenever it is filled in."""

    number: Any  # of the local day, from the anchor
    midnight: Any  # of that day, seconds since 1970
    second: Any  # of that day
    loop: Any  # how far a runaway loop had come (0 to 1), -1 outside of one
    uniform: Any  # three numbers in [0, 1)
    normal: Any  # five standard normal numbers
    limited: Any  # whether the vendor's limit of calls was used up just then


def _draw(series: Series, index: int, number: int, anchor: date, zone: ZoneInfo) -> _Drawn:
    import numpy as np

    day = anchor + timedelta(days=number)
    rng = np.random.default_rng([_SEED, index, day.toordinal()])
    growth = series.growth ** min(1.0, (number + DAYS) / DAYS)
    count = rng.poisson(series.calls * growth * series.week[day.weekday()] * rng.gamma(12, 1 / 12))
    loop = np.full(count, -1.0)
    if series.label == RUNAWAY and number in RUNAWAY_DAYS:
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


def _columns(series: Series, drawn: _Drawn) -> dict[str, Any]:
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
        "cached_tokens": where_known(prompt * series.cached * drawn.uniform[:, 1]),
        "cache_write_tokens": where_known(np.zeros(len(prompt))),
        "reasoning_tokens": where_known(completion * series.reasoning * drawn.uniform[:, 1]),
        "status": status,
        "usage_source": pa.array(np.where(left, "estimated", np.where(known, "vendor", "none"))),
        "latency_ms": np.where(status == 504, 300_000, latency).astype(np.int64),
        "ttft_ms": where_known(ttft),
    }


def _statuses(series: Series, drawn: _Drawn) -> Any:
    import numpy as np

    chance = drawn.uniform[:, 2]
    status = np.array(list(_STATUSES))[np.searchsorted(np.cumsum(list(_STATUSES.values())), chance * 0.999_999, side="right")]
    hour = (drawn.second // 3600).astype(int)
    status = np.where(drawn.limited & (chance < _LIMITED_SHARE), 429, status)
    for outage in (outage for outage in OUTAGES if outage.vendor == series.vendor):
        struck = (drawn.number == outage.day) & np.isin(hour, outage.hours) & (chance < outage.share)
        status = np.where(struck, outage.status, status)
    return status
