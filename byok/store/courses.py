"""Any measure over time and by columns: what the Explore page asks. As in `questions`, every question says whose data and when."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from byok.store import questions
from byok.store.engine import Engine
from byok.store.questions import Grain
from byok.store.scope import AnyScope

Rows = list[dict[str, Any]]
_SUMS = ("calls", "failed", "prompt_tokens", "completion_tokens", "total_tokens", "cost_usd", "unpriced_calls")


def sums(engine: Engine, scope: AnyScope, *, grain: Grain, by: Sequence[str] = ()) -> Rows:
    """Calls, tokens and cost per local hour, day or month and by `by`: start (an instant), `by`, the sums of `questions.series`."""
    rows: Rows = questions.series(engine, scope, grain=grain, by=tuple(by)).to_pylist()
    return rows


def added(rows: Iterable[Mapping[str, Any]], *, by: Sequence[str] = ()) -> Rows:
    """Rows of `sums` with fewer columns (of which `start` can be one): added up by `by`, in the order in which values first occur.

    A cost is None if none of its rows has one; `success` is there, too. No row without `by` if there are no rows.

    >>> added([{"model": "a", "calls": 2, …}, {"model": "b", "calls": 3, …}])
    [{"calls": 5, …}]
    """
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        key = tuple(row[name] for name in by)
        if (one := found.get(key)) is None:
            found[key] = dict(zip(by, key, strict=True)) | {name: row[name] for name in _SUMS}
            continue
        for name in _SUMS:
            value = row[name]
            if value is not None:
                one[name] = value if one[name] is None else one[name] + value
    return [row | {"success": row["calls"] - row["failed"]} for row in found.values()]


def waits(engine: Engine, scope: AnyScope, starts: Sequence[datetime], *, by: Sequence[str] = ()) -> Rows:
    """How long successful calls took, from each of `starts` (ascending) to the next and by value of `by`; most calls first in each.

    start (of `starts`), `by`, calls, latency_p50_ms, latency_p95_ms, ttft_p50_ms: percentiles are values that occurred, None where nothing
    was measured. Half of the calls took at most `latency_p50_ms`. Stretches without a successful call are left out.
    """
    return _placed(engine.ask("waits", scope, group_by=tuple(by), starts=list(starts)).to_pylist(), starts)


def cached_input(engine: Engine, scope: AnyScope, starts: Sequence[datetime], *, by: Sequence[str] = ()) -> Rows:
    """As `waits`, of all calls: start, `by`, calls, prompt_tokens, and cached_tokens of them."""
    rows = _placed(engine.ask("cached_input", scope, group_by=tuple(by), starts=list(starts)).to_pylist(), starts)
    return [row | {name: int(row[name]) for name in ("prompt_tokens", "cached_tokens")} for row in rows]


def _placed(rows: Rows, starts: Sequence[datetime]) -> Rows:
    return [{"start": starts[row.pop("place")], **row} for row in rows]
