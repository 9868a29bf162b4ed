"""The store: bytes a record after compaction, import speed, and how long questions take as the records grow."""

import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from byok.pricing import catalogue
from byok.recording.files import SCHEMA
from byok.recording.importer import Rounds, import_file
from byok.recording.publisher import merge
from byok.recording.reader import Reader
from byok.recording.table import Table
from byok.store import questions
from byok.store.engine import Engine
from byok.store.scope import EveryonesScope, Scope

SIZES = (100_000, 1_000_000)
USERS, DAYS, SEED = 1_000, 90, 20261122
END = datetime(2026, 11, 1, tzinfo=UTC)
MODELS = [("openai", "gpt-4o"), ("openai", "gpt-4o-mini"), ("anthropic", "claude-sonnet-4-5"), ("anthropic", "claude-haiku-4"),
          ("gemini", "gemini-2.5-flash"), ("deepseek", "deepseek-v4-pro"), ("qwen", "qwen3-max"), ("minimax", "minimax-m3")]  # fmt: skip


def main() -> int:
    heads = ("records", "bytes/record", "import rec/s", "usage, one user", "with cost", "series by model", "usage, all users")
    print("Questions in ms, warm median of 10, 30 days")
    print("".join(f"{head:>18}" for head in heads))
    for size in SIZES:
        with tempfile.TemporaryDirectory(prefix="byok-bench-") as folder:
            _measure(Path(folder), size)
    return 0


def _measure(root: Path, size: int) -> None:
    source = root / "records.parquet"
    pq.write_table(_records(size), source)
    table = Table(root / "usage")
    started = time.perf_counter()
    rounds = Rounds(lambda _: [], lambda *_: None)
    import_file(source, table, rounds, known_users=lambda ids: ids, vendors={vendor for vendor, _ in MODELS}, safe_model=str)
    took = time.perf_counter() - started
    merge(table, files_per_month=1)
    stored = sum(file.bytes for file in table.snapshot().files)
    limits = {f"usr_{number:08}": 10_000 for number in range(USERS)}
    engine = Engine(Reader(root / "usage", root / "journal"), catalogue.load(), retention=lambda: limits, keys=list, now=lambda: END)
    one = Scope(user_id="usr_00000003", since=END - timedelta(days=30), until=END)
    everyone = EveryonesScope(since=END - timedelta(days=30), until=END)
    asked = [
        _ms(lambda: questions.usage(engine, one)),
        _ms(lambda: questions.usage(engine, one, cost=True)),
        _ms(lambda: questions.series(engine, one, grain="day", by="model")),
        _ms(lambda: questions.usage(engine, everyone)),
    ]
    figures = (f"{size:,}", f"{stored / size:.2f}", f"{size / took:,.0f}", *(f"{ms:.1f}" for ms in asked))
    print("".join(f"{figure:>18}" for figure in figures))


def _ms(ask: Callable[[], object]) -> float:
    """The warm median of nine."""
    return statistics.median(_timed(ask) for _ in range(10))


def _timed(ask: Callable[[], object]) -> float:
    started = time.perf_counter()
    ask()
    return (time.perf_counter() - started) * 1000


def _records(size: int) -> pa.Table:
    """Users of very different activity, a daily and weekly shape, 2.5 % failures; the same for the same size."""
    rng = np.random.default_rng(SEED)
    weights = 1 / (np.arange(USERS) + 6.0) ** 1.05
    user = rng.choice(USERS, size, p=weights / weights.sum())
    second = _moments(rng, size)
    which = np.minimum(rng.exponential(1.6, size).astype(int), len(MODELS) - 1)
    ok = rng.random(size) > 0.025
    prompt = np.clip(rng.lognormal(6.8, 1.1, size), 1, 200_000).astype(np.int64)
    completion = np.clip(rng.lognormal(5.3, 1.0, size), 1, 32_000).astype(np.int64)
    ttft = rng.lognormal(6, 0.5, size).astype(np.int64)
    columns = {
        "ts": pa.array(second, pa.timestamp("us", "UTC")),
        "user_id": [f"usr_{number:08}" for number in user],
        "key_id": [f"key_{number:08}{part}" for number, part in zip(user, rng.choice(3, size, p=[0.7, 0.2, 0.1]), strict=True)],
        "vendor": [MODELS[number][0] for number in which],
        "model": [MODELS[number][1] for number in which],
        "endpoint": ["chat"] * size,
        "prompt_tokens": pa.array(prompt, mask=~ok),
        "completion_tokens": pa.array(completion, mask=~ok),
        "total_tokens": pa.array(prompt + completion, mask=~ok),
        "cached_tokens": pa.array(np.where(rng.random(size) < 0.3, prompt * rng.random(size) // 128 * 128, 0).astype(np.int64), mask=~ok),
        "cache_write_tokens": pa.array(np.zeros(size, np.int64), mask=~ok),
        "reasoning_tokens": pa.array(np.where(which < 2, completion * rng.random(size) * 0.8, 0).astype(np.int64), mask=~ok),
        "status": np.where(ok, 200, rng.choice([429, 400, 500, 503, 401], size)).astype(np.int16),
        "usage_source": np.where(ok, "vendor", "none"),
        "latency_ms": (ttft + completion * 12).astype(np.int32),
        "ttft_ms": pa.array(ttft.astype(np.int32), mask=~ok),
    }
    return pa.Table.from_arrays([pa.array(columns[field.name], field.type) for field in SCHEMA], schema=SCHEMA)


def _moments(rng: np.random.Generator, size: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Microseconds since 1970: more by day than by night, fewer at weekends."""
    day_weights = np.array([0.6 if (END - timedelta(days=DAYS - day)).weekday() > 4 else 1.1 for day in range(DAYS)])
    hour_weights = 1 + 0.85 * np.sin((np.arange(24) - 8) / 24 * 2 * np.pi)
    day = rng.choice(DAYS, size, p=day_weights / day_weights.sum())
    hour = rng.choice(24, size, p=hour_weights / hour_weights.sum())
    first = int((END - timedelta(days=DAYS)).timestamp())
    whole: np.ndarray[tuple[int], np.dtype[np.int64]] = (first + day * 86_400 + hour * 3_600) * 1_000_000 + rng.integers(
        0, 3_600_000_000, size
    )
    return whole
