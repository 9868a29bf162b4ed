"""Apache Spark for tests, on loopback: a standalone cluster (master and worker are processes of their own), a server of Spark Connect."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import httpx

from tests.scale.s3_servers import free_port

# For small tables and a JVM that lives for minutes: nothing is compiled that interpreting does as well.
BRIEF = {
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}
# A busy machine may leave any of its processes without a turn for minutes.
PATIENT = {
    "spark.network.timeout": "1200s",
    "spark.executor.heartbeatInterval": "120s",
    "spark.rpc.askTimeout": "1200s",
    "spark.worker.timeout": "1200",
    "spark.sql.shuffle.partitions": "4",
}
PATIENCE_S = 1200
_JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


def missing() -> str:
    """Why no cluster can be started; empty if one can."""
    if find_spec("pyspark") is None or find_spec("sqlglot") is None:
        return "pyspark is not installed (make install-scale)"
    return "" if shutil.which("java") else "no Java on this machine (apt-get install openjdk-17-jre-headless)"


class SparkConnect:
    """A server of Spark Connect with a Spark of its own; `url` is where it listens."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="byok-spark-"))
        _configure(self.folder, brief=True)
        self._port = free_port()
        self.url = f"sc://127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        words = {
            "spark.connect.grpc.binding.address": "127.0.0.1",
            "spark.connect.grpc.binding.port": self._port,
            "spark.ui.enabled": "false",
        }
        conf = [word for name, value in words.items() for word in ("--conf", f"{name}={value}")]
        server = ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "--name", "connect", "--master", "local[1]", *conf]
        self._process = _started(self.folder, "org.apache.spark.deploy.SparkSubmit", *server, brief=True)
        end = time.monotonic() + PATIENCE_S
        while not self._listens():
            assert self._process.poll() is None and time.monotonic() < end, log_of(self.folder)
            time.sleep(0.2)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
            return True
        return False


class SparkCluster:
    """Started by the constructor; `url` is its master's address, and `env` what the driver's process must have, too.

    `brief`: for many questions about little.
    """

    def __init__(self, *, brief: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="byok-spark-"))
        self._brief = brief
        _configure(self.folder, brief=brief)
        port, self._page = free_port(), free_port()
        self.url = f"spark://127.0.0.1:{port}"
        self._processes = [
            self._start("master.Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", str(self._page)),
            self._start(
                "worker.Worker", "--host", "127.0.0.1", "--webui-port", str(free_port()), "--cores", "2", "--memory", "2g",
                "--work-dir", str(self.folder / "work"), self.url,
            ),
        ]  # fmt: skip
        try:
            self._wait(PATIENCE_S)
        except BaseException:
            self.close()
            raise

    @property
    def env(self) -> dict[str, str]:
        return _environment(self.folder, brief=self._brief)

    def workers(self) -> int:
        """How many have told the master that they are there."""
        try:
            said = httpx.get(f"http://127.0.0.1:{self._page}/json/", timeout=10)
        except httpx.TransportError:
            return 0
        return int(said.json()["aliveworkers"]) if said.status_code == 200 else 0

    def freeze_its_worker(self) -> None:
        """Its executors, too: nothing is worked on any more, and nobody is told."""
        for process in [self._processes[1].pid, *_children(self._processes[1].pid)]:
            os.kill(process, signal.SIGSTOP)

    def applications(self) -> list[str]:
        """The names of what runs or ran on it."""
        said = httpx.get(f"http://127.0.0.1:{self._page}/json/", timeout=60).json()
        return [one["name"] for one in said["activeapps"] + said["completedapps"]]

    def close(self) -> None:
        for pid in _children(self._processes[1].pid):
            os.kill(pid, signal.SIGKILL)
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait(60)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.workers():
            assert all(process.poll() is None for process in self._processes), log_of(self.folder)
            assert time.monotonic() < end, log_of(self.folder)
            time.sleep(0.2)

    def _start(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        return _started(self.folder, f"org.apache.spark.deploy.{name}", *words, brief=self._brief)


def _children(pid: int) -> list[int]:
    said = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return [int(word) for word in said.stdout.split()]


def log_of(folder: Path) -> str:
    return (folder / "log").read_text(errors="replace")[-3000:]


def _configure(folder: Path, *, brief: bool) -> None:
    words = PATIENT | (BRIEF if brief else {})
    (folder / "spark-defaults.conf").write_text("".join(f"{name} {value}\n" for name, value in words.items()))


def _environment(folder: Path, *, brief: bool) -> dict[str, str]:
    found = {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_CONF_DIR": str(folder)}
    return found | ({"JDK_JAVA_OPTIONS": _JAVA} if brief else {})


def _started(folder: Path, name: str, *words: str, brief: bool) -> subprocess.Popen[bytes]:
    found = find_spec("pyspark")
    assert found is not None and found.origin is not None
    home = Path(found.origin).parent
    environment = os.environ | _environment(folder, brief=brief) | {"SPARK_HOME": str(home)}
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [str(home / "bin" / "spark-class"), name, *words],
            cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
