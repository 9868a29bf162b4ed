"""`byok report …`: the mailed summary of a day, a week or a month, now or on schedule."""

import click

from byok.cli.frame import Group, StoreCommand, emails_of, show_json, show_table, utc_now
from byok.errors import ByokError
from byok.settings import Settings

PERIOD = click.Choice(["day", "week", "month"])


class ReportNotSent(ByokError):
    """The mail server did not take it."""

    code = "report_not_sent"

    def __init__(self, said: str) -> None:
        super().__init__(f"The report was not sent: {said}.", remedy="Check BYOK_SMTP_URL and the mail server, then try again.")


@click.group(cls=Group)
def report() -> None:
    """Reports by mail: send, schedule, list.

    Example: byok report send ada@example.org --dry-run
    """


@report.command(cls=StoreCommand)
@click.argument("email")
@click.option("--period", type=PERIOD, default="week", show_default=True, help="The last complete one in the user's zone.")
@click.option("--csv", "with_csv", is_flag=True, help="Attach the figures by model.")
@click.option("--dry-run", is_flag=True, help="Print the mail instead of sending it.")
@click.pass_obj
def send(settings: Settings, email: str, period: str, with_csv: bool, dry_run: bool) -> None:
    """Mail a user the figures of the last complete day, week or month, now.

    Example: byok report send ada@example.org --period month
    """
    from byok.accounts import users
    from byok.accounts.ids import new_id
    from byok.notify import email as mailing
    from byok.notify import reports, source
    from byok.services import Services

    now = utc_now()
    if settings.smtp_url is None and not dry_run:
        raise mailing.MailNotConfigured
    with Services(settings) as services:
        user = users.by_email(services.db, email)
        made = reports.of_last(services, user, period, now=now, spikes=source.spikes(services))  # type: ignore[arg-type]
        mail = reports.mail(services, made, new_id("rep_"), with_csv=with_csv)
        if dry_run:
            click.echo(mailing.message(mail, settings, now).as_string(policy=mailing.PRINTED))
            return
        outcome = mailing.send(mail, settings, now)
    if not outcome.sent:
        raise ReportNotSent(outcome.said)
    click.echo(f"Sent to {user.email}: {mail.subject}.", err=True)


@report.command()
@click.argument("email")
@click.option("--period", type=PERIOD, help="Every day, every Monday (week) or on every first (month).")
@click.option("--at", default="08:00", show_default=True, metavar="HH:MM", help="Time of day.")
@click.option("--tz", metavar="ZONE", help="IANA zone of the time. Default: the user's.")
@click.option("--csv", "with_csv", is_flag=True, help="Attach the figures by model.")
@click.option("--off", is_flag=True, help="No more reports.")
@click.pass_obj
def schedule(settings: Settings, email: str, period: str | None, at: str, tz: str | None, with_csv: bool, off: bool) -> None:
    """Send a user a report every day, week or month; replaces the schedule before. The keeper sends it.

    Example: byok report schedule ada@example.org --period week --at 07:30 --tz Europe/Berlin
    """
    from byok.accounts import users
    from byok.notify import schedules
    from byok.services import Services

    if off == (period is not None):
        raise click.UsageError("Say --period day, week or month, or --off.")
    with Services(settings) as services:
        user = users.by_email(services.db, email)
        if off:
            had = schedules.end(services.db, user.id)
            click.echo("No more reports." if had else "There was no schedule.", err=True)
            return
        made = schedules.put(services.db, user.id, period or "", at=at, tz=tz or user.tz, csv=with_csv, now=utc_now())
    if settings.smtp_url is None:
        click.echo("No mail server is set yet: set BYOK_SMTP_URL, or nothing is sent.", err=True)
    click.echo(f"Next: {made.next_at:%Y-%m-%d %H:%M}Z, then every {made.period} at {made.at} {made.tz}.", err=True)


@report.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.pass_obj
def list_(settings: Settings, as_json: bool) -> None:
    """List all schedules, the next one first.

    Example: byok report list
    """
    from byok.notify import schedules
    from byok.services import Services

    with Services(settings) as services:
        emails = emails_of(services.db)
        found = schedules.everyones(services.db)
    rows = [(emails.get(s.user_id), s.period, s.at, s.tz, s.csv, s.next_at) for s in found]
    names = ("email", "period", "at", "tz", "csv", "next")
    if as_json:
        show_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        show_table(names, rows)
