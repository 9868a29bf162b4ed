"""What a query names, and when it does not say."""

import pytest

from byok.store.console import USAGE_PRICED
from byok.store.named_columns import NAMES, named
from byok.usage import COLUMN_NAMES


def test_the_columns_are_those_of_the_view():
    assert list(NAMES) == USAGE_PRICED.names


@pytest.mark.parametrize(
    ("query", "columns"),
    [
        ("select count(*) from usage", []),
        ("select count( * ), MODEL from usage group by 2", ["model"]),
        ("select sum(prompt_tokens*2), max(cost_usd) from usage_priced", ["prompt_tokens", "cost_usd"]),
        ('select "Status" from usage -- and not latency_ms', ["status", "latency_ms"]),
        ("select 1", []),
        ("select hour, model from Spikes", ["model", "spikes"]),
    ],
)
def test_named_columns_are_copied_first(query, columns):
    assert [name for name in named(query) if name not in ("ts", "user_id")] == columns


@pytest.mark.parametrize(
    "query",
    [
        "select * from usage",
        "select distinct * from usage",
        "select u.* from usage u",
        "select model, * from usage",
        "select max(* exclude model) from usage",
        "select columns('m.*') from usage",
        "summarize usage",
        "table usage",
        "select ts from usage natural join keys",
    ],
)
def test_where_all_may_be_meant_all_of_that_view_are_copied(query):
    assert named(query) == COLUMN_NAMES
    assert named(query.replace("usage", "usage_priced")) == ()


@pytest.mark.parametrize(
    "query",
    [
        "select TRY(model) from usage",
        "select table_name, estimated_size from duckdb_tables()",
        "select row_count from information_schema.tables",
        "select " + ", ".join(NAMES) + " from usage_priced",
    ],
)
def test_where_anything_may_be_meant_everything_is_copied(query):
    assert named(query) == ()
