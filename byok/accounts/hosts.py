"""The machines that share these accounts: each keeper says when it last published and what still waits on its machine."""

import json
import secrets
import socket
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from byok.accounts import jobs
from byok.accounts.database import Database

SILENT_AFTER_S = 600
_HOST = "host:"
_FILE = "host"


class Host(NamedTuple):
    """What a keeper last said: when, how many segments waited, and whether it then stopped with nothing left."""

    name: str
    at: datetime
    segments: int
    stopped: bool


def name_of(data: Path) -> str:
    """The name of the machine with this data directory, made when it is first asked for."""
    file = data / _FILE
    try:
        if name := file.read_text(encoding="utf-8").strip():  # none: power was lost while it was written
            return name
    except FileNotFoundError:
        data.mkdir(parents=True, exist_ok=True)
    name = f"{socket.gethostname()[:40]}-{secrets.token_hex(3)}"
    file.write_text(f"{name}\n", encoding="utf-8")
    return name


def report(db: Database, name: str, *, now: datetime, segments: int, stopped: bool = False) -> None:
    """Say that the machine lives, or was stopped, and how many segments of its journal wait. One that leaves some is not at rest."""
    jobs.put(db, _HOST + name, json.dumps({"at": now.isoformat(), "segments": segments, "stopped": stopped and not segments}))


def forget(db: Database, name: str) -> bool:
    """Strike out a machine that will not come back; returns whether it was known."""
    known = jobs.get(db, _HOST + name) is not None
    jobs.drop(db, _HOST + name)
    return known


def every(db: Database) -> list[Host]:
    """All machines, by name."""
    return [_host(name.removeprefix(_HOST), json.loads(text)) for name, text in jobs.named(db, _HOST).items()]


def _host(name: str, said: Mapping[str, object]) -> Host:
    return Host(name, datetime.fromisoformat(str(said["at"])), int(str(said["segments"])), bool(said["stopped"]))
