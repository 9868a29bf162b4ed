"""A question's text: its .sql file, with marked places filled from the closed lists below. No value of a user ever becomes part of it.

A place is written `/*name*/ what a shell would use /*.*/`, so each file also runs as it stands.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

from byok.store.scope import AnyScope, Scope

COLUMNS = {"vendor": "vendor", "model": "model", "key_id": "key_id", "status": "status", "user_id": "user_id"}
TIMES = {
    "month": "strftime(local, '%Y-%m') as month",
    "day": "strftime(local, '%Y-%m-%d') as day",
    "hour": "strftime(local, '%Y-%m-%dT%H:00:00') || utc_offset as hour",
}
_TIME_ORDER = {"month": "month", "day": "day", "hour": "min(hour_starts_s)"}
_FILTERS = {
    "vendors": "vendor in (select unnest($vendors::varchar[]))",
    "models": "model in (select unnest($models::varchar[]))",
    "key_ids": "key_id in (select unnest($key_ids::varchar[]))",
    "statuses": "status in (select unnest($statuses::smallint[]))",
    "user_ids": "user_id in (select unnest($user_ids::varchar[]))",
}
_COST = ", sum(cost_usd) as cost_usd, count(*) filter (where cost_usd is null) as unpriced_calls"
_COST_OF_QUARTERS = ", sum(cost_usd) as cost_usd, sum(unpriced_calls) as unpriced_calls"
_PLACE = re.compile(r"/\*(\w+)\*/(.*?)/\*\.\*/", re.DOTALL)
_VALUE = re.compile(r"\$([a-z_]+)")


@cache
def text(name: str) -> str:
    """The text of sql/<name>.sql."""
    return resources.files("byok.store").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


def question(name: str, scope: AnyScope | None, *, group_by: Sequence[str] | None = None, priced: bool = False) -> str:
    """The text that asks `name` within `scope`; KeyError for a column that is not in the lists."""
    places = {"records": "usage_priced" if priced else "usage"}
    if scope is not None:
        places["scope"] = _scope(scope)
    if group_by is not None:
        places |= _groups(group_by)
    if priced:
        places |= {"cost": _COST, "cost_by_quarter": _COST, "cost_of_quarters": _COST_OF_QUARTERS}
    return _PLACE.sub(lambda match: places.get(match[1], match[2]), text(name))


def values(sql: str, offered: Mapping[str, object]) -> dict[str, object]:
    """Those of the offered values that the text asks for: DuckDB refuses others."""
    return {name: offered[name] for name in set(_VALUE.findall(sql))}


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
    }
