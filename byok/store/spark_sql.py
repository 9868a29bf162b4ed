"""The questions' SQL in Spark's dialect: the only place that knows both. sqlglot does most of it; the rules below do the rest.

A rule is here when Spark would answer otherwise than DuckDB, or not at all; a test runs every question on both and compares row by row.
"""

from collections.abc import Callable
from functools import cache

import sqlglot
from sqlglot import exp

_HUGE = "pico"  # what is 128 bits wide in our SQL is called so
_MACROS = {
    "nano_of_pico": "cast(bround(cast(x as decimal(38, 0)) / 1000, 0) as bigint)",  # half even, as the macro says with whole numbers
    "usd_of_nano": "cast(cast(x as decimal(18, 0)) * cast(0.000000001 as decimal(9, 9)) as decimal(18, 9))",
    "usd_of_nanos": "cast(cast(x as decimal(28, 0)) * cast(0.000000001 as decimal(9, 9)) as decimal(38, 9))",
}
_INT = exp.DataType.build("int")
_NAMES = {"epoch_us": "UNIX_MICROS", "make_timestamptz": "TIMESTAMP_MICROS"}


@cache
def transpile(sql: str) -> str:
    """Return Spark's SQL for one statement of DuckDB's; `$name` becomes `:name`. Raises `SqlglotError` for what has no equal.

    >>> transpile("select epoch_us(ts) // 3600 as hour from usage where user_id = $user_id")
    'SELECT UNIX_MICROS(ts) DIV 3600 AS hour FROM usage WHERE user_id = :user_id'
    """
    tree = sqlglot.parse_one(sql, read="duckdb")
    for rule in _RULES:
        for node in reversed(list(tree.walk())):  # the inner ones first
            node.pop_comments()
            if (found := rule(node)) is not node:
                node.replace(found)
    return str(tree.sql(dialect="spark", unsupported_level=sqlglot.ErrorLevel.RAISE))


def _functions(node: exp.Expression) -> exp.Expression:
    """Functions that Spark has under another name."""
    if isinstance(node, exp.Anonymous) and (name := _NAMES.get(str(node.this).lower())):
        return exp.Anonymous(this=name, expressions=[one.copy() for one in node.expressions])
    if isinstance(node, exp.Anonymous) and str(node.this).lower() == "to_hours":
        return exp.Anonymous(
            this="MAKE_DT_INTERVAL", expressions=[exp.Literal.number(0), exp.Cast(this=node.expressions[0].copy(), to=_INT)]
        )
    return node


def _macros(node: exp.Expression) -> exp.Expression:
    """Those of macros.sql, spelled out."""
    if isinstance(node, exp.Anonymous) and (text := _MACROS.get(str(node.this).lower())):
        found = sqlglot.parse_one(text, read="duckdb")
        for column in list(found.find_all(exp.Column)):
            column.replace(exp.Paren(this=node.expressions[0].copy()))
        return found
    return node


def _weekdays(node: exp.Expression) -> exp.Expression:
    """Monday is 1."""
    if isinstance(node, exp.DayOfWeekIso):
        return exp.Paren(this=exp.Add(this=exp.Anonymous(this="WEEKDAY", expressions=[node.this.copy()]), expression=exp.Literal.number(1)))
    return node


def _medians(node: exp.Expression) -> exp.Expression:
    """The median of an even number of values, of which those that are missing are 0."""
    if not (isinstance(node, exp.Anonymous) and str(node.this).lower() == "list_median"):
        return node
    values, size, missing = node.expressions[0].expressions
    half = int(size.name) // 2
    zeros = f"array_repeat(cast({missing.sql()} as double), {size.name} - cast(count(*) as int))"
    padded = f"sort_array(concat({values.sql(dialect='spark')}, {zeros}))"
    return sqlglot.parse_one(f"((element_at({padded}, {half}) + element_at({padded}, {half + 1})) / 2)", read="spark")


def _replaced_columns(node: exp.Expression) -> exp.Expression:
    """`* replace (x as a)` is everything except a, and a."""
    if not isinstance(node, exp.Select):
        return node
    changed = node.copy()
    for star in [one for column in changed.expressions for one in column.find_all(exp.Star)]:
        instead = star.args.get("replace")
        if instead:
            star.set("replace", None)
            star.set("except_", [exp.to_identifier(one.alias) for one in instead])
            changed.set("expressions", [*changed.expressions, *instead])
    return changed if changed != node else node


def _lists(node: exp.Expression) -> exp.Expression:
    """A list comes as text: Spark takes no list that holds a negative number."""
    if isinstance(node, exp.Cast) and node.to.this == exp.DataType.Type.ARRAY and isinstance(node.this, exp.Placeholder):
        held = node.to.expressions[0].sql(dialect="spark").lower()
        if held.startswith("timestamp"):
            micros = "TRANSFORM(FROM_JSON(:x, 'array<bigint>'), one -> TIMESTAMP_MICROS(one))"
            return sqlglot.parse_one(micros.replace(":x", f":{node.this.name}"), read="spark")
        kind = exp.Literal.string(f"array<{held}>")
        return exp.Anonymous(this="FROM_JSON", expressions=[node.this.copy(), kind])
    return node


def _quantiles(node: exp.Expression) -> exp.Expression:
    """An aggregate of ordered values, of the type of what it orders."""
    if isinstance(node, exp.PercentileDisc) and node.expression is not None:
        order = exp.Order(expressions=[exp.Ordered(this=node.this.copy())])
        found = exp.WithinGroup(this=exp.Anonymous(this="PERCENTILE_DISC", expressions=[node.expression.copy()]), expression=order)
        return exp.Cast(this=found, to=exp.DataType.build("int"))
    return node


def _sorted_lists(node: exp.Expression) -> exp.Expression:
    """A list of no rows is null."""
    if isinstance(node, exp.ArraySort):
        none = exp.EQ(this=exp.Count(this=exp.Star()), expression=exp.Literal.number(0))
        return exp.If(this=none, true=exp.Null(), false=node.copy())
    return node


def _parallel_lists(node: exp.Expression) -> exp.Expression:
    """`select unnest(a) as x, unnest(b) as y` walks the lists side by side; Spark unrolls one thing in a select."""
    if not (isinstance(node, exp.Select) and len(node.expressions) > 1 and node.args.get("from_") is None):
        return node
    if not all(isinstance(one, exp.Alias) and isinstance(one.this, exp.Explode) for one in node.expressions):
        return node
    lists = [_list_of(one.this) for one in node.expressions]
    zipped = exp.Anonymous(this="INLINE", expressions=[exp.Anonymous(this="ARRAYS_ZIP", expressions=lists)])
    names = [exp.to_identifier(one.alias) for one in node.expressions]
    return exp.Select(expressions=[exp.Aliases(this=zipped, expressions=names)])


def _list_of(node: exp.Expression) -> exp.Expression:
    inner = node.this
    for generated in inner.find_all(exp.GenerateSeries):  # range(len(list)): the places in the list
        counted = next(iter(generated.find_all(exp.Length)), None)
        if counted is not None:
            size = exp.Anonymous(this="SIZE", expressions=[counted.this.copy()])
            last = exp.Sub(this=size, expression=exp.Literal.number(1))
            places = exp.Anonymous(this="SEQUENCE", expressions=[exp.Literal.number(0), last])
            none = exp.EQ(this=size.copy(), expression=exp.Literal.number(0))
            return exp.If(this=none, true=exp.Anonymous(this="ARRAY", expressions=[]), false=places)
    copied: exp.Expression = inner.copy()
    return copied


def _nearest_before(node: exp.Expression) -> exp.Expression:
    """An asof join is a join with the stretch from one start to the next."""
    if not (isinstance(node, exp.Join) and str(node.args.get("method", "")).upper() == "ASOF"):
        return node
    at, start = node.args["on"].this.sql(), node.args["on"].expression.name
    following = f"select *, lead({start}) over (order by {start}) as next_start from {node.this.name}"  # noqa: S608 - words of our own
    bounded = f"{at} >= {start} and (next_start is null or {at} < next_start)"
    joined = sqlglot.parse_one(f"select 1 from x join ({following}) as {node.this.name} on {bounded}", read="spark")  # noqa: S608
    return joined.args["joins"][0].copy()


def _huge_numbers(node: exp.Expression) -> exp.Expression:
    """Numbers of 128 bits are decimals of 38 digits; those have no bits and no whole division."""
    if isinstance(node, exp.DataType) and node.this == exp.DataType.Type.INT128:
        return exp.DataType.build("decimal(38, 0)")
    if isinstance(node, exp.BitwiseAnd):  # only ever with 1
        return exp.Mod(this=exp.Paren(this=node.this.unnest().copy()), expression=exp.Literal.number(2))
    if isinstance(node, exp.IntDiv) and any(column.name == _HUGE for column in node.find_all(exp.Column)):
        return exp.Floor(this=exp.Div(this=exp.Paren(this=node.this.unnest().copy()), expression=node.expression.copy()))
    return node


def _hours_as_text(node: exp.Expression) -> exp.Expression:
    """A letter within a pattern of time is quoted, or it means something."""
    if isinstance(node, exp.TimeToStr) and node.args["format"].name == "%Y-%m-%dT%H:00:00":
        day, hour = (exp.TimeToStr(this=node.this.copy(), format=exp.Literal.string(form)) for form in ("%Y-%m-%d", "%H:00:00"))
        return exp.Concat(expressions=[day, exp.Literal.string("T"), hour])
    return node


_RULES: tuple[Callable[[exp.Expression], exp.Expression], ...] = (
    _macros,
    _functions,
    _weekdays,
    _medians,
    _replaced_columns,
    _lists,
    _quantiles,
    _sorted_lists,
    _parallel_lists,
    _nearest_before,
    _huge_numbers,
    _hours_as_text,
)
