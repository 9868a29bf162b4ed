"""`byok forecast`: what a user's month will come to."""

from decimal import Decimal

import click

from byok import in_words
from byok.cli.frame import StoreCommand, show_json
from byok.settings import Settings


@click.command(cls=StoreCommand)
@click.argument("email")
@click.option("--metric", type=click.Choice(["cost", "tokens", "calls"]), default="cost", show_default=True, help="What is counted.")
@click.option("--vendor", metavar="V", help="Only this vendor.")
@click.option("--tz", metavar="ZONE", help="IANA zone in which months and days are cut. Default: the user's.")
@click.option("--json", "as_json", is_flag=True, help="The body of GET /costs/forecast.")
@click.pass_obj
def forecast(settings: Settings, email: str, metric: str, vendor: str | None, tz: str | None, as_json: bool) -> None:
    """Say what this month will come to, with a range that holds four times out of five, or why that cannot be said.

    Example: byok forecast ada@example.org --metric tokens
    """
    from byok.accounts import users
    from byok.accounts.plans import keep_after
    from byok.services import Services
    from byok.store.outlook import outlook
    from byok.store.scope import parse_scope

    with Services(settings) as services:
        owner, now = users.by_email(services.db, email), services.now()
        said = {"vendor": vendor, "tz": tz}
        scope = parse_scope({name: [value] for name, value in said.items() if value is not None}, user=owner, now=now)
        kept_from = keep_after(owner.retention_days, now)
        found = outlook(services.engine, scope, now=now, metric=metric, kept_from=kept_from)  # type: ignore[arg-type]
    facts = found.facts()
    if as_json:
        show_json({**facts, "tz": scope.tz})
        return
    written = {name: _amount(facts[name], metric) for name in ("so_far", "middle", "low", "high")}
    if found.forecast.enough:
        click.echo(f"{facts['month']}: {written['so_far']} so far, {written['middle']} projected ({written['low']} to {written['high']}).")
    else:
        click.echo(f"{facts['month']}: {written['so_far']} so far.")
    click.echo(found.forecast.basis)
    if metric == "cost" and found.unpriced_calls:
        click.echo(f"{found.unpriced_calls:,} calls of this month have no known cost and are in no figure.")


def _amount(value: Decimal | int | None, metric: str) -> str:
    return in_words.money(value) if metric == "cost" else f"{in_words.count(value)} {metric}"
