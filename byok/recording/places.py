"""Where a usage table lies: in a directory of this machine, or on an S3 store that several machines share (`byok.recording.remote`).

Whatever the place, every file that a question or a rewrite reads is one of this machine: `fetch` sees to it before.
"""

import contextlib
import os
import re
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from byok import disk
from byok.errors import ByokError
from byok.recording.files import PARTITION, TableFile, WrittenFile
from byok.settings import RemoteStore

_LOG = "_delta_log"
_LOCK = "_writer.lock"
_NAME = re.compile(rf"{PARTITION}=[0-9-]+/part-(?:(\d+)-)?[0-9a-f]+\.parquet")


class StoreAway(ByokError):
    """The S3 store does not answer, or refuses us. Gateways go on; what they journal is published when it is back."""

    status, code = 503, "store_away"

    def __init__(self, why: str) -> None:
        super().__init__(
            f"The store of the usage files cannot be reached just now ({why}).",
            remedy="Try again; if it persists, run: byok doctor. Calls go on meanwhile, and none is lost.",
        )


class StoreUnsafe(ByokError):
    """Of two machines that write the same commit the store would keep the later one, and the records of the first would be gone."""

    status, code = 500, "store_unsafe"

    def __init__(self) -> None:
        super().__init__(
            "The store does not refuse a second put of the same name (If-None-Match), so machines would overwrite each other's records.",
            remedy="Set BYOK_STORE_URL to a store that knows conditional puts (docs/scale.md), or to a directory.",
        )


class Place(Protocol):
    """What a table needs of where it lies. Names of files are relative to the table; paths are of this machine."""

    directory: Path  # below which new files are written
    uri: str
    shared: bool  # whether other machines write here, too

    @property
    def options(self) -> dict[str, str] | None:
        """How deltalake gets there."""

    def vouch(self) -> None:
        """Raise `StoreUnsafe` if two writers of one name would not notice each other; tried out, with files that are taken away again."""

    def changed_since(self, version: int) -> bool:
        """Whether a newer commit exists. A version whose own entry was cleaned away is an old one."""

    def writing(self) -> contextlib.AbstractContextManager[None]:
        """Keep the other processes of this machine from writing; waits for them."""

    def reaching(self) -> contextlib.AbstractContextManager[None]:
        """Around what goes to the place: its faults come out as `StoreAway`."""

    def path_of(self, name: str) -> str:
        """Where a file of the table is read on this machine."""

    def name_of(self, path: str) -> str: ...

    def lacks(self, add: Sequence[WrittenFile]) -> bool:
        """Whether one of these new files has gone meanwhile."""

    def deliver(self, add: Sequence[WrittenFile], epoch: int) -> list[WrittenFile]:
        """Bring new files to where a commit may name them, under the names that it must use."""

    def withdraw(self, add: Sequence[WrittenFile]) -> None:
        """Take delivered files back that no commit will name."""

    def committed(self, version: int, removed: Sequence[TableFile]) -> None:
        """A commit went through; what it removed is unused from now on."""

    def added_at(self, file: TableFile) -> float | None:
        """When the file came to the table, in seconds since the epoch; None if it is missing."""

    def fetch(self, paths: Iterable[str]) -> None:
        """Have these files of the table on this machine; one that the place has no more stays missing."""

    def unnamed(self, named: Collection[str]) -> list[str]:
        """Names of the files at the place that are not in `named`."""

    def unused_since(self, name: str) -> float:
        """When the file fell out of use, as far as can be told, in seconds since the epoch."""

    def delete(self, name: str) -> None: ...

    def tidy(self, named: Collection[str], *, older_than_s: float) -> None:
        """Drop this machine's copies of files that are not in `named` and were not for so long; within `writing()`."""


def epoch_of(name: str) -> int:
    """The number of erasures that the writer of a file of a shared place knew of."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found and found[1] else 0


def place_of(where: Path | RemoteStore) -> Place:
    """The place that `Settings.usage_dir` names."""
    if isinstance(where, Path):
        return LocalPlace(where)
    from byok.recording.remote import RemotePlace  # only who has a store elsewhere pays for it

    return RemotePlace(where)


class LocalPlace:
    """A directory: files are written where they stay, and a lock keeps all writers apart."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.uri, self.shared = directory, str(directory), False

    @property
    def options(self) -> None:
        return None

    def vouch(self) -> None:
        """A lock keeps writers apart."""

    def changed_since(self, version: int) -> bool:
        return self._entry(version + 1).exists() or (version >= 0 and not self._entry(version).exists())

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        with locked(self.directory):
            yield

    @contextlib.contextmanager
    def reaching(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.filename is None:  # delta-rs names neither the file nor what is wrong with it: whoever looks there is told
                for path in sorted((self.directory / _LOG).iterdir()):
                    path.open("rb").close()
            raise

    def path_of(self, name: str) -> str:
        return str(self.directory / name)

    def name_of(self, path: str) -> str:
        return str(Path(path).relative_to(self.directory))

    def lacks(self, add: Sequence[WrittenFile]) -> bool:
        return any(not (self.directory / file.path).exists() for file in add)

    def deliver(self, add: Sequence[WrittenFile], epoch: int) -> list[WrittenFile]:  # noqa: ARG002 - all writers share one lock
        return list(add)

    def withdraw(self, add: Sequence[WrittenFile]) -> None:
        """They may be another process's by now, which finished the same work: the sweep tells."""

    def committed(self, version: int, removed: Sequence[TableFile]) -> None:
        """The journal is deleted on the strength of this commit, so it must outlive a power cut."""
        for path in (self._entry(version), self.directory / _LOG):
            fd = os.open(path, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        for file in removed:
            with contextlib.suppress(FileNotFoundError):
                os.utime(file.path)  # its change time now says since when it is unused

    def added_at(self, file: TableFile) -> float | None:
        try:
            return Path(file.path).stat().st_mtime
        except FileNotFoundError:
            return None

    def fetch(self, paths: Iterable[str]) -> None:
        """They are here."""

    def unnamed(self, named: Collection[str]) -> list[str]:
        found = (self.name_of(str(path)) for path in self.directory.glob(f"{PARTITION}=*/*"))
        return [name for name in found if name not in named]

    def unused_since(self, name: str) -> float:
        try:
            return (self.directory / name).stat().st_ctime
        except FileNotFoundError:
            return time.time()

    def delete(self, name: str) -> None:
        (self.directory / name).unlink(missing_ok=True)

    def tidy(self, named: Collection[str], *, older_than_s: float) -> None:
        """There are no copies."""

    def _entry(self, version: int) -> Path:
        return self.directory / _LOG / f"{version:020}.json"


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the writers' lock of a directory; waits for another process that holds it."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with disk.locked(directory / _LOCK, make=True):
        yield
