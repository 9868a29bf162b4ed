"""`byok key …`: a user's own vendor keys, encrypted at rest; the secret comes from standard input only."""

from typing import TYPE_CHECKING

import click

from byok.cli.frame import Group, check_vendor, email_and_id, emails_of, secret_from_stdin, show_json, show_table, utc_now
from byok.errors import NotFound
from byok.settings import Settings

if TYPE_CHECKING:
    from byok.accounts.database import Database
    from byok.accounts.key_vault import VendorKey


@click.group(cls=Group)
def key() -> None:
    """Vendor keys of a user: add, list, default, revoke.

    Example: byok key add ada@example.org --vendor openai < key.txt
    """


@key.command()
@click.argument("email")
@click.option("--vendor", required=True, metavar="V", help="Whose key it is, such as openai or anthropic.")
@click.option("--label", default="", metavar="L", help="A name of your own, shown on the Keys page.")
@click.pass_obj
def add(settings: Settings, email: str, vendor: str, label: str) -> None:
    """Store a vendor key, read from standard input; prints its id.

    Example: byok key add ada@example.org --vendor openai --label laptop < key.txt
    """
    from byok.accounts import key_vault, users
    from byok.services import Services

    check_vendor(settings, vendor)
    secret = secret_from_stdin(f"{vendor} key")
    with Services(settings) as services:
        owner = users.by_email(services.db, email)
        stored = key_vault.add(services.db, services.master, owner.id, vendor, secret, now=utc_now(), label=label)
    click.echo(f"Stored the {vendor} key …{stored.last_four}{', the default for this vendor' if stored.default else ''}.", err=True)
    click.echo(stored.id)


@key.command("list")
@click.argument("email", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.pass_obj
def list_(settings: Settings, email: str | None, as_json: bool) -> None:
    """List vendor keys, everybody's or a user's: names and last four characters, and since when the vendor refuses one.

    Example: byok key list ada@example.org
    """
    from byok.services import Services

    with Services(settings) as services:
        found = _keys(services.db, email)
    if as_json:
        show_json(
            [
                {
                    "id": k.id,
                    "email": whose,
                    "vendor": k.vendor,
                    "label": k.label,
                    "last_four": k.last_four,
                    "default": k.default,
                    "created": k.created_at,
                    "last_used": k.last_used_at,
                    "refused": k.refused_at,
                }
                for whose, k in found
            ]
        )
    else:
        rows = [
            (k.id, whose, k.vendor, k.label or "-", f"…{k.last_four}", k.default, k.created_at, k.last_used_at, k.refused_at)
            for whose, k in found
        ]
        show_table(("id", "user", "vendor", "label", "key", "default", "created", "last used", "refused"), rows)


@key.command()
@click.argument("which", nargs=-1, required=True, metavar="[EMAIL] KEY_ID")
@click.pass_obj
def default(settings: Settings, which: tuple[str, ...]) -> None:
    """Make a key the one that calls of its vendor use unless they name another; from 5 s on. EMAIL may be left out.

    Example: byok key default ada@example.org key_Zk3v9Qp1Lw2s
    """
    from byok.accounts import key_vault
    from byok.services import Services

    email, key_id = email_and_id(which)
    with Services(settings) as services:
        found = _named(services.db, email, key_id)
        key_vault.make_default(services.db, found.user_id, key_id)
    click.echo(f"{key_id} is the default for {found.vendor}.", err=True)


@key.command()
@click.argument("which", nargs=-1, required=True, metavar="[EMAIL] KEY_ID")
@click.pass_obj
def revoke(settings: Settings, which: tuple[str, ...]) -> None:
    """Delete a vendor key; calls with it stop within 5 s. EMAIL may be left out.

    Example: byok key revoke ada@example.org key_Zk3v9Qp1Lw2s
    """
    from byok.accounts import key_vault
    from byok.services import Services

    email, key_id = email_and_id(which)
    with Services(settings) as services:
        key_vault.revoke(services.db, _named(services.db, email, key_id).user_id, key_id)
    click.echo(f"Revoked {key_id}.", err=True)


def _keys(db: "Database", email: str | None) -> list[tuple[str, "VendorKey"]]:
    """Each key after its user's e-mail, by that and the vendor: a user's, or with None everybody's."""
    from byok.accounts import key_vault

    emails = emails_of(db, email)
    found = [(emails[key.user_id], key) for key in key_vault.of_everyone(db) if key.user_id in emails]
    return sorted(found, key=lambda pair: (pair[0], pair[1].vendor))


def _named(db: "Database", email: str | None, key_id: str) -> "VendorKey":
    for _, key in _keys(db, email):
        if key.id == key_id:
            return key
    raise NotFound(f"There is no vendor key {key_id[:40]}.", remedy="byok key list EMAIL shows the ids.")
