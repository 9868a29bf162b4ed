"""What several rooms ask of the disk."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


def sync(path: Path) -> None:
    """A file's bytes, or a folder's names, outlive a loss of power from here on."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def locked(path: Path, *, make: bool = False) -> Iterator[None]:
    """Hold the lock of a folder or a file (which `make` makes); waits for another process that holds it. A kill lets go of it."""
    fd = os.open(path, (os.O_CREAT | os.O_RDWR if make else os.O_RDONLY) | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
