"""Whole answers: wrk's calls per second and times, and the CPU that a call cost."""

import json
import subprocess
import time
from pathlib import Path

from benchmarks.gateway.figures import JsonRun
from benchmarks.gateway.processes import cpu_s, family, settle
from benchmarks.gateway.target import PATH, Endpoint, json_body
from benchmarks.gateway.vendor import Vendor

_SCRIPT = """
wrk.method = "POST"; wrk.path = {path}; wrk.body = {body}
wrk.headers["content-type"] = "application/json"
{headers}
function done(summary, latency)
  local e = summary.errors
  io.write(string.format('RESULT {{"calls":%d,"us":%d,"p50_us":%d,"p99_us":%d,"bad":%d}}\\n', summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.timeout + e.status))
end
"""


class JsonLoad:
    def __init__(self, root: Path, vendor: Vendor) -> None:
        self._root, self._vendor = root, vendor

    def run(self, name: str, endpoint: Endpoint, connections: int, seconds: int) -> JsonRun:
        """CPU from idle to idle, over the calls that reached the vendor: those that the end of the load cut off cost something, too."""
        pids = family(endpoint.pid) if endpoint.pid else []
        cpu, seen, began = cpu_s(pids), self._vendor.seen(), time.monotonic()
        said = self._wrk(name, endpoint, connections, seconds)
        core = (cpu_s(pids) - cpu) / (time.monotonic() - began) if pids else None
        settle(pids)
        calls = self._vendor.seen() - seen - 1  # that question is counted as well
        return JsonRun(
            name,
            connections,
            per_s=said["calls"] / said["us"] * 1e6,
            p50_ms=said["p50_us"] / 1000,
            p99_ms=said["p99_us"] / 1000,
            bad=said["bad"],
            calls=calls,
            cpu_ms=(cpu_s(pids) - cpu) * 1000 / calls if pids and calls else None,
            core=core,
        )

    def _wrk(self, name: str, endpoint: Endpoint, connections: int, seconds: int) -> dict[str, int]:
        script = self._root / f"{name}.lua"
        headers = "\n".join(f"wrk.headers[{json.dumps(head)}] = {json.dumps(value)}" for head, value in endpoint.headers.items())
        script.write_text(_SCRIPT.format(path=json.dumps(PATH), body=json.dumps(json.dumps(json_body(endpoint))), headers=headers))
        options = ["-t1", f"-c{connections}", f"-d{seconds}", "--timeout", "30s", "-s", str(script)]
        done = subprocess.run(["wrk", *options, f"http://127.0.0.1:{endpoint.port}"], capture_output=True, text=True, check=True)
        found: dict[str, int] = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))[7:])
        return found
