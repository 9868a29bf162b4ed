"""Any measure over time and by columns: what the Explore page asks. As in `questions`, every question says whose data and when."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from byok.store import questions
from byok.store.engine import Engine
from byok.store.questions import Grain
from byok.store.scope import AnyScope

Rows = list[dict[str, Any]]


def sums(engine: Engine, scope: AnyScope, *, grain: Grain, by: Sequence[str] = ()) -> Rows:
    """Calls, tokens and cost per local hour, day or month and by `by`: start (an instant), `by`, the sums of `questions.series`."""
    rows: Rows = questions.series(engine, scope, grain=grain, by=tuple(by)).to_pylist()
    return rows


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
