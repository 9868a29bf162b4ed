"""One user's rows as the console takes them, and ways to look at its process from outside."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa

from byok.store import console

INSTANT = pa.timestamp("us", "UTC")
START = datetime(2026, 11, 1, tzinfo=UTC)
TABLES = {
    "prices": pa.table({"vendor": ["openai"], "model": ["gpt-4o"], "input_pico": pa.array([2_500_000], pa.int64())}),
    "keys": pa.table({"key_id": ["key_aaaa"], "vendor": ["openai"], "last_four": ["wxyz"]}),
}


def rows(count: int, user: str = "usr_alice", batch: int = 65_536, start: datetime = START) -> Iterator[pa.RecordBatch]:
    """`count` calls, one each second, the oldest first; call i has i prompt tokens and 1 completion token."""
    begin = int(start.timestamp())
    for first in range(0, count, batch):
        size = min(batch, count - first)
        numbers = pa.array(range(first, first + size), pa.int64())
        columns = {
            "ts": pa.array(range(begin + first, begin + first + size), pa.int64()).cast(pa.timestamp("s", "UTC")).cast(INSTANT),
            "user_id": [user] * size,
            "key_id": ["key_aaaa"] * size,
            "vendor": ["openai"] * size,
            "model": ["gpt-4o" if i % 3 else "gpt-4o-mini" for i in range(size)],
            "endpoint": ["chat"] * size,
            "prompt_tokens": numbers,
            "completion_tokens": [1] * size,
            "total_tokens": pa.array(range(first + 1, first + size + 1), pa.int64()),
            "status": [200] * size,
            "usage_source": ["vendor"] * size,
            "cost_usd": [Decimal("0.000000001")] * size,
            "price_source": ["list 2026-06-06"] * size,
        }
        arrays = [pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(size, f.type) for f in console.USAGE_PRICED]
        yield pa.record_batch(arrays, schema=console.USAGE_PRICED)


def status_of(pid: int) -> dict[str, str]:
    """/proc/PID/status as a dict."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
