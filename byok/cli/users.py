"""`byok user …`: add, list, show, set, link, sign-on, erase."""

import sys
from typing import TYPE_CHECKING, Any

import click

from byok.cli.frame import Group, StoreCommand, secret_from_stdin, show_json, show_table, utc_now
from byok.errors import BadRequest, ByokError
from byok.settings import Settings

if TYPE_CHECKING:
    from byok.accounts.users import User

PLANS = click.Choice(["free", "indie", "team", "enterprise"])
DAYS = click.IntRange(1, 36500)


class Limit(click.ParamType[int]):
    """A whole number from 0 (no limit) up, or `default`: what the settings say."""

    name = "limit"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from byok.accounts.users import AS_SET, HIGHEST_LIMIT

        if value == "default":
            return AS_SET
        return int(click.IntRange(0, HIGHEST_LIMIT).convert(value, param, ctx))


@click.group(cls=Group)
def user() -> None:
    """People who may call: add, list, show, set, link, sign-on, erase.

    Example: byok user add ada@example.org --plan team
    """


@user.command()
@click.argument("email")
@click.option("--plan", type=PLANS, default="free", show_default=True, help="How long usage is kept: 7, 30, 90 or, enterprise, 365 days.")
@click.option("--retention-days", type=DAYS, metavar="N", help="Keep N days instead (enterprise).")
@click.option("--admin", is_flag=True, help="May see all users' usage and manage users.")
@click.option("--name", metavar="NAME", help="The name that the dashboard shows.")
@click.option("--tz", default="UTC", show_default=True, metavar="ZONE", help="IANA time zone of days and hours, such as Europe/Berlin.")
@click.option("--password-stdin", is_flag=True, help="Read the sign-in password from standard input (12 characters or more).")
@click.pass_obj
def add(
    settings: Settings, email: str, plan: Any, retention_days: int | None, admin: bool, name: str | None, tz: str, password_stdin: bool
) -> None:
    """Add a user and print an access token, once.

    Example: byok user add ada@example.org --plan team
    """
    from byok.accounts import access_tokens, passwords, users
    from byok.services import Services

    password = secret_from_stdin("Password") if password_stdin else None
    with Services(settings) as services:
        added = users.add(services.db, email, now=utc_now(), plan=plan, retention_days=retention_days, admin=admin, name=name, tz=tz)
        if password is not None:
            try:
                passwords.set_password(services.db, added.id, password, now=utc_now())
            except ByokError:
                users.remove(services.db, added.id, now=utc_now())  # a refused password leaves no half-made user
                raise
        token = access_tokens.create(services.db, added.id, now=utc_now(), label="first")
    click.echo(f"Added {added.email} ({added.id}), plan {added.plan}, usage kept for {added.retention_days} days.", err=True)
    if password is None:
        click.echo(f"For the dashboard: byok user link {added.email} prints a link to set a password.", err=True)
    click.echo("Access token, shown only this once:", err=True)
    click.echo(token)


@user.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.pass_obj
def list_(settings: Settings, as_json: bool) -> None:
    """List all users, by e-mail.

    Example: byok user list
    """
    from byok.accounts import users
    from byok.services import Services

    with Services(settings) as services:
        everyone = users.all_users(services.db)
    if as_json:
        show_json([one.public() for one in everyone])
    else:
        rows = [(u.email, u.id, u.plan, u.retention_days, u.admin, u.disabled, u.created_at) for u in everyone]
        show_table(("email", "id", "plan", "days", "admin", "disabled", "created"), rows)


@user.command()
@click.argument("email")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def show(settings: Settings, email: str, as_json: bool) -> None:
    """Show one user.

    Example: byok user show ada@example.org --json
    """
    from byok.accounts import users
    from byok.services import Services

    with Services(settings) as services:
        found = users.by_email(services.db, email)
    _show(found, settings, as_json)


@user.command("set")
@click.argument("email")
@click.option("--email", "new_email", metavar="EMAIL", help="A new e-mail, for sign-in and mails; everything else stays.")
@click.option("--plan", type=PLANS, help="A shorter plan hides older usage at once; the keeper then deletes it.")
@click.option("--retention-days", type=DAYS, metavar="N", help="Keep N days (enterprise).")
@click.option("--admin/--no-admin", default=None, help="May see all users' usage and manage users.")
@click.option("--name", metavar="NAME", help="The name that the dashboard shows.")
@click.option("--tz", metavar="ZONE", help="IANA time zone, such as Europe/Berlin.")
@click.option("--disable/--enable", "disabled", default=None, help="Tokens, sessions and keys of a disabled user stop working within 5 s.")
@click.option("--requests-per-minute", type=Limit(), metavar="N", help="Requests to vendors within a minute; 0: no limit, or `default`.")
@click.option("--calls-at-once", type=Limit(), metavar="N", help="Calls open at the same time; 0: no limit, or `default`.")
@click.option("--password-stdin", is_flag=True, help="Read a new sign-in password from standard input.")
@click.option("--json", "as_json", is_flag=True, help="Print the user as JSON.")
@click.pass_obj
def set_(settings: Settings, /, email: str, new_email: str | None, password_stdin: bool, as_json: bool, **changes: Any) -> None:
    """Change a user; what is not named stays.

    Example: byok user set ada@example.org --plan enterprise --retention-days 400
    """
    from byok.accounts import passwords, users
    from byok.services import Services

    password = secret_from_stdin("New password") if password_stdin else None
    named = {field: value for field, value in (changes | {"email": new_email}).items() if value is not None}
    if not named and password is None:
        raise click.UsageError("Name what to change, for example --plan team.")
    with Services(settings) as services:
        changed = users.by_email(services.db, email)
        if password is not None:
            passwords.set_password(services.db, changed.id, password, now=utc_now())
        if named:
            changed = users.change(services.db, changed.id, **named)
    _show(changed, settings, as_json)


@user.command()
@click.argument("email")
@click.pass_obj
def link(settings: Settings, email: str) -> None:
    """Print a link with which the user sets a password; it works once, for 24 hours, and voids the one before.

    Example: byok user link ada@example.org
    """
    from byok.accounts import passwords, users
    from byok.services import Services

    with Services(settings) as services:
        secret = passwords.set_link(services.db, users.by_email(services.db, email).id, now=utc_now())
    click.echo(f"{settings.dashboard_url}/auth/set-password?token={secret}")


@user.command("sign-on")
@click.argument("email")
@click.option("--forget", is_flag=True, help="Disconnect all of them; sessions end, a new link is needed to connect again.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.pass_obj
def sign_on(settings: Settings, email: str, forget: bool, as_json: bool) -> None:
    """Show which sign-in services (OpenID Connect) open a user's account, and since when.

    Example: byok user sign-on ada@example.org --forget
    """
    from byok.accounts import identities, users
    from byok.services import Services

    with Services(settings) as services:
        found = users.by_email(services.db, email)
        if forget:
            click.echo(f"Disconnected: {identities.disconnect(services.db, found.id)}.", err=as_json)
        connected = identities.of_user(services.db, found.id)
    if as_json:
        show_json([{"issuer": one.issuer, "since": one.created_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")} for one in connected])
    else:
        show_table(("issuer", "since"), [(one.issuer, one.created_at) for one in connected])


@user.command(cls=StoreCommand)
@click.argument("email")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@click.option("--json", "as_json", is_flag=True, help="The receipt as one JSON object.")
@click.pass_obj
def erase(settings: Settings, email: str, yes: bool, as_json: bool) -> None:
    """Erase a user: usage, keys, tokens, sessions and the account; nothing is left. Prints a receipt.

    Example: byok user erase ada@example.org --yes
    """
    from byok.accounts import users
    from byok.accounts.errors import UserUnknown
    from byok.retention import Retention
    from byok.services import Services

    now = utc_now()
    with Services(settings) as services:
        rooms = Retention.of(settings, services.db)
        try:
            found = users.by_email(services.db, email)
        except UserUnknown:
            unfinished = [receipt for receipt in rooms.finish(now=now) if receipt["kind"] == "erase"]
            if not unfinished:
                raise
            receipt = unfinished[0]  # the account went first when this command was killed
        else:
            if not yes:
                _confirm(found)
            receipt = rooms.erase_user(found.id, now=now)
    if as_json:
        show_json(receipt)
    else:
        click.echo(
            f"Erased: {receipt['rows']:,} records in {receipt['files']:,} files, {receipt['seconds']:.1f} s. Receipt {receipt['receipt']}."
        )


def _confirm(found: "User") -> None:
    if not sys.stdin.isatty():
        raise BadRequest("Nothing was erased.", remedy="Repeat the command with --yes.")
    typed = click.prompt(f"This deletes {found.email} and all usage of theirs, for good. Type the e-mail to go on", err=True)
    if typed.strip().lower() != found.email:
        raise BadRequest("Nothing was erased: that was not the e-mail.", remedy="Type it exactly.")


def _show(found: "User", settings: Settings, as_json: bool) -> None:
    own = {"requests_per_minute": found.requests_per_minute, "calls_at_once": found.calls_at_once}
    if as_json:
        show_json(found.public() | {name: limit for name, limit in own.items() if limit is not None})
        return
    limits = {name: _limit(limit, getattr(settings, name)) for name, limit in own.items()}
    facts = found.public() | {"name": found.name, "tz": found.tz} | limits
    for name, value in facts.items():
        shown = {True: "yes", False: "no", None: "-"}.get(value, value) if isinstance(value, bool | None) else value
        click.echo(f"{name:19} {shown}")


def _limit(own: int | None, usual: int) -> str:
    return f"{own or 'no limit'}" if own is not None else f"{usual or 'no limit'} (default)"
