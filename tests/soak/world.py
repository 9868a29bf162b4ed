"""The soak itself: six processes that live short lives, clients that never stop, one reader that checks all the time."""

import contextlib
import multiprocessing
import os
import random
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import httpx

from byok.accounts import access_tokens, jobs, key_vault, receipts, tombstones, users
from byok.recording.journal import Journal
from byok.services import Services
from byok.settings import load
from byok.supervisor import answers_ready
from tests.e2e.installation import Installation
from tests.samples import usage_record
from tests.soak import child
from tests.soak.calls import Caller, Load, answer
from tests.soak.steps import STEPS, Step
from tests.vendor import LoopbackVendor

PRELOAD = ["tests.soak.child", "byok.gateway.routes", "byok.gateway.connection", "byok.web", "byok.store.engine", "uvloop"]
CLIENTS = 4
LONGEST_LIFE_S = {"gateway": 1.5, "keeper": 4.0, "web": 3.0, "eraser": 12.0}
STEP_WITHIN_S = 12.0  # else it is killed wherever it is
READY_WITHIN_S = 60.0
STOPPED_EVERY = 60  # kills between two rounds of SIGSTOP


@dataclass
class Slot:
    """A place that one process after another takes; `port` is where it answers."""

    name: str
    process: str
    port: int = 0
    running: BaseProcess | None = None
    started: float = 0.0
    ready: bool = False
    until: float = 0.0
    dice: random.Random = field(default_factory=random.Random)
    step: Step | None = None
    subject: Caller | None = None


@dataclass
class Figures:
    """What happened. Recovery: from the start of a process (its imports done) until it answers; and the CPU time of that."""

    kills: Counter[str] = field(default_factory=Counter)
    at_step: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    recovery_s: dict[str, list[float]] = field(default_factory=dict)
    cpu_s: dict[str, list[float]] = field(default_factory=dict)
    looks: int = 0
    wrong: list[str] = field(default_factory=list)
    erasures: int = 0
    stops: int = 0

    @property
    def total(self) -> int:
        return sum(self.kills.values())


class World:
    """One installation under faults; `run` it, then let `tests.soak.verdict` judge."""

    def __init__(self, root: Path, *, seed: int) -> None:
        self.root, self.figures = root, Figures()
        self.ledger = root / "ledger.jsonl"
        self.vendor = LoopbackVendor(answer, ledger=self.ledger)
        place = Installation(root, BYOK_OPENAI_BASE_URL=f"{self.vendor.url}/v1", BYOK_PUBLISH_EVERY_S="0.2", BYOK_PURGE_EVERY_S="0.5")
        self.env, self.data = place.env, place.data
        self.services = Services(load(self.env))
        (root / "second").mkdir()
        second = Installation(root / "second")  # for its ports only
        self.slots = [
            Slot("gateway", "gateway", place.gateway_port),
            Slot("second gateway", "gateway", second.gateway_port),
            Slot("keeper", "keeper"),
            Slot("second keeper", "keeper"),
            Slot("web", "web", place.web_port),
            Slot("eraser", "eraser"),
        ]
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOAD)
        self.main = self._caller("main@example.org", plan="enterprise")
        self.stale = users.add(self.services.db, "stale@example.org", now=datetime.now(UTC), plan="free")
        self.visitors = [self._visitor(number) for number in range(2)]
        self.leaving: list[Caller] = []
        self.over = threading.Event()
        self.armed: Counter[str] = Counter()
        self._choosing, self._forking = threading.Lock(), threading.Lock()
        self._dice = random.Random(seed)
        for slot in self.slots:
            slot.dice = random.Random(f"{seed} {slot.name}")

    def run(self, kills: int) -> Load:
        """Live until so many kills have happened; then everything is stopped. Returns what the clients saw."""
        first = self._context.Process(target=int)  # starts the server that imports everything
        first.start()
        first.join()
        with self.vendor:
            load_ = Load(self._choose, clients=CLIENTS, pause_s=0.01)
            watchers = [threading.Thread(target=watch, args=(load_,)) for watch in (self._look_on, self._write_stale_rows)]
            for watcher in watchers:
                watcher.start()
            try:
                self._live(kills)
            finally:
                self.over.set()
                load_.end()
                for watcher in watchers:
                    watcher.join()
                self._stop_all()
        return load_

    def settle(self) -> float:
        """Let one keeper end what was begun; how long that took, in seconds."""
        started = time.monotonic()
        keeper = self._start_process("keeper", None, 1)
        while jobs.deletion_pending(self.services.db):
            if time.monotonic() - started > READY_WITHIN_S:
                self.figures.wrong.append("a deletion was not finished within 60 s of quiet")
                break
            time.sleep(0.1)
        took = time.monotonic() - started
        os.kill(keeper.pid or 0, signal.SIGTERM)
        keeper.join(40)
        return took

    # -- people --

    def _caller(self, email: str, **options: Any) -> Caller:
        now = datetime.now(UTC)
        user = users.add(self.services.db, email, now=now, **options)
        key_vault.add(self.services.db, self.services.master, user.id, "openai", "vk-soak-0123456789", now=now)
        return Caller(user.id, access_tokens.create(self.services.db, user.id, now=now))

    def _visitor(self, number: int) -> Caller:
        return self._caller(f"visitor-{number}@soak.example", plan="team")

    def _choose(self) -> tuple[Caller, str]:
        with self._choosing:
            who = self.main if self._dice.random() < 0.7 else self._dice.choice(self.visitors)
            gateway = self._dice.choice(self.slots[:2])
        return who, f"http://127.0.0.1:{gateway.port}"

    # -- lives --

    def _live(self, kills: int) -> None:
        enough = threading.Event()
        lives = [threading.Thread(target=self._fill, args=(slot, enough)) for slot in self.slots]
        for life in lives:
            life.start()
        stop_at = STOPPED_EVERY
        while self.figures.total < kills:
            if self.figures.total >= stop_at:
                stop_at += STOPPED_EVERY
                self._stop_a_keeper()
            time.sleep(0.05)
        enough.set()
        for life in lives:
            life.join()

    def _fill(self, slot: Slot, enough: threading.Event) -> None:
        """One process after another, until there were enough."""
        while not enough.is_set():
            self._begin(slot)
            while (process := slot.running) is not None:
                if not process.is_alive():
                    self._note_end(slot, process.exitcode)
                    slot.running = None
                elif not slot.ready and self._answers(slot):
                    self._note_ready(slot)
                elif time.monotonic() > slot.until:
                    self._kill(slot, process)
                    slot.running = None
                time.sleep(0.01)

    def _begin(self, slot: Slot) -> None:
        slot.step = self._next_step(slot) if slot.dice.random() < 0.6 else None
        if slot.process == "eraser":
            slot.subject = self._next_to_leave()
        slot.ready, slot.started = False, time.monotonic()
        slot.until = slot.started + READY_WITHIN_S
        slot.running = self._start_process(slot.process, slot.step, slot.dice.randint(1, 2), slot)

    def _next_step(self, slot: Slot) -> Step:
        """The one that was taken least."""
        steps = list(STEPS[slot.process])
        slot.dice.shuffle(steps)
        step = min(steps, key=lambda one: self.armed[one.name])
        self.armed[step.name] += 1
        return step

    def _start_process(self, process: str, step: Step | None, nth: int, slot: Slot | None = None) -> BaseProcess:
        env = dict(self.env)
        if slot is not None and slot.process == "gateway":
            env["BYOK_GATEWAY_PORT"] = str(slot.port)
        subject = slot.subject.user_id if slot is not None and slot.subject else ""
        log = self.root / f"{process}.log"
        started = self._context.Process(target=child.main, args=(process, env, log, step, nth, subject), daemon=True)
        with self._forking:
            started.start()
        return started

    def _answers(self, slot: Slot) -> bool:
        return not slot.port or answers_ready("127.0.0.1", slot.port)

    def _note_ready(self, slot: Slot) -> None:
        now = time.monotonic()
        slot.ready = True
        slot.until = now + (slot.dice.uniform(0.05, LONGEST_LIFE_S[slot.process]) if slot.step is None else STEP_WITHIN_S)
        if slot.port:
            self.figures.recovery_s.setdefault(slot.process, []).append(now - slot.started)
            self.figures.cpu_s.setdefault(slot.process, []).append(_cpu_s(slot.running))

    def _kill(self, slot: Slot, process: BaseProcess) -> None:
        if not slot.ready:
            self.figures.wrong.append(f"{slot.name} was not ready within {READY_WITHIN_S:.0f} s")
        process.kill()
        process.join()
        self.figures.kills[slot.name] += 1
        if slot.step is not None and slot.step.when in ("eio", "short"):
            self.figures.faults[slot.step.name] += 1

    def _note_end(self, slot: Slot, exit_code: int | None) -> None:
        if exit_code == -signal.SIGKILL and slot.step is not None:
            self.figures.kills[slot.name] += 1
            self.figures.at_step[slot.step.name] += 1
        elif slot.process == "eraser" and exit_code == 0:
            self.figures.erasures += 1
        elif slot.process != "eraser":  # an erasure may be refused while a gateway holds its segment; the keeper finishes it
            self.figures.wrong.append(f"{slot.name} ended by itself with {exit_code}")

    def _stop_a_keeper(self) -> None:
        """SIGSTOP, for longer than any interval of the other keeper; then both go on."""
        slot = self.slots[2 + self._dice.randrange(2)]
        process = slot.running
        if process is None or process.pid is None:  # not `is_alive`: only the slot's own thread may take the exit code
            return
        slot.until = time.monotonic() + 4
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGSTOP)
            self.figures.stops += 1
        threading.Timer(2.5, _go_on, [process]).start()

    def _stop_all(self) -> None:
        for slot in self.slots:
            if slot.running is not None:
                slot.running.kill()
                slot.running.join()

    def _next_to_leave(self) -> Caller:
        with self._choosing:
            leaving = self.visitors.pop(0)
        self.visitors.append(self._visitor(len(self.leaving) + 2))  # who leaves still has calls under way
        self.leaving.append(leaving)
        return leaving

    # -- watching --

    def _look_on(self, load_: Load) -> None:
        """What `GET /usage` says lies at any moment between what was acknowledged before and what was sent until after."""
        headers = {"authorization": f"Bearer {self.main.token}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{self.slots[4].port}", headers=headers, timeout=10) as client:
            while not self.over.wait(0.05):
                least = len(load_.acknowledged_by(self.main.user_id))
                try:
                    got = client.get("/usage")
                except httpx.TransportError:
                    continue
                if got.status_code != 200:
                    self.figures.faults[f"/usage answered {got.status_code}"] += 1
                    continue
                most, said = load_.sent_by(self.main.user_id), got.json()["success"]
                self.figures.looks += 1
                if not least <= said <= most:
                    self.figures.wrong.append(f"/usage said {said}, acknowledged {least}, sent {most}")

    def _write_stale_rows(self, _: Load) -> None:
        """Rows that are past retention when they are written, so that there is always something to purge."""
        number = 0
        while not self.over.wait(1.0):
            with contextlib.closing(Journal(self.data / "journal")) as journal:
                for _ in range(3):
                    number += 1
                    journal.append(usage_record(number, user_id=self.stale.id, ts=datetime.now(UTC) - timedelta(days=8)))

    def erased(self) -> list[Caller]:
        """Those whose erasure was decided before the eraser was killed."""
        return [one for one in self.leaving if tombstones.is_erased(self.services.db, [one.user_id])]

    def receipts(self) -> int:
        return len(receipts.latest(self.services.db, 100_000))


def _cpu_s(process: BaseProcess | None) -> float:
    """What it has used so far: says how long a start takes on a machine that has nothing else to do."""
    with contextlib.suppress(OSError, AttributeError):
        times = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()  # type: ignore[union-attr]
        return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _go_on(process: BaseProcess) -> None:
    with contextlib.suppress(ProcessLookupError, ValueError):
        if process.pid is not None:
            os.kill(process.pid, signal.SIGCONT)
