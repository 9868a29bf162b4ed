"""Usage records for tests: plausible, small, and each different from the next."""

from datetime import UTC, datetime, timedelta

from byok.usage import UsageRecord

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def usage_record(number: int = 0, **fields: object) -> UsageRecord:
    """Return a record; `number` moves it in time and sets its counts, `fields` override."""
    values: dict[str, object] = {
        "ts": NOON + timedelta(seconds=number, microseconds=number),
        "user_id": "usr_ada1",
        "key_id": "key_main1",
        "vendor": "openai",
        "model": "gpt-4o-mini",
        "endpoint": "chat",
        "prompt_tokens": 100 + number,
        "completion_tokens": 10,
        "total_tokens": 110 + number,
        "cached_tokens": None,
        "cache_write_tokens": None,
        "reasoning_tokens": None,
        "status": 200,
        "usage_source": "vendor",
        "latency_ms": 900,
        "ttft_ms": 200,
    }
    return UsageRecord(**(values | fields))  # type: ignore[arg-type]
