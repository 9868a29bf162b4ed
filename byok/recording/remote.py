"""A usage table on an S3 store that several machines share.

A file is written here first, then uploaded, then named by a commit; a commit is a put that fails if its number is taken, so two machines
never both succeed. Sealed files never change: what was fetched or written is kept as a copy below the data directory, up to a bound.
Credentials come from where every S3 program looks (environment, profile, instance or web identity), never from a URL.
"""

import contextlib
import os
import shutil
import threading
import time
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import structlog
from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.exceptions import CommitFailedError, DeltaError
from pyarrow import fs

from byok.recording.files import PARTITION, TableFile, WrittenFile
from byok.recording.places import StoreAway, StoreUnsafe, locked
from byok.settings import RemoteStore

CONNECT_S, REQUEST_S, TRIES = 3, 20, 3
IN_USE_S = 600.0  # a copy that a question used so lately is not dropped
CLEANED_AFTER_S = 3600.0  # entries of the log are cleaned away after a day: then it is time to look for our own
_AT_A_TIME = 4
_PROBES = 8
_LOG = "_delta_log"
log = structlog.get_logger("byok.store")


class RemotePlace:
    """The table at `s3://bucket/prefix`; copies lie in `<cache>/files`, files that no commit names yet in `<cache>/new`."""

    def __init__(self, store: RemoteStore, environ: Mapping[str, str] = os.environ) -> None:
        self.shared = True
        self.uri, self._root = store.url, store.url.removeprefix("s3://")
        self.directory, self._copies = store.cache / "new", store.cache / "files"
        self._cache, self._most_bytes = store.cache, store.cache_mb * 1_000_000
        self._endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or None
        self._region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or None
        self._s3: fs.S3FileSystem | None = None
        self._looked = time.monotonic()
        self._unused: dict[str, float] = {}
        self._opening, self._fetching = threading.Lock(), threading.Lock()

    @property
    def options(self) -> dict[str, str] | None:
        bounds = {
            "timeout": f"{REQUEST_S}s",
            "connect_timeout": f"{CONNECT_S}s",
            "max_retries": str(TRIES),
            "retry_timeout": f"{REQUEST_S}s",
        }
        return bounds | ({"AWS_ALLOW_HTTP": "true"} if (self._endpoint or "").startswith("http://") else {})

    def vouch(self) -> None:
        """Each commit first looks whether its number is taken, so two are begun at once, again and again: never may both succeed."""
        name = f"_probe-{uuid.uuid4().hex}"
        uri, schema = f"{self.uri}/{name}", Schema.from_arrow(pa.schema([("probe", pa.int64())]))
        with self.reaching(), ThreadPoolExecutor(2) as pool:
            try:
                DeltaTable.create(uri, schema, storage_options=self.options)
                for _ in range(_PROBES):
                    both = [DeltaTable(uri, storage_options=self.options) for _ in range(2)]
                    if all(pool.map(_commits, both)):
                        raise StoreUnsafe
            finally:
                self._filesystem().delete_dir(f"{self._root}/{name}")

    def changed_since(self, version: int) -> bool:
        with self.reaching():
            if self._there(f"{_LOG}/{version + 1:020}.json"):
                return True
            if version < 0 or time.monotonic() - self._looked < CLEANED_AFTER_S:
                return False
            self._looked = time.monotonic()
            return not self._there(f"{_LOG}/{version:020}.json")

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        with locked(self._cache):
            self.directory.mkdir(parents=True, exist_ok=True)
            try:
                yield
            finally:
                shutil.rmtree(self.directory, ignore_errors=True)  # what a killed writer of this machine left, too

    @contextlib.contextmanager
    def reaching(self) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, CommitFailedError):
            raise
        except (OSError, DeltaError) as error:
            log.warning("store_away", error=type(error).__name__)  # their words hold addresses
            raise StoreAway(type(error).__name__) from None

    def path_of(self, name: str) -> str:
        return str(self._copies / name)

    def name_of(self, path: str) -> str:
        return str(Path(path).relative_to(self._copies))

    def lacks(self, add: Sequence[WrittenFile]) -> bool:  # noqa: ARG002 - no sweep takes files of the newest epoch
        return False

    def deliver(self, add: Sequence[WrittenFile], epoch: int) -> list[WrittenFile]:
        named = [file._replace(path=f"{PARTITION}={file.month}/part-{epoch:06}-{uuid.uuid4().hex}.parquet") for file in add]
        with self.reaching(), ThreadPoolExecutor(_AT_A_TIME) as pool:
            list(pool.map(self._upload, add, named))
        return named

    def withdraw(self, add: Sequence[WrittenFile]) -> None:
        for file in add:
            with contextlib.suppress(OSError):  # else the sweep takes it
                self.delete(file.path)
            Path(self.path_of(file.path)).unlink(missing_ok=True)

    def committed(self, version: int, removed: Sequence[TableFile]) -> None:
        """The store keeps what it confirmed."""

    def added_at(self, file: TableFile) -> float | None:
        return file.added_ms / 1000

    def fetch(self, paths: Iterable[str]) -> None:
        missing = []
        for path in paths:
            try:
                found = Path(path).stat()
            except FileNotFoundError:
                missing.append(path)
            else:
                if time.time() - found.st_mtime > IN_USE_S / 10:
                    with contextlib.suppress(FileNotFoundError):
                        os.utime(path)  # the oldest are dropped first
        if missing:
            with self._fetching, self.reaching(), ThreadPoolExecutor(_AT_A_TIME) as pool:
                list(pool.map(self._download, missing))
            self._keep_within_bounds()

    def unnamed(self, named: Collection[str]) -> list[str]:
        with self.reaching():
            selector = fs.FileSelector(self._root, recursive=True, allow_not_found=True)
            found = self._filesystem().get_file_info(selector)
        names = [info.path.removeprefix(f"{self._root}/") for info in found if info.is_file]
        return [name for name in names if name not in named and name.startswith(f"{PARTITION}=")]

    def unused_since(self, name: str) -> float:
        return self._unused.setdefault(name, time.time())

    def delete(self, name: str) -> None:
        self._unused.pop(name, None)
        with contextlib.suppress(FileNotFoundError):
            self._filesystem().delete_file(f"{self._root}/{name}")

    def tidy(self, named: Collection[str], *, older_than_s: float) -> None:
        now = time.time()
        for path in self._copies.glob(f"{PARTITION}=*/*"):
            name = self.name_of(str(path))
            if name in named:
                self._unused.pop(f"copy:{name}", None)
            elif now - self._unused.setdefault(f"copy:{name}", now) >= older_than_s:
                path.unlink(missing_ok=True)

    # -- below: one object each --

    def _filesystem(self) -> fs.S3FileSystem:
        with self._opening:
            if self._s3 is None:
                retries = fs.AwsStandardS3RetryStrategy(max_attempts=TRIES)
                self._s3 = fs.S3FileSystem(
                    endpoint_override=self._endpoint,
                    region=self._region,
                    connect_timeout=CONNECT_S,
                    request_timeout=REQUEST_S,
                    retry_strategy=retries,
                )
            return self._s3

    def _there(self, name: str) -> bool:
        return bool(self._filesystem().get_file_info(f"{self._root}/{name}").is_file)

    def _upload(self, file: WrittenFile, named: WrittenFile) -> None:
        here, copy = self.directory / file.path, self._copies / named.path
        with here.open("rb") as source, self._filesystem().open_output_stream(f"{self._root}/{named.path}") as target:
            shutil.copyfileobj(source, target, 8 << 20)
        copy.parent.mkdir(parents=True, exist_ok=True)
        here.replace(copy)

    def _download(self, path: str) -> None:
        here = Path(path)
        if here.exists():  # another thread was first
            return
        here.parent.mkdir(parents=True, exist_ok=True)
        hidden = here.with_name(f".fetching-{uuid.uuid4().hex}")
        try:
            with self._filesystem().open_input_stream(f"{self._root}/{self.name_of(path)}") as source, hidden.open("wb") as target:
                shutil.copyfileobj(source, target, 8 << 20)
            hidden.replace(here)
        except FileNotFoundError:
            pass  # merged away and swept since: whoever asked looks again
        finally:
            hidden.unlink(missing_ok=True)

    def _keep_within_bounds(self) -> None:
        copies = []
        for path in self._copies.glob(f"{PARTITION}=*/*"):
            with contextlib.suppress(FileNotFoundError):
                found = path.stat()
                copies.append((found.st_mtime, found.st_size, path))
        left = sum(size for _, size, _ in copies)
        for used, size, path in sorted(copies):
            if left <= self._most_bytes or time.time() - used < IN_USE_S:
                return
            path.unlink(missing_ok=True)
            left -= size


def _commits(table: DeltaTable) -> bool:
    """Whether a commit of nothing goes through."""
    try:
        table.create_write_transaction([], "append", table.schema(), [], commit_properties=CommitProperties(max_commit_retries=0))
    except CommitFailedError:
        return False
    return True
