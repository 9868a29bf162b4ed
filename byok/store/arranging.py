"""Hours of usage as series for a search of unusual ones: of each model, of each key and of all that a user calls."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from byok.spikes.episodes import Metric
from byok.spikes.hours import Clock, Floats, Hours, clock
from byok.store import zones
from byok.store.engine import Engine

HOUR_S = 3600
COLUMNS: Mapping[Metric, str] = {"tokens": "total_tokens", "calls": "calls", "failed": "failed", "cost": "cost_usd"}
NAMES = ("user_id", "vendor", "model", "key_id")


class Series(NamedTuple):
    """Hours to judge, the clocks of their users' zones, and by each series' number what it is of (empty: all) and its zone."""

    hours: Hours
    clocks: list[Clock]
    names: list[dict[str, str]]
    zones: list[str]


def of_all_kinds(by_key: pa.Table) -> pa.Table:
    """The hours of each (user, vendor, model), (user, vendor, key) and (user), from those of `questions.hourly` by key.

    Who uses one model by one key has one series only: the others would be the same.
    """
    ways = by_key.group_by(list(NAMES)).aggregate([]).group_by("user_id").aggregate([([], "count_all")])
    several = ways.filter(pc.greater(ways["count_all"], 1))["user_id"]
    mixed = by_key.filter(pc.is_in(by_key["user_id"], several.combine_chunks()))
    return pa.concat_tables([_summed(by_key, NAMES[:3]), _summed(mixed, ("user_id", "vendor", "key_id")), _summed(mixed, ("user_id",))])


def _summed(hours: pa.Table, names: Sequence[str]) -> pa.Table:
    sums = list(COLUMNS.values())
    grouped = hours.group_by(["hour", *names]).aggregate([(name, "sum") for name in sums])
    columns = {name.removesuffix("_sum"): grouped[name] for name in grouped.column_names}
    nothing = pa.repeat(pa.scalar("", pa.string()), grouped.num_rows)
    return pa.table({name: columns.get(name, nothing) for name in ("hour", *NAMES, *sums)})


def arranged(engine: Engine, hourly: pa.Table) -> Series:
    """Rows of hour, user_id, vendor, model (and key_id), and the sums of `questions.hourly` (priced) as series to judge."""
    naming = [name for name in NAMES if name in hourly.column_names]
    coded = {name: hourly[name].combine_chunks().dictionary_encode() for name in naming}
    codes = {name: column.indices.to_numpy(zero_copy_only=False).astype(np.int64) for name, column in coded.items()}
    joint = np.zeros(hourly.num_rows, np.int64)
    for name in naming:
        joint = joint * len(coded[name].dictionary) + codes[name]
    _, firsts, series = np.unique(joint, return_index=True, return_inverse=True)
    hour = pc.divide(hourly["hour"].cast(pa.int64()), 1_000_000 * HOUR_S).to_numpy().astype(np.int64)
    order = np.lexsort((hour, series))
    floats: dict[str, Floats] = {
        name: pc.fill_null(hourly[column].cast(pa.float64()), 0.0).to_numpy()[order] for name, column in COLUMNS.items()
    }
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
    hours = Hours(series[order], codes["user_id"][order], hour[order], local[order], zone[order], floats)
    names = hourly.select(naming).take(pa.array(firsts)).to_pylist()
    return Series(hours, clocks, names, [used[zone[first]] for first in firsts])
