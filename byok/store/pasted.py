"""A question of the dashboard as SQL text that stands for itself: no parameters, over the view `usage_priced`, to be pasted anywhere."""

from collections.abc import Sequence
from datetime import UTC, datetime

from byok.store.questions import Grain
from byok.store.scope import Scope

_SUCCESS = "status between 200 and 299"
# What is read, as a column of the answer; its name is that of the API where there is one.
MEASURES = {
    "cost": "sum(cost_usd) as cost_usd",
    "tokens": "coalesce(sum(total_tokens), 0) as total_tokens",
    "calls": "count(*) as calls",
    "failures": f"count(*) filter (where not ({_SUCCESS})) as failed",
    "error-rate": f"count(*) filter (where not ({_SUCCESS})) / count(*) as error_rate",
    "p50": f"quantile_disc(latency_ms, 0.5) filter (where {_SUCCESS}) as latency_p50_ms",
    "p95": f"quantile_disc(latency_ms, 0.95) filter (where {_SUCCESS}) as latency_p95_ms",
    "ttft": f"quantile_disc(ttft_ms, 0.5) filter (where {_SUCCESS}) as ttft_p50_ms",
    "cached": "coalesce(sum(cached_tokens), 0) / nullif(sum(prompt_tokens), 0) as cached_share",
}
_COLUMNS = frozenset({"vendor", "model", "key_id", "status"})


def as_sql(scope: Scope, *, measure: str, grain: Grain, by: Sequence[str], title: str) -> str:
    """The text for a word of `MEASURES` per hour, day or month and by columns. Values of a user are quoted; `title` must be ours.

    It says nothing of the user: whoever runs it asks of the rows that they are given. Raises KeyError for other words and columns.

    >>> print(as_sql(scope, measure="calls", grain="day", by=("vendor",), title="Calls by vendor"))
    -- Calls by vendor
    select
        strftime(ts at time zone 'UTC', '%Y-%m-%d') as day,
        vendor,
        count(*) as calls
    from usage_priced
    where ts >= timestamptz '2026-11-01 00:00:00+00'
        and ts < timestamptz '2026-12-01 00:00:00+00'
    group by all
    order by day, calls desc
    """
    if unknown := set(by) - _COLUMNS:
        raise KeyError(*unknown)
    value = MEASURES[measure]
    name = value.rpartition(" as ")[2]
    chosen = [f"{_bucket(grain, scope.tz)} as {grain}", *by, value]
    wanted = [f"ts >= {_instant(scope.since)}", f"ts < {_instant(scope.until)}"]
    wanted += [
        f"{column} in ({', '.join(map(_text, values))})"
        for column, values in (("vendor", scope.vendors), ("model", scope.models), ("key_id", scope.key_ids))
        if values
    ]
    if scope.statuses:
        wanted.append(_statuses(scope.statuses))
    lines = [f"-- {title}", "select", "    " + ",\n    ".join(chosen), "from usage_priced", "where " + "\n    and ".join(wanted)]
    return "\n".join([*lines, "group by all", f"order by {grain}, {name} desc"])


def _bucket(grain: Grain, tz: str) -> str:
    local = f"ts at time zone {_text(tz)}"
    if grain == "hour":  # an instant, so that the two equal hours of a clock change stay apart
        return f"ts - (({local}) - date_trunc('hour', {local}))"
    return f"strftime({local}, '{'%Y-%m-%d' if grain == 'day' else '%Y-%m'}')"


def _statuses(statuses: Sequence[int]) -> str:
    """Such as (status between 300 and 999 or status = 200)."""
    spans: list[list[int]] = []
    for status in sorted(set(statuses)):
        if spans and status == spans[-1][1] + 1:
            spans[-1][1] = status
        else:
            spans.append([status, status])
    parts = [f"status = {first}" if first == last else f"status between {first} and {last}" for first, last in spans]
    return f"({' or '.join(parts)})"


def _instant(moment: datetime) -> str:
    return f"timestamptz '{moment.astimezone(UTC).isoformat(sep=' ').removesuffix(':00')}'"


def _text(value: str) -> str:
    return "'" + value.replace("\0", "").replace("'", "''") + "'"
