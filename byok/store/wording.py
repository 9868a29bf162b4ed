"""A question's text: its .sql file, with marked places filled from the closed lists below. No value of a user ever becomes part of it.

A place is written `/*name*/ what a shell would use /*.*/`, so each file also runs as it stands.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

from byok.store.scope import AnyScope, Scope
from byok.usage import COLUMN_NAMES

COLUMNS = {"vendor": "vendor", "model": "model", "key_id": "key_id", "status": "status", "user_id": "user_id"}
TIMES = {
    "month": "strftime(local, '%Y-%m') as month",
    "day": "strftime(local, '%Y-%m-%d') as day",
    "hour": "strftime(local, '%Y-%m-%dT%H:00:00') || utc_offset as hour",
    "weekday": "isodow(local) as weekday",  # 1 is Monday
    "hour_of_day": "hour(local) as hour_of_day",
}
# An hour begins where the clock shows it, or, if a change cuts it, with the change.
_TIME_ORDER = {"month": "month", "day": "day", "hour": "min(greatest(local_s - shift_s, from_s))", "weekday": "weekday"}
_TIME_ORDER |= {"hour_of_day": "hour_of_day"}
_HOURS = ("hour", "hour_of_day")
_FILTERS = {
    "vendors": "vendor in (select unnest($vendors::varchar[]))",
    "models": "model in (select unnest($models::varchar[]))",
    "key_ids": "key_id in (select unnest($key_ids::varchar[]))",
    "statuses": "status in (select unnest($statuses::smallint[]))",
    "user_ids": "user_id in (select unnest($user_ids::varchar[]))",
}
_OF_CALLS = {"cost_sum": "usd_of_nanos(sum(cost_nano))", "unpriced": "count(*) filter (where cost_nano is null)"}
_OF_SUMS = {
    "calls": "coalesce(sum(calls), 0)",
    "success": "coalesce(sum(calls) filter (where status between 200 and 299), 0)",
    "failed": "coalesce(sum(calls) filter (where status not between 200 and 299), 0)",
    # rows that were taken off again leave a sum of 0 where there is none
    "cost_sum": "case when sum(unpriced_calls) < sum(calls) then usd_of_nanos(sum(cost_nano)) end",
    "unpriced": "coalesce(sum(unpriced_calls), 0)",
}
_PARTS = ("cached", "written", "output", "request", "saved")
NANOS = ("cost_nano", *(f"{part}_nano" for part in _PARTS))
SPLIT = (*(f"{part}_usd" for part in _PARTS), "cached_tokens", "cache_write_tokens")
_SPLIT_OF_STEPS = "".join(f", sum({name}) as {name}" for name in SPLIT)
_SPLIT_SUMS = "".join(f", usd_of_nanos(sum({part}_nano)) as {part}_usd" for part in _PARTS) + "".join(
    f", sum({name}) as {name}" for name in SPLIT[len(_PARTS) :]
)
_COST_OF_STEPS = ", sum(cost_usd) as cost_usd, sum(unpriced_calls) as unpriced_calls"
_SUMMED_COLUMNS = ", ".join(
    ("ts", "vendor", "model", "status", "prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "cache_write_tokens",
     "reasoning_tokens", "calls")
)  # fmt: skip
_SUMMED_COSTS = "".join(f", {name}" for name in (*NANOS, "unpriced_calls"))
_OF_RECORDS = {name: name for name in (*COLUMN_NAMES, "cost_usd", "price_source")}
SUMMED = frozenset({"usage", "usage_by_time", "summary"})
_COSTED = SUMMED | {"hourly", "hourly_by_key", "hours_of_keys"}  # they ask for sums of cost, not for the records
_PLACE = re.compile(r"/\*(\w+)\*/(.*?)/\*\.\*/", re.DOTALL)
_VALUE = re.compile(r"\$([a-z_]+)")


@cache
def text(name: str) -> str:
    """The text of sql/<name>.sql."""
    return resources.files("byok.store").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


def question(
    name: str,
    scope: AnyScope | None,
    *,
    group_by: Sequence[str] | None = None,
    priced: bool = False,
    split: bool = False,
    known: Sequence[str] = (),
    columns: Sequence[str] = (),
) -> str:
    """The text that asks `name` within `scope`; KeyError for a column that is not in the lists.

    `split` adds what each part of the cost comes to. `known` are texts of remembered sums that stand beside the records (see
    `byok.store.remembered`); `columns` are those of the record that are wanted, where a question can do without the rest.
    """
    sums = _OF_SUMS if known else _OF_CALLS
    cost = f", {sums['cost_sum']} as cost_usd, {sums['unpriced']} as unpriced_calls"
    priced = priced or name == "summary"
    places = {"records": _records(name, scope, known, priced=priced, by_user="user_id" in (group_by or ())), **sums}
    if scope is not None:
        places["scope"] = _scope(scope)
    if columns:
        places["columns"] = ", ".join(_OF_RECORDS[name] for name in columns)
    if group_by is not None:
        places |= _groups(group_by)
    if priced:
        more, of_steps = (_SPLIT_SUMS, _SPLIT_OF_STEPS) if split else ("", "")
        places |= {"cost": cost + more, "cost_by_step": cost + more, "cost_of_steps": _COST_OF_STEPS + of_steps}
    if name == "hours_of_keys" and priced:
        places["chosen"] = f"({costed('chosen', '')})"
    if name == "what_if":
        places["repriced"] = costed("swapped", "was_vendor, was_model, was_usd,")
    return filled(name, places)


def filled(name: str, places: Mapping[str, str]) -> str:
    """The text of sql/<name>.sql with some of its places filled."""
    return _PLACE.sub(lambda match: places.get(match[1], match[2]), text(name))


def costed(source: str, more: str) -> str:
    """The query behind the view `usage_costed` over other records, with more of their columns passed on. Both are our own words."""
    view = _PLACE.sub(lambda match: {"source": source, "more": more}.get(match[1], match[2]), text("view_usage_costed"))
    return view[view.index("with parts as") :]


def values(sql: str, offered: Mapping[str, object]) -> dict[str, object]:
    """Those of the offered values that the text asks for: DuckDB refuses others."""
    return {name: offered[name] for name in set(_VALUE.findall(sql))}


def _records(name: str, scope: AnyScope | None, known: Sequence[str], *, priced: bool, by_user: bool) -> str:
    if not known:
        return ("usage_costed" if name in _COSTED else "usage_priced") if priced else "usage"
    columns = _SUMMED_COLUMNS + (_SUMMED_COSTS if priced else "") + (", user_id" if by_user or isinstance(scope, Scope) else "")
    view = "usage_summed_priced" if priced else "usage_summed"
    parts = [f"select {columns} from {view}", *(f"select {columns} from ({part})" for part in known)]  # noqa: S608 - our own names
    return f"({' union all '.join(parts)})"


def _scope(scope: AnyScope) -> str:
    parts = ["user_id = $user_id"] if isinstance(scope, Scope) else []
    parts += ["ts >= $since", "ts < $until"]
    parts += [condition for name, condition in _FILTERS.items() if getattr(scope, name, ())]
    return " and ".join(parts)


def _groups(group_by: Sequence[str]) -> dict[str, str]:
    columns = [COLUMNS[name] for name in group_by if name not in TIMES]
    times = [name for name in group_by if name in TIMES]
    return {
        "groups": "".join(f"{column}, " for column in columns),
        "order": ", ".join(columns) or "calls",
        "time": "".join(f"{TIMES[name]}, " for name in times),
        "time_order": "".join(f"{_TIME_ORDER[name]}, " for name in times),
        "more_order": "".join(f", {column}" for column in columns),
        "step": "3600" if any(name in _HOURS for name in times) else "86400",
        "span": "utc_offset, from_s, shift_s, " if "hour" in times else "",
    }
