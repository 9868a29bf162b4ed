"""The command line: one thin face per operator's task. Every room it needs is imported inside the command that needs it."""

import click

from byok import __version__
from byok.cli import (
    access,
    alerts,
    budget,
    forecast,
    keys,
    models,
    prices,
    processes,
    reconcile,
    reports,
    spikes,
    sql,
    upkeep,
    usage,
    users,
)
from byok.cli.frame import Group


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="byok")
def cli() -> None:
    """BYOK: a gateway in front of your own model-vendor keys, and a dashboard that tells where tokens and money go.

    Example: byok up
    """


_COMMANDS: tuple[click.Command, ...] = (
    *(processes.up, processes.gateway, processes.web, processes.keeper),
    *(users.user, keys.key, access.token, access.access_token, models.models),
    *(usage.usage, usage.what_if, spikes.spikes, sql.sql, usage.export, usage.import_),
    *(budget.budget, forecast.forecast, reconcile.reconcile),
    *(alerts.alert, reports.report),
    *(upkeep.purge, upkeep.compact, prices.prices, upkeep.rotate_master_key, upkeep.doctor),
)
for _command in _COMMANDS:
    cli.add_command(_command)


def main() -> None:
    """What the installed command `byok` calls."""
    cli(prog_name="byok")
