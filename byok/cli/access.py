"""`byok token` (a JWT for the API, an hour) and `byok access-token …` (ours, until revoked)."""

import click

from byok.cli.frame import Command, Group, email_and_id, emails_of, show_json, show_table, utc_now
from byok.errors import Forbidden, NotFound
from byok.settings import Settings


@click.command(cls=Command)
@click.argument("email")
@click.option("--ttl", type=click.IntRange(1, 3600), default=3600, show_default=True, metavar="S", help="Seconds until it expires.")
@click.pass_obj
def token(settings: Settings, email: str, ttl: int) -> None:
    """Print a JWT for the API.

    Example: curl -H "Authorization: Bearer $(byok token ada@example.org)" http://127.0.0.1:8501/usage
    """
    from byok.accounts import api_tokens, users
    from byok.services import Services

    with Services(settings) as services:
        owner = users.by_email(services.db, email)
        if owner.disabled:
            raise Forbidden(f"{owner.email} is disabled.", remedy=f"byok user set {owner.email} --enable")
        click.echo(api_tokens.issue(owner.id, services.jwt_secret, now=utc_now(), ttl_s=ttl))


@click.group("access-token", cls=Group)
def access_token() -> None:
    """Access tokens of a user, for gateway and API: new, list, revoke.

    Example: byok access-token new ada@example.org --label laptop
    """


@access_token.command()
@click.argument("email")
@click.option("--label", default="", metavar="L", help="A name of your own, to know it by when revoking.")
@click.option("--models", metavar="LIST", help="For these models only: names, vendor/name, * for any part, with commas between.")
@click.pass_obj
def new(settings: Settings, email: str, label: str, models: str | None) -> None:
    """Make an access token and print it, once.

    Example: byok access-token new ada@example.org --label laptop --models "gpt-4o-mini,anthropic/*"
    """
    from byok.accounts import access_tokens, users
    from byok.services import Services

    patterns = [] if models is None else models.split(",")
    _refuse_unknown_vendors(settings, patterns)
    with Services(settings) as services:
        owner = users.by_email(services.db, email)
        click.echo(access_tokens.create(services.db, owner.id, now=utc_now(), label=label, models=patterns))


@access_token.command("list")
@click.argument("email", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.pass_obj
def list_(settings: Settings, email: str | None, as_json: bool) -> None:
    """List access tokens, everybody's or a user's; the secrets themselves are not kept.

    Example: byok access-token list ada@example.org
    """
    from byok.accounts import access_tokens
    from byok.services import Services

    with Services(settings) as services:
        emails = emails_of(services.db, email)
        found = [(emails[token.user_id], token) for token in access_tokens.of_everyone(services.db) if token.user_id in emails]
    found.sort(key=lambda pair: pair[0])
    if as_json:
        show_json(
            [
                {
                    "id": t.id,
                    "email": whose,
                    "label": t.label,
                    "created": t.created_at,
                    "last_used": t.last_used_at,
                    "models": list(t.models),
                }
                for whose, t in found
            ]
        )
    else:
        rows = [(t.id, whose, t.label or "-", t.created_at, t.last_used_at, ",".join(t.models) or "all") for whose, t in found]
        show_table(("id", "user", "label", "created", "last used", "models"), rows)


@access_token.command()
@click.argument("which", nargs=-1, required=True, metavar="[EMAIL] TOKEN_ID")
@click.pass_obj
def revoke(settings: Settings, which: tuple[str, ...]) -> None:
    """Revoke an access token by its id; it stops working within 5 s. EMAIL may be left out.

    Example: byok access-token revoke ada@example.org 7Gq2mB81
    """
    from byok.accounts import access_tokens
    from byok.services import Services

    email, token_id = email_and_id(which)
    with Services(settings) as services:
        emails = emails_of(services.db, email)
        owners = [token.user_id for token in access_tokens.of_everyone(services.db) if token.id == token_id and token.user_id in emails]
        if not any(access_tokens.revoke(services.db, owner, token_id) for owner in owners):
            raise NotFound("There is no such access token.", remedy="byok access-token list EMAIL shows the ids.")
    click.echo("Revoked.", err=True)


def _refuse_unknown_vendors(settings: Settings, patterns: list[str]) -> None:
    """A list that names a vendor wrongly would allow nothing, and be found out much later."""
    from byok.gateway import vendors

    known = vendors.vendors(settings)
    for pattern in patterns:
        vendor, slash, _ = pattern.strip().partition("/")
        if slash and not {"*", "?"} & set(vendor) and vendor.lower() not in known:
            raise NotFound(
                f"There is no vendor '{vendor[:40]}'.",
                remedy=f"Before the slash stands the vendor, as in openrouter/openai/gpt-4o. Known are: {', '.join(sorted(known))}.",
            )
