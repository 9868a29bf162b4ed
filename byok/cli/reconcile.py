"""`byok reconcile`: a vendor's own export beside what the gateway saw."""

from decimal import Decimal
from pathlib import Path

import click

from byok import in_words
from byok.cli.frame import StoreCommand, show_json, show_table
from byok.settings import Settings


@click.command(cls=StoreCommand)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--user", "email", metavar="EMAIL", help="Compare with this user's records. Default: everybody's.")
@click.option("--key-id", "key_ids", multiple=True, metavar="KEY_ID", help="Only with the records of this vendor key; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Totals and rows as one JSON object.")
@click.pass_obj
def reconcile(settings: Settings, file: Path, email: str | None, key_ids: tuple[str, ...], as_json: bool) -> None:
    """Show day by day and model by model what the gateway saw of a vendor's own usage or cost export (CSV of OpenAI, Anthropic).

    Example: byok reconcile completions_usage_2026-11.csv --user ada@example.org
    """
    from byok.accounts import users
    from byok.accounts.plans import keep_after
    from byok.reconciliation.comparison import Reconciliation, reconcile
    from byok.reconciliation.exports import lines_of
    from byok.services import Services
    from byok.store.scope import AnyScope, EveryonesScope, Scope
    from byok.zones import EARLIEST, LATEST

    with Services(settings) as services, file.open(encoding="utf-8", newline="") as text:
        kept_from = None
        scope: AnyScope = EveryonesScope(EARLIEST, LATEST, key_ids=key_ids)
        if email is not None:
            owner = users.by_email(services.db, email)
            kept_from = keep_after(owner.retention_days, services.now())
            scope = Scope(owner.id, EARLIEST, LATEST, key_ids=key_ids)
        found: Reconciliation = reconcile(services.engine, scope, lines_of(text), kept_from=kept_from)
    if as_json:
        show_json(found.facts())
        return
    unit = "tokens" if found.kind == "usage" else "USD"
    rows = [
        (str(row.day), row.model, _amount(row.theirs, found.kind), _amount(row.ours, found.kind), _share(row.captured))
        for row in found.rows
    ]
    show_table(("day", "model", f"{found.vendor} ({unit})", "gateway", "captured"), rows, right={2, 3, 4})
    total = found.total
    words = f"{_amount(total.ours, found.kind)} of {_amount(total.theirs, found.kind)} {unit}"
    click.echo(f"captured {_share(total.captured)}: {words}, {found.since} to {found.until}")
    if found.unnamed:
        click.echo(f"in no sum, as the export does not name them: {', '.join(found.unnamed)}", err=True)
    if found.days_gone:
        click.echo(f"{found.days_gone} days of the export are left out: their records are not all kept any more.", err=True)


def _amount(value: Decimal, kind: str) -> str:
    return f"{value:,.0f}" if kind == "usage" else in_words.dollars(value).removesuffix(" USD")


def _share(captured: float | None) -> str:
    return "-" if captured is None else in_words.percent(captured, 1)
