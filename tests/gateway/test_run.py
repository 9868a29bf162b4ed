"""The gateway as a process: it starts, stops cleanly, and what it acknowledged is on disk."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.vendor import SSE, LoopbackVendor, Reply

CHAT = "/v1/chat/completions"
ASK = {"model": "echo/echo-1", "messages": [{"role": "user", "content": "hi"}]}
USAGE = b'data: {"model": "gpt-4o-mini", "choices": [], "usage": {"prompt_tokens": 1}}\n\n'
COMMAND = [sys.executable, "-m", "byok", "gateway"]
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


class Process:
    """`byok gateway` on a free port, in the house's data directory."""

    def __init__(self, house: Any, *, workers: int = 1, **environ: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        known = {f"BYOK_{name.upper()}_BASE_URL": url for name, url in house.settings.vendor_base_urls.items()}
        known |= {"BYOK_DATA": str(house.settings.data), "BYOK_MASTER_KEY_FILE": str(house.settings.master_key_file)}
        known |= {"BYOK_GATEWAY_PORT": str(port), "BYOK_GATEWAY_WORKERS": str(workers), "PATH": os.environ["PATH"], **environ}
        self.popen = subprocess.Popen(
            COMMAND,
            env=known,
            cwd=ROOT,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                assert httpx.get(f"{self.url}/healthz").status_code == 200
                return
            except httpx.TransportError:
                assert self.popen.poll() is None, self.popen.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """The exit code and what it logged."""
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        logged = self.popen.communicate(timeout=40)[1].decode()
        return self.popen.returncode, logged


@contextmanager
def running(house: Any, **more: Any) -> Iterator[Process]:
    process = Process(house, **more)
    try:
        yield process
    finally:
        process.end(signal.SIGKILL)


def test_sigterm_lets_open_streams_finish_and_ends_with_0(house: Any, vendor: LoopbackVendor) -> None:
    with running(house) as process:
        headers = house.bearer | {"x-byok-echo-delay-ms": "100"}
        with httpx.stream("POST", process.url + CHAT, json=ASK | {"max_tokens": 15, "stream": True}, headers=headers) as answer:
            pieces = answer.iter_raw()
            got = next(pieces)
            process.popen.send_signal(signal.SIGTERM)
            got += b"".join(pieces)
        assert got.endswith(b"data: [DONE]\n\n")
        code, logged = process.end()
    assert code == 0
    assert "Traceback" not in logged
    [record] = house.records()
    assert (record.status, record.completion_tokens) == (200, 15)


def test_what_was_acknowledged_survives_kill_9(house: Any, vendor: LoopbackVendor) -> None:
    vendor.script = Reply(body=[USAGE, b"data: [DONE]\n\n"], headers=[SSE])
    acknowledged = 0
    for _ in range(3):
        with running(house) as process:
            with httpx.Client(base_url=process.url, headers=house.bearer) as client:
                for _ in range(20):
                    assert client.post(CHAT, json={"model": "gpt-4o-mini", "stream": True}).content.endswith(b"[DONE]\n\n")
                    acknowledged += 1
            process.end(signal.SIGKILL)
    assert len(house.records()) == acknowledged == len(vendor.seen)


def test_workers_share_the_port_the_figures_and_survive_each_other(house: Any) -> None:
    with running(house, workers=2) as process:
        for _ in range(20):  # new connections, so that both get some
            assert httpx.post(process.url + CHAT, json=ASK, headers=house.bearer).status_code == 200
        children = _children(process.popen.pid)
        assert "byok_records_total 20.0" in httpx.get(process.url + "/metrics").text
        os.kill(children[0], signal.SIGKILL)
        deadline = time.monotonic() + 60
        while len(set(_children(process.popen.pid)) - set(children)) < 1:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        code, logged = process.end()
    assert code == 0
    assert "worker_died" in logged
    assert len(house.records()) == 20


def test_a_port_in_use_is_told_in_one_line(house: Any) -> None:
    with running(house) as process:
        environ = {"BYOK_GATEWAY_PORT": process.url.rpartition(":")[2], "BYOK_DATA": str(house.settings.data), "PATH": os.environ["PATH"]}
        environ["BYOK_MASTER_KEY_FILE"] = str(house.settings.master_key_file)
        second = subprocess.run(COMMAND, env=environ, capture_output=True, cwd=ROOT, timeout=60)
    assert second.returncode == 1
    assert b"in use" in second.stderr
    assert b"Traceback" not in second.stderr


def test_a_secret_for_jwts_that_is_none_stops_the_start_in_one_line(house: Any, tmp_path: Path) -> None:
    (tmp_path / "short").write_text("12345")
    for secret in ("short", "missing"):
        environ = {"BYOK_GATEWAY_PORT": "18080", "BYOK_DATA": str(house.settings.data), "PATH": os.environ["PATH"]}
        environ |= {"BYOK_MASTER_KEY_FILE": str(house.settings.master_key_file), "BYOK_JWT_SECRET_FILE": str(tmp_path / secret)}
        ended = subprocess.run(COMMAND, env=environ, capture_output=True, cwd=ROOT, timeout=60)
        assert (ended.returncode, ended.stderr.count(b"\n")) == (1, 1) and b"JWT" in ended.stderr, ended.stderr


def test_no_log_names_what_was_said(house: Any, vendor: LoopbackVendor) -> None:
    vendor.script = Reply(body=b'{"error": {"message": "CANARY"}}', status=500)
    with running(house, BYOK_LOG_LEVEL="debug") as process:
        headers = house.bearer | {"x-canary": "CANARY", "user-agent": "CANARY"}
        for path in (CHAT, "/openai/v1/files/CANARY?CANARY=1", "/CANARY", "/usage?x=CANARY", "/openai/v1/chat/completions"):
            httpx.post(process.url + path, content=json.dumps({"model": "gpt-4o-mini", "x": "CANARY"}), headers=headers)
            httpx.post(process.url + path, content=b"CANARY", headers=headers)
        with socket.create_connection(("127.0.0.1", int(process.url.rpartition(":")[2]))) as raw:
            raw.sendall(b"CANARY\r\n\r\n")
            raw.recv(1000)
        code, logged = process.end()
    assert code == 0
    assert "CANARY" not in logged
    assert house.token[14:] not in logged


def _children(pid: int) -> list[int]:
    """The worker processes (not multiprocessing's own resource tracker)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
            if int(fields[1]) == pid and b"spawn_main" in (stat.parent / "cmdline").read_bytes():
                found.append(int(stat.parent.name))
        except (OSError, IndexError):
            continue
    return sorted(found)


def test_the_gateway_stays_light() -> None:
    """Neither the store's libraries nor the dashboard's: they cost memory, and one crash fewer takes calls down."""
    script = "import sys, byok.gateway.run, byok.gateway.routes, byok.gateway.connection; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True, text=True).stdout.split()
    assert "httptools" in loaded
    assert not {"duckdb", "pandas", "streamlit", "pyarrow", "deltalake", "fastapi", "starlette"} & set(loaded)
