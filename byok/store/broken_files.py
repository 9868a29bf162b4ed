"""Files that the table names and that cannot be read: left out of every answer, and read again when they change."""

import os
from collections.abc import Iterable
from pathlib import Path

import duckdb
import structlog

from byok.store.desk import reads_whole

_log = structlog.get_logger()


class BrokenFiles:
    """Those that one process has met."""

    def __init__(self) -> None:
        self._seen: dict[str, object] = {}
        self._last: dict[str, object] = {}

    def paths(self) -> set[str]:
        """Which are as they were when they were found broken."""
        return {path for path, seen in list(self._seen.items()) if _print_of(path) == seen}

    def changed(self, files: Iterable[str]) -> set[str]:
        """Which of all files of the table are not what they were when this was last asked. Nothing of ours changes a file."""
        before, self._last = self._last, {path: _print_of(path) for path in files}
        return {path for path, now in self._last.items() if before.get(path, now) != now}

    def search(self, files: Iterable[str], scratch: duckdb.DuckDBPyConnection) -> bool:
        """Read all of them, every value; whether one is broken that was not known to be."""
        known = self.paths()
        found = [path for path in files if path not in known and not reads_whole(scratch, path)]
        for path in found:
            _log.error("usage_file_quarantined", file=Path(path).name)
            self._seen[path] = _print_of(path)
        return bool(found)


def is_there(path: str) -> bool:
    """Whether there is such a file; not where we may not look."""
    return _print_of(path) is not None


def _print_of(path: str) -> object:
    try:
        status = os.stat(path)  # noqa: PTH116 - of dozens of files for each question: a Path costs more than the look
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
