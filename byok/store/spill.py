"""Where a question that needs more memory than it has lays rows for a moment: one folder per engine, below the data directory.

An engine holds a lock on its folder, so what a killed process left behind can be told and is removed: by the next engine and by deletions.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import weakref
from pathlib import Path

from byok import disk


class Spill:
    """A folder that only this user can read; it goes with `close`, or with this object."""

    def __init__(self, root: Path | None) -> None:
        self.folder, fd = _made(root)
        self.close = weakref.finalize(self, _remove, self.folder, fd)


def clear(root: Path) -> None:
    """Remove the folders of processes that are gone; harmless if there are none."""
    if not root.is_dir():
        return
    with disk.locked(root):  # no folder is made while others are looked at
        for folder in root.iterdir():
            with contextlib.suppress(OSError):
                fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
                finally:
                    os.close(fd)


def _made(root: Path | None) -> tuple[Path, int]:
    """A new folder and its lock; in the system's place for such if the data directory cannot be written."""
    if root is not None:
        with contextlib.suppress(OSError):
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            clear(root)
            with disk.locked(root):
                return _locked(Path(tempfile.mkdtemp(dir=root)))
    return _locked(Path(tempfile.mkdtemp(prefix="byok-store-")))


def _locked(folder: Path) -> tuple[Path, int]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return folder, fd


def _remove(folder: Path, fd: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(fd)
