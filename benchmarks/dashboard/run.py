"""Runs the dashboard's measurements and prints a table. Needs Chromium."""

import asyncio
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from benchmarks import store_year
from benchmarks.dashboard import crowd, files
from byok.accounts import access_tokens, sessions, users
from byok.services import Services
from byok.settings import Settings

ROUNDS, CROWD, CROWD_S, GATEWAY_CALLS = 5, 50, 60, 600
PERIOD = "range=custom&from=2026-10-02&to=2026-10-31"  # the last thirty days of the year that is written
PAGES = {"Overview": ("", 1), "Explore": ("explore", 1), "Costs": ("costs", 2), "Reliability": ("reliability", 3)}
_PATIENCE_MS = 300_000
_LAST = 19  # the priority of what only measures
_DRAWN = """([n]) => [...document.querySelectorAll('.js-plotly-plot')]
    .filter(plot => plot.querySelector('.point, .trace, .hm')).length >= n"""
_STANDS = """([before]) => { const plot = document.querySelector('.js-plotly-plot');
    return plot && plot.data && plot.data[0].x.length !== before
        && !document.querySelector('[data-stale=true], [data-testid=stSkeleton]') }"""


def main() -> int:
    """Measure and print; always 0: the bounds are for a quiet machine."""
    for records in (int(size) for size in os.environ.get("BYOK_BENCH_RECORDS", "1000000").split(",")):
        print(f"\n{records:,} records", flush=True)
        _measure(records)
    print(f"load of the machine meanwhile: {os.getloadavg()[1]:.1f}")
    return 0


def _measure(records: int) -> None:
    with tempfile.TemporaryDirectory(prefix="byok-bench-dashboard-") as place:
        root = Path(place)
        made = Path(os.environ["BYOK_BENCH_DIR"]) / str(records) if "BYOK_BENCH_DIR" in os.environ else root / "data"
        settings = Settings(
            data=root / "data",
            store_url=str(made / "usage"),
            master_key_file=root / "master.key",
            web_port=_port(),
            gateway_port=_port(),
        )
        if (made / "usage").exists():
            shutil.copytree(made / "journal", settings.journal_dir)  # that one is read only: others measure on it, too
        else:
            store_year.write_year(made, records)
        user_id = store_year.people().ranked(0)
        with Services(settings) as services:
            now = datetime.now(UTC)
            user = users.add(services.db, "heavy@example.org", now=now, plan="enterprise", retention_days=900, user_id=user_id)
            cookie, token = sessions.start(services.db, user.id, now=now), access_tokens.create(services.db, user.id, now=now)
        with _process("web", settings) as web, _process("gateway", settings):
            _show(_browser(f"http://127.0.0.1:{settings.web_port}", cookie, settings, user_id, web))
            _show(files.figures(f"http://127.0.0.1:{settings.web_port}", cookie, web.pid).items())
            _show(_together(settings, cookie, token, web, CROWD_S).items())


def _show(figures: Iterable[tuple[str, str]]) -> None:
    for name, value in figures:
        print(f"{name:<58} {value}", flush=True)


def _browser(url: str, cookie: str, settings: Settings, user_id: str, web: subprocess.Popen[bytes]) -> Iterator[tuple[str, str]]:
    from tests.ui.chromium import chromium  # the tests' way to find one

    with chromium() as browser:
        context = browser.new_context(viewport={"width": 1440, "height": 1000}, timezone_id="UTC")
        context.add_cookies([{"name": "byok_session", "value": cookie, "url": url}])
        page = context.new_page()
        page.set_default_timeout(_PATIENCE_MS)
        loaded = _bytes_of(context, page)
        yield "Reliability, cold: three charts drawn (s)", f"{_drawn(page, f'{url}/reliability?{PERIOD}', 3):.2f}"
        yield "bytes loaded, cold: files, and by the socket (MB)", " ".join(f"{size / 1e6:.2f}" for size in loaded.values())
        ours, used = {}, {}
        for name, (path, charts) in PAGES.items():
            loaded.update(files=0, socket=0)
            before, runs, browsers = _processor_s(web.pid), ROUNDS + 1, _chromium_s()
            took = [_drawn(page, f"{url}/{path}?{PERIOD}", charts) for _ in range(runs)]
            page.wait_for_timeout(1000)
            ours[name], used[name] = took[1:], (_chromium_s() - browsers) / runs
            yield f"{name}, warm: charts drawn (s)", _spread(took[1:])
            yield (
                f"{name}, a visit: processor time of web, of Chromium (s), MB loaded",
                f"{(_processor_s(web.pid) - before) / runs:.2f}, {used[name]:.2f}, {sum(loaded.values()) / 1e6 / runs:.2f}",
            )
        page.goto(f"{url}/?{PERIOD}")
        clicks = [_click(page, word) for word in ("90d", "custom") * 3]
        yield "Overview, a click on a period until the page stands (s)", _spread(clicks)
        with _bare(settings, user_id) as bare:
            browsers = _chromium_s()
            theirs = [_drawn(page, bare, 3) for _ in range(ROUNDS + 1)][1:]
            page.wait_for_timeout(1000)
            bare_used = (_chromium_s() - browsers) / (ROUNDS + 1)
        yield "bare page, warm: three charts drawn (s)", _spread(theirs)
        yield "bare page, a visit: Chromium's processor time (s)", f"{bare_used:.2f}"
        for name, took in ours.items():
            of_time, of_use = statistics.median(took) / statistics.median(theirs), used[name] / bare_used
            yield f"{name} / bare: time, Chromium's processor time", f"{of_time:.2f}, {of_use:.2f}"


def _bytes_of(context: Any, page: Any) -> dict[str, int]:
    """What comes over the wire from now on, by files and by the page's socket; counts up by itself."""
    loaded = {"files": 0, "socket": 0}
    wire = context.new_cdp_session(page)
    wire.send("Network.enable")

    def add(kind: str, size: float) -> None:
        loaded[kind] += int(size)

    wire.on("Network.loadingFinished", lambda said: add("files", said["encodedDataLength"]))
    wire.on("Network.webSocketFrameReceived", lambda said: add("socket", len(said["response"]["payloadData"]) * 3 / 4))  # base64
    return loaded


def _drawn(page: Any, address: str, charts: int) -> float:
    started = time.monotonic()
    page.goto(address, wait_until="commit")
    page.wait_for_function(_DRAWN, arg=[charts])
    return time.monotonic() - started


def _click(page: Any, word: str) -> float:
    page.wait_for_function(_DRAWN, arg=[1])
    page.wait_for_timeout(1000)
    before = page.evaluate("() => document.querySelector('.js-plotly-plot').data[0].x.length")
    started = time.monotonic()
    page.get_by_role("radio", name=word, exact=True).or_(page.get_by_role("button", name=word, exact=True)).first.click()
    page.wait_for_function(_STANDS, arg=[before])
    return time.monotonic() - started


def _together(settings: Settings, cookie: str, token: str, web: subprocess.Popen[bytes], seconds: float) -> dict[str, str]:
    """The gateway alone, then beside a crowd of sessions, whose own work counts for nothing: people's browsers are elsewhere."""
    url, gateway = f"http://127.0.0.1:{settings.web_port}", f"http://127.0.0.1:{settings.gateway_port}"

    alone = asyncio.run(_calls(gateway, token))
    before, used = _memory_mb(web.pid), _processor_s(web.pid)
    with ProcessPoolExecutor(1, initializer=os.nice, initargs=(_LAST,)) as elsewhere:
        visiting = elsewhere.submit(crowd.look_around, url, cookie, CROWD, seconds)
        time.sleep(seconds / 3)
        beside = asyncio.run(_calls(gateway, token))
        found = visiting.result()
    used = _processor_s(web.pid) - used
    return {
        f"web's memory, before and with {CROWD} sessions (MB)": f"{before:.0f}, {_memory_mb(web.pid):.0f}",
        f"a page with {CROWD} sessions, p50 and p95 (s)": f"{_at(found.took, 0.5):.2f}, {_at(found.took, 0.95):.2f}",
        f"runs, and failed ones, in {seconds:.0f} s": f"{len(found.took)}, {found.failed}",
        "web's processor time a run (s)": f"{used / max(1, len(found.took)):.2f}",
        "gateway alone, p50 and p99 (ms)": f"{1000 * _at(alone, 0.5):.1f}, {1000 * _at(alone, 0.99):.1f}",
        f"gateway beside {CROWD} sessions, p50 and p99 (ms)": f"{1000 * _at(beside, 0.5):.1f}, {1000 * _at(beside, 0.99):.1f}",
    }


async def _calls(gateway: str, token: str) -> list[float]:
    import aiohttp

    took = []
    body = {"model": "echo/echo-1", "max_tokens": 5, "messages": [{"role": "user", "content": "hello"}]}
    async with aiohttp.ClientSession(headers={"authorization": f"Bearer {token}"}) as client:
        for _ in range(GATEWAY_CALLS):
            started = time.monotonic()
            async with client.post(f"{gateway}/v1/chat/completions", json=body) as answer:
                await answer.read()
                assert answer.status == 200
            took.append(time.monotonic() - started)
            await asyncio.sleep(0.01)
    return took


@contextmanager
def _process(name: str, settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        **{word: value for word, value in os.environ.items() if not word.startswith("BYOK_")},
        "BYOK_DATA": str(settings.data),
        "BYOK_STORE_URL": settings.store_url,
        "BYOK_MASTER_KEY_FILE": str(settings.master_key_file),
        "BYOK_WEB_PORT": str(settings.web_port),
        "BYOK_GATEWAY_PORT": str(settings.gateway_port),
        "BYOK_LOG_LEVEL": "error",
    }
    port = settings.web_port if name == "web" else settings.gateway_port
    process = subprocess.Popen([sys.executable, "-m", "byok", name], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(f"http://127.0.0.1:{port}/healthz")
        yield process
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def _bare(settings: Settings, user_id: str) -> Iterator[str]:
    port = _port()
    environment = os.environ | {"BARE_FILES": f"{settings.usage_dir}/month=*/*.parquet", "BARE_USER": user_id}
    script = str(Path(__file__).with_name("bare.py"))
    command = [sys.executable, "-m", "streamlit", "run", script, "--server.port", str(port), "--server.headless", "true"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(f"http://127.0.0.1:{port}/_stcore/health")
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(60)


def _wait(address: str) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            if httpx.get(address).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.3)
    raise SystemExit(f"nothing answers at {address}")


def _memory_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def _processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _chromium_s() -> float:
    """Processor time so far of all of Chromium's processes that this one started, ended ones included."""
    parents: dict[int, list[tuple[int, str, float]]] = {}
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            name, fields = (place / "stat").read_text().split("(", 1)[1].rsplit(")", 1)
            said = fields.split()
            parents.setdefault(int(said[1]), []).append((int(place.name), name, sum(map(int, said[11:15])) / os.sysconf("SC_CLK_TCK")))
    total, left = 0.0, [os.getpid()]
    while left:
        for child, name, used in parents.get(left.pop(), ()):
            left.append(child)
            total += used if "chrom" in name else 0.0
    return total


def _spread(times: list[float]) -> str:
    return f"{statistics.median(times):.2f} ({min(times):.2f} to {max(times):.2f})"


def _at(times: list[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(share * len(times)))] if times else float("nan")


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
