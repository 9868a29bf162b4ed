"""What must hold after a soak: every acknowledged call stored once, none that the vendor did not answer, nothing left of who left."""

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from byok import keeper
from byok.recording.reader import Reader
from byok.retention import Retention
from tests.soak.calls import Load, completion
from tests.soak.world import World


@dataclass
class Verdict:
    """Sets of calls, and what else is wrong, in words. Good if all are empty."""

    acknowledged: int = 0
    stored: int = 0
    lost: set[int] = field(default_factory=set)
    doubled: set[int] = field(default_factory=set)
    invented: set[int] = field(default_factory=set)
    changed: set[int] = field(default_factory=set)
    left_over: list[str] = field(default_factory=list)
    stale_rows: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.invented or self.changed or self.left_over or self.stale_rows or self.wrong)


def judge(world: World, load: Load) -> Verdict:
    """Look at what is stored, then purge and compact as an operator would, and look again."""
    settings = world.services.settings
    verdict = Verdict(wrong=list(world.figures.wrong))
    erased = {one.user_id for one in world.erased()}
    answered = {json.loads(line)["call"] for line in world.ledger.read_text().splitlines()}
    rooms = Retention.of(settings, world.services.db)
    kept = {user: numbers for user, numbers in load.acknowledged.items() if user not in erased}
    verdict.acknowledged = sum(map(len, kept.values()))
    for _ in range(2):
        rows = [row for row in _stored(world).to_pylist() if row["user_id"] != world.stale.id and row["status"] == 200]
        found = Counter(row["prompt_tokens"] for row in rows)
        verdict.stored = found.total()
        verdict.lost |= set().union(*kept.values()) - set(found)
        verdict.doubled |= {number for number, times in found.items() if times > 1}
        verdict.invented |= set(found) - answered
        verdict.changed |= {row["prompt_tokens"] for row in rows if row["completion_tokens"] != completion(row["prompt_tokens"])}
        rooms.purge(now=datetime.now(UTC))
        keeper.once(settings, world.services.db)
        rooms.sweep()
    if verdict.acknowledged < world.figures.total:
        verdict.wrong.append("too few calls for this to prove anything")
    verdict.stale_rows = _stored(world)["user_id"].to_pylist().count(world.stale.id)
    emails = [f"visitor-{world.leaving.index(one)}@soak.example" for one in world.leaving if one.user_id in erased]
    verdict.left_over = left_over(world.data, [*erased, *emails])
    return verdict


def left_over(directory: Path, texts: list[str]) -> list[str]:
    """Files below `directory` that hold one of the texts in their name, raw or in decoded Parquet columns."""
    needles = [text.encode() for text in texts]
    hits = []
    for path in directory.rglob("*"):
        if not path.is_file():
            continue
        raw = path.read_bytes()
        decoded = str(pq.ParquetFile(path).read().to_pylist()).encode() if raw[:4] == b"PAR1" else b""
        searched = raw + decoded + str(path).encode()
        hits += [f"{path.name}: {needle.decode()}" for needle in needles if needle in searched]
    return hits


def _stored(world: World) -> pa.Table:
    settings = world.services.settings
    view = Reader(settings.usage_dir, settings.journal_dir).view()
    columns = ["user_id", "prompt_tokens", "completion_tokens", "status"]
    parts = [pq.read_table(file.path, columns=columns, partitioning=None) for file in view.files]
    return pa.concat_tables([view.tail.select(columns), *parts])
