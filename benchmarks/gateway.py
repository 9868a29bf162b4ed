"""The gateway beside nginx as a plain reverse proxy: same mock vendor, same load, alternating rounds, one core for what is measured.

The mock vendor is an nginx that answers a fixed completion; the load is wrk. Both run on the other core. Recording is on.
"""

import base64
import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.e2e.installation import Installation, free_port

CONNECTIONS = (1, 16, 64)
SECONDS, ROUNDS = 3, 5
REQUEST_BYTES = 1024
_COMPLETION = {
    "id": "chatcmpl-bench",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 140}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 200, "completion_tokens": 140, "total_tokens": 340},
}
_NGINX = """
daemon off; worker_processes 1; pid {root}/{name}.pid; error_log {root}/{name}.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_buffer_size 1m; keepalive_requests 100000000;
  client_body_temp_path {root}/b; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;
  {body}
}}
"""
_MOCK = "server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ default_type application/json; return 200 '{answer}'; }} }}"
_PROXY = """
  upstream vendor {{ server 127.0.0.1:{vendor}; keepalive 256; keepalive_requests 100000000; }}
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
  server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ proxy_pass http://vendor; }} }}
"""
_LOAD = """
wrk.method = "POST"; wrk.path = "/v1/chat/completions"; wrk.body = os.getenv("BENCH_BODY")
wrk.headers["Content-Type"] = "application/json"; wrk.headers["Authorization"] = "Bearer " .. os.getenv("BENCH_TOKEN")
function done(summary, latency)
  local e = summary.errors
  io.write(string.format('RESULT {"requests":%d,"us":%d,"p50_us":%d,"p99_us":%d,"bad":%d}\\n', summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.timeout + e.status))
end
"""


def main() -> int:
    missing = [name for name in ("nginx", "wrk", "taskset") if not shutil.which(name, path=_path())]
    if missing:
        print(f"gateway: not measured, {', '.join(missing)} not found (Debian: apt-get install nginx-light wrk util-linux)")
        return 0
    with tempfile.TemporaryDirectory(prefix="byok-bench-") as folder:
        root = Path(folder)
        with _vendor(root) as vendor, _nginx(root, vendor) as nginx, _gateway(root, vendor) as (gateway, token, pid):
            rows = _measure(root, {"vendor": (vendor, None), "nginx": (nginx[0], nginx[1]), "gateway": (gateway, pid)}, token)
    _report(rows)
    return 0


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def _cores() -> tuple[str, str]:
    """One core for what is measured, another for vendor and load."""
    cores = sorted(os.sched_getaffinity(0))
    return str(cores[0]), str(cores[-1])


@contextlib.contextmanager
def _process(core: str, *command: str, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["taskset", "-c", core, *command], env={**os.environ, "PATH": _path()}, **options)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(40)


@contextlib.contextmanager
def _vendor(root: Path) -> Iterator[int]:
    port, answer = free_port(), json.dumps(_COMPLETION)
    config = root / "vendor.conf"
    config.write_text(_NGINX.format(root=root, name="vendor", body=_MOCK.format(port=port, answer=answer)))
    with _process(_cores()[1], "nginx", "-c", str(config)):
        _wait(port)
        yield port


@contextlib.contextmanager
def _nginx(root: Path, vendor: int) -> Iterator[tuple[int, int]]:
    port, config = free_port(), root / "nginx.conf"
    config.write_text(_NGINX.format(root=root, name="nginx", body=_PROXY.format(port=port, vendor=vendor)))
    with _process(_cores()[0], "nginx", "-c", str(config)) as process:
        _wait(port)
        yield port, process.pid


@contextlib.contextmanager
def _gateway(root: Path, vendor: int) -> Iterator[tuple[int, str, int]]:
    installation = Installation(root, BYOK_OPENAI_BASE_URL=f"http://127.0.0.1:{vendor}/v1")
    token = installation.add_user("bench@example.org")
    installation.command(
        "key", "add", "bench@example.org", "--vendor", "openai", stdin="sk-bench-" + base64.b32encode(os.urandom(10)).decode()
    )
    os.environ.update({name: value for name, value in installation.env.items() if name.startswith("BYOK_")})
    with (root / "gateway.log").open("ab") as log:
        with _process(_cores()[0], sys.executable, "-m", "byok", "gateway", stdout=log, stderr=log) as process:
            _wait(installation.gateway_port)
            yield installation.gateway_port, token, process.pid


def _wait(port: int) -> None:
    for _ in range(600):
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=2)
            return
        time.sleep(0.1)
    raise RuntimeError(f"nothing answers on port {port}")


def _measure(root: Path, targets: dict[str, tuple[int, int | None]], token: str) -> list[dict[str, object]]:
    script = root / "load.lua"
    script.write_text(_LOAD)
    body = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "x" * (REQUEST_BYTES - 70)}]})
    env = {**os.environ, "PATH": _path(), "BENCH_TOKEN": token, "BENCH_BODY": body}
    rows = []
    for port, _ in targets.values():
        _load(script, port, 16, 1, env)
    for _ in range(ROUNDS):
        for connections in CONNECTIONS:
            for name, (port, pid) in targets.items():
                before = _cpu_s(pid)
                row = _load(script, port, connections, SECONDS, env)
                cpu_ms = (_cpu_s(pid) - before) * 1000 / row["requests"] if pid and row["requests"] else None
                rows.append({"name": name, "connections": connections, "cpu_ms": cpu_ms, **row})
    return rows


def _load(script: Path, port: int, connections: int, seconds: int, env: dict[str, str]) -> dict[str, int]:
    command = [
        "taskset",
        "-c",
        _cores()[1],
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds}",
        "-s",
        str(script),
        f"http://127.0.0.1:{port}",
    ]
    said = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    return dict(json.loads(next(line for line in said.splitlines() if line.startswith("RESULT "))[7:]))


def _cpu_s(pid: int | None) -> float:
    """CPU seconds of a process and its children so far."""
    ticks, wanted = 0, {pid}
    for stat in sorted(Path("/proc").glob("[0-9]*/stat"), key=lambda path: int(path.parent.name)):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rsplit(") ", 1)[1].split()
            number = int(stat.parent.name)
            if number in wanted or int(fields[1]) in wanted:
                wanted.add(number)
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _report(rows: list[dict[str, object]]) -> None:
    heads = ("", "connections", "requests/s", "least", "most", "of nginx", "p50 ms", "added ms", "of nginx's", "p99 ms", "CPU ms", "bad")
    print(f"Gateway, JSON, {REQUEST_BYTES} bytes, recording on; medians of {ROUNDS} rounds of {SECONDS} s")
    print("".join(f"{head:>12}" for head in heads))
    for connections in CONNECTIONS:
        direct, nginx = (_median(rows, name, connections) for name in ("vendor", "nginx"))
        for name in ("vendor", "nginx", "gateway"):
            mine = _median(rows, name, connections)
            added = mine["p50_us"] - direct["p50_us"]
            figures = (
                f"{connections}",
                *(f"{mine[column]:,.0f}" for column in ("rate", "least", "most")),
                f"{mine['rate'] / nginx['rate']:.3f}",
                f"{mine['p50_us'] / 1000:.2f}",
                f"{added / 1000:.2f}",
                f"{added / max(nginx['p50_us'] - direct['p50_us'], 1):.1f}",
                f"{mine['p99_us'] / 1000:.2f}",
                f"{mine['cpu_ms']:.3f}",
                f"{mine['bad']:.0f}",
            )
            print("".join(f"{figure:>12}" for figure in (name, *figures)))


def _median(rows: list[dict[str, object]], name: str, connections: int) -> dict[str, float]:
    mine = [row for row in rows if (row["name"], row["connections"]) == (name, connections)]
    rates = [row["requests"] / row["us"] * 1e6 for row in mine]  # type: ignore[operator]
    middle = {column: statistics.median(float(row[column] or 0) for row in mine) for column in ("p50_us", "p99_us", "cpu_ms")}  # type: ignore[arg-type]
    return middle | {"rate": statistics.median(rates), "least": min(rates), "most": max(rates), "bad": sum(row["bad"] for row in mine)}  # type: ignore[misc]
