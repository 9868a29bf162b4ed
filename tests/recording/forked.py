"""Processes to be killed with -9, forked from one that has imported everything: to import takes far longer than what they do."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

_SERVER = """
import json, os, signal, sys, traceback
import byok.recording.importer, byok.recording.publisher, tests.samples
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    code, args, pipe = json.loads(line)
    if pid := os.fork():
        print(pid, flush=True)
        continue
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(pipe, os.O_WRONLY), 1)
    sys.argv[1:] = args
    try:
        exec(code, {"__name__": "__main__"})
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(0)
"""


class Forks:
    """Starts such processes, as a context."""

    def __enter__(self) -> "Forks":
        self._folder = tempfile.TemporaryDirectory()
        self._server = subprocess.Popen([sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate()
        self._folder.cleanup()

    def start(self, code: str, *args: str) -> "Child":
        """Run `code` with these arguments as `sys.argv[1:]`; returns when it has said `ready`."""
        pipe = Path(self._folder.name) / "pipe"
        os.mkfifo(pipe)
        assert self._server.stdin and self._server.stdout
        self._server.stdin.write(json.dumps([code, args, str(pipe)]) + "\n")
        self._server.stdin.flush()
        child = Child(int(self._server.stdout.readline()), pipe)
        pipe.unlink()
        return child


class Child:
    """One of them. What it said comes after its end."""

    def __init__(self, pid: int, pipe: Path) -> None:
        self._pid, self._said = pid, pipe.open()
        assert self._said.readline() == "ready\n"

    def kill(self) -> str:
        """-9; all that it said after `ready`."""
        os.kill(self._pid, signal.SIGKILL)
        return self.end()

    def end(self) -> str:
        """Wait for its end; all that it said after `ready`."""
        with self._said:
            return self._said.read()  # open as long as it lives

    def is_running(self) -> bool:
        try:
            os.kill(self._pid, 0)
        except ProcessLookupError:
            return False
        return True
