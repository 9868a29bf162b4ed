"""`byok models …`: names of models outside the catalogue that records may hold."""

import click

from byok.cli.frame import Group, show_json, show_table, utc_now
from byok.errors import BadRequest, NotFound
from byok.settings import Settings


@click.group(cls=Group)
def models() -> None:
    """Names of models that records may hold though the catalogue lacks them and the vendor does not repeat them: allow, list, disallow.

    Example: byok models allow our-finetune-7b
    """


@models.command()
@click.argument("name")
@click.pass_obj
def allow(settings: Settings, name: str) -> None:
    """Let records hold this name, also as vendor/name for one vendor alone; from 5 s on. Without it such a call is booked as `other`.

    Example: byok models allow lab/our-finetune-7b
    """
    from byok.accounts import allowed_models
    from byok.gateway.models import is_storable
    from byok.services import Services

    if not is_storable(name):
        raise BadRequest(
            "This name cannot be stored: it has not the form of a model's name, or looks like a key.",
            remedy="It must have at most 96 letters, digits and . _ : / @ + - and begin with a letter or digit: rename the model.",
        )
    with Services(settings) as services:
        new = allowed_models.allow(services.db, name, now=utc_now())
    click.echo(f"Allowed {name}." if new else f"{name} was allowed already.", err=True)


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.pass_obj
def list_(settings: Settings, as_json: bool) -> None:
    """List the names that were allowed. The catalogue is in: byok prices list.

    Example: byok models list
    """
    from byok.accounts import allowed_models
    from byok.services import Services

    with Services(settings) as services:
        found = allowed_models.every(services.db)
    if as_json:
        show_json([{"name": name, "allowed": allowed_at} for name, allowed_at in found.items()])
    else:
        show_table(("name", "allowed"), list(found.items()))


@models.command()
@click.argument("name")
@click.pass_obj
def disallow(settings: Settings, name: str) -> None:
    """Take a name back, for calls from 5 s on; records that hold it stay as they are.

    Example: byok models disallow lab/our-finetune-7b
    """
    from byok.accounts import allowed_models
    from byok.services import Services

    with Services(settings) as services:
        if not allowed_models.disallow(services.db, name):
            raise NotFound("This name was not allowed.", remedy="byok models list shows those that are.")
    click.echo(f"Disallowed {name}.", err=True)
