"""What is unusual in the usage: spikes hour by hour and as episodes. Asked of the records each time; nothing is stored."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from byok.spikes import episodes as words
from byok.spikes.episodes import Episode, Spike
from byok.spikes.hours import HISTORY_WEEKS, Clock, Hours, clock
from byok.spikes.judging import Found, Sensitivity, judge
from byok.store import questions, zones
from byok.store.engine import Engine
from byok.store.scope import AnyScope
from byok.store.zones import EARLIEST

DEFAULT = Sensitivity()
_HISTORY = timedelta(weeks=HISTORY_WEEKS, days=1)
_HOUR_S = 3600


def spikes(engine: Engine, scope: AnyScope, *, sensitivity: Sensitivity = DEFAULT) -> list[Spike]:
    """The unusual hours that begin within `scope`, newest first; filters of keys and statuses are not looked at.

    Each hour is judged by what its series did before it, in the eight weeks before (at least 14 days), by the user's own clock.
    """
    judged = replace(scope, since=_before(scope.since), vendors=(), models=(), key_ids=(), statuses=())
    hourly = pa.Table.from_batches(questions.hourly(engine, judged, priced=True))
    if not hourly.num_rows:
        return []
    hours, clocks, names = _arranged(hourly, engine)
    since = -(-_seconds(scope.since) // _HOUR_S)
    asked = (hours.hour >= since) & (hours.hour * _HOUR_S < _seconds(scope.until))
    found = _told(judge(hours, clocks, asked, sensitivity), hours, names)
    return [spike for spike in found if _passes(spike, scope)]


def episodes(engine: Engine, scope: AnyScope, *, sensitivity: Sensitivity = DEFAULT) -> list[Episode]:
    """`spikes` as episodes, newest begin first."""
    return words.episodes(spikes(engine, scope, sensitivity=sensitivity), now=engine.now())


def _before(since: datetime) -> datetime:
    return EARLIEST if since - EARLIEST < _HISTORY else since - _HISTORY


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _passes(spike: Spike, scope: AnyScope) -> bool:
    return (not scope.vendors or spike.vendor in scope.vendors) and (not scope.models or spike.model in scope.models)


def _arranged(hourly: pa.Table, engine: Engine) -> tuple[Hours, list[Clock], pa.Table]:
    """The answer of `hourly` as `Hours`, the clocks of its users' zones, and each series' names by its number."""
    coded = {name: hourly[name].combine_chunks().dictionary_encode() for name in ("user_id", "vendor", "model")}
    codes = {name: column.indices.to_numpy(zero_copy_only=False).astype(np.int64) for name, column in coded.items()}
    joint = (codes["user_id"] * len(coded["vendor"].dictionary) + codes["vendor"]) * len(coded["model"].dictionary) + codes["model"]
    _, firsts, series = np.unique(joint, return_index=True, return_inverse=True)
    hour = pc.divide(hourly["hour"].cast(pa.int64()), 3_600_000_000).to_numpy().astype(np.int64)
    order = np.lexsort((hour, series))
    cost = pc.fill_null(hourly["cost_usd"].cast(pa.float64()), 0.0)
    values = {"tokens": hourly["total_tokens"], "calls": hourly["calls"], "failed": hourly["failed"], "cost": cost}
    floats = {name: column.to_numpy().astype(float)[order] for name, column in values.items()}
    user_ids = coded["user_id"].dictionary.to_pylist()
    known = engine.zones_of(user_ids)
    zone_of = [known.get(user_id, "UTC") for user_id in user_ids]
    used = sorted(set(zone_of))
    zone = np.array([used.index(name) for name in zone_of], dtype=np.int64)[codes["user_id"]]
    local, clocks = np.empty_like(hour), []
    for number, name in enumerate(used):
        spans = zones.offsets(name)
        local[zone == number], made = clock(hour[zone == number], spans.starts, spans.seconds)
        clocks.append(made)
    names = hourly.select(["user_id", "vendor", "model"]).take(pa.array(firsts))
    return Hours(series[order], codes["user_id"][order], hour[order], local[order], zone[order], floats), clocks, names


def _told(found: Found, hours: Hours, names: pa.Table) -> list[Spike]:
    rows = []
    named = names.to_pylist()
    for at, metric, actual, usual, score in zip(*found, strict=True):
        hour = datetime.fromtimestamp(int(hours.hour[at]) * _HOUR_S, UTC)
        times = float(actual / usual) if usual > 0 else None
        why = f"{times:.1f} × the usual" if times else "usually nothing at this hour"
        rows.append(
            Spike(hour, **named[hours.series[at]], metric=metric, actual=float(actual), usual=float(usual), times=times,
                  score=round(float(score), 4), why=why)
        )  # fmt: skip
    return sorted(rows, key=lambda spike: (spike.hour, spike.user_id, spike.vendor, spike.model), reverse=True)
