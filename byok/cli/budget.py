"""`byok budget …`: how much a month may cost, per user, vendor or key; a hard one stops the calls."""

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import click

from byok import in_words
from byok.cli.frame import Command, Group, check_vendor, emails_of, show_json, show_table, utc_now
from byok.errors import NotFound
from byok.settings import Settings

if TYPE_CHECKING:
    from byok.accounts.budgets import Budget


class _Usd(click.ParamType[Decimal]):
    name = "usd"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            return value if isinstance(value, Decimal) else Decimal(value)
        except InvalidOperation:
            self.fail("not an amount such as 49.50", param, ctx)


@click.group(cls=Group)
def budget() -> None:
    """Budgets of a month: set, list, remove.

    Example: byok budget set ada@example.org --usd 50 --hard
    """


@budget.command("set")
@click.argument("email")
@click.option("--usd", type=_Usd(), metavar="N", help="USD a month, as calls are priced here.")
@click.option("--tokens", type=int, metavar="N", help="Tokens a month.")
@click.option("--vendor", metavar="V", help="Only calls of this vendor.")
@click.option("--key-id", metavar="KEY_ID", help="Only calls with this vendor key; passthrough: keys sent along.")
@click.option("--hard", is_flag=True, help="Refuse calls when it is used up. Without: only warn, at 80 and 100 %.")
@click.pass_obj
def set_(
    settings: Settings, email: str, usd: Decimal | None, tokens: int | None, vendor: str | None, key_id: str | None, hard: bool
) -> None:
    """Set a budget for each calendar month of the user's zone, in place of an earlier one for the same. The user cannot change it.

    Example: byok budget set ada@example.org --vendor openai --usd 50 --hard
    """
    from byok.accounts import budgets, key_vault, users
    from byok.services import Services
    from byok.usage import PASSTHROUGH_KEY

    if (usd is None) == (tokens is None):
        raise click.UsageError("Say how much: --usd N or --tokens N.")
    if vendor is not None:
        check_vendor(settings, vendor)
    with Services(settings) as services:
        owner = users.by_email(services.db, email)
        if key_id not in (None, PASSTHROUGH_KEY, *(key.id for key in key_vault.of_user(services.db, owner.id))):
            raise NotFound("The user has no such vendor key.", remedy="byok key list EMAIL shows the ids.")
        made = budgets.put(
            services.db, owner.id, usd=usd, tokens=tokens, hard=hard, vendor=vendor, key_id=key_id, by_admin=True, now=utc_now()
        )
    click.echo(f"{_amount(made, made.limit)} a month, {'hard' if hard else 'soft'}.", err=True)
    click.echo(made.id)


@budget.command("list", cls=Command)
@click.argument("email", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.pass_obj
def list_(settings: Settings, email: str | None, as_json: bool) -> None:
    """List budgets with what the running month has used up of them; of everybody without EMAIL.

    Example: byok budget list ada@example.org
    """
    from byok.accounts import budgets
    from byok.budgets import facts
    from byok.services import Services

    now = utc_now()
    with Services(settings) as services:
        emails = emails_of(services.db, email)
        found = [one for one in budgets.every(services.db) if one.user_id in emails]
    if as_json:
        show_json([facts.of(one, now=now) | {"email": emails[one.user_id]} for one in found])
        return
    rows = []
    for one in found:
        share = one.share(now)
        used = "-" if share is None else in_words.percent(share)
        spent = "-" if (so_far := one.spent(now)) is None else _amount(one, so_far)
        kind, whose = "hard" if one.hard else "soft", "admin" if one.by_admin else "user"
        counted = one.figure.counted_at if one.figure else None
        rows.append((one.id, emails[one.user_id], one.vendor, one.key_id, _amount(one, one.limit), kind, whose, spent, used, counted))
    show_table(("id", "user", "vendor", "key", "a month", "kind", "set by", "so far", "used", "counted at"), rows, right={4, 7, 8})


@budget.command()
@click.argument("budget_id")
@click.pass_obj
def remove(settings: Settings, budget_id: str) -> None:
    """Remove a budget; what a hard one stopped goes on within 5 s.

    Example: byok budget remove bud_Zk3v9Qp1Lw2s
    """
    from byok.accounts import budgets
    from byok.services import Services

    with Services(settings) as services:
        budgets.remove(services.db, budget_id)
    click.echo(f"Removed {budget_id}.", err=True)


def _amount(one: "Budget", amount: Decimal | int) -> str:
    return in_words.cents(amount) if one.metric == "usd" else f"{amount:,} tokens"
