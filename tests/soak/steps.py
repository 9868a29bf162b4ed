"""The named steps at which a process can be killed, and small faults of its disk: put around functions of the product by the test's own
launcher. The product knows nothing of this."""

import errno
import importlib
import os
import signal
from collections.abc import Callable
from typing import Any, Literal, NamedTuple


class Step(NamedTuple):
    """A moment before or after a function runs; `only` narrows it to calls on paths with that suffix."""

    name: str
    place: str
    when: Literal["before", "after", "half", "eio", "short"]
    only: str = ""


_DISK = "byok.recording.journal:RealDisk."
GATEWAY = (
    Step("journal: segment made, not locked", "byok.recording.journal:fcntl.flock", "before"),
    Step("journal: segment locked, not named", "byok.recording.journal:fcntl.flock", "after"),
    Step("journal: segment named, not synced", "byok.recording.journal:sync", "before"),
    Step("journal: before a line", _DISK + "write", "before"),
    Step("journal: half a line", _DISK + "write", "half"),
    Step("journal: after a line, answer not ended", _DISK + "write", "after"),
    Step("journal: before a sync", _DISK + "sync", "before"),
    Step("journal: after a sync", _DISK + "sync", "after"),
)
PUBLISHING = (
    Step("publish: lines read", "byok.recording.publisher:write_by_month", "before"),
    Step("publish: Parquet not synced", "byok.recording.files:disk.sync", "before"),
    Step("publish: Parquet written, not committed", "byok.recording.publisher:write_by_month", "after"),
    Step("commit: checked, not made", "byok.recording.table:Table._refuse_if_overtaken", "after"),
    Step("commit: made, not synced", "byok.recording.places:LocalPlace.committed", "before"),
    Step("commit: done, nothing cleaned up", "byok.recording.table:Table.commit", "after"),
    Step("publish: one segment deleted", "pathlib:Path.unlink", "after", ".jsonl"),
    Step("merge: begun", "byok.recording.publisher:merged", "before"),
    Step("merge: written, not committed", "byok.recording.publisher:merged", "after"),
    Step("sweep: begun", "byok.recording.table:Table.sweep", "before"),
    Step("sweep: one file deleted", "pathlib:Path.unlink", "after", ".parquet"),
)
DELETING = (
    Step("delete: before it is noted", "byok.accounts.jobs:put", "before"),
    Step("delete: noted", "byok.accounts.jobs:put", "after"),
    Step("delete: before a file is filtered", "byok.recording.removal:without", "before"),
    Step("delete: a file filtered, not committed", "byok.recording.removal:without", "after"),
    Step("delete: committed, old files there", "byok.recording.removal:Removal._rewrite", "after"),
    Step("delete: old files gone", "byok.recording.table:Table.sweep", "after"),
    Step("delete: before exports go", "byok.retention:Retention._clear_exports", "before"),
    Step("delete: exports gone", "byok.retention:Retention._clear_exports", "after"),
    Step("delete: before the receipt", "byok.accounts.receipts:keep", "before"),
    Step("delete: receipt kept", "byok.accounts.receipts:keep", "after"),
    Step("delete: before its note is dropped", "byok.accounts.jobs:drop", "before"),
)
ERASING = (
    *DELETING,
    Step("erase: before the user goes", "byok.accounts.users:remove", "before"),
    Step("erase: user gone, records there", "byok.accounts.users:remove", "after"),
    Step("erase: before the journal is published", "byok.erasures:publish", "before"),
    Step("erase: journal published", "byok.erasures:publish", "after"),
    Step("erase: users of the table known", "byok.recording.removal:users_in", "after"),
    Step("erase: before the scrub", "byok.retention:scrub", "before"),
    Step("erase: scrubbed", "byok.retention:scrub", "after"),
)
WEB = (
    Step("web: before it finishes deletions", "byok.retention:Retention.finish", "before"),
    Step("web: a view taken", "byok.recording.reader:Reader.view", "after"),
)
FAULTS = (
    Step("fault: a sync fails", _DISK + "sync", "eio"),
    Step("fault: a short write", _DISK + "write", "short"),
)
STEPS = {
    "gateway": (*GATEWAY, *FAULTS),
    "keeper": (*PUBLISHING, *DELETING),
    "web": WEB,
    "eraser": ERASING,
}


def arm(step: Step, nth: int) -> None:
    """Make this process die (or its disk fail once) the `nth` time that it comes by this step."""
    owner, name = _resolve(step.place)
    original: Callable[..., Any] = getattr(owner, name)
    left = nth

    def armed(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        left -= not step.only or str(args[0]).endswith(step.only)
        if left:
            return original(*args, **kwargs)
        left = -1  # once
        return _strike(step, original, args, kwargs)

    setattr(owner, name, armed)


def _strike(step: Step, original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if step.when == "eio":
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    if step.when in ("half", "short"):
        disk, fd, data = args
        done = original(disk, fd, data[: len(data) // 2])
        if step.when == "short":
            return done
    elif step.when == "after":
        original(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


class _Copy:
    """A module of our own to change, so that a step in one room is not one in all."""

    def __init__(self, module: Any) -> None:
        self.__dict__.update(vars(module))


def _resolve(place: str) -> tuple[Any, str]:
    module, _, path = place.partition(":")
    owner: Any = importlib.import_module(module)
    *parts, name = path.split(".")
    for part in parts:
        inner = getattr(owner, part)
        if type(inner) is type(importlib):
            inner = _Copy(inner)
            setattr(owner, part, inner)
        owner = inner
    return owner, name
