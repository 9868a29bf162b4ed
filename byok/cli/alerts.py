"""`byok alert …`: who is told of spikes, thresholds, silence, first uses and budgets, and where."""

from typing import Any

import click

from byok.cli.frame import Group, StoreCommand, secret_from_stdin, show_json, show_table, utc_now
from byok.errors import ByokError, NotFound
from byok.settings import Settings

OWN_ADDRESS = "-"


class TestFailed(ByokError):
    """The receiver did not take the sample."""

    code = "test_failed"

    def __init__(self, said: str) -> None:
        super().__init__(f"The sample did not arrive: {said}.", remedy="Check the address and the network; byok alert list shows the rule.")


@click.group(cls=Group)
def alert() -> None:
    """Alert rules: add, list, pause, resume, remove, test.

    Example: byok alert add ada@example.org --slack < webhook-url.txt
    """


@alert.command()
@click.argument("email")
@click.option("--slack", is_flag=True, help="To a Slack incoming webhook; its URL is read from standard input.")
@click.option("--webhook", is_flag=True, help="To any receiver, signed; its URL is read from standard input.")
@click.option("--mail", is_flag=False, flag_value=OWN_ADDRESS, metavar="[ADDRESS]", help="By mail. Default: the user's own e-mail.")
@click.option("--all-users", is_flag=True, help="Watch all users, not only this one (admins).")
@click.option("--min-tokens", type=click.IntRange(0), default=1000, show_default=True, metavar="N", help="Tell of no hour with fewer.")
@click.option("--metric", type=click.Choice(["tokens", "calls", "failed", "cost"]), help="Only this. Default: any; with --above: tokens.")
@click.option("--vendor", metavar="V", help="Only calls of this vendor.")
@click.option("--model", metavar="M", help="Only calls of this model.")
@click.option("--sensitivity", type=click.Choice(["every", "strong", "extreme"]), default="every", show_default=True, help="Of spikes.")
@click.option(
    "--above", "alert_at", type=click.FloatRange(0, min_open=True), metavar="AMOUNT", help="Instead of spikes: alert from this amount on."
)
@click.option("--warn", "warn_at", type=click.FloatRange(0, min_open=True), metavar="AMOUNT", help="And warn from this one on.")
@click.option("--window", type=click.Choice(["hour", "day"]), default="hour", show_default=True, help="Within which it is reached.")
@click.option("--silent-for", "silent_hours", type=click.IntRange(1, 168), metavar="HOURS", help="Instead of spikes: no call for so long.")
@click.option("--first-use", is_flag=True, help="Instead of spikes: a model or key that was not used in the last eight weeks.")
@click.option("--budgets", is_flag=True, help="Instead of spikes: budgets, at 80 and 100 % and where the month leads.")
@click.option("--quiet", metavar="HH:MM-HH:MM", help="Hold messages back between these times of the user's day.")
@click.pass_obj
def add(settings: Settings, /, email: str, slack: bool, webhook: bool, mail: str | None, **terms: Any) -> None:
    """Add a rule and print its id. A web address comes from standard input, never from the arguments, and is stored encrypted.

    Example: byok alert add ada@example.org --slack --min-tokens 5000 < webhook-url.txt
    """
    from byok.accounts import alert_rules, users
    from byok.notify import listing
    from byok.services import Services

    channel = _channel(slack=slack, webhook=webhook, mail=mail is not None)
    meant = listing.terms(**_of_one_kind(terms))
    text = (None if mail == OWN_ADDRESS else mail) if channel == "mail" else secret_from_stdin("Webhook URL")
    target = listing.target(settings, channel, text)
    with Services(settings) as services:
        owner = users.by_email(services.db, email)
        rule, signing = alert_rules.add(services.db, services.master, owner.id, meant, target, now=utc_now())
    click.echo(f"To {rule.to}: {listing.when(rule)}.", err=True)
    if rule.channel == "mail" and settings.smtp_url is None:
        click.echo("No mail server is set yet: set BYOK_SMTP_URL, or nothing is sent.", err=True)
    if signing is not None:
        click.echo(f"Messages are signed with this secret, shown only this once: {signing.reveal()}", err=True)
    click.echo(rule.id)


def _channel(**said: bool) -> str:
    channels = [name for name, meant in said.items() if meant]
    if len(channels) != 1:
        raise click.UsageError("Name one of --slack, --webhook and --mail.")
    return channels[0]


def _of_one_kind(terms: dict[str, Any]) -> dict[str, Any]:
    threshold = terms["alert_at"] is not None or terms["warn_at"] is not None
    if sum((threshold, terms["silent_hours"] is not None, terms["first_use"], terms["budgets"])) > 1:
        raise click.UsageError("A rule is for a threshold, silence, first uses or budgets: make two.")
    return terms


@alert.command("list")
@click.argument("email", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.pass_obj
def list_(settings: Settings, email: str | None, as_json: bool) -> None:
    """List rules (of one user, or all) with how the last message went. Of a web address host and last four characters are shown.

    Example: byok alert list ada@example.org
    """
    from byok.accounts import alert_rules, users
    from byok.notify import listing, outbox
    from byok.services import Services

    with Services(settings) as services:
        db = services.db
        rules = alert_rules.of_user(db, users.by_email(db, email).id) if email else alert_rules.all_rules(db)
        if as_json:
            show_json(listing.rows(db, rules))
            return
        last = outbox.last_of_rules(db, [rule.id for rule in rules])
    shown = []
    for rule in rules:
        newest = last.get(rule.id)
        shown.append(
            (
                *(rule.id, rule.owner.email, rule.channel, rule.to, listing.when(rule)),
                *("paused" if rule.paused else listing.status(newest), newest.created_at if newest else None),
            )
        )
    show_table(("id", "user", "channel", "to", "when", "last message", "of"), shown)


@alert.command()
@click.argument("rule_id")
@click.pass_obj
def remove(settings: Settings, rule_id: str) -> None:
    """Remove a rule, with everything that is still to be sent by it.

    Example: byok alert remove alr_Zk3v9Qp1Lw2s
    """
    from byok.accounts import alert_rules
    from byok.services import Services

    with Services(settings) as services:
        rule = alert_rules.get(services.db, rule_id)
        if rule is None or not alert_rules.remove(services.db, rule.owner.id, rule.id):
            raise _unknown(rule_id)
    click.echo(f"Removed {rule.id}.", err=True)


@alert.command()
@click.argument("rule_id")
@click.pass_obj
def pause(settings: Settings, rule_id: str) -> None:
    """Let a rule rest: it tells nothing until it is resumed, and nothing of that time afterwards.

    Example: byok alert pause alr_Zk3v9Qp1Lw2s
    """
    _set_paused(settings, rule_id, True)


@alert.command()
@click.argument("rule_id")
@click.pass_obj
def resume(settings: Settings, rule_id: str) -> None:
    """Let a rule that rests hold again, from now on.

    Example: byok alert resume alr_Zk3v9Qp1Lw2s
    """
    _set_paused(settings, rule_id, False)


def _set_paused(settings: Settings, rule_id: str, paused: bool) -> None:
    from byok.accounts import alert_rules
    from byok.services import Services

    with Services(settings) as services:
        rule = alert_rules.get(services.db, rule_id)
        if rule is None or not alert_rules.pause(services.db, rule.owner.id, rule.id, paused, now=utc_now()):
            raise _unknown(rule_id)
    click.echo(f"{'Paused' if paused else 'Resumed'} {rule.id}.", err=True)


@alert.command(cls=StoreCommand)
@click.argument("rule_id")
@click.pass_obj
def test(settings: Settings, rule_id: str) -> None:
    """Send a sample by a rule, once, and say whether it arrived.

    Example: byok alert test alr_Zk3v9Qp1Lw2s
    """
    from byok.accounts import alert_rules
    from byok.notify import delivery
    from byok.services import Services

    with Services(settings) as services:
        rule = alert_rules.get(services.db, rule_id)
        if rule is None:
            raise _unknown(rule_id)
        outcome = delivery.test(services, rule, now=utc_now())
        if not outcome.sent:
            raise TestFailed(outcome.said)
    click.echo(f"Sent to {rule.to} ({outcome.said}).", err=True)


def _unknown(rule_id: str) -> NotFound:
    return NotFound(f"There is no alert rule {rule_id[:40]}.", remedy="byok alert list shows the ids.")
