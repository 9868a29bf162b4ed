"""Journal to Parquet, and small files to large ones. Every step is one atomic commit; a step that was killed is done again."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import structlog

from byok.recording import segments
from byok.recording.cut import Cut
from byok.recording.files import PARTITION, SCHEMA, TableFile, WrittenFile, month_of, records_of, write_month
from byok.recording.rewriting import FilesUnreadable, kept_rows, merged
from byok.recording.table import Table

ROWS_PER_COMMIT = 200_000  # a keeper that is killed again and again must still get on
FILES_PER_TIER = 8  # of like size (within a factor of 16), so a month has 32 at most
CLOSED_AFTER = timedelta(days=1)
REST_S = 600
_WRITERS = 2
log = structlog.get_logger("byok.publisher")

KeepAfter = Callable[[Iterable[str]], Mapping[str, datetime]]
Cuts = Callable[[Iterable[str]], Iterable[Cut]]


class Published(NamedTuple):
    """What one run did."""

    segments: int
    rows: int
    dropped: int
    bad_lines: int


def no_cuts(_: Iterable[str]) -> Iterable[Cut]:
    """Nobody erased anything of late."""
    return ()


def publish(
    table: Table, journal_dir: Path, keep_after: KeepAfter, *, cuts: Cuts = no_cuts, rows_per_commit: int = ROWS_PER_COMMIT
) -> Published:
    """Turn all sealed segments into Parquet, then delete them.

    `keep_after` says for which of these users rows before which moment were erased (datetime.max: all), `cuts` what else was: late ones
    are dropped.
    Raises OSError when the disk fails: nothing is lost then, the segments stay.
    """
    total = Published(0, 0, 0, 0)
    while True:
        with table.writing():
            step = _publish_some(table, journal_dir, keep_after, rows_per_commit, cuts)
        if step is None:
            return total
        total = Published(*(before + now for before, now in zip(total, step, strict=True)))


def merge(table: Table, *, files_per_month: int = 1) -> int:
    """Rewrite each month that has more than `files_per_month` files into one sorted file; returns how many files went."""
    return _merge(table, lambda _, files: files if len(files) > files_per_month else [])


def merge_hot(table: Table, *, now: datetime) -> int:
    """Merge only as much as keeps the files few, so that a row is rewritten seldom; returns how many files went.

    Files of like size are merged when there are many of them. A month that is over and at rest becomes one sorted file.
    """
    return _merge(table, lambda month, files: _due(month, files, now, at_rest=lambda: _at_rest(table, files, now)))


def _merge(table: Table, choose: Callable[[str, list[TableFile]], list[TableFile]]) -> int:
    gone = 0
    for month, files in sorted(by_month(table.snapshot().files).items()):
        if not choose(month, files):
            continue
        with table.writing():
            chosen = choose(month, by_month(table.snapshot().files).get(month, []))
            try:
                gone += _into_one(table, month, chosen)
            except FilesUnreadable as fault:
                for file in fault.files:
                    log.error("usage_file_unreadable", file=Path(file.path).name)
                gone += _into_one(table, month, [file for file in chosen if file not in fault.files])
    return gone


def _into_one(table: Table, month: str, files: list[TableFile]) -> int:
    if len(files) < 2:
        return 0
    table.fetch(files)
    new = merged(table.directory, month, files)
    table.commit([new] if new else [], remove=files, rewrite=True)
    return len(files)


def _due(month: str, files: list[TableFile], now: datetime, *, at_rest: Callable[[], bool] = lambda: False) -> list[TableFile]:
    if len(files) > 1 and month < month_of(now - CLOSED_AFTER) and at_rest():
        return files
    tiers: dict[int, list[TableFile]] = {}
    for file in files:
        tiers.setdefault(max(file.rows.bit_length(), 12) // 4, []).append(file)
    crowded = [tier for tier, some in tiers.items() if len(some) > FILES_PER_TIER]
    return [file for tier, some in tiers.items() if tier <= max(crowded, default=-1) for file in some]


def _at_rest(table: Table, files: list[TableFile], now: datetime) -> bool:
    """Nothing was added lately: an import of this month may be under way otherwise."""
    added = [table.place.added_at(file) for file in files]
    return all(moment is not None and now.timestamp() - moment > REST_S for moment in added)


def by_month(files: Iterable[TableFile]) -> dict[str, list[TableFile]]:
    """Files by the partition they lie in."""
    months: dict[str, list[TableFile]] = {}
    for file in files:
        months.setdefault(Path(file.path).parent.name.removeprefix(f"{PARTITION}="), []).append(file)
    return months


def write_by_month(table_dir: Path, rows: pa.Table) -> list[WrittenFile]:
    """Write rows of any months as one sorted file each; not committed yet."""
    # Numbers sort and compare four times as fast as texts.
    users = rows["user_id"].combine_chunks().dictionary_encode()
    user = pc.rank(users.dictionary).take(users.indices)
    keys = pa.table({"month": pc.floor_temporal(rows["ts"], unit="month"), "user": user, "ts": rows["ts"]})
    order = pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in keys.column_names])
    rows, parts, begin = rows.take(order), [], 0
    counts = pc.value_counts(keys["month"]).to_pylist()
    for month, count in sorted((found["values"], found["counts"]) for found in counts):
        parts.append((month_of(month), rows.slice(begin, count).to_batches()))
        begin += count
    with ThreadPoolExecutor(_WRITERS) as pool:
        written = list(pool.map(lambda part: write_month(table_dir, *part), parts))
    return [file for file in written if file]


def _publish_some(table: Table, journal_dir: Path, keep_after: KeepAfter, rows_per_commit: int, cuts: Cuts = no_cuts) -> Published | None:
    segments.sweep(journal_dir)
    waiting = segments.listed(journal_dir)
    done = dict(table.snapshot([segment.writer for segment in waiting]).done)
    parts, finished, bad, blocked = [SCHEMA.empty_table()], [], 0, set()
    rows = 0
    for segment in waiting:
        if segment.number <= done.get(segment.writer, -1):
            segment.path.unlink(missing_ok=True)  # published before the last keeper was killed
            continue
        if segment.writer in blocked or rows >= rows_per_commit:
            continue
        if not segments.is_sealed(segment.path):
            blocked.add(segment.writer)  # a writer's segments are published in order
            continue
        lines = segments.read_lines(segment.path)
        records, odd = records_of(lines.good)
        bad += _quarantine(journal_dir, segment, [*lines.bad, *odd])
        parts.append(records)
        rows += records.num_rows
        finished.append(segment)
    if not finished:
        return None
    found = pa.concat_tables(parts)
    users = pc.unique(found["user_id"]).to_pylist()
    kept = kept_rows(found, keep_after(users))
    for cut in cuts(users):
        kept = kept_rows(kept, cut)
    files = write_by_month(table.directory, kept)
    table.commit(files, done={segment.writer: segment.number for segment in finished})
    for segment in finished:
        segment.path.unlink(missing_ok=True)
    log.info("published", segments=len(finished), rows=kept.num_rows, files=len(files))
    return Published(len(finished), kept.num_rows, found.num_rows - kept.num_rows, bad)


def _quarantine(journal_dir: Path, segment: segments.Segment, bad: list[bytes]) -> int:
    """Keep damaged lines where an operator can look at them; the name makes a second try harmless."""
    if bad:
        folder = journal_dir / segments.QUARANTINE
        folder.mkdir(exist_ok=True, mode=0o700)
        (folder / f"{segment.path.stem}{segments.SET_ASIDE}").write_bytes(b"\n".join(bad) + b"\n")
        log.error("journal_lines_quarantined", segment=segment.path.stem, quarantined_lines=len(bad))
    return len(bad)
