"""`byok usage`, `byok what-if`, `byok export`, `byok import`: sums on a terminal, records out, records in."""

import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from byok import in_words
from byok.cli.frame import StoreCommand, show_json, show_table, utc_now
from byok.settings import Settings

if TYPE_CHECKING:
    from byok.services import Services
    from byok.store.scope import Scope

_GROUPS = ("vendor", "model", "key_id", "status", "day", "hour", "month")
_SUMS = ("calls", "failed", "prompt_tokens", "completion_tokens", "total_tokens")


def _period(command: Callable[..., None]) -> Callable[..., None]:
    """The options --since, --until and --tz."""
    since = "ISO date (midnight of the zone) or instant; included. Default: all that the plan keeps."
    command = click.option("--tz", metavar="ZONE", help="IANA zone of dates. Default: the user's.")(command)
    command = click.option("--until", metavar="WHEN", help="ISO date or instant; not included.")(command)
    return click.option("--since", metavar="WHEN", help=since)(command)


@click.command(cls=StoreCommand)
@click.argument("email")
@_period
@click.option("--by", default="vendor,model", show_default=True, metavar="COLUMNS", help=f"Any of {', '.join(_GROUPS)}.")
@click.option("--cost", is_flag=True, help="Add the cost in USD.")
@click.option("--json", "as_json", is_flag=True, help="The body of GET /usage.")
@click.pass_obj
def usage(settings: Settings, email: str, since: str | None, until: str | None, tz: str | None, by: str, cost: bool, as_json: bool) -> None:
    """Show a user's tokens and calls, most tokens first.

    Example: byok usage ada@example.org --since 2026-11-01 --by day
    """
    from byok.services import Services
    from byok.store import questions
    from byok.store.scope import parse_group_by

    group_by = parse_group_by([by])
    with Services(settings) as services:
        answer = questions.usage(services.engine, _scope(services, email, since, until, tz), group_by=group_by, cost=cost)
    if answer.incomplete:
        click.echo("incomplete: a usage file is broken and was left out; byok doctor names it", err=True)
    if as_json:
        show_json(answer.body())
        return
    names = [*group_by, *_SUMS, *(["cost_usd", "unpriced_calls"] if cost else [])]
    show_table(names, [[row[name] for name in names] for row in answer.rows], right=range(len(group_by), len(names)))
    totals = answer.totals
    spent = f", {in_words.money(totals['cost_usd'])}" if cost else ""
    click.echo(f"{in_words.plural(totals['total_calls'], 'call')}, {totals['failed']:,} failed, {totals['total_tokens']:,} tokens{spent}")


@click.command("what-if", cls=StoreCommand)
@click.argument("email")
@_period
@click.option("--replace", "pairs", multiple=True, metavar="V/MODEL=V/MODEL", help="A model, and the one in its place. Repeatable.")
@click.option("--cached-share", type=click.FloatRange(0, 1), metavar="SHARE", help="Part of every prompt that is cached, 0 to 1.")
@click.option("--json", "as_json", is_flag=True, help="The body of GET /costs/what-if.")
@click.pass_obj
def what_if(
    settings: Settings,
    email: str,
    since: str | None,
    until: str | None,
    tz: str | None,
    pairs: tuple[str, ...],
    cached_share: float | None,
    as_json: bool,
) -> None:
    """Show what a user's calls would have cost with other models, or with another share of cached input.

    Example: byok what-if ada@example.org --replace openai/gpt-4o=openai/gpt-4o-mini
    """
    from byok.pricing.tokenizers import NOTE
    from byok.services import Services
    from byok.store import money

    swaps = dict(money.swap(text) for text in pairs)
    with Services(settings) as services:
        found = money.what_if(services.engine, _scope(services, email, since, until, tz), swaps=swaps, cached_share=cached_share)
    if as_json:
        show_json({"what_if": found.rows, **found.totals, "note": NOTE})
        return
    amounts = ("cost_usd", "what_if_usd", "difference_usd")
    names = ("vendor", "model", "to_vendor", "to_model", "calls", *amounts, "unpriced_calls")
    show_table(names, [[row[name] for name in names] for row in found.rows], right=range(4, len(names)))
    was, would_be, change = (found.totals[name] for name in amounts)
    sign = "+" if change > 0 else ""
    click.echo(f"{in_words.dollars(was)} was, {in_words.dollars(would_be)} would have been: {sign}{in_words.dollars(change)}.")
    click.echo(NOTE)


@click.command(cls=StoreCommand)
@click.argument("email")
@_period
@click.option("--format", "kind", type=click.Choice(["csv", "json", "jsonl", "parquet"]), default="csv", show_default=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Default: standard output.")
@click.pass_obj
def export(settings: Settings, email: str, since: str | None, until: str | None, tz: str | None, kind: str, out: Path | None) -> None:
    """Write a user's records, in order of time, with the columns of the record.

    Example: byok export ada@example.org --format parquet --out november.parquet --since 2026-11-01
    """
    from byok import export
    from byok.services import Services
    from byok.store import questions

    if out is None and kind == "parquet" and sys.stdout.isatty():
        raise click.UsageError("Parquet is not for a terminal: add --out FILE.")
    with Services(settings) as services:
        scope = _scope(services, email, since, until, tz)
        pieces = export.write(kind, questions.records(services.engine, scope), filters=export.filters_of(scope))
        if out is None:
            for piece in pieces:
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            return
        draft = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")  # a half-written export never carries the name of a whole one
        try:
            with draft.open("wb") as file:
                file.writelines(pieces)
            draft.replace(out)
        finally:
            draft.unlink(missing_ok=True)


@click.command("import", cls=StoreCommand)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--create-users", type=click.Choice(["free", "indie", "team", "enterprise"]), help="Make unknown users, with this plan.")
@click.option("--json", "as_json", is_flag=True, help="What was done, as one JSON object.")
@click.pass_obj
def import_(settings: Settings, file: Path, create_users: str | None, as_json: bool) -> None:
    """Book the records of a CSV, JSON Lines or Parquet file whose columns are the record's. The same file again books nothing again.

    A row that no record can be, and a line that is broken, is refused and counted; the others are booked. Times without a zone are UTC.

    Example: byok import usage.parquet --create-users team
    """
    from byok import intake
    from byok.services import Services

    with Services(settings) as services:
        done = intake.book(file, settings, services.db, now=utc_now(), create_users=create_users)
    if as_json:
        show_json(done)
        return
    click.echo(f"{done['booked']:,} of {done['read']:,} rows booked, {done['duplicates']:,} were here already, {done['seconds']:.1f} s.")
    if done["refused"]:
        click.echo(
            f"{done['refused']:,} rows refused: an unknown user (--create-users PLAN makes them), vendor or value, or a broken line.",
            err=True,
        )


def _scope(services: "Services", email: str, since: str | None, until: str | None, tz: str | None) -> "Scope":
    from byok.accounts import users
    from byok.store.scope import parse_scope

    said = {"since": since, "until": until, "tz": tz}
    owner = users.by_email(services.db, email)
    return parse_scope({name: [value] for name, value in said.items() if value is not None}, user=owner, now=services.now())
