"""A year of calls of 10,000 users as the keeper leaves it: month files, a few hot ones, a live journal. Seeded."""

import multiprocessing
import shutil
import string
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from byok.recording.files import SCHEMA, WrittenFile, write_month
from byok.recording.journal import Journal
from byok.recording.table import Table
from byok.usage import UsageRecord

USERS, SEED = 10_000, 20261122
END = datetime(2026, 11, 1, tzinfo=UTC)
MONTHS = [(datetime(2025 + (10 + n) // 12, (10 + n) % 12 + 1, 1, tzinfo=UTC)) for n in range(12)]
MODELS = [("openai", "gpt-4o-mini"), ("openai", "gpt-4o"), ("anthropic", "claude-sonnet-4-5"), ("gemini", "gemini-2.5-flash"),
          ("anthropic", "claude-haiku-4"), ("deepseek", "deepseek-v4-pro"), ("openai", "gpt-5-mini"), ("qwen", "qwen3-max"),
          ("openai", "gpt-4.1"), ("minimax", "minimax-m3"), ("groq", "openai/gpt-oss-120b"), ("moonshot", "kimi-k2.6"),
          ("anthropic", "claude-opus-4-5"), ("gemini", "gemini-3.5-flash"), ("mistral", "mistral-large-2512"),
          ("openai", "gpt-5"), ("deepseek", "deepseek-v4-flash")]  # fmt: skip
HOT_FILES, HOT_ROWS, TAIL_ROWS = 8, 20_000, 5_000
_BLOCK_ROWS = 500_000
_ALPHABET = np.array(list(string.ascii_letters + string.digits))

Rng = np.random.Generator
Numbers = Any  # np.ndarray of one dimension


@dataclass(frozen=True)
class People:
    """All users in the order of their ids, each with a share of all calls, keys and the models they like."""

    ids: list[str]
    keys: list[list[str]]
    shares: Numbers
    liked: Numbers

    def ranked(self, place: int) -> str:
        """The user with the `place`-th most calls; 0 is the heaviest."""
        return self.ids[int(np.argsort(-self.shares)[place])]


def people() -> People:
    rng = np.random.default_rng(SEED)
    ids = sorted("usr_" + name for name in _names(rng, USERS))
    weights = rng.permutation(1 / (np.arange(USERS) + 6.0) ** 1.05)
    keys = [["key_" + name for name in _names(rng, 1 + int(extra))] for extra in rng.poisson(0.6, USERS)]
    first = np.minimum(rng.geometric(0.2, USERS) - 1, len(MODELS) - 1)
    others = rng.integers(0, len(MODELS), (USERS, 3))
    return People(ids, keys, weights / weights.sum(), np.column_stack([first, others]))


def year_of(root: Path, size: int) -> Table:
    """The year of `write_year` below `root`, made now unless it is there already."""
    whole = root / "whole"
    if not whole.exists():
        shutil.rmtree(root, ignore_errors=True)
        write_year(root, size)
        whole.touch()
    return Table(root / "usage")


def write_year(root: Path, size: int) -> Table:
    """Write `size` records below `root`: `usage/` as after a merge of each month but the newest, which has hot files, and `journal/`."""
    table = Table(root / "usage")
    whole = size - HOT_FILES * HOT_ROWS - TAIL_ROWS
    seconds = [((MONTHS[n + 1] if n < 11 else END) - month).total_seconds() for n, month in enumerate(MONTHS)]
    rows = np.floor(np.cumsum(np.array(seconds)) / sum(seconds) * whole).astype(int)
    jobs = [(table.directory, n, int(count), 0) for n, count in enumerate(np.diff(rows, prepend=0))]
    jobs += [(table.directory, 11, HOT_ROWS, 1 + n) for n in range(HOT_FILES)]
    with table.writing(), multiprocessing.get_context("spawn").Pool(2) as pool:
        for file in pool.imap(_write, jobs, chunksize=1):
            table.commit([file])
    journal = Journal(root / "journal")
    for batch in _records(people(), 11, TAIL_ROWS, part=99):
        for row in batch.to_pylist():
            journal.append(UsageRecord(**row))
    journal.close()
    return table


def sample(size: int) -> pa.Table:
    """About `size` records of the first eleven months."""
    return pa.Table.from_batches([batch for month in range(11) for batch in _records(people(), month, size // 11, part=0)], SCHEMA)


def _write(job: tuple[Path, int, int, int]) -> WrittenFile:
    directory, month, rows, part = job
    file = write_month(directory, f"{MONTHS[month]:%Y-%m}", _records(people(), month, rows, part))
    assert file is not None
    return file


def _records(who: People, month: int, rows: int, part: int) -> Iterator[pa.RecordBatch]:
    """The month's rows, sorted by user and time, in blocks of whole users; parts after the first lie in its last days."""
    rng = np.random.default_rng([SEED, month, part])
    counts = rng.multinomial(rows, who.shares)
    begin, end = MONTHS[month], MONTHS[month + 1] if month < 11 else END
    ends = np.searchsorted(np.cumsum(counts), np.arange(_BLOCK_ROWS, rows + _BLOCK_ROWS, _BLOCK_ROWS), side="left") + 1
    first = 0
    for last in dict.fromkeys(min(int(number), USERS) for number in ends):
        users = np.repeat(np.arange(first, last), counts[first:last])
        if users.size:
            moments = _moments(rng, users.size, end - timedelta(days=1) if part else begin, end)
            order = np.lexsort((moments, users))
            yield _batch(rng, who, users[order], moments[order])
        first = last


def _batch(rng: Rng, who: People, user: Numbers, moment: Numbers) -> pa.RecordBatch:
    size = user.size
    key_counts = np.array([len(keys) for keys in who.keys])
    key_starts = np.cumsum(key_counts) - key_counts
    key = key_starts[user] + np.minimum(rng.geometric(0.7, size) - 1, key_counts[user] - 1)
    which = who.liked[user, rng.choice(4, size, p=[0.7, 0.18, 0.08, 0.04])]
    ok = rng.random(size) > 0.025
    prompt = np.clip(rng.lognormal(6.8, 1.1, size), 1, 200_000).astype(np.int64)
    completion = np.clip(rng.lognormal(5.3, 1.0, size), 1, 32_000).astype(np.int64)
    ttft = rng.lognormal(6, 0.5, size).astype(np.int64)
    cached = np.where(rng.random(size) < 0.3, prompt * rng.random(size) // 128 * 128, 0).astype(np.int64)
    reasoning = np.where(which % 3 == 1, completion * rng.random(size) * 0.8, 0).astype(np.int64)
    columns = {
        "ts": pa.array(moment, pa.timestamp("us", "UTC")),
        "user_id": _text(user, who.ids),
        "key_id": _text(key, [name for keys in who.keys for name in keys]),
        "vendor": _text(which, [vendor for vendor, _ in MODELS]),
        "model": _text(which, [model for _, model in MODELS]),
        "endpoint": _text(np.array([0, 1, 2])[which % 3], ["chat", "messages", "responses"]),
        "prompt_tokens": pa.array(prompt, mask=~ok),
        "completion_tokens": pa.array(completion, mask=~ok),
        "total_tokens": pa.array(prompt + completion, mask=~ok),
        "cached_tokens": pa.array(cached, mask=~ok),
        "cache_write_tokens": pa.array(np.zeros(size, np.int64), mask=~ok),
        "reasoning_tokens": pa.array(reasoning, mask=~ok),
        "status": pa.array(np.where(ok, 200, rng.choice([429, 400, 500, 503, 401], size)).astype(np.int16)),
        "usage_source": _text((~ok).astype(int), ["vendor", "none"]),
        "latency_ms": pa.array((ttft + completion * 12).astype(np.int32)),
        "ttft_ms": pa.array(ttft.astype(np.int32), mask=~ok),
    }
    return pa.record_batch([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def _text(codes: Numbers, words: list[str]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(words)).cast(pa.string())


def _moments(rng: Rng, size: int, begin: datetime, end: datetime) -> Numbers:
    """Microseconds since 1970: more by day than by night, fewer at weekends."""
    days = (end - begin).days
    day_weights = np.array([0.6 if (begin + timedelta(days=day)).weekday() > 4 else 1.1 for day in range(days)])
    hour_weights = 1 + 0.85 * np.sin((np.arange(24) - 8) / 24 * 2 * np.pi)
    day = rng.choice(days, size, p=day_weights / day_weights.sum())
    hour = rng.choice(24, size, p=hour_weights / hour_weights.sum())
    return (int(begin.timestamp()) + day * 86_400 + hour * 3_600) * 1_000_000 + rng.integers(0, 3_600_000_000, size)


def _names(rng: Rng, count: int) -> list[str]:
    return ["".join(row) for row in _ALPHABET[rng.integers(0, len(_ALPHABET), (count, 16))]]
