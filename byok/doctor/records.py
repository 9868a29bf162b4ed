"""The records, from the journal to the table, their prices, and the keeper that sees to them."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from byok import in_words
from byok.doctor import accounts
from byok.doctor.finding import Finding, fault
from byok.settings import Settings

LATEST_AHEAD = timedelta(minutes=5)
LONGEST_BACKLOG_S = 600


def check_prices() -> Iterator[Finding]:
    from byok.pricing import catalogue

    yield Finding("prices", True, f"{len(catalogue.load().models())} models")


def check_table(settings: Settings) -> Iterator[Finding]:
    import duckdb

    from byok.recording.table import Table, TableLost
    from byok.store.desk import reads_whole

    if isinstance(settings.usage_dir, Path) and not settings.usage_dir.exists():
        yield Finding("usage table", True, "no table yet; the keeper makes it")
        return
    table = Table(settings.usage_dir)
    table.place.vouch()
    (version, files, _), broken = table.snapshot(), 0
    if version < 0 and table.unreferenced():
        raise TableLost
    with duckdb.connect(":memory:") as scratch:
        for file in files:
            table.fetch([file])
            if not reads_whole(scratch, file.path):
                broken += 1
                remedy = "Restore this file from a backup; until then its rows are missing from every answer."
                yield fault("usage table", f"{file.path} {'cannot be read' if Path(file.path).exists() else 'is missing'}", remedy)
    if not broken:
        unnamed = len(table.unreferenced())
        said = f"{sum(file.rows for file in files):,} rows in {len(files)} files"
        yield Finding("usage table", True, said + (f"; {unnamed} files that it does not name" if unnamed else ""))


def check_records(settings: Settings, now: datetime) -> Iterator[Finding]:
    from byok.doctor import neglected
    from byok.recording.reader import Reader

    view = Reader(settings.usage_dir, settings.journal_dir).view()
    if view.newest_ts is not None and view.newest_ts > now + LATEST_AHEAD:
        said = f"the newest record is of {view.newest_ts:%Y-%m-%d %H:%M}Z, after now"
        yield fault("records", said, "Set the clock of this machine, or of the gateway that wrote it.")
    elif view.newest_ts is not None:
        yield Finding("records", True, f"newest {view.newest_ts:%Y-%m-%d %H:%M:%S}Z, {view.tail.num_rows:,} not yet published")
    if strangers := neglected.strangers(settings, view):
        remedy = "Restore the accounts database that belongs to these files: nobody sees these records, and no purge takes them."
        yield fault("records", f"there are records of {in_words.plural(strangers, 'user')} whom the accounts do not know", remedy)
    if view.bad_lines:
        yield Finding(
            "records", False, f"{view.bad_lines:,} damaged lines in the journal", "Check disk and memory; the keeper sets the lines aside."
        )


def check_journal(settings: Settings, now: datetime) -> Iterator[Finding]:
    from byok.recording import segments

    if kept := segments.quarantined_lines(settings.journal_dir):
        remedy = "Look at them, then delete the directory; check disk and memory."
        yield fault("journal", f"{kept:,} damaged lines in {settings.journal_dir / segments.QUARANTINE}", remedy)
    waiting = segments.listed(settings.journal_dir)
    ages = [now.timestamp() - segment.path.stat().st_mtime for segment in waiting if segments.is_sealed(segment.path)]
    if ages and max(ages) > LONGEST_BACKLOG_S:
        remedy = "Start the keeper: byok keeper (or byok up). Nothing is lost meanwhile."
        yield fault("journal", f"{len(ages)} sealed segments wait, the oldest for {max(ages) / 60:,.0f} min", remedy)
    elif not kept:
        yield Finding("journal", True, in_words.plural(len(waiting), "segment"))


def check_keeper(settings: Settings, now: datetime) -> Iterator[Finding]:
    """What is late: its own log tells of each run that failed, but nobody may look there, and it may not run at all."""
    from byok.accounts import database
    from byok.doctor import neglected

    if not accounts.exist(settings):
        return
    with database.open_database(settings.accounts_database) as db:
        found = list(neglected.late(settings, db, now=now))
    for one in found:
        yield Finding("keeper", one.well, one.said, one.remedy)
    if all(one.well for one in found):
        yield Finding("keeper", True, "nothing is late")
