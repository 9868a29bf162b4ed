"""A session on Spark: opened when it is first needed, and anew after its driver, the cluster or a server of Spark Connect was gone."""

import contextlib
import os
import re
import socket
import threading
from collections.abc import Iterator
from typing import Any

import structlog

from byok.errors import ByokError

CONNECT_S = 5.0
LONGEST_S = 840.0  # of a question: files that were merged away are swept after 15 minutes
CONNECT_PORT = 15002
_TRIES = 3  # of Connect, which by itself would try for ten minutes
_ALWAYS = {"spark.sql.session.timeZone": "UTC", "spark.sql.execution.arrow.pyspark.enabled": "true", "spark.sql.ansi.enabled": "true"}
_OF_OUR_DRIVER = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}
_LOCAL = {"spark.sql.shuffle.partitions": "4"}
log = structlog.get_logger("byok.spark")


class SparkMissing(ByokError):
    """BYOK_ENGINE=spark needs packages that are optional."""

    status, code = 500, "spark_missing"

    def __init__(self) -> None:
        super().__init__(
            "BYOK_ENGINE=spark needs pyspark and Java 17 or newer.", remedy="Run: make install-scale, and install a Java 17 runtime."
        )


class SparkFailed(ByokError):
    """The cluster did not answer a question; its own words may quote what was asked."""

    status, code = 503, "spark_failed"

    def __init__(self, kind: str) -> None:
        super().__init__(
            f"Spark did not answer ({kind}).", remedy="Try again; if it persists, look at the cluster, or set BYOK_ENGINE=duckdb."
        )


class SparkGone(SparkFailed):
    """Nobody is at the other end of the session any more."""


class SparkReadsNoS3(SparkFailed):
    """`s3a://` is not among what Spark's own package can read."""

    def __init__(self) -> None:
        super().__init__("it cannot read s3a://")
        self.remedy = "Put hadoop-aws, of the version of Spark's Hadoop, on the class path of driver and executors: docs/scale.md."


class SparkSession:
    """The session at a master (`local[N]`, `spark://host:7077`, `sc://host`), for one thread at a time."""

    def __init__(self, master: str) -> None:
        self._master = master
        self.is_local, self._is_connect = master.startswith("local"), master.startswith("sc://")
        self._session: Any = None

    def opened(self) -> Any:
        """The session of pyspark. Raises `SparkMissing`, and `SparkFailed` within seconds if nobody listens at the master's address."""
        if self._session is None:
            try:
                self._session = self._open()
            except ImportError:
                raise SparkMissing from None
            except Exception as error:  # of many kinds, from two languages
                log.error("spark_failed", error=type(error).__name__)
                raise (SparkMissing if _lacks_java(error) else SparkFailed(type(error).__name__)) from None
        return self._session

    @contextlib.contextmanager
    def bounded(self) -> Iterator[None]:
        """End what takes too long: a cluster without workers would let a question wait for ever, and all others behind it."""
        timer = threading.Timer(LONGEST_S, self.opened().interruptAll)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def lives(self) -> bool:
        """Whether the driver answers at all. It is asked nothing that its executors would have to work on: they may be what is away."""
        try:
            if self._is_connect:
                return bool(self._session.conf.get("spark.sql.session.timeZone"))
            return not self._session.sparkContext._jsc.sc().isStopped()
        except Exception:  # whatever it is, nobody answers
            return False

    def close(self) -> None:
        """End it, also if nobody is at its other end any more: the next `opened` begins anew."""
        if self._session is None:
            return
        session, self._session = self._session, None
        with contextlib.suppress(Exception):
            session.stop()
        if not self._is_connect:
            _forget_a_dead_driver()

    def _open(self) -> Any:
        from pyspark.sql import SparkSession as Session

        _knock(self._master)
        builder = Session.builder
        builder = builder.remote(self._master) if self._is_connect else builder.master(self._master)
        words = _ALWAYS | ({} if self._is_connect else _OF_OUR_DRIVER) | (_LOCAL if self.is_local else {})
        if self.is_local:
            os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        for name, value in words.items():
            builder = builder.config(name, value)
        session: Any = builder.appName("byok").getOrCreate()
        if self._is_connect:
            from pyspark.sql.connect.client.retries import DefaultPolicy

            session.client.set_retry_policies([DefaultPolicy(max_retries=_TRIES)])
        return session


def _knock(master: str) -> None:
    """Raise OSError if nobody listens at any address of a master: Spark itself would try for minutes."""
    found = re.match(r"(sc|spark)://([^/;]+)", master)
    if not found:
        return
    refused: OSError | None = None
    for address in found[2].split(","):
        host, _, port = address.rpartition(":") if re.search(r":\d+$", address) else (address, "", "")
        try:
            socket.create_connection((host.strip("[]"), int(port or (CONNECT_PORT if found[1] == "sc" else 7077))), CONNECT_S).close()
            return
        except OSError as error:
            refused = error
    if refused:
        raise refused


def _lacks_java(error: Exception) -> bool:
    from pyspark.errors import PySparkException

    return isinstance(error, FileNotFoundError) or (isinstance(error, PySparkException) and error.getCondition() == "JAVA_GATEWAY_EXITED")


def _forget_a_dead_driver() -> None:
    """pyspark keeps its connection to a driver's process even when that was killed, and would never start another."""
    from pyspark import SparkContext
    from pyspark.sql import SparkSession as Session

    gateway: Any = SparkContext._gateway
    if gateway is not None and gateway.proc.poll() is not None:
        SparkContext._gateway = SparkContext._jvm = SparkContext._active_spark_context = None
        Session._instantiatedSession = Session._activeSession = None
