"""The mock vendor: an nginx that answers one fixed completion, and beside it the server of streams."""

import contextlib
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.gateway import nginx
from benchmarks.gateway.processes import Cores, accepts, started, wait_until
from tests.e2e.installation import free_port

_COMPLETION = {
    "id": "chatcmpl-bench",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 140}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 200, "completion_tokens": 140, "total_tokens": 340},
}
_ANSWER = """
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ default_type application/json; return 200 '{answer}'; }}
    location = /seen {{ stub_status; }}
  }}
"""


@dataclass(frozen=True)
class Vendor:
    json_port: int
    stream_port: int

    def seen(self) -> int:
        """Requests that the nginx has answered so far, this question included."""
        status = httpx.get(f"http://127.0.0.1:{self.json_port}/seen", timeout=10).text
        counts = re.search(r"^ \d+ \d+ (\d+)", status, re.M)
        assert counts, status
        return int(counts[1])


@contextlib.contextmanager
def running(root: Path, cores: Cores) -> Iterator[Vendor]:
    vendor, log = Vendor(free_port(), free_port()), root / "vendor-streams.log"
    body = _ANSWER.format(port=vendor.json_port, answer=json.dumps(_COMPLETION))
    stream_server = [sys.executable, "-m", "benchmarks.gateway.stream_vendor", str(vendor.stream_port)]
    with nginx.running("vendor", body, vendor.json_port, root, cores.load), started(cores.load, stream_server, log) as streams:
        wait_until(lambda: accepts(vendor.stream_port), streams, log, 20)
        yield vendor
