"""How an installation stands right now, for the System page. Reads only; names no user and no place outside the data directory."""

import fcntl
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from byok import doctor
from byok.accounts import jobs, receipts
from byok.doctor import Finding
from byok.recording import segments
from byok.recording.publisher import by_month
from byok.recording.reader import View
from byok.services import Services
from byok.settings import Settings

_LATEST_RECEIPTS = 200
# A path of two parts and more that begins at the root; only its last part says something to an admin of the dashboard.
_PLACE = re.compile(r"(?<![\w.~:/-])~?/(?:[^\s/;,:'\"()]+/)*([^\s/;,:'\"()]+)")


@dataclass(frozen=True)
class Month:
    """The usage files of one month."""

    month: str
    files: int
    rows: int
    bytes: int


@dataclass(frozen=True)
class Condition:
    """Numbers of now; sizes in bytes."""

    newest: datetime | None
    rows: int
    files: int
    usage_bytes: int
    months: tuple[Month, ...]
    pending: int
    segments: int
    journal_bytes: int
    bad_lines: int
    quarantined_lines: int
    broken_files: tuple[str, ...]
    accounts_bytes: int | None
    free_bytes: int
    disk_bytes: int
    keeper: bool
    deletion_pending: bool
    last_purge: str | None


def condition(services: Services) -> Condition:
    """Look at files, journal, keeper and disk."""
    place, view = services.settings, services.engine.view()
    waiting = segments.listed(place.journal_dir)
    disk = shutil.disk_usage(next(path for path in (place.data, *place.data.resolve().parents) if path.exists()))
    purged = next((one["at"] for one in receipts.latest(services.db, _LATEST_RECEIPTS) if one["kind"] == "purge"), None)
    return Condition(
        newest=view.newest_ts,
        rows=sum(file.rows for file in view.files) + view.tail.num_rows,
        files=len(view.files),
        usage_bytes=sum(file.bytes for file in view.files),
        months=_months(view),
        pending=view.tail.num_rows,
        segments=len(waiting),
        journal_bytes=sum(_size(segment.path) for segment in waiting),
        bad_lines=view.bad_lines,
        quarantined_lines=segments.quarantined_lines(place.journal_dir),
        broken_files=tuple(Path(path).name for path in services.engine.quarantined),
        accounts_bytes=_accounts_bytes(place),
        free_bytes=disk.free,
        disk_bytes=disk.total,
        keeper=keeper_runs(place),
        deletion_pending=jobs.deletion_pending(services.db),
        last_purge=purged,
    )


def findings(settings: Settings, environ: Mapping[str, str], *, now: datetime) -> list[Finding]:
    """What `byok doctor` finds, without places: a browser may show this to an admin who has no shell here."""
    return [
        finding._replace(said=without_places(finding.said, settings), remedy=without_places(finding.remedy, settings))
        for finding in doctor.examine(settings, environ, now=now)
    ]


def without_places(text: str, settings: Settings) -> str:
    """A text whose paths begin at the data directory, and are mere names elsewhere.

    >>> without_places("/srv/byok/data/usage/x.parquet cannot be read", Settings(data=Path("/srv/byok/data")))
    'data/usage/x.parquet cannot be read'
    >>> without_places("/home/ada/.config/byok/master.key does not exist", Settings())
    'master.key does not exist'
    """
    for data in sorted({str(settings.data.resolve()), str(settings.data)}, key=len, reverse=True):
        text = re.sub(rf"(?<![\w./-]){re.escape(data)}(?=[\s/;,:]|$)", "data", text)
    return _PLACE.sub(r"\1", text)


def keeper_runs(settings: Settings) -> bool:
    """Whether some process holds the keeper's lock of this data directory."""
    try:
        fd = os.open(settings.keeper_lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(fd)  # which lets go of it again


def _months(view: View) -> tuple[Month, ...]:
    months = sorted(by_month(view.files).items(), reverse=True)
    return tuple(Month(name, len(files), sum(f.rows for f in files), sum(f.bytes for f in files)) for name, files in months)


def _accounts_bytes(settings: Settings) -> int | None:
    return _size(settings.accounts_file) if settings.accounts_file else None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
