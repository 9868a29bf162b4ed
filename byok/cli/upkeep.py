"""What an operator does by hand now and then: purge, compact, doctor, rotate-master-key."""

from pathlib import Path

import click

from byok import in_words
from byok.cli.frame import StoreCommand, emails_of, show_json, utc_now
from byok.errors import NotFound
from byok.settings import Settings


@click.command(cls=StoreCommand)
@click.option("--dry-run", is_flag=True, help="Count what would be deleted, and delete nothing.")
@click.option("--force", is_flag=True, help="Also when the clock looks as if it had jumped.")
@click.option("--json", "as_json", is_flag=True, help="The receipt as one JSON object.")
@click.pass_obj
def purge(settings: Settings, dry_run: bool, force: bool, as_json: bool) -> None:
    """Delete usage older than each plan keeps it, from every file. The keeper does the same by itself.

    Example: byok purge --dry-run
    """
    from byok.retention import Retention
    from byok.services import Services

    now = utc_now()
    with Services(settings) as services:
        rooms = Retention.of(settings, services.db)
        receipt = rooms.purge(now=now, dry_run=dry_run, force=force)
        emails = emails_of(services.db)
    if as_json:
        show_json(receipt)
        return
    for line in receipt["users"]:
        click.echo(f"{emails.get(line['user_id'], line['user_id']):40} {line['rows']:>12,} rows before {line['before']}")
    verb = "would be deleted" if dry_run else "deleted"
    click.echo(f"{receipt['rows']:,} rows in {receipt['files']:,} files {verb}, {receipt['seconds']:.1f} s. Receipt {receipt['receipt']}.")


@click.command(cls=StoreCommand)
@click.option("--json", "as_json", is_flag=True, help="What was done, as one JSON object.")
@click.pass_obj
def compact(settings: Settings, as_json: bool) -> None:
    """Publish the sealed journal and merge small files, now. Waits for a running keeper.

    Example: byok compact
    """
    import time

    from byok import keeper
    from byok.recording.table import Table
    from byok.services import Services

    started, table = time.monotonic(), Table(settings.usage_dir)
    before = table.snapshot().files
    with Services(settings) as services:
        keeper.once(settings, services.db)
    after = table.snapshot().files
    done = {
        "rows": sum(file.rows for file in after),
        "files_before": len(before),
        "files": len(after),
        "bytes": sum(file.bytes for file in after),
        "seconds": round(time.monotonic() - started, 3),
    }
    if as_json:
        show_json(done)
    else:
        size = f"{done['bytes'] / 1e6:,.1f} MB"
        click.echo(f"{done['rows']:,} rows in {done['files']} files (before: {done['files_before']}), {size}, {done['seconds']:.1f} s.")


@click.command(cls=StoreCommand)
@click.option("--json", "as_json", is_flag=True, help="One JSON array of the findings.")
@click.option("--forget-machine", metavar="NAME", help="First strike out a machine that will not come back, with what its journal held.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool, forget_machine: str | None) -> None:
    """Check installation, settings, keys, files, disk and clock; name each fault and its remedy. Exit code 1 if there is one.

    Example: byok doctor
    """
    import os

    from byok import doctor

    if forget_machine is not None:
        _forget_machine(ctx.obj, forget_machine)
    findings = doctor.examine(ctx.obj, os.environ, now=utc_now())
    if as_json:
        show_json([finding._asdict() for finding in findings])
    else:
        for finding in findings:
            mark = "ok   " if finding.ok else "FAULT"
            click.echo(f"{mark}  {finding.what:14} {finding.said}" + (f"\n       {'':14} -> {finding.remedy}" if finding.remedy else ""))
    if not all(finding.ok for finding in findings):
        ctx.exit(1)


def _forget_machine(settings: Settings, name: str) -> None:
    from byok.accounts import database, hosts

    with database.open_database(settings.accounts_database) as db:
        if not hosts.forget(db, name):
            raise NotFound("There is no such machine.", remedy="byok doctor names those that went silent.")


@click.command("rotate-master-key", cls=StoreCommand)
@click.option(
    "--new-key",
    "new_key_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Take the key in FILE (32 bytes, base64, mode 0600) instead of making one.",
)
@click.option("--json", "as_json", is_flag=True, help="What was done, as one JSON object.")
@click.pass_obj
def rotate_master_key(settings: Settings, new_key_file: Path | None, as_json: bool) -> None:
    """Replace the master key; stored vendor keys are wrapped anew. What runs picks the new key up by itself. After a kill: run it again.

    Example: byok rotate-master-key
    """
    from byok.accounts import database, rotation
    from byok.accounts.errors import AccountsUnavailable

    scrubbed = True
    with database.open_database(settings.accounts_database) as db:
        done = rotation.rotate(settings, db, new_key_file=new_key_file)
        try:
            database.scrub(db)
        except AccountsUnavailable:
            scrubbed = False
    if as_json:
        show_json({"rows": done.rows, "finished_earlier_run": done.rows is None, "kek_id": done.kek_id, "scrubbed": scrubbed})
        return
    said = (
        "An earlier rotation is finished."
        if done.rows is None
        else f"{in_words.plural(done.rows, 'stored secret')} wrapped with the new master key."
    )
    click.echo(f"{said} It is in {done.key_file}; keep a copy of it elsewhere.")
    if settings.master_key is not None:
        click.echo(f"Now set BYOK_MASTER_KEY_FILE={done.key_file}, unset BYOK_MASTER_KEY, and start everything again.")
    else:
        click.echo(f"The old one is in {done.key_file}.old: only backups from before need it.")
    if not scrubbed:
        click.echo("The database was busy: pages with the old wrappings stay in its files until they are used again.", err=True)
