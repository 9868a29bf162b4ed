"""`byok up` in one go: look before starting, prepare the first admin (and the sample data), say what to open, start the three processes."""

import contextlib
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import click
import structlog
from sqlalchemy.exc import SQLAlchemyError

from byok import first_steps, listening, logs
from byok.accounts.errors import AccountsUnavailable
from byok.errors import ByokError
from byok.first_steps import FirstSteps
from byok.services import Services
from byok.settings import Settings, load
from byok.supervisor import Program, Supervisor


class NotSampleData(ByokError):
    code = "not_sample_data"

    def __init__(self, data: Path) -> None:
        super().__init__(f"{data} holds data that is not sample data.", remedy="Name another directory: byok up --demo --data DIR")


def up(settings: Settings, environ: Mapping[str, str]) -> int:
    """Run the whole installation until SIGTERM or Ctrl-C and return the exit code. Raises `PortTaken` and what makes accounts unusable."""
    logs.setup(settings, "up")
    for port, name in ((settings.gateway_port, "BYOK_GATEWAY_PORT"), (settings.web_port, "BYOK_WEB_PORT")):
        listening.listen(settings.host, port, name).close()
    steps = _prepare(settings)
    _say(first_steps.welcome(settings, steps))
    children = {**environ, "BYOK_DATA": str(settings.data), **({"BYOK_DEMO": "true"} if settings.demo else {})}
    return Supervisor(_programs(settings), children).run(on_ready=lambda: _say(first_steps.ready(steps, settings.dashboard_url)))


def _say(text: str) -> None:
    """To whoever looks; it goes on without, where the disk of a redirected output is full."""
    with contextlib.suppress(OSError):
        click.echo(text)


def demo_settings(settings: Settings, *, chosen: bool) -> Settings:
    """The same settings on the sample data: the `chosen` directory, else one beside the real one (`data` -> `data-demo`)."""
    data = settings.data if chosen else settings.data.with_name(settings.data.name + "-demo")
    return load(os.environ, data=data, demo=True)


def _prepare(settings: Settings) -> FirstSteps:
    """The first admin and, for a demo, its data. A disk that fails now does not keep the gateway from serving."""
    now = datetime.now(UTC)
    try:
        with Services(settings) as services:
            if settings.demo:
                from byok import demo

                if not demo.is_sample(services.db):
                    raise NotSampleData(settings.data)
                click.echo("Filling in sample usage ...")
                demo.fill(services, now=now)
            return first_steps.prepare(services.db, now=now)
    except (OSError, SQLAlchemyError, AccountsUnavailable) as error:
        structlog.get_logger().error("first_steps_failed", exc_info=error)
        return FirstSteps(None, None, None)


def _programs(settings: Settings) -> list[Program]:
    ports = {"gateway": settings.gateway_port, "web": settings.web_port, "keeper": None}
    return [
        Program(name, (sys.executable, "-m", "byok", name), None if port is None else (settings.host, port)) for name, port in ports.items()
    ]
