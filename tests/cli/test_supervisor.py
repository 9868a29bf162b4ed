"""The supervisor: restarts with growing pauses, ends all, takes its children with it when it is killed. Real processes, tiny programs."""

import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from byok import listening, supervisor
from byok.supervisor import Program, Supervisor

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]


def wait_for(holds, seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


def start(tmp_path: Path, **programs: str) -> subprocess.Popen[bytes]:
    """A supervisor in a process of its own. Each program is Python text; `note(what)` appends to a file of its name, the pid first."""
    for name, text in programs.items():
        events = str(tmp_path / name)
        head = f"import os, signal, sys, time\ndef note(what):\n    with open({events!r}, 'a') as file: file.write(str(what) + '\\n')\n"
        (tmp_path / f"{name}.py").write_text(f"{head}note(os.getpid())\n{text}\n")
    listed = ", ".join(f"Program({name!r}, (sys.executable, {str(tmp_path / f'{name}.py')!r}))" for name in programs)
    code = f"""
import os, sys
from byok import supervisor
supervisor.STOP_WITHIN_S = 2.0
from byok.supervisor import Program, Supervisor
sys.exit(Supervisor([{listed}], os.environ).run(on_ready=lambda: open({str(tmp_path / "ready")!r}, "w").close()))
"""
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)


SLEEPER = "time.sleep(60)"


def test_sigterm_ends_all_and_the_exit_code_is_0(tmp_path):
    process = start(tmp_path, a=SLEEPER, b=SLEEPER)
    wait_for((tmp_path / "ready").exists)
    wait_for(lambda: lines(tmp_path / "a") and lines(tmp_path / "b"))
    process.terminate()
    assert process.wait(10) == 0
    assert not any(alive(int(lines(tmp_path / name)[0])) for name in "ab")


def test_a_child_that_does_not_stop_in_time_is_killed(tmp_path):
    process = start(tmp_path, a="signal.signal(signal.SIGTERM, lambda *_: note('asked'))\nnote('deaf')\nwhile True: time.sleep(1)")
    wait_for(lambda: "deaf" in lines(tmp_path / "a"))
    process.terminate()
    assert process.wait(10) == 0
    assert "asked" in lines(tmp_path / "a")
    assert not alive(int(lines(tmp_path / "a")[0]))


def test_a_second_signal_does_not_wait(tmp_path):
    process = start(tmp_path, a="signal.signal(signal.SIGTERM, signal.SIG_IGN)\nnote('deaf')\nwhile True: time.sleep(1)")
    wait_for(lambda: "deaf" in lines(tmp_path / "a"))
    started = time.monotonic()
    process.terminate()
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert time.monotonic() - started < 1.8


def test_a_child_that_ends_is_started_again_and_the_others_stay(tmp_path):
    process = start(tmp_path, a=SLEEPER, b=SLEEPER)
    wait_for(lambda: lines(tmp_path / "a") and lines(tmp_path / "b"))
    os.kill(int(lines(tmp_path / "a")[0]), signal.SIGKILL)
    wait_for(lambda: len(lines(tmp_path / "a")) == 2)
    assert len(lines(tmp_path / "b")) == 1
    process.terminate()
    assert process.wait(10) == 0


def test_pauses_between_restarts_grow():
    child = supervisor._Child(Program("a", (sys.executable, "-c", "")))
    keeper = Supervisor([child.program], {})
    pauses, now = [], 1000.0
    for _ in range(7):
        child.process, child.started = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]), now
        child.process.wait()
        keeper._note_end(child, now)
        pauses.append(child.due - now)
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    child.process, child.started = subprocess.Popen([sys.executable, "-c", ""]), now - supervisor.STEADY_S - 1
    child.process.wait()
    keeper._note_end(child, now)
    assert child.due - now == 1


def test_children_stop_when_the_supervisor_is_killed(tmp_path):
    watching = "from byok import supervisor\nsupervisor.stop_when_orphaned(os.environ)\nnote('watching')\ntime.sleep(60)"
    process = start(tmp_path, a=f"sys.path.insert(0, {str(ROOT)!r})\n{watching}")
    wait_for(lambda: "watching" in lines(tmp_path / "a"))
    process.kill()
    process.wait()
    wait_for(lambda: not alive(int(lines(tmp_path / "a")[0])))


def test_outside_of_a_supervisor_nothing_is_watched():
    before = threading.active_count()
    supervisor.stop_when_orphaned({})
    assert threading.active_count() == before


def test_readiness_is_a_200_of_readyz_and_nothing_else():
    class Answer(http.server.BaseHTTPRequestHandler):
        status = 503

        def do_GET(self) -> None:
            self.send_response(self.status if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert not supervisor.answers_ready("0.0.0.0", server.server_port)
        Answer.status = 200
        assert supervisor.answers_ready("0.0.0.0", server.server_port)
        assert not listening.is_free("127.0.0.1", server.server_port)
        server.shutdown()
        port = server.server_port
    assert listening.is_free("127.0.0.1", port)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        assert not supervisor.answers_ready("127.0.0.1", deaf.getsockname()[1])
