"""Questions about money: what each part of a cost comes to, which prices were used, and what other models would have cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from byok.errors import BadRequest
from byok.store import questions, wording
from byok.store.engine import Engine
from byok.store.scope import AnyScope

NANO = Decimal("1e-9")
PARTS = ("input_usd", "cached_usd", "written_usd", "output_usd", "request_usd")
Name = tuple[str, str]


class WhatIfInvalid(BadRequest):
    """A what-if that names nothing to change, or a model that has no price."""

    code = "invalid_parameter"


@dataclass(frozen=True)
class WhatIf:
    """`rows`, the largest difference first: vendor, model, to_vendor, to_model, calls, total_tokens, cost_usd (as it was), what_if_usd,
    difference_usd (None where no call has both), unpriced_calls (those that lack either). `totals`: the sums of the rows with both."""

    rows: list[dict[str, Any]]
    totals: dict[str, Any]
    incomplete: bool


def costs(engine: Engine, scope: AnyScope, *, group_by: Sequence[str] = ("vendor", "model")) -> questions.UsageAnswer:
    """As `questions.usage` with cost, and its parts: input_, cached_, written_, output_ and request_usd add up to cost_usd exactly.

    What the rounding of single calls leaves over is in input_usd; all are None where cost_usd is. Also cached_tokens, cache_write_tokens,
    saved_usd (what caching saved, less what writing the cache cost more) and usd_per_1000_calls (of those with a cost). Dearest first.
    """
    timed = any(name in wording.TIMES for name in group_by)
    table = engine.ask("usage_by_time" if timed else "usage", scope, group_by=tuple(group_by), priced=True, split=True)
    names = ("prompt_tokens", "completion_tokens", "total_tokens", "calls", "success", "failed", "cost_usd", "unpriced_calls")
    rows = [_with_input(row) for row in questions.as_rows(table.select([*group_by, *names, *wording.SPLIT]))]
    if not timed:
        rows.sort(key=lambda row: (row["cost_usd"] is None, -(row["cost_usd"] or 0)))
    return questions.UsageAnswer(rows, _totals(rows), bool(engine.quarantined))


def course(engine: Engine, scope: AnyScope, *, grain: questions.Grain) -> list[dict[str, Any]]:
    """The rows of `costs` by local hour, day or month, each with its first instant as `start`."""
    rows = costs(engine, scope, group_by=(grain,)).rows
    return [row | {"start": questions.start_of(row[grain], grain, scope.tz)} for row in rows]


def price_sources(engine: Engine, scope: AnyScope) -> dict[Name, list[str]]:
    """Where the prices of a selection come from, with their dates, by vendor and model; the one of most calls first."""
    found: dict[Name, list[str]] = {}
    for row in engine.ask("price_sources", scope).to_pylist():
        found.setdefault((row["vendor"], row["model"]), []).append(row["price_source"])
    return found


def what_if(engine: Engine, scope: AnyScope, *, swaps: Mapping[Name, Name], cached_share: float | None = None) -> WhatIf:
    """The selection call by call as if the models on the left of `swaps` were those on the right, at the rates of the moment of each call.

    Token counts stay as they were: another model's tokenizer may count otherwise. `cached_share` (0 to 1) puts that part of every prompt
    into the cache, at no cost of writing it. Raises `WhatIfInvalid`.
    """
    if not swaps and cached_share is None:
        raise WhatIfInvalid("Nothing is asked to be different.", remedy="Name a model to replace, or a share of cached input.")
    if cached_share is not None and not 0 <= cached_share <= 1:
        raise WhatIfInvalid("A share of cached input lies between 0 and 1.", remedy="cached_share: such as 0.5")
    for vendor, model in swaps.values():
        known = engine.catalogue.find(vendor, model)
        if known is None or not known.prices:
            raise WhatIfInvalid("The model to compare with has no price.", remedy="byok prices list names those that have one.")
    values: dict[str, Any] = {
        "from_vendors": [vendor for vendor, _ in swaps],
        "from_models": [model for _, model in swaps],
        "to_vendors": [vendor for vendor, _ in swaps.values()],
        "to_models": [model for _, model in swaps.values()],
        "cached_share": cached_share,
    }
    rows = questions.as_rows(engine.ask("what_if", scope, **values))
    rows.sort(key=lambda row: (row["difference_usd"] is None, -abs(row["difference_usd"] or 0), row["vendor"], row["model"]))
    both = [row for row in rows if row["difference_usd"] is not None]
    totals = {name: sum((row[name] for row in both), Decimal(0)).quantize(NANO) for name in ("cost_usd", "what_if_usd", "difference_usd")}
    totals["calls"] = sum(row["calls"] for row in rows)
    totals["unpriced_calls"] = sum(row["unpriced_calls"] for row in rows)
    return WhatIf(rows, totals, bool(engine.quarantined))


def swap(text: str) -> tuple[Name, Name]:
    """The pair that a person writes as vendor/model=vendor/model. Raises `WhatIfInvalid`.

    >>> swap("openai/gpt-4o=groq/openai/gpt-oss-120b")
    (('openai', 'gpt-4o'), ('groq', 'openai/gpt-oss-120b'))
    """
    old, _, new = text.partition("=")
    (old_vendor, _, old_model), (new_vendor, _, new_model) = old.partition("/"), new.partition("/")
    if not (old_vendor and old_model and new_vendor and new_model):
        raise WhatIfInvalid("`replace` is not understood.", remedy="replace=openai/gpt-4o=openai/gpt-4o-mini: vendor/model=vendor/model")
    return (old_vendor, old_model), (new_vendor, new_model)


def _with_input(row: dict[str, Any]) -> dict[str, Any]:
    cost = row["cost_usd"]
    parts: dict[str, Any] = {
        name: None if cost is None else row.pop(name) for name in ("cached_usd", "written_usd", "output_usd", "request_usd")
    }
    for name in parts:
        row.pop(name, None)
    saved = None if cost is None else row.pop("saved_usd")
    row.pop("saved_usd", None)
    rest = None if cost is None else cost - sum(parts.values(), Decimal(0))
    more = {name: row.pop(name) or 0 for name in ("cached_tokens", "cache_write_tokens")}
    per_thousand = _per_thousand(cost, row["calls"] - row["unpriced_calls"])
    return row | more | {"input_usd": rest} | parts | {"saved_usd": saved, "usd_per_1000_calls": per_thousand}


def _totals(rows: list[dict[str, Any]]) -> dict[str, Any]:
    priced = [row for row in rows if row["cost_usd"] is not None]
    totals: dict[str, Any] = {"total_calls": sum(row["calls"] for row in rows)}
    for name in ("cost_usd", *PARTS, "saved_usd"):
        totals[name] = sum((row[name] for row in priced), Decimal(0)).quantize(NANO) if priced or not rows else None
    for name in ("cached_tokens", "cache_write_tokens", "unpriced_calls"):
        totals[name] = sum(row[name] for row in rows)
    totals["usd_per_1000_calls"] = _per_thousand(totals["cost_usd"], totals["total_calls"] - totals["unpriced_calls"])
    return totals


def _per_thousand(cost: Decimal | None, calls: int) -> Decimal | None:
    return None if cost is None or not calls else (cost * 1000 / calls).quantize(NANO, ROUND_HALF_EVEN)
