"""Portkey's gateway from npm; vendor and address travel in headers: https://github.com/Portkey-AI/gateway"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from benchmarks.gateway import installing
from benchmarks.gateway.processes import answers, started, wait_until
from benchmarks.gateway.target import Endpoint, Target
from benchmarks.gateway.vendor import Vendor
from tests.e2e.installation import free_port

VERSION = "1.15.2"
# With the adapter's 1.19 every stream is answered with 500 on Node 20 ("TypeError: immutable").
ADAPTER = {"@hono/node-server": "1.13.8"}
CONDITIONS = f"{VERSION} on Node, one process; it checks no token and records nothing"


@contextlib.contextmanager
def running(root: Path, vendor: Vendor, core: int) -> Iterator[Target]:
    """Started, not yet ready. Raises `Unavailable` when it cannot be installed."""
    folder = installing.node_packages("portkey", {"@portkey-ai/gateway": VERSION}, instead=ADAPTER)
    port, log = free_port(), root / "portkey.log"
    program = folder / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    with started(core, ["node", str(program), "--headless", f"--port={port}"], log, {"NODE_ENV": "production"}) as process:
        json_calls, streams = (_endpoint(port, vendor_port, process.pid) for vendor_port in (vendor.json_port, vendor.stream_port))
        yield Target("portkey", json_calls, streams, slow=True, wait=lambda: wait_until(answers(port, "/"), process, log, 60))


def _endpoint(port: int, vendor_port: int, pid: int) -> Endpoint:
    custom = {"x-portkey-provider": "openai", "x-portkey-custom-host": f"http://127.0.0.1:{vendor_port}/v1"}
    return Endpoint(port, {"authorization": "Bearer sk-vendor", **custom}, pid=pid)
