"""Processes on a core of their own: start, wait until they answer, CPU time and memory with their children."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

PROJECT = Path(__file__).parents[2]
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024


class Unavailable(Exception):
    """This cannot be measured here; the text says why."""


@dataclass(frozen=True)
class Cores:
    measured: int
    load: int

    @classmethod
    def choose(cls) -> "Cores":
        """The first and the last that we may use; the same one where there is only one."""
        cores = sorted(os.sched_getaffinity(0))
        return cls(cores[0], cores[-1])


class Machine:
    """How much of its time the machine did not get, since this was made."""

    def __init__(self) -> None:
        self._before = self._times()

    def stolen(self) -> float:
        passed = [now - before for now, before in zip(self._times(), self._before, strict=True)]
        return passed[7] / max(sum(passed), 1)

    def _times(self) -> list[int]:
        """user, nice, system, idle, iowait, irq, softirq, steal; guests are in user."""
        return [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]


def find_program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin{os.pathsep}/sbin")


@contextlib.contextmanager
def started(core: int, command: list[str], log: Path, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process pinned to `core`, with `env` added to ours; ended, with its children, on leaving. What it says is in `log`."""
    pin = [sys.executable, "-c", f"import os, sys; os.sched_setaffinity(0, {{{core}}}); os.execvp(sys.argv[1], sys.argv[1:])"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BYOK_")}
    with log.open("ab") as out:
        process = subprocess.Popen(
            [*pin, *command], env=kept | (env or {}), stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=PROJECT, start_new_session=True
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    """Raises `Unavailable` with the last thing the process said when it ended or is not ready in time."""
    end = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None:
            raise Unavailable(f"ended with {process.returncode}: {last_line(log.read_text(errors='replace'))}")
        if time.monotonic() > end:
            raise Unavailable(f"not ready after {seconds:.0f} s: {last_line(log.read_text(errors='replace'))}")
        time.sleep(0.1)


def answers(port: int, path: str) -> Callable[[], bool]:
    """Whether it is answered with 200."""

    def ready() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=5).status_code == 200
        return False

    return ready


def accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2):
        return True
    return False


def last_line(text: str) -> str:
    return next((line.strip()[:200] for line in reversed(text.splitlines()) if line.strip()), "it said nothing")


def family(pid: int) -> list[int]:
    """The process and its descendants."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rsplit(") ", 1)[1].split()[1])
    found = [pid]
    for parent in found:  # grows while it is read
        found += [child for child, its_parent in parents.items() if its_parent == parent]
    return found


def cpu_s(pids: list[int]) -> float:
    """CPU seconds so far, user and system."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS_PER_S


def memory_kib(pids: list[int]) -> int:
    """Resident memory."""
    pages = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * _PAGE_KIB


def settle(pids: list[int], within_s: float = 20) -> None:
    """Wait until next to nothing is worked on any more: calls whose client has left are finished, or given up."""
    end = time.monotonic() + within_s
    before = cpu_s(pids)
    while time.monotonic() < end:
        time.sleep(0.2)
        if (now := cpu_s(pids)) - before < 0.02:
            return
        before = now
