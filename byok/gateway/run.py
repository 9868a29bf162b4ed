"""The gateway process: uvicorn on one port, in one process or in several that share it; a clean end on SIGTERM."""

import contextlib
import gc
import logging
import multiprocessing
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

import structlog
import uvicorn

from byok import logs
from byok.accounts.errors import AccountsUnavailable
from byok.listening import listen
from byok.services import Services
from byok.settings import Settings

GRACE_S = 30
KEEP_ALIVE_S = 65
BACKLOG = 2048
_RESTART_AFTER_S = (0.1, 0.5, 2.0, 5.0, 15.0)  # the last one for every further time
_STEADY_S = 60.0
log = structlog.get_logger("byok.gateway")


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish open calls (at most 30 s), seal the journal and return.

    Raises `PortTaken`, and what is wrong with the master key or the JWT secret (`ByokError`); an accounts database that cannot be
    opened is no reason not to start: /readyz tells.
    """
    if settings.gateway_workers == 1:
        with contextlib.closing(_listen(settings, shared=False)) as listener:
            serve(settings, listener)
    else:
        _supervise(settings)


def serve(settings: Settings, listener: socket.socket) -> None:
    """One process: answer on `listener` until told to stop."""
    from byok.gateway.routes import create_app

    services = _open(settings)
    _spare_the_collector()
    log.info("listening", host=settings.host, port=settings.gateway_port)
    with contextlib.closing(services):
        server(create_app(settings, services)).run(sockets=[listener])
    log.info("stopped")


def server(app: Any, *, grace_s: int = GRACE_S) -> uvicorn.Server:
    """The server for the gateway's app; setting its `should_exit` ends it as SIGTERM does."""
    from byok.gateway.connection import Connection

    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=Connection,
        ws="none",
        lifespan="on",
        interface="asgi3",
        access_log=False,
        log_config=None,
        log_level=logging.CRITICAL,  # what there is to say of a call we say ourselves, without its path
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=grace_s,
        backlog=BACKLOG,
    )
    return _Server(config)


def _spare_the_collector() -> None:
    """What is loaded by now stays for ever: the garbage collector need not walk it again and again while calls wait."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _open(settings: Settings) -> Services:
    """The accounts and the keys to them. A wrong key or secret stops the start; a database that cannot be opened now may be later."""
    services = Services(settings)
    _ = services.jwt_secret  # needs the master key, too
    try:
        _ = services.db
    except (AccountsUnavailable, OSError) as error:
        log.error("accounts_unavailable", error=error)
    return services


class _Server(uvicorn.Server):
    """uvicorn's server, which ends with 0 after a signal instead of passing the signal on."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _listen(settings: Settings, *, shared: bool) -> socket.socket:
    return listen(settings.host, settings.gateway_port, "BYOK_GATEWAY_PORT", shared=shared)


# -- several workers: a parent that holds nothing but their processes --


def _supervise(settings: Settings) -> None:
    _open(settings).close()  # told once, not by every worker again and again
    _listen(settings, shared=False).close()  # a port of somebody else would be shared without a word
    figures = tempfile.mkdtemp(prefix="byok-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = figures  # read when a worker imports prometheus_client
    try:
        _Supervisor(settings, figures).run()
    finally:
        shutil.rmtree(figures, ignore_errors=True)


class _Supervisor:
    """Starts the workers, restarts one that died (later each time), ends them all on SIGTERM or SIGINT."""

    def __init__(self, settings: Settings, figures: str) -> None:
        self._settings = settings
        self._figures = figures
        self._stopping = False
        self._workers: dict[int, BaseProcess] = {}
        self._started: dict[int, float] = {}
        self._deaths: dict[int, int] = {}
        self._due: dict[int, float] = {}

    def run(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        for worker in range(self._settings.gateway_workers):
            self._start(worker)
        while not self._stopping:
            time.sleep(0.1)
            self._tend()
        self._end()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _start(self, worker: int) -> None:
        # Spawned, not forked: a fork would share this process's locks and random state.
        process = multiprocessing.get_context("spawn").Process(target=_work, args=(self._settings, worker), name=f"gateway-{worker}")
        process.start()
        self._workers[worker] = process
        self._started[worker] = time.monotonic()

    def _tend(self) -> None:
        now = time.monotonic()
        for worker, process in list(self._workers.items()):
            if process.is_alive():
                continue
            del self._workers[worker]
            self._forget_figures(process)
            deaths = 0 if now - self._started[worker] > _STEADY_S else self._deaths.get(worker, 0)
            wait_s = _RESTART_AFTER_S[min(deaths, len(_RESTART_AFTER_S) - 1)]
            self._deaths[worker] = deaths + 1
            self._due[worker] = now + wait_s
            log.error("worker_died", worker=worker, exit_code=process.exitcode, restart_in_s=wait_s)
        for worker, due in list(self._due.items()):
            if now >= due:
                del self._due[worker]
                self._start(worker)

    def _end(self) -> None:
        for process in self._workers.values():
            process.terminate()
        deadline = time.monotonic() + GRACE_S + 5
        for process in self._workers.values():
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()

    def _forget_figures(self, process: BaseProcess) -> None:
        """The dead worker's counters stay in the sums; its gauges do not."""
        from prometheus_client import multiprocess

        if process.pid is not None:
            multiprocess.mark_process_dead(process.pid, path=self._figures)  # type: ignore[no-untyped-call]


def _work(settings: Settings, worker: int) -> None:
    """One worker; it ends when its parent is gone, whoever killed that."""
    _end_with_parent()
    logs.setup(settings, "gateway")
    structlog.contextvars.bind_contextvars(worker=worker)
    with contextlib.closing(_listen(settings, shared=True)) as listener:
        serve(settings, listener)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()
