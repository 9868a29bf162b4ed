"""One process of the soak: the product's own gateway, keeper, web or erasure, armed with a step, and with short intervals.

It is forked from a server that has imported everything, so that a start costs tenths of a second. Web comes without Streamlit.
"""

import os
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn

from byok import keeper, logs, settings, web
from byok.gateway import run
from byok.recording import publisher
from byok.recording.journal import Journal
from byok.retention import Retention
from byok.services import Services
from byok.settings import Settings
from tests.soak.steps import Step, arm


def main(process: str, environ: Mapping[str, str], log: Path, step: Step | None, nth: int, subject: str = "") -> None:
    """Run `process` until it ends or is killed. `subject`: whom the eraser erases."""
    out = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    os.dup2(out, 1)
    os.dup2(out, 2)
    _hurry()
    if step is not None:
        arm(step, nth)
    chosen = settings.load(environ)
    if process == "gateway":
        logs.setup(chosen, process)
        run.run(chosen)
    elif process == "keeper":
        keeper.run(chosen)
    elif process == "web":
        _web(chosen)
    else:
        _erase(chosen, subject)


def _hurry() -> None:
    """What happens every minute happens every second, so that a short life meets it."""
    keeper.MERGE_EVERY_S = 1
    keeper.FINISH_EVERY_S = 1
    keeper.SWEEP_AFTER_S = 5
    keeper.LOOK_AGAIN_S = 0.1
    publisher.FILES_PER_TIER = 3
    Journal.__init__.__kwdefaults__["seal_every_s"] = 0.3


def _web(chosen: Settings) -> None:
    logs.setup(chosen, "web")
    opened = Services(chosen).open()
    threading.Thread(target=web._finish_deletions, args=(opened,), daemon=True).start()
    uvicorn.run(web.create_door(opened, _nothing), host=chosen.host, port=chosen.web_port, log_config=None, access_log=False)


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    """Where the dashboard would be."""


def _erase(chosen: Settings, user_id: str) -> None:
    logs.setup(chosen, "byok")
    with Services(chosen) as services:
        Retention.of(chosen, services.db).erase_user(user_id, now=datetime.now(UTC))
