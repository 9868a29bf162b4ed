"""The tables that a user's SQL is asked of, column by column, and queries to begin with."""

from typing import NamedTuple

import streamlit as st

from byok.usage import COLUMNS


class Field(NamedTuple):
    """A column as the schema browser shows it."""

    name: str
    type: str
    meaning: str


class Example(NamedTuple):
    """A query to begin with."""

    title: str
    query: str


_USAGE = tuple(Field(column.name, column.type, column.meaning) for column in COLUMNS)
TABLES: dict[str, tuple[str, tuple[Field, ...]]] = {
    "usage": ("Your calls that the plan keeps.", _USAGE),
    "usage_priced": (
        "The same, and what each cost.",
        (
            *_USAGE,
            Field("cost_usd", "decimal(18,9)", "What the call cost, in USD; null if not known."),
            Field("price_source", "varchar", "Where the rate comes from; null if unpriced."),
        ),
    ),
    "prices": (
        "The rates, in USD per million tokens.",
        (
            Field("vendor", "varchar", "Whose rate it is."),
            Field("model", "varchar", "Of which model."),
            Field("valid_from", "timestamptz", "From when on it holds; null: always did."),
            Field("valid_until", "timestamptz", "Until when; null: still holds."),
            Field("input_usd_per_mtok", "decimal(18,6)", "Input."),
            Field("output_usd_per_mtok", "decimal(18,6)", "Output."),
            Field("cached_usd_per_mtok", "decimal(18,6)", "Input read from the vendor's cache; null: the input rate."),
            Field("write_usd_per_mtok", "decimal(18,6)", "Input written to the vendor's cache; null: the input rate."),
            Field("request_usd", "decimal(27,12)", "What each call costs besides, in USD."),
            Field("conditions", "varchar", "In words: which rates hold instead, and when."),
            Field("price_source", "varchar", "Where the rate comes from."),
        ),
    ),
    "keys": (
        "Your vendor keys, never their secrets.",
        (
            Field("key_id", "varchar", "Our own opaque id, as in `usage`."),
            Field("user_id", "varchar", "Your own id."),
            Field("vendor", "varchar", "Whose key it is."),
            Field("label", "varchar", "The name that you gave it."),
            Field("last_four", "varchar", "Its last four characters."),
            Field("is_default", "boolean", "Whether it is the vendor's default."),
            Field("created_at", "timestamptz", "When it was stored."),
            Field("last_used_at", "timestamptz", "When the gateway last used it; null: never."),
        ),
    ),
    "spikes": (
        "Your unusual hours. The first query over them takes longer: they are worked out for it.",
        (
            Field("hour", "timestamptz", "The hour that was unusual."),
            Field("user_id", "varchar", "Your own id."),
            Field("vendor", "varchar", "Whose calls; empty: of all vendors together."),
            Field("model", "varchar", "Of which model; empty: of all of a key, or of all together."),
            Field("metric", "varchar", "What stood out most: tokens, calls, failed or cost."),
            Field("actual", "double", "How much of it there was."),
            Field("usual", "double", "How much there usually is at that hour of the week."),
            Field("times", "double", "How many times the usual; null where there usually is none."),
            Field("score", "double", "How sure it is, from 0 to 1."),
            Field("why", "varchar", "The same in a sentence."),
        ),
    ),
}

EXAMPLES: tuple[Example, ...] = (
    Example(
        "Cost per model, last 30 days",
        "select vendor, model, count(*) as calls, sum(total_tokens) as tokens, sum(cost_usd) as cost_usd\n"
        "from usage_priced\nwhere ts >= now() - interval 30 days\ngroup by all\norder by cost_usd desc nulls last",
    ),
    Example(
        "Tokens per day",
        "select date_trunc('day', ts) as day, sum(prompt_tokens) as input, sum(completion_tokens) as output\n"
        "from usage\ngroup by all\norder by day",
    ),
    Example(
        "The twenty dearest calls",
        "select ts, vendor, model, prompt_tokens, completion_tokens, cost_usd\n"
        "from usage_priced\nwhere cost_usd is not null\norder by cost_usd desc\nlimit 20",
    ),
    Example(
        "Share of input read from cache",
        "select model, sum(cached_tokens) as cached, sum(prompt_tokens) as input,\n"
        "    round(100 * sum(cached_tokens) / nullif(sum(prompt_tokens), 0), 1) as percent\n"
        "from usage\ngroup by all\norder by percent desc nulls last",
    ),
    Example(
        "Failures by vendor and status",
        "select vendor, status, count(*) as calls, max(ts) as last_seen\n"
        "from usage\nwhere status not between 200 and 299\ngroup by all\norder by calls desc",
    ),
    Example(
        "How fast: median and slowest twentieth",
        "select model, count(latency_ms) as measured, quantile_cont(ttft_ms, 0.5)::int as first_byte_ms,\n"
        "    quantile_cont(latency_ms, 0.5)::int as median_ms, quantile_cont(latency_ms, 0.95)::int as p95_ms\n"
        "from usage\ngroup by all\norder by measured desc",
    ),
    Example(
        "Busiest hours of the day, UTC",
        "select hour(ts) as hour, count(*) as calls, sum(total_tokens) as tokens\nfrom usage\ngroup by all\norder by hour",
    ),
    Example(
        "What if all had gone to one model",
        "select u.model, sum(u.cost_usd) as paid_usd,\n"
        "    sum(u.prompt_tokens * p.input_usd_per_mtok + u.completion_tokens * p.output_usd_per_mtok) / 1000000 as instead_usd\n"
        "from usage_priced u\ncross join (select * from prices where model = 'gpt-4o-mini' limit 1) p\n"
        "group by all\norder by paid_usd desc nulls last",
    ),
)


def draw() -> None:
    """The schema browser."""
    st.subheader("Tables", anchor=False)
    for name, (about, fields) in TABLES.items():
        with st.expander(name):
            st.caption(about)
            st.markdown("\n".join(f"- `{field.name}` {field.type} · {field.meaning}" for field in fields))
