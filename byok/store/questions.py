"""What can be asked of the usage: one function per question, its SQL in sql/. Every question says whose data and when (`Scope`)."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import pyarrow as pa

from byok import zones
from byok.recording.reader import View
from byok.store import wording
from byok.store.engine import Engine
from byok.store.scope import AnyScope, Scope
from byok.zones import EARLIEST, LATEST

Grain = Literal["hour", "day", "month"]
_SUMS = ("prompt_tokens", "completion_tokens", "total_tokens", "calls", "success", "failed")
_COST_SUMS = ("cost_usd", "unpriced_calls")
_COSTS = frozenset(("cost_usd", "price_source"))
_SLICE_ROWS = 100_000
_HOUR, _SHORTEST = timedelta(hours=1), timedelta(microseconds=1)
_NANO = Decimal("1e-9")


@dataclass(frozen=True)
class UsageAnswer:
    """`rows`: group columns, then the sums; `totals` over all rows; `incomplete` if a broken file was left out."""

    rows: list[dict[str, Any]]
    totals: dict[str, Any]
    incomplete: bool

    def body(self) -> dict[str, Any]:
        """The body of `GET /usage`; costs are Decimals with nine places."""
        return {"usage": self.rows, **self.totals}


@dataclass(frozen=True)
class Freshness:
    """How current an answer is: the newest record, rows still in the journal, published files, and how many of them cannot be read."""

    newest_ts: datetime | None
    pending_rows: int
    files: int
    quarantined: int


def usage(engine: Engine, scope: AnyScope, *, group_by: Sequence[str] = ("vendor", "model"), cost: bool = False) -> UsageAnswer:
    """Tokens and calls per group, most tokens first; with hour, day or month among `group_by` by that first, ascending.

    `cost` adds `cost_usd` (Decimal, USD; None for a row none of whose calls is priced) and `unpriced_calls`.
    """
    timed = any(name in wording.TIMES for name in group_by)
    table = engine.ask("usage_by_time" if timed else "usage", scope, group_by=tuple(group_by), priced=cost)
    rows = as_rows(table.select([*group_by, *_SUMS, *(_COST_SUMS if cost else ())]))
    return UsageAnswer(rows, _totals(rows, cost), bool(engine.quarantined))


def sums(engine: Engine, scope: AnyScope, *, group_by: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """What `usage` answers, with cost, as batches for a file: the group columns, then the sums; at least one batch, maybe empty."""
    timed = any(name in wording.TIMES for name in group_by)
    table = engine.ask("usage_by_time" if timed else "usage", scope, group_by=tuple(group_by), priced=True)
    found = table.select([*group_by, *_SUMS, *_COST_SUMS]).combine_chunks()
    yield from found.to_batches() or [pa.RecordBatch.from_pylist([], found.schema)]


def series(engine: Engine, scope: AnyScope, *, grain: Grain, by: str | tuple[str, ...] | None = None) -> pa.Table:
    """One row per local hour, day or month (and value of `by`, one column or several) in which something happened, in order of time.

    Columns: bucket (as `GET /usage` writes it), start (its first instant, timestamptz), `by` under its own name if given, calls, failed,
    prompt_tokens, completion_tokens, total_tokens, cost_usd (decimal, null if nothing is priced), unpriced_calls.
    """
    more = (by,) if isinstance(by, str) else by or ()
    table = engine.ask("usage_by_time", scope, group_by=(grain, *more), priced=True)
    buckets = table[grain].to_pylist()
    starts = {bucket: start_of(bucket, grain, scope.tz) for bucket in dict.fromkeys(buckets)}
    columns: dict[str, Any] = {"bucket": table[grain], "start": pa.array([starts[b] for b in buckets], pa.timestamp("us", "UTC"))}
    columns |= {name: table[name] for name in more}
    sums = ("calls", "failed", "prompt_tokens", "completion_tokens", "total_tokens", "cost_usd", "unpriced_calls")
    return pa.table(columns | {name: table[name] for name in sums})


def summary(engine: Engine, scope: AnyScope) -> dict[str, Any]:
    """One period in figures; ask twice to compare two.

    calls, success, failed, prompt_tokens, completion_tokens, total_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,
    cost_usd (Decimal; None if nothing is priced), unpriced_calls.
    """
    row: dict[str, Any] = as_rows(engine.ask("summary", scope))[0]
    row["cost_usd"] = _cost(row["cost_usd"], row["calls"])
    return row


def facets(engine: Engine, scope: AnyScope) -> dict[str, list[str]]:
    """What the period holds to filter by: sorted values of vendor, model, key_id and status, whatever is filtered now."""
    unfiltered = replace(scope, vendors=(), models=(), key_ids=(), statuses=())
    row = engine.ask("facets", unfiltered).to_pylist()[0]
    return {name: [str(value) for value in values or []] for name, values in row.items()}


def extent(engine: Engine, user_id: str) -> tuple[datetime | None, datetime | None, int]:
    """A user's oldest and newest record that the plan keeps, and how many there are."""
    row = engine.ask("extent", Scope(user_id, EARLIEST, LATEST)).to_pylist()[0]
    return row["oldest"], row["newest"], row["rows"]


def newest(engine: Engine, scope: AnyScope) -> datetime | None:
    """When the newest call within `scope` was made; None if there is none."""
    found: datetime | None = engine.ask("extent", scope).to_pylist()[0]["newest"]
    return found


def records(engine: Engine, scope: AnyScope, *, priced: bool = False) -> Iterator[pa.RecordBatch]:
    """The records of `scope` in order of time, columns of the record (and cost_usd, price_source if `priced`).

    Read slice by slice, cut between hours, so that memory does not grow with the rows; all from the view of the moment in which the first
    batch is asked for, unless its files are merged away or erased meanwhile. At least one batch comes, maybe empty.
    """
    view = engine.view()
    for part in _slices(engine, scope, view):
        yield from engine.stream("records", part, priced=priced, over=view)


def records_as_they_lie(engine: Engine, scope: AnyScope, columns: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
    """As `records`, priced and in no order, at half the cost; only these `columns` if any are named, at the cost of these.

    A broken file is an error in mid-way: then ask for `records`.
    """
    priced = not columns or not _COSTS.isdisjoint(columns)
    return engine.stream("records_as_they_lie", scope, priced=priced, columns=columns)


def newest_since(engine: Engine, scope: AnyScope, *, most: int) -> datetime:
    """From when on `scope` holds at most `most` records, and as many of them as that allows."""
    view, count = engine.view(), 0
    hours = engine.ask("records_per_hour", scope, over=view).to_pydict()
    for hour_s, calls in reversed(list(zip(hours["hour_s"], hours["calls"], strict=True))):
        if count + calls > most:
            since = max(scope.since, datetime.fromtimestamp(hour_s, UTC))
            until = min(scope.until, datetime.fromtimestamp(hour_s, UTC) + _HOUR)
            in_hour = replace(scope, since=since, until=until)
            first_out = engine.ask("moment_of_nth_newest", in_hour, over=view, place=most - count)["ts"].to_pylist()
            return first_out[0] + _SHORTEST if first_out else until
        count += calls
    return scope.since


def hourly(engine: Engine, scope: AnyScope, *, priced: bool = False, by_key: bool = False) -> Iterator[pa.RecordBatch]:
    """Every series hour by hour, in no order: hour (timestamptz), user_id, vendor, model (and key_id if `by_key`), calls, failed,
    total_tokens (and cost_usd, unpriced_calls if `priced`). Empty hours are left out."""
    return engine.stream("hourly_by_key" if by_key else "hourly", scope, priced=priced)


def freshness(engine: Engine) -> Freshness:
    """How current every answer is."""
    view = engine.view()
    return Freshness(view.newest_ts, view.tail.num_rows, len(view.files), len(engine.quarantined))


def price_list(engine: Engine, *, at: datetime | None = None) -> list[dict[str, Any]]:
    """The rates in force now (or `at`), by vendor and model.

    vendor, model, input_/output_/cached_/write_usd_per_mtok (Decimal; None = the input rate), valid_from (None = always), price_source.
    """
    rows: list[dict[str, Any]] = engine.ask("price_list", at=at or engine.now()).to_pylist()
    return rows


def as_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Rows with every count an int, also one beyond a bigint."""
    rows: list[dict[str, Any]] = table.to_pylist()
    huge = [field.name for field in table.schema if pa.types.is_decimal(field.type) and field.type.scale == 0]
    for row, name in itertools.product(rows, huge):
        row[name] = int(row[name])
    return rows


def _totals(rows: list[dict[str, Any]], cost: bool) -> dict[str, Any]:
    totals: dict[str, Any] = {
        "total_tokens": sum(row["total_tokens"] for row in rows),
        "total_calls": sum(row["calls"] for row in rows),
        "success": sum(row["success"] for row in rows),
        "failed": sum(row["failed"] for row in rows),
    }
    if cost:
        priced = [row["cost_usd"] for row in rows if row["cost_usd"] is not None]
        totals["cost_usd"] = _cost(sum(priced) if priced else None, totals["total_calls"])
        totals["unpriced_calls"] = sum(row["unpriced_calls"] for row in rows)
    return totals


def _cost(found: Decimal | None, calls: int) -> Decimal | None:
    """Nothing called costs nothing; something called at no known price costs an unknown sum."""
    return Decimal(0).quantize(_NANO) if found is None and calls == 0 else found


def start_of(bucket: str, grain: Grain, tz: str) -> datetime:
    """The first instant of a local hour, day or month as the answers write it."""
    if grain == "hour":
        return zones.first_of_hour(datetime.fromisoformat(bucket), tz)
    return zones.midnight(date.fromisoformat(bucket if grain == "day" else f"{bucket}-01"), tz)


def _slices(engine: Engine, scope: AnyScope, view: View) -> list[AnyScope]:
    """The scope cut between hours into parts of about `_SLICE_ROWS`."""
    hours = engine.ask("records_per_hour", scope, over=view).to_pydict()
    cuts, count = [], 0
    for hour_s, calls in zip(hours["hour_s"], hours["calls"], strict=True):
        if count and count + calls > _SLICE_ROWS:
            cuts.append(datetime.fromtimestamp(hour_s, UTC))
            count = 0
        count += calls
    bounds = [scope.since, *cuts, scope.until]
    return [replace(scope, since=since, until=until) for since, until in itertools.pairwise(bounds)]
