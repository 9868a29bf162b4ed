"""The words every room speaks: what is recorded of a call. Metadata only; there is no field that could hold a text of the user."""

from datetime import datetime
from typing import Literal, NamedTuple, get_args

import msgspec

Endpoint = Literal["chat", "responses", "messages", "generate", "embeddings", "other"]
UsageSource = Literal["vendor", "partial", "estimated", "none"]
ENDPOINTS: tuple[str, ...] = get_args(Endpoint)
USAGE_SOURCES: tuple[str, ...] = get_args(UsageSource)
OTHER_MODEL = "other"
PASSTHROUGH_KEY = "passthrough"


class TokenCounts(msgspec.Struct, frozen=True):
    """Model tokens of one call. None means not known, never zero.

    `prompt_tokens` is the whole input (cached and cache-write included), `completion_tokens` the whole output (reasoning included).
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


class UsageRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One vendor call of a known user, as it is kept. Field order is the column order of the table `usage`."""

    ts: datetime
    user_id: str
    key_id: str
    vendor: str
    model: str
    endpoint: Endpoint
    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    cached_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    status: int
    usage_source: UsageSource
    latency_ms: int | None
    ttft_ms: int | None


class Column(NamedTuple):
    """One stored column: its DuckDB type and its meaning, in the words shown to users."""

    name: str
    type: str
    meaning: str
    example: str


COLUMNS: tuple[Column, ...] = (
    Column("ts", "timestamptz", "When the call reached the gateway (UTC, microseconds).", "2026-11-22T10:00:00.123456Z"),
    Column("user_id", "varchar", "Our own opaque id of the user.", "usr_7Gq2mB81xKd0"),
    Column("key_id", "varchar", "Our own opaque id of the vendor key, or `passthrough`; never the key.", "key_Zk3v9Qp1Lw2s"),
    Column("vendor", "varchar", "Which vendor was called, a name from our own table.", "openai"),
    Column("model", "varchar", "The model that answered; a name we know or the vendor confirmed, else `other`.", "gpt-4o-mini"),
    Column("endpoint", "varchar", "The kind of call: chat, responses, messages, generate, embeddings or other.", "chat"),
    Column("prompt_tokens", "bigint", "All input tokens, cached and cache-write included; null if not known.", "1234"),
    Column("completion_tokens", "bigint", "All output tokens, reasoning included; null if not known.", "567"),
    Column("total_tokens", "bigint", "Prompt plus completion; null if not known.", "1801"),
    Column("cached_tokens", "bigint", "The part of the input that the vendor read from its cache.", "1024"),
    Column("cache_write_tokens", "bigint", "The part of the input that the vendor wrote to its cache.", "0"),
    Column("reasoning_tokens", "bigint", "The part of the output spent on reasoning.", "320"),
    Column("status", "smallint", "The HTTP status; 499 means the client left, 502 unreachable, 504 timed out.", "200"),
    Column("usage_source", "varchar", "How far the counts can be trusted: vendor, partial, estimated or none.", "vendor"),
    Column("latency_ms", "integer", "Milliseconds to the last byte; null if not measured.", "1840"),
    Column("ttft_ms", "integer", "Milliseconds to the first content byte; null if not measured.", "310"),
)
COLUMN_NAMES: tuple[str, ...] = tuple(column.name for column in COLUMNS)
