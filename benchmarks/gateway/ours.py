"""Our gateway, recording on: one process in front of the vendor's JSON, another one in front of its streams, one data directory."""

import base64
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.gateway.processes import answers, started, wait_until
from benchmarks.gateway.target import Endpoint, Target
from benchmarks.gateway.vendor import Vendor
from tests.e2e.installation import Installation, free_port

CONDITIONS = "one process, access token checked, every call recorded"


class OurGateway:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._installation = Installation(root)

    @contextlib.contextmanager
    def running(self, vendor: Vendor, core: int) -> Iterator[Target]:
        token = self._installation.add_user("bench@example.org")
        secret = "sk-bench-" + base64.b32encode(os.urandom(10)).decode()
        self._installation.command("key", "add", "bench@example.org", "--vendor", "openai", stdin=secret)
        headers = {"authorization": f"Bearer {token}"}
        with self._process(vendor.json_port, core, headers) as json, self._process(vendor.stream_port, core, headers) as streams:
            yield Target("gateway", json, streams)

    def recorded(self) -> int:
        """Calls in its journal: no keeper runs that would take them on."""
        return sum(segment.read_bytes().count(b"\n") for segment in (self._installation.data / "journal").glob("*.jsonl"))

    @contextlib.contextmanager
    def _process(self, vendor_port: int, core: int, headers: dict[str, str]) -> Iterator[Endpoint]:
        port, log = free_port(), self._root / f"gateway-{vendor_port}.log"
        env = self._installation.env | {"BYOK_OPENAI_BASE_URL": f"http://127.0.0.1:{vendor_port}/v1", "BYOK_GATEWAY_PORT": str(port)}
        with started(core, [sys.executable, "-m", "byok", "gateway"], log, env) as process:
            wait_until(answers(port, "/readyz"), process, log, 60)
            yield Endpoint(port, headers, pid=process.pid)
