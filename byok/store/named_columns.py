"""Which columns of the records a query names, so that a first answer need not wait for the others to be copied.

Only a guess about speed, never about truth: in a process that holds some columns, whatever looks at another one fails, and the query is
asked again of all of them.
"""

import re

from byok.usage import COLUMN_NAMES

NAMES = (*COLUMN_NAMES, "cost_usd", "price_source")
SPIKES = "spikes"  # the table beside the records that takes time to make
MOST = 9  # more are nearly as quickly copied all, but for those of costs
_COUNT_ALL = re.compile(r"\bcount\s*\(\s*\*\s*\)", re.IGNORECASE)
_ALL_COLUMNS = re.compile(r"(?:\b(?:select|distinct|all)|[,.(])\s*\*", re.IGNORECASE)
_WORD = re.compile(r"\w+")
# Words that name columns without naming them.
_CATALOGUES = ("duckdb", "pragma", "pg_", "sqlite", "information_schema")  # they tell of tables that are not there yet
_COSTS = frozenset(("usage_priced", "cost_usd", "price_source"))
_TELLS_NOTHING = frozenset(("columns", "summarize", "describe", "show", "pivot", "unpivot", "natural", "table"))


def may_see_spikes(query: str) -> bool:
    """Whether this query could look at the unusual hours, which take long to work out.

    >>> may_see_spikes("select count(*) from Spikes"), may_see_spikes("select * from usage")
    (True, False)
    """
    words = {word.lower() for word in _WORD.findall(query)}
    return SPIKES in words or "try" in words  # which would make a null of what fails without them


def named(query: str) -> tuple[str, ...]:
    """The columns to copy for this query, always `ts` and `user_id` among them, and `spikes` if it asks for these; empty: everything.

    >>> named("select model, count(*), sum(cost_usd) from usage_priced group by model")
    ('ts', 'user_id', 'model', 'cost_usd')
    >>> named("select * from usage") == COLUMN_NAMES, named("select * from usage_priced")
    (True, ())
    """
    words = {word.lower() for word in _WORD.findall(query)}
    if "try" in words or any(word.startswith(_CATALOGUES) for word in words):
        return ()
    found = tuple(name for name in NAMES if name in words or name in ("ts", "user_id"))
    if len(found) > MOST or words & _TELLS_NOTHING or _ALL_COLUMNS.search(_COUNT_ALL.sub(" ", query)):
        found = () if words & _COSTS else COLUMN_NAMES
    return (*found, *(SPIKES for _ in words & {SPIKES})) if found else ()
