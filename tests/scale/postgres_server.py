"""A PostgreSQL server of one's own for tests: on loopback, in a temporary directory, gone when it is closed."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

_DEBIAN = Path("/usr/lib/postgresql")


def binaries() -> Path | None:
    """Where `initdb` and `postgres` lie: on the path, or where Debian puts them."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return versions[-1].parent if versions else None


def missing() -> str:
    """Why no server can be started; empty if one can."""
    if find_spec("psycopg") is None:
        return "psycopg is not installed (make install-scale)"
    if binaries() is None:
        return "no PostgreSQL server on this machine (apt-get install postgresql)"
    if os.geteuid() == 0 and _unprivileged() is None:
        return "PostgreSQL does not run as root, and there is no user 'postgres' or 'nobody'"
    return ""


class PostgresServer:
    """Started by the constructor; `url()` gives a fresh database in it each time."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="byok-postgres-"))
        self.port = _free_port()
        self._user = _unprivileged() if os.geteuid() == 0 else None
        self._made = 0
        if self._user:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self.data = self.folder / "data"
        self._run("initdb", "-D", str(self.data), "-U", "byok", "-A", "trust", "-N", "-E", "UTF8", "--locale=C.UTF-8")
        self.start()

    def start(self) -> None:
        options = ["-c", f"port={self.port}", "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.folder}"]
        options += ["-c", "fsync=off", "-c", "shared_buffers=32MB", "-c", "autovacuum=off", "-c", "max_connections=60"]
        self._process = self._popen("postgres", "-D", str(self.data), *options)
        end = time.monotonic() + 60
        while subprocess.run([self._binary("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]).returncode:
            assert time.monotonic() < end, "PostgreSQL did not start"
            assert self._process.poll() is None, "PostgreSQL ended at its start"
            time.sleep(0.05)

    def stop(self) -> None:
        """At once, as by a crash of the machine; `start` recovers."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(30)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """It holds its connections and answers nothing, as behind a network that swallows every packet."""
        children = [int(pid) for pid in Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()]
        everyone = [self._process.pid, *children]
        for pid in everyone:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in everyone:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def url(self) -> str:
        """The SQLAlchemy URL of a new, empty database."""
        self._made += 1
        name = f"accounts{self._made}"
        self.psql(f"create database {name}")
        return f"postgresql+psycopg://byok@127.0.0.1:{self.port}/{name}"

    def psql(self, sql: str, database: str = "postgres") -> str:
        command = [self._binary("psql"), "-h", "127.0.0.1", "-p", str(self.port), "-U", "byok", "-d", database, "-tAc", sql]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def files(self) -> Iterator[Path]:
        """Every file of the server, its log of changes included."""
        return (path for path in self.data.rglob("*") if path.is_file())

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _binary(self, name: str) -> str:
        return str(binaries() / name)

    def _popen(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        them = {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []} if self._user else {}
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen([self._binary(name), *words], cwd=self.folder, **quiet, **them)

    def _run(self, name: str, *words: str) -> None:
        assert self._popen(name, *words).wait(120) == 0, f"{name} failed"


def _unprivileged() -> pwd.struct_passwd | None:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
