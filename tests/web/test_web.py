"""The door: who reaches the dashboard, and what a real `byok web` answers on its port."""

import asyncio
import base64
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from starlette.websockets import WebSocketDisconnect

from byok import dashboard_policy
from byok import services as services_room
from byok.address import client_address, is_same_origin
from byok.pool import Pool
from byok.services import Services
from byok.web import SCRIPT
from tests.web.conftest import add_person, csrf_of

GUARDED = [
    "/",
    "/overview",
    "/nothing-of-ours",
    "/media/0123.csv",
    "/_stcore/host-config",
    "/_stcore/metrics",
    "/_stcore/upload_file/a/b",
    "/component/x/y.js",
]
CLIMBING = [
    "/static/../media/0123.csv",
    "/static/%2e%2e/media/x",
    "/static//media/x",
    "/static/..%5cmedia",
    "//media/x",
    "/_stcore/health/../stream",
    "/STATIC/x",
    "/_stcore/health/",
]


@pytest.mark.parametrize("path", GUARDED + CLIMBING)
def test_nobody_reaches_the_dashboard_without_a_session(shared_home, path):
    answer = shared_home.browser().get(path)
    assert answer.status_code in (303, 401, 404)
    assert "the dashboard" not in answer.text
    if path.startswith(("/media", "/_stcore", "/component")):
        assert answer.json()["error"]["code"] == "unauthorized"


@pytest.mark.parametrize("path", GUARDED)
def test_who_is_signed_in_reaches_it(shared_home, path):
    answer = shared_home.signed_in(shared_home.ada).get(path)
    assert answer.text == f"the dashboard at {path}"
    assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("path", ["/static/js/index.js", "/_stcore/health"])
def test_what_is_the_same_for_everyone_is_free(shared_home, path):
    assert shared_home.browser().get(path).text == f"the dashboard at {path}"


@pytest.mark.parametrize("path", ["/static/index.html", "/_stcore/health", "/explore", "/media/x.csv"])
def test_a_browser_takes_the_dashboard_into_no_frame_and_nothing_from_elsewhere(shared_home, path):
    answer = shared_home.signed_in(shared_home.ada).get(path, headers={"accept": "text/html"})
    assert answer.status_code == 200
    rules = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))
    assert (rules["frame-ancestors"], rules["default-src"], rules["script-src"]) == ("'none'", "'self'", "'self'")
    assert not [rule for rule in rules.values() if "http" in rule or "*" in rule]
    assert (answer.headers["x-frame-options"], answer.headers["x-content-type-options"]) == ("DENY", "nosniff")


def test_only_the_scripts_that_stand_in_our_page_run_there():
    rule = dashboard_policy.policy(b"<script>one</script><script src='x'></script><script>\ntwo</script>").decode()
    for script in ("one", "\ntwo"):
        assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in rule
    assert "unsafe" not in rule.split("; ")[1]


def test_web_sockets_need_a_session_and_the_same_origin(home):
    def connects(browser, **headers) -> bool:
        try:
            with browser.websocket_connect("ws://byok.test/_stcore/stream", headers=headers):
                return True
        except WebSocketDisconnect as closed:
            return closed.code == 1000

    ada = home.signed_in(home.ada)
    assert connects(ada)
    assert connects(ada, origin="http://byok.test")
    assert not connects(ada, origin="http://byok.test:3000")
    assert not connects(ada, origin="null")
    assert not connects(ada, origin="http://[")
    assert not connects(home.browser())
    assert not connects(home.browser(), origin="http://byok.test")
    home.later(hours=9)
    assert not connects(ada)


def test_streamlit_does_not_judge_the_origin_again(home):
    """Behind a proxy that gives no Host on it would refuse, and first ask checkip.amazonaws.com who we are while everybody waits."""
    home.services.settings = home.services.settings.model_copy(update={"public_url": "http://usage.example.org"})
    reached = []

    async def dashboard(scope, receive, send):
        reached.append({name for name, _ in scope["headers"]})
        await receive()
        await send({"type": "websocket.close", "code": 1000})

    browser = home.signed_in(home.ada)
    home.door.dashboard = dashboard
    with (
        pytest.raises(WebSocketDisconnect),
        browser.websocket_connect("ws://byok.test/_stcore/stream", headers={"origin": "http://usage.example.org"}),
    ):
        pass
    assert [b"cookie" in names and b"origin" not in names for names in reached] == [True]


def test_pages_and_api_routes_of_one_name(shared_home):
    ada = shared_home.signed_in(shared_home.ada)
    assert ada.get("/keys", headers={"accept": "text/html,*/*"}).text == "the dashboard at /keys"
    assert shared_home.browser().get("/costs", headers={"accept": "text/html"}).status_code == 303
    assert shared_home.client.get("/costs", headers=shared_home.ada.bearer).json()["total_calls"] == 5
    assert shared_home.client.get("/keys").status_code == 401


def test_a_fault_of_the_dashboard_is_no_traceback(home):
    async def broken(scope, receive, send):
        raise RuntimeError("canary")

    browser = home.signed_in(home.ada)
    home.door.dashboard = broken
    answer = browser.get("/")
    assert answer.status_code == 500
    assert "canary" not in answer.text


def test_whose_word_counts_for_an_address(settings):
    def scope(peer: str, **headers: str) -> dict:
        return {"client": (peer, 1), "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]}

    assert client_address(scope("203.0.113.9"), settings) == "203.0.113.9"
    assert client_address(scope("203.0.113.9", x_forwarded_for="198.51.100.1"), settings) == "203.0.113.9"
    assert client_address(scope("127.0.0.1", x_forwarded_for="6.6.6.6, 198.51.100.1"), settings) == "198.51.100.1"
    assert client_address(scope("127.0.0.1", x_forwarded_for="<script>"), settings) == "127.0.0.1"
    assert client_address({"client": None, "headers": []}, settings) == ""
    behind = settings.model_copy(update={"trusted_proxies": "10.1.0.0/16, fd00::7"})
    for proxy, believed in (("10.1.2.3", True), ("fd00::7", True), ("10.2.2.3", False), ("fd00::8", False)):
        found = client_address(scope(proxy, x_forwarded_for="6.6.6.6, 198.51.100.1"), behind)
        assert found == ("198.51.100.1" if believed else proxy)


def test_behind_a_proxy_the_public_address_is_ours(settings):
    public = settings.model_copy(update={"public_url": "https://usage.example.org"})
    scope = {"headers": [(b"host", b"127.0.0.1:8501"), (b"origin", b"https://usage.example.org")]}
    assert is_same_origin(scope, public)
    assert not is_same_origin(scope, settings)


def test_an_abandoned_stream_is_closed_when_its_piece_is_done():
    closed = []

    def source():
        try:
            while True:
                time.sleep(0.05)
                yield b"x"
        finally:
            closed.append(True)

    async def leave_early() -> None:
        pool = Pool(1)
        stream = pool.pieces(source())
        assert await anext(stream) == b"x"
        reading = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.01)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await stream.aclose()
        for _ in range(100):
            if closed:
                break
            await asyncio.sleep(0.02)
        pool.close()

    asyncio.run(leave_early())
    assert closed == [True]


def test_a_bare_dashboard_opens_its_services_from_the_environment(tmp_path, settings, monkeypatch):
    monkeypatch.setenv("BYOK_DATA", str(settings.data))
    monkeypatch.setenv("BYOK_MASTER_KEY_FILE", str(settings.master_key_file))
    monkeypatch.chdir(tmp_path)
    services_room.use(None)
    try:
        opened = services_room.current()
        assert opened is services_room.current()
        assert opened.settings.data == settings.data
        assert not opened.behind_web
        opened.close()
    finally:
        services_room.use(None)


# -- the real process --


def web_environ(settings, home, port) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "BYOK_DATA": str(settings.data),
        "BYOK_MASTER_KEY_FILE": str(settings.master_key_file),
        "BYOK_WEB_PORT": str(port),
    }


@pytest.fixture
def web(settings, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = web_environ(settings, tmp_path, port)
    code = "import os; from byok import settings, web; web.run(settings.load(os.environ))"
    log = (tmp_path / "web.log").open("wb")
    process = subprocess.Popen([sys.executable, "-c", code], cwd=SCRIPT.parent, env=env, stdout=log, stderr=log)
    base = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                if httpx.get(f"{base}/readyz", timeout=2).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.1)
            assert process.poll() is None, (tmp_path / "web.log").read_text()
        yield process, base, tmp_path / "web.log"
    finally:
        process.kill()
        process.wait()
        log.close()


@pytest.mark.slow
@pytest.mark.skipif(not SCRIPT.exists(), reason="app.py is not beside the package")
def test_a_real_web_process_serves_dashboard_and_api_and_stops_cleanly(web, settings, tmp_path):
    process, base, log = web
    with Services(settings) as services:
        ada = add_person(services, "ada@example.org")
    with httpx.Client(base_url=base) as browser:
        assert browser.get("/").headers["location"] == "/auth/sign-in"
        csrf = csrf_of(browser.get("/auth/sign-in").text)
        assert browser.post("/auth/sign-in", data={"csrf": csrf, "token": ada.token}).status_code == 303
        page = browser.get("/")
        assert page.status_code == 200
        script = re.search(r'src="\.?(/static/[^"]+\.js)"', page.text)[1]
        assert httpx.get(base + script).status_code == 200
        assert browser.get("/_stcore/host-config").status_code == 200
        assert httpx.get(f"{base}/_stcore/host-config").status_code == 401
        assert socket_answer(base, "") == 403
        assert socket_answer(base, f"Cookie: byok_session={browser.cookies['byok_session']}\r\n") == 101
        assert browser.get("/usage", headers=ada.bearer).json()["total_calls"] == 0
        answers = [browser.get("/healthz") for _ in range(50)]
        assert {answer.status_code for answer in answers} == {200}
        fastest = min(answer.elapsed.total_seconds() for answer in answers)
        assert fastest < 0.04, "small answers must not wait for the 40 ms of a delayed acknowledgement"
        assert 'route="/usage"' in browser.get("/metrics").text
    command, environ = [sys.executable, "-m", "byok", "web"], web_environ(settings, tmp_path, base.rpartition(":")[2])
    second = subprocess.run(command, cwd=SCRIPT.parent, env=environ, capture_output=True, text=True, timeout=60)
    assert (second.returncode, second.stderr.count("\n")) == (1, 1) and "in use" in second.stderr
    process.send_signal(signal.SIGTERM)
    assert process.wait(35) == 0
    written = log.read_text()
    assert {json.loads(line)["process"] for line in written.splitlines()} == {"web"}, "each line is an event of ours"
    assert ada.token not in written


def socket_answer(base: str, more: str) -> int:
    """The HTTP status of a web socket handshake."""
    host, port = base.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as raw:
        raw.sendall(
            f"GET /_stcore/stream HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n".encode()
        )
        return int(raw.recv(4096).split()[1])


def test_the_script_is_where_the_tree_has_it():
    assert Path(__file__).resolve().parents[2] / "app.py" == SCRIPT
