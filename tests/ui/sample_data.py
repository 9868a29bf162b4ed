"""A believable quarter of usage, the same for the same seed: for the pictures in docs/images and for tests that want a full page.

python tests/ui/sample_data.py DIRECTORY        makes DIRECTORY with three users and prints how to open the dashboard over it
"""

import math
import random
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from byok.accounts import access_tokens, key_vault, passwords, users
from byok.accounts.users import User
from byok.recording.files import SCHEMA
from byok.recording.publisher import write_by_month
from byok.recording.table import Table
from byok.services import Services
from byok.settings import Settings

PASSWORD = "correct-horse-battery"
FULL, NEW, SHORT = "ada@example.org", "new@example.org", "grace@example.org"


@dataclass(frozen=True)
class Habit:
    """How one model is used: calls on a working day, mean tokens in and out, share of cached input, when it began and ended (days ago)."""

    vendor: str
    model: str
    endpoint: str
    calls: float
    prompt: int
    completion: int
    cached: float = 0.0
    reasoning: float = 0.0
    from_day: int = 90
    to_day: int = 0
    key: int = 0
    failing: float = 0.012


HABITS = (
    Habit("anthropic", "claude-sonnet-4-5", "messages", 46, 6200, 820, cached=0.55, from_day=90),
    Habit("openai", "gpt-4o", "chat", 52, 2400, 410, cached=0.2, to_day=24),
    Habit("openai", "gpt-4o-mini", "chat", 95, 1500, 260, cached=0.1),
    Habit("anthropic", "claude-haiku-4", "messages", 40, 1900, 240, from_day=24, cached=0.3),
    Habit("gemini", "gemini-2.5-flash", "generate", 58, 3100, 380, reasoning=0.3),
    Habit("deepseek", "deepseek-v4-pro", "chat", 30, 2800, 900, reasoning=0.5),
    Habit("qwen", "qwen3-max", "chat", 14, 1700, 350, from_day=60),
    Habit("minimax", "minimax-m3", "chat", 9, 2100, 500, from_day=45, failing=0.09),
    Habit("moonshot", "kimi-k2-preview-0711", "chat", 4, 1300, 300, from_day=5, failing=0.0),
)


def fill(services: Services, *, now: datetime, days: int = 90, seed: int = 7) -> dict[str, User]:
    """Make three users: one with `days` of usage, one with none, one whose plan keeps seven days. Returns them by e-mail."""
    people = {}
    for email, plan, name in ((FULL, "enterprise", "Ada Lovelace"), (NEW, "free", None), (SHORT, "free", "Grace Hopper")):
        user = users.add(services.db, email, now=now - timedelta(days=days), plan=plan, name=name)
        passwords.set_password(services.db, user.id, PASSWORD, now=now)
        people[email] = user
    rng = random.Random(seed)
    keys = _keys(services, people[FULL], now=now - timedelta(days=days), used=now - timedelta(minutes=4))
    access_tokens.create(services.db, people[FULL].id, now=now - timedelta(days=40), label="build server")
    rows = [row for habit in HABITS for row in _habit(rng, habit, people[FULL].id, keys, now, days)]
    rows.append(_row(rng, HABITS[0], people[FULL].id, keys, now - timedelta(seconds=12)))
    rows += [row for habit in HABITS[1:3] for row in _habit(rng, habit, people[SHORT].id, {}, now, days)]
    table = Table(services.settings.usage_dir)
    with table.writing():
        table.commit(write_by_month(table.directory, pa.Table.from_pylist(rows, schema=SCHEMA)))
    return people


def _keys(services: Services, user: User, *, now: datetime, used: datetime) -> dict[str, list[str]]:
    made: dict[str, list[str]] = {}
    for vendor, label, secret in (
        ("openai", "production", "sk-proj-sample-Vq7Zt4Lm9f3a"),
        ("openai", "experiments", "sk-proj-sample-Hw2Ky8Rd51bc"),
        ("anthropic", "production", "sk-ant-sample-Pz6Nc3Xe77d0"),
        ("gemini", "", "AIza-sample-Jt5Mb1Qs2e8f"),
        ("deepseek", "batch jobs", "sk-sample-Uf9Gd4Va0c6e"),
    ):
        key = key_vault.add(services.db, services.master, user.id, vendor, secret, now=now, label=label)
        made.setdefault(vendor, []).append(key.id)
        key_vault.note_used(services.db, key.id, now=used)
    return made


def _habit(rng: random.Random, habit: Habit, user_id: str, keys: dict[str, list[str]], now: datetime, days: int) -> list[dict[str, object]]:
    rows = []
    for back in range(min(days, habit.from_day), habit.to_day - 1, -1):
        noon = now - timedelta(days=back, hours=3)  # people work around this hour, so that today has some of it whenever this runs
        weight = (0.22 if noon.weekday() >= 5 else 1.0) * rng.uniform(0.75, 1.25) * (1 + 0.004 * (days - back))
        if back == 9 and habit.model == "gpt-4o-mini":
            weight *= 6  # a loop that ran away for an afternoon
        for _ in range(round(habit.calls * weight)):
            ts = noon + timedelta(hours=min(max(rng.gauss(0, 3.4), -12), 12))
            if ts < now:
                rows.append(_row(rng, habit, user_id, keys, ts))
    return rows


def _row(rng: random.Random, habit: Habit, user_id: str, keys: dict[str, list[str]], ts: datetime) -> dict[str, object]:
    key_ids = keys.get(habit.vendor, ["passthrough"])
    failed = rng.random() < habit.failing
    prompt = max(12, int(rng.lognormvariate(math.log(habit.prompt), 0.6)))
    completion = max(1, int(rng.lognormvariate(math.log(habit.completion), 0.7)))
    ttft = int(rng.lognormvariate(math.log(420), 0.4))
    counts = (None, None) if failed else (prompt, completion)
    return {
        "ts": ts,
        "user_id": user_id,
        "key_id": key_ids[1] if len(key_ids) > 1 and rng.random() < 0.3 else key_ids[0],
        "vendor": habit.vendor,
        "model": habit.model,
        "endpoint": habit.endpoint,
        "prompt_tokens": counts[0],
        "completion_tokens": counts[1],
        "total_tokens": None if failed else prompt + completion,
        "cached_tokens": None if failed or not habit.cached else int(prompt * habit.cached * rng.random()),
        "cache_write_tokens": None,
        "reasoning_tokens": None if failed or not habit.reasoning else int(completion * habit.reasoning),
        "status": rng.choice((429, 429, 500, 529, 499)) if failed else 200,
        "usage_source": "none" if failed else "vendor",
        "latency_ms": ttft + completion * 9,
        "ttft_ms": None if failed else ttft,
    }


def main(directory: Path) -> None:
    settings = Settings(data=directory / "data", master_key_file=directory / "master.key")
    with Services(settings) as services:
        fill(services, now=datetime.now(UTC))
    print(f"BYOK_DATA={settings.data} BYOK_MASTER_KEY_FILE={settings.master_key_file} streamlit run app.py   # {FULL} / {PASSWORD}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
