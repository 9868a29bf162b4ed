"""Journal to Parquet, and small files to large ones. Every step is one atomic commit; a step that was killed is done again."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import structlog

from byok.recording import journal
from byok.recording.files import PARTITION, SCHEMA, TableFile, WrittenFile, to_arrow, write_month
from byok.recording.rewriting import rewrite
from byok.recording.table import Table

ROWS_PER_COMMIT = 200_000  # a keeper that is killed again and again must still get on
FILES_PER_MONTH = 12
log = structlog.get_logger("byok.publisher")

Erased = Callable[[Iterable[str]], set[str]]


class Published(NamedTuple):
    """What one run did."""

    segments: int
    rows: int
    dropped: int
    bad_lines: int


def publish(table: Table, journal_dir: Path, erased: Erased, *, rows_per_commit: int = ROWS_PER_COMMIT) -> Published:
    """Turn all sealed segments into Parquet, then delete them. Rows of erased users are dropped.

    Raises OSError when the disk fails: nothing is lost then, the segments stay.
    """
    total = Published(0, 0, 0, 0)
    while True:
        with table.writing():
            step = _publish_some(table, journal_dir, erased, rows_per_commit)
        if step is None:
            return total
        total = Published(*(before + now for before, now in zip(total, step, strict=True)))


def merge(table: Table, *, files_per_month: int = FILES_PER_MONTH) -> int:
    """Rewrite each month that has more than `files_per_month` files into one sorted file; returns how many files went."""
    merged = 0
    for month, files in sorted(by_month(table.snapshot().files).items()):
        if len(files) > files_per_month:
            with table.writing():
                files = by_month(table.snapshot().files).get(month, [])
                new = rewrite(table.directory, month, files)
                table.commit([new] if new else [], remove=files, rewrite=True)
            merged += len(files)
    return merged


def by_month(files: Iterable[TableFile]) -> dict[str, list[TableFile]]:
    """Files by the partition they lie in."""
    months: dict[str, list[TableFile]] = {}
    for file in files:
        months.setdefault(Path(file.path).parent.name.removeprefix(f"{PARTITION}="), []).append(file)
    return months


def write_by_month(table_dir: Path, rows: pa.Table) -> list[WrittenFile]:
    """Write rows of any months as one sorted file each; not committed yet."""
    months = pc.strftime(rows["ts"], format="%Y-%m")
    written = []
    for month in pc.unique(months).to_pylist():
        part = rows.filter(pc.equal(months, month)).sort_by([("user_id", "ascending"), ("ts", "ascending")])
        if file := write_month(table_dir, month, part.to_batches()):
            written.append(file)
    return written


def _publish_some(table: Table, journal_dir: Path, erased: Erased, rows_per_commit: int) -> Published | None:
    segments = journal.segments(journal_dir)
    done = dict(table.snapshot([segment.writer for segment in segments]).done)
    parts, finished, bad, blocked = [SCHEMA.empty_table()], [], 0, set()
    rows = 0
    for segment in segments:
        if segment.number <= done.get(segment.writer, -1):
            segment.path.unlink(missing_ok=True)  # published before the last keeper was killed
            continue
        if segment.writer in blocked or rows >= rows_per_commit:
            continue
        if not journal.is_sealed(segment.path):
            blocked.add(segment.writer)  # a writer's segments are published in order
            continue
        lines = journal.read_lines(segment.path)
        bad += _quarantine(journal_dir, segment, lines.bad)
        parts.append(to_arrow(lines.good))
        rows += len(lines.good)
        finished.append(segment)
    if not finished:
        return None
    found = pa.concat_tables(parts)
    kept = _without(found, erased)
    files = write_by_month(table.directory, kept)
    table.commit(files, done={segment.writer: segment.number for segment in finished})
    for segment in finished:
        segment.path.unlink(missing_ok=True)
    log.info("published", segments=len(finished), rows=kept.num_rows, files=len(files))
    return Published(len(finished), kept.num_rows, found.num_rows - kept.num_rows, bad)


def _without(rows: pa.Table, erased: Erased) -> pa.Table:
    gone = erased(pc.unique(rows["user_id"]).to_pylist())
    return rows.filter(pc.invert(pc.is_in(rows["user_id"], pa.array(sorted(gone), pa.string())))) if gone else rows


def _quarantine(journal_dir: Path, segment: journal.Segment, bad: list[bytes]) -> int:
    """Keep damaged lines where an operator can look at them; the name makes a second try harmless."""
    if bad:
        folder = journal_dir / journal.QUARANTINE
        folder.mkdir(exist_ok=True, mode=0o700)
        (folder / f"{segment.path.stem}.bad").write_bytes(b"\n".join(bad) + b"\n")
        log.error("journal_lines_quarantined", segment=segment.path.stem, quarantined_lines=len(bad))
    return len(bad)
