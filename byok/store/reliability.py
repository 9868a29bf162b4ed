"""What can be asked about how calls ended and how long they took. As in `questions`, every question says whose data and when."""

from dataclasses import dataclass
from typing import Any

from byok.store.engine import Engine
from byok.store.questions import Grain, usage
from byok.store.scope import AnyScope

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Speeds:
    """Rows with calls, timed, latency_p50_ms, latency_p95_ms, ttft_p50_ms, ttft_p95_ms (None where nothing was measured).

    `whole` is over all successful calls (None without one), `models` per vendor and model, most calls first. Percentiles are values
    that occurred: half of the calls took at most `latency_p50_ms`.
    """

    whole: dict[str, Any] | None
    models: Rows


def endings(engine: Engine, scope: AnyScope, *, grain: Grain) -> Rows:
    """Calls per local hour, day or month (as `GET /usage` writes it) and status, in order of time: the grain's own name, status, calls."""
    return usage(engine, scope, group_by=(grain, "status")).rows


def endings_of(engine: Engine, scope: AnyScope, *, by: str) -> Rows:
    """Calls per value of `by` (vendor, model, key_id, user_id) and status: `by`, status, calls."""
    return usage(engine, scope, group_by=(by, "status")).rows


def week(engine: Engine, scope: AnyScope) -> Rows:
    """Calls per weekday (1 is Monday) and hour of the day in the scope's zone: weekday, hour_of_day, calls, failed; empty ones left out."""
    return usage(engine, scope, group_by=("weekday", "hour_of_day")).rows


def speeds(engine: Engine, scope: AnyScope) -> Speeds:
    """How long the successful calls took."""
    rows: Rows = engine.ask("speeds", scope).to_pylist()
    whole = next((row for row in rows if row["vendor"] is None), None)
    return Speeds(whole, [row for row in rows if row["vendor"] is not None])


def sources(engine: Engine, scope: AnyScope) -> Rows:
    """Where the counts come from, most calls first: usage_source, calls, success, uncounted (no total at all), total_tokens."""
    rows: Rows = engine.ask("sources", scope).to_pylist()
    return [row | {"total_tokens": int(row["total_tokens"])} for row in rows]


def recent_failures(engine: Engine, scope: AnyScope, *, most: int) -> Rows:
    """The newest failed calls, newest first: ts, vendor, model, key_id, user_id, endpoint, status, latency_ms, usage_source."""
    rows: Rows = engine.ask("recent_failures", scope, most=most).to_pylist()
    return rows
