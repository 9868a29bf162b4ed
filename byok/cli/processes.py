"""`byok up`, and the processes it starts: gateway, web, keeper."""

import contextlib
import os
import sys
from importlib.abc import MetaPathFinder

import click

from byok.cli.frame import DATA, Command
from byok.settings import Settings

BEHIND_THE_GATEWAY = 5  # of `nice`: a quarter of a processor that the gateway wants whole


class Process(Command):
    """A command that runs until it is told to stop."""

    sees_to_signals = True


@click.command(cls=Process)
@click.option("--demo", is_flag=True, help="Use a data directory of its own, filled with a year of sample usage.")
@click.pass_context
def up(ctx: click.Context, demo: bool) -> None:
    """Start gateway, web and keeper, keep them running, and say what to open.

    Example: byok up
    """
    from byok import launch

    settings: Settings = ctx.obj
    if demo:
        settings = launch.demo_settings(settings, chosen=DATA in ctx.meta)
    ctx.exit(launch.up(settings, os.environ))


@click.command(cls=Process)
@click.option("--workers", type=click.IntRange(1, 64), help="Processes that share the port. Default: BYOK_GATEWAY_WORKERS, else 1.")
@click.pass_obj
def gateway(settings: Settings, workers: int | None) -> None:
    """Run the proxy: a call in, its answer streamed out, one record kept.

    Example: byok gateway --workers 4
    """
    from byok.gateway import run

    _begin(settings, "gateway")
    _finish_deletions(settings)
    run.run(settings if workers is None else settings.model_copy(update={"gateway_workers": workers}))


@click.command(cls=Process)
@click.pass_obj
def web(settings: Settings) -> None:
    """Run the dashboard and the API.

    Example: byok web
    """
    _stand_back()
    from byok import web

    _begin(settings, "web")
    web.run(settings)


@click.command(cls=Process)
@click.pass_obj
def keeper(settings: Settings) -> None:
    """Run what happens by itself: journal to Parquet, merging, purging. One works at a time per data directory.

    Example: byok keeper
    """
    _stand_back()
    if settings.engine == "duckdb":
        sys.meta_path.insert(0, _WithoutPandas())
    from byok import keeper

    _begin(settings, "keeper")
    keeper.run(settings)


class _WithoutPandas(MetaPathFinder):
    """Arrow imports pandas where it is installed, for a quarter of a second and 40 MB; only pages and Spark need it."""

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError(name=fullname)


def _finish_deletions(settings: Settings) -> None:
    """What a killed purge or erasure left to do is done by a process of its own: the gateway opens no usage files."""
    import subprocess

    from byok.accounts import database, jobs
    from byok.accounts.errors import AccountsUnavailable

    try:
        with database.open_database(settings.accounts_database) as db:
            pending = jobs.deletion_pending(db)
    except (AccountsUnavailable, OSError):
        return  # the keeper looks again and again
    if pending:
        command = [sys.executable, "-m", "byok", "compact", "--data", str(settings.data)]
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def _stand_back() -> None:
    """Where processors are short the gateway goes first: calls wait for no page and no search, and nothing here wakes up in their place.

    Before anything is imported: it counts for the calling thread and those that it starts, and libraries start some at once.
    """
    with contextlib.suppress(OSError):
        os.nice(BEHIND_THE_GATEWAY)
    if hasattr(os, "SCHED_BATCH"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _begin(settings: Settings, process: str) -> None:
    import structlog

    from byok import logs, supervisor
    from byok.gateway.vendors import useless_addresses
    from byok.settings import unknown_names

    logs.setup(settings, process)
    supervisor.stop_when_orphaned(os.environ)
    for line in [*unknown_names(os.environ), *useless_addresses(settings)]:
        structlog.get_logger().warning("setting_unknown", reason=line)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
