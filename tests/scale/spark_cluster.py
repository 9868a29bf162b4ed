"""A standalone cluster of Apache Spark for tests: a master and a worker as processes of their own, on loopback."""

import os
import shutil
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
}
_JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


def missing() -> str:
    """Why no cluster can be started; empty if one can."""
    if find_spec("pyspark") is None or find_spec("sqlglot") is None:
        return "pyspark is not installed (make install-scale)"
    return "" if shutil.which("java") else "no Java on this machine (apt-get install openjdk-17-jre-headless)"


class SparkCluster:
    """Started by the constructor; `url` is its master's address, and `env` what the driver's process must have, too.

    `brief`: for many questions about little.
    """

    def __init__(self, *, brief: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="byok-spark-"))
        self._brief = brief
        words = PATIENT | (BRIEF if brief else {})
        (self.folder / "spark-defaults.conf").write_text("".join(f"{name} {value}\n" for name, value in words.items()))
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
            self._wait(1200)
        except BaseException:
            self.close()
            raise

    @property
    def env(self) -> dict[str, str]:
        found = {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_CONF_DIR": str(self.folder)}
        return found | ({"JDK_JAVA_OPTIONS": _JAVA} if self._brief else {})

    def workers(self) -> int:
        """How many have told the master that they are there."""
        try:
            said = httpx.get(f"http://127.0.0.1:{self._page}/json/", timeout=10)
        except httpx.TransportError:
            return 0
        return int(said.json()["aliveworkers"]) if said.status_code == 200 else 0

    def applications(self) -> list[str]:
        """The names of what runs or ran on it."""
        said = httpx.get(f"http://127.0.0.1:{self._page}/json/", timeout=60).json()
        return [one["name"] for one in said["activeapps"] + said["completedapps"]]

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-3000:]

    def close(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(60)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.workers():
            assert all(process.poll() is None for process in self._processes), self.log()
            assert time.monotonic() < end, self.log()
            time.sleep(0.2)

    def _start(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        found = find_spec("pyspark")
        assert found is not None and found.origin is not None
        home = Path(found.origin).parent
        environment = os.environ | self.env | {"SPARK_HOME": str(home)}
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [str(home / "bin" / "spark-class"), f"org.apache.spark.deploy.{name}", *words],
                cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
