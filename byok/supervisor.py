"""`byok up`: keeps the processes of one installation running, and ends them together.

Each program is a child process with our standard output and error. One that ends is started again after a pause, which doubles from 1 s
to 30 s and is 1 s again after a minute without a fault. Children hold the reading end of a pipe whose other end only we have: when we are
gone, also by kill -9, they read its end and stop themselves (`stop_when_orphaned`).
"""

import contextlib
import http.client
import os
import selectors
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType

import structlog

from byok.listening import reachable

ALIVE_FD = "_BYOK_ALIVE_FD"  # not BYOK_…: it is no setting
STOP_WITHIN_S = 33.0  # processes finish open streams for up to 30 s
FIRST_PAUSE_S, LONGEST_PAUSE_S, STEADY_S = 1.0, 30.0, 60.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


@dataclass(frozen=True)
class Program:
    """One child: how it is called, its command line, and the address whose /readyz says that it is up (None: running is enough)."""

    name: str
    command: Sequence[str]
    address: tuple[str, int] | None = None


@dataclass
class _Child:
    program: Program
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause_s: float = FIRST_PAUSE_S
    due: float = 0.0
    restarts: int = 0
    ready: bool = False

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None


class Supervisor:
    """Runs `programs` until SIGTERM or SIGINT. One per process, in its main thread.

    >>> Supervisor([Program("web", [sys.executable, "-m", "byok", "web"], ("127.0.0.1", 8501))], os.environ).run(on_ready=welcome)
    """

    def __init__(self, programs: Sequence[Program], environ: Mapping[str, str], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._children = [_Child(program) for program in programs]
        self._environ = dict(environ)
        self._clock = clock
        self._log = structlog.get_logger()
        self._stops = 0

    def run(self, on_ready: Callable[[], None]) -> int:
        """Start everything, call `on_ready` once all answer, keep them running; return the exit code after a stop."""
        ours, theirs = os.pipe()[::-1]
        before = {number: signal.signal(number, self._heard) for number in _SIGNALS}
        with _wake_up_on_signals() as wake:
            try:
                self._loop(wake, theirs, on_ready)
            finally:
                self._end_all(wake)
                for number, handler in before.items():
                    signal.signal(number, handler)
                os.close(ours)
                os.close(theirs)
        return 0

    def _loop(self, wake: "_Wake", alive_fd: int, on_ready: Callable[[], None]) -> None:
        told = False
        while not self._stops:
            now = self._clock()
            for child in self._children:
                self._tend(child, now, alive_fd)
            if not told and self._all_ready():
                told = True
                on_ready()
            wake.wait(self._next_look(told))

    def _tend(self, child: _Child, now: float, alive_fd: int) -> None:
        if child.running():
            return
        if child.process is not None:
            self._note_end(child, now)
        if child.due <= now:
            environ = self._environ | {ALIVE_FD: str(alive_fd)}
            child.process = subprocess.Popen(child.program.command, env=environ, stdin=subprocess.DEVNULL, pass_fds=(alive_fd,))
            child.started = now

    def _note_end(self, child: _Child, now: float) -> None:
        assert child.process is not None  # noqa: S101
        if now - child.started > STEADY_S:
            child.pause_s = FIRST_PAUSE_S
        self._log.error("process_ended", name=child.program.name, exit_code=child.process.returncode, restart_in_s=child.pause_s)
        child.process, child.ready = None, False
        child.restarts += 1
        child.due = now + child.pause_s
        child.pause_s = min(child.pause_s * 2, LONGEST_PAUSE_S)

    def _all_ready(self) -> bool:
        for child in self._children:
            if not child.ready:
                child.ready = child.running() and (child.program.address is None or answers_ready(*child.program.address))
        return all(child.ready for child in self._children)

    def _next_look(self, told: bool) -> float | None:
        """Seconds until something is due; None: only a signal can bring news."""
        if not told:
            return 0.1
        pauses = [child.due - self._clock() for child in self._children if child.process is None]
        return max(0.0, min(pauses)) if pauses else None

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGCHLD:
            self._stops += 1

    def _end_all(self, wake: "_Wake") -> None:
        """Ask all to stop; kill what has not after STOP_WITHIN_S, or at once when asked a second time."""
        asked = self._stops
        for child in self._children:
            if child.process is not None and child.running():
                child.process.terminate()
        until = self._clock() + STOP_WITHIN_S
        while (left := [c for c in self._children if c.running()]) and self._clock() < until and self._stops <= max(asked, 1):
            wake.wait(min(1.0, max(0.0, until - self._clock())))
        for child in left:
            if child.process is not None and child.running():
                self._log.error("process_killed", name=child.program.name)
                child.process.kill()
        for child in self._children:
            if child.process is not None:
                child.process.wait()


class _Wake:
    def __init__(self, receiver: socket.socket) -> None:
        self._receiver = receiver
        self._selector = selectors.DefaultSelector()
        self._selector.register(receiver, selectors.EVENT_READ)

    def wait(self, seconds: float | None) -> None:
        """Sleep, at most `seconds`, until a signal arrives."""
        if self._selector.select(seconds):
            self._receiver.recv(4096)

    def close(self) -> None:
        self._selector.close()


@contextlib.contextmanager
def _wake_up_on_signals() -> Iterator[_Wake]:
    receiver, sender = socket.socketpair()
    with receiver, sender:
        receiver.setblocking(False)
        sender.setblocking(False)
        before = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        wake = _Wake(receiver)
        try:
            yield wake
        finally:
            wake.close()
            signal.set_wakeup_fd(before)


def answers_ready(host: str, port: int) -> bool:
    """Whether `GET /readyz` there answers 200 within a second."""
    connection = http.client.HTTPConnection(reachable(host), port, timeout=1)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def stop_when_orphaned(environ: Mapping[str, str]) -> None:
    """In a child of a supervisor: when the supervisor is gone, send ourselves SIGTERM, and end for good if that has not helped in time."""
    number = environ.get(ALIVE_FD, "")
    if not number.isdigit():
        return

    def watch() -> None:
        with contextlib.suppress(OSError):
            os.read(int(number), 1)  # blocks until the last writer, the supervisor, is gone
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(STOP_WITHIN_S)
        os._exit(1)

    threading.Thread(target=watch, name="orphan-watch", daemon=True).start()
