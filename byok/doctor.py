"""`byok doctor`: looks at an installation from settings to the last usage file, and names each fault with its remedy. Changes nothing."""

import asyncio
import errno
import shutil
import sqlite3
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from byok import in_words, listening
from byok.errors import ByokError
from byok.settings import Settings, unknown_names
from byok.settings.addresses import is_safe_origin
from byok.supervisor import answers_ready

LEAST_FREE_BYTES = 1 << 30
LATEST_AHEAD = timedelta(minutes=5)
LONGEST_BACKLOG_S = 600
MOST_WAITING = 500  # sealed segments after a publication
LONGEST_UNCOUNTED = timedelta(minutes=2)
_RESTORE = "Restore it from a backup (docs/operations.md)"
_EARLIEST_CLOCK = datetime(2026, 1, 1, tzinfo=UTC)  # this software did not exist before


class Finding(NamedTuple):
    """One thing looked at. `remedy` stands with every fault, and as advice with some that are well."""

    what: str
    ok: bool
    said: str
    remedy: str = ""


def _fault(what: str, said: str, remedy: str) -> Finding:
    return Finding(what, False, said, remedy)


def examine(settings: Settings, environ: Mapping[str, str], *, now: datetime, requirements: Path | None = None) -> list[Finding]:
    """Look at everything; a part that cannot be looked at is a fault of its own and does not hide the others."""
    parts: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("installation", lambda: _installation(requirements or Path(__file__).parents[1] / "requirements.txt")),
        ("settings", lambda: _settings(settings, environ)),
        ("clock", lambda: _clock(now)),
        ("data", lambda: _directories(settings)),
        ("disk", lambda: _disk(settings)),
        ("master key", lambda: _master_key(settings)),
        ("accounts", lambda: _accounts(settings)),
        ("budgets", lambda: _budgets(settings, now)),
        ("sign-in service", lambda: _sign_on(settings)),
        ("notifications", lambda: _notifications(settings)),
        ("prices", _prices),
        ("usage table", lambda: _table(settings)),
        ("records", lambda: _records(settings, now)),
        ("journal", lambda: _journal(settings, now)),
        ("keeper", lambda: _keeper(settings, now)),
        ("machines", lambda: _machines(settings, now)),
        ("ports", lambda: _ports(settings)),
    ]
    return [finding for what, look in parts for finding in _guarded(what, look)]


def _guarded(what: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from look()
    except ByokError as error:
        yield Finding(what, False, error.message, error.remedy)
    except OSError as error:
        place = error.filename or "a file"
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "Free some space." if full else "Correct its owner and mode, or restore it from a backup."
        yield _fault(what, f"{place}: {error.strerror}", remedy)
    except Exception as error:
        yield _fault(what, f"cannot be examined ({type(error).__name__})", f"{_RESTORE}, or report this.")


def _installation(requirements: Path) -> Iterator[Finding]:
    wrong = []
    lines = requirements.read_text(encoding="utf-8").splitlines() if requirements.exists() else []
    for name, wanted in (line.split("#")[0].strip().split("==") for line in lines if "==" in line.split("#")[0]):
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            found = "missing"
        if found != wanted:
            wrong.append(f"{name} {found} instead of {wanted}")
    python = ".".join(map(str, sys.version_info[:3]))
    if wrong:
        yield _fault("installation", f"Python {python}; {', '.join(wrong)}", "make install")
    else:
        yield Finding("installation", True, f"Python {python}, packages as required")


def _settings(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    strangers = unknown_names(environ)
    yield Finding("settings", True, "; ".join(["make sense", *strangers]), "Check these names." if strangers else "")
    if settings.master_key is not None:
        yield Finding("settings", True, "BYOK_MASTER_KEY is in the environment", "Safer in a file: BYOK_MASTER_KEY_FILE.")
    if settings.public_url and not settings.public_gateway_url:
        said = f"the Keys page tells people to call {settings.programs_url}"
        yield Finding("settings", True, said, "If programs reach the gateway under another address: BYOK_PUBLIC_GATEWAY_URL.")


def _clock(now: datetime) -> Iterator[Finding]:
    well = now > _EARLIEST_CLOCK
    yield Finding("clock", well, now.strftime("%Y-%m-%d %H:%M:%SZ"), "" if well else "Set the clock; is a time service (NTP) running?")


def _directories(settings: Settings) -> Iterator[Finding]:
    if not settings.data.exists():
        yield Finding("data", True, f"{settings.data} does not exist yet; the first start makes it")
        return
    usage = [settings.usage_dir] if isinstance(settings.usage_dir, Path) else []
    for directory in (settings.data, settings.journal_dir, *usage, settings.exports_dir):
        if directory.exists():
            _probe(directory)
    yield Finding("data", True, f"{settings.data} can be written")


def _probe(directory: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=directory) as probe:
            probe.write(b"x")
            probe.flush()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(directory)) from None


def _disk(settings: Settings) -> Iterator[Finding]:
    there = next(path for path in (settings.data, *settings.data.parents) if path.exists())
    free = shutil.disk_usage(there).free
    well = free >= LEAST_FREE_BYTES
    yield Finding("disk", well, f"{free / 1e9:,.1f} GB free", "" if well else "Free some space: a full disk loses records (never answers).")


def _master_key(settings: Settings) -> Iterator[Finding]:
    from byok.accounts import database, master_key, rotation

    path = settings.master_key_file
    file = settings.accounts_file
    used = file is None or file.exists()
    if settings.master_key is None and not path.exists():
        yield Finding(
            "master key", not used, f"{path} does not exist", "Restore it from your backup: without it no vendor key opens." if used else ""
        )
        return
    master_key.load_master_key(settings)
    if used:
        with database.open_database(settings.accounts_database) as db:
            key = rotation.key_in_force(settings, db)
            master_key.check_master_key(db, key)
            closed = rotation.unreadable(db, key)
        if closed:
            said = f"{in_words.plural(len(closed), 'stored secret')} damaged, not to be opened: {', '.join(closed[:5])}"
            yield _fault("master key", said, "Restore accounts.db from a backup; or remove them and add them again (byok key, byok alert).")
            return
    yield Finding("master key", True, "opens this database" if used else "well formed")


def _accounts(settings: Settings) -> Iterator[Finding]:
    from byok.accounts import database, users

    file = settings.accounts_file
    if file is not None and not file.exists():
        yield Finding("accounts", True, "no database yet; the first start makes it")
        return
    if file is not None:
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as raw:
            said = raw.execute("pragma quick_check(1)").fetchone()[0]
        raw.close()
        if said != "ok":
            yield _fault("accounts", f"{file} is damaged", f"{_RESTORE}.")
            return
        mode = stat.S_IMODE(file.stat().st_mode)
        if mode & 0o077:
            yield _fault("accounts", f"{file} can be read by others (mode {mode:04o})", f"chmod 600 {file}")
    with database.open_database(settings.accounts_database) as db:
        everyone = users.all_users(db)
    admins = sum(user.admin and not user.disabled for user in everyone)
    advice = "" if admins or not everyone else "Make one: byok user set EMAIL --admin"
    if lost := sum(user.tz != user.stored_tz for user in everyone):
        said = f"{in_words.plural(lost, 'user')} with a time zone that this machine does not know: their days are those of UTC"
        yield _fault("accounts", said, "make install (tzdata has the zones), or set another: byok user set EMAIL --tz ZONE")
    yield Finding("accounts", True, f"{in_words.plural(len(everyone), 'user')}, {in_words.plural(admins, 'admin')}", advice)


def _budgets(settings: Settings, now: datetime) -> Iterator[Finding]:
    from byok.accounts import budgets, database

    file = settings.accounts_file
    if file is not None and not file.exists():
        return
    with database.open_database(settings.accounts_database) as db:
        found = budgets.every(db)
    oldest = min((one.figure.counted_at if one.figure else one.created_at for one in found), default=now)
    if now - oldest > LONGEST_UNCOUNTED:
        said = f"what is used up of {len(found)} budgets was last counted {oldest:%Y-%m-%d %H:%M}Z: hard ones stop nothing new"
        yield _fault("budgets", said, "Start the keeper (byok keeper); its log says why it does not count.")
    elif found:
        yield Finding("budgets", True, f"{len(found)}, counted by the keeper")


def _sign_on(settings: Settings) -> Iterator[Finding]:
    """Asks the service what it says of itself, and whether that is enough; nothing, where there is none."""
    if not settings.oidc_issuer:
        return
    from byok.oidc import ALGORITHMS, Provider, client_secret
    from byok.sign_on import callback_address

    what, file = "sign-in service", settings.oidc_client_secret_file
    client_secret(settings)
    if file is not None and (mode := stat.S_IMODE(file.stat().st_mode)) & 0o077:
        yield _fault(what, f"{file} can be read by others (mode {mode:04o})", f"chmod 600 {file}")
    if not is_safe_origin(settings.dashboard_url):
        yield _fault(what, f"{settings.dashboard_url} is not https", "Put TLS in front and set BYOK_PUBLIC_URL: sign-ins could be read.")
    said = asyncio.run(Provider(settings).describe())
    if not set(said.id_token_signing_alg_values_supported) & set(ALGORITHMS):
        yield _fault(what, "signs in no way that is trusted", f"Let it sign ID tokens with one of {', '.join(ALGORITHMS)}.")
    pkce = "" if "S256" in said.code_challenge_methods_supported else "; it does not say that it knows PKCE (S256)"
    yield Finding(what, True, f"answers; it must know {callback_address(settings.dashboard_url)}{pkce}")


def _notifications(settings: Settings) -> Iterator[Finding]:
    from byok.accounts import alert_rules, database, rotation
    from byok.notify import email, outgoing, schedules

    file = settings.accounts_file
    if file is not None and not file.exists():
        return
    with database.open_database(settings.accounts_database) as db:
        rules, planned = alert_rules.all_rules(db), schedules.everyones(db)
        if settings.smtp_url is None and (planned or any(rule.channel == "mail" for rule in rules)):
            yield _fault("notifications", "mails are to be sent, and no mail server is set", "Set BYOK_SMTP_URL and BYOK_MAIL_FROM.")
            return
        for rule in (rule for rule in rules if rule.channel != "mail"):
            url, _ = alert_rules.web_address(db, rotation.key_in_force(settings, db), rule)
            outgoing.allowed(url.reveal(), settings.webhook_hosts)
    if settings.smtp_url is not None and not (tried := email.reach(settings)).sent:
        yield _fault("notifications", f"the mail server does not take mails ({tried.said})", "Look at BYOK_SMTP_URL, and at that server.")
        return
    yield Finding("notifications", True, f"{in_words.plural(len(rules), 'alert rule')}, {in_words.plural(len(planned), 'report schedule')}")


def _prices() -> Iterator[Finding]:
    from byok.pricing import catalogue

    yield Finding("prices", True, f"{len(catalogue.load().models())} models")


def _table(settings: Settings) -> Iterator[Finding]:
    import duckdb

    from byok.recording.table import Table, TableLost
    from byok.store.desk import reads_whole

    if isinstance(settings.usage_dir, Path) and not settings.usage_dir.exists():
        yield Finding("usage table", True, "no table yet; the keeper makes it")
        return
    table = Table(settings.usage_dir)
    table.place.vouch()
    (version, files, _), broken = table.snapshot(), 0
    if version < 0 and table.unreferenced():
        raise TableLost
    with duckdb.connect(":memory:") as scratch:
        for file in files:
            table.fetch([file])
            if not reads_whole(scratch, file.path):
                broken += 1
                remedy = "Restore this file from a backup; until then its rows are missing from every answer."
                yield _fault("usage table", f"{file.path} {'cannot be read' if Path(file.path).exists() else 'is missing'}", remedy)
    if not broken:
        unnamed = len(table.unreferenced())
        said = f"{sum(file.rows for file in files):,} rows in {len(files)} files"
        yield Finding("usage table", True, said + (f"; {unnamed} files that it does not name" if unnamed else ""))


def _records(settings: Settings, now: datetime) -> Iterator[Finding]:
    from byok import neglected
    from byok.recording.reader import Reader

    view = Reader(settings.usage_dir, settings.journal_dir).view()
    if view.newest_ts is not None and view.newest_ts > now + LATEST_AHEAD:
        said = f"the newest record is of {view.newest_ts:%Y-%m-%d %H:%M}Z, after now"
        yield _fault("records", said, "Set the clock of this machine, or of the gateway that wrote it.")
    elif view.newest_ts is not None:
        yield Finding("records", True, f"newest {view.newest_ts:%Y-%m-%d %H:%M:%S}Z, {view.tail.num_rows:,} not yet published")
    if strangers := neglected.strangers(settings, view):
        remedy = "Restore the accounts database that belongs to these files: nobody sees these records, and no purge takes them."
        yield _fault("records", f"there are records of {in_words.plural(strangers, 'user')} whom the accounts do not know", remedy)
    if view.bad_lines:
        yield Finding(
            "records", False, f"{view.bad_lines:,} damaged lines in the journal", "Check disk and memory; the keeper sets the lines aside."
        )


def _journal(settings: Settings, now: datetime) -> Iterator[Finding]:
    from byok.recording import segments

    if kept := segments.quarantined_lines(settings.journal_dir):
        remedy = "Look at them, then delete the directory; check disk and memory."
        yield _fault("journal", f"{kept:,} damaged lines in {settings.journal_dir / segments.QUARANTINE}", remedy)
    waiting = segments.listed(settings.journal_dir)
    ages = [now.timestamp() - segment.path.stat().st_mtime for segment in waiting if segments.is_sealed(segment.path)]
    if ages and max(ages) > LONGEST_BACKLOG_S:
        remedy = "Start the keeper: byok keeper (or byok up). Nothing is lost meanwhile."
        yield _fault("journal", f"{len(ages)} sealed segments wait, the oldest for {max(ages) / 60:,.0f} min", remedy)
    elif not kept:
        yield Finding("journal", True, in_words.plural(len(waiting), "segment"))


def _keeper(settings: Settings, now: datetime) -> Iterator[Finding]:
    """What is late: its own log tells of each run that failed, but nobody may look there, and it may not run at all."""
    from byok import neglected
    from byok.accounts import database

    file = settings.accounts_file
    if file is not None and not file.exists():
        return
    with database.open_database(settings.accounts_database) as db:
        found = list(neglected.late(settings, db, now=now))
    for one in found:
        yield Finding("keeper", one.well, one.said, one.remedy)
    if all(one.well for one in found):
        yield Finding("keeper", True, "nothing is late")


def _machines(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Those that share the accounts: a keeper that went silent may have left a journal that nobody published."""
    from byok.accounts import database, hosts

    if settings.accounts_file is not None:
        return
    with database.open_database(settings.accounts_database) as db:
        found = hosts.every(db)
    for host in found:
        silent_s = (now - host.at).total_seconds()
        if silent_s > hosts.SILENT_AFTER_S and not host.stopped:
            remedy = f"Start its keeper, which publishes what waits there. If it is gone for good: byok doctor --forget-machine {host.name}"
            waited = f"{host.segments} segments of its journal waited then"
            yield _fault("machines", f"{host.name} has said nothing for {silent_s / 60:,.0f} min; {waited}", remedy)
        elif host.segments > MOST_WAITING:
            yield _fault("machines", f"{host.segments} segments of the journal wait on {host.name}", "Its log says why it cannot publish.")
    if found:
        yield Finding("machines", True, f"{len(found)} share these accounts")


def _ports(settings: Settings) -> Iterator[Finding]:
    for name, port, setting in (
        ("gateway", settings.gateway_port, "BYOK_GATEWAY_PORT"),
        ("web", settings.web_port, "BYOK_WEB_PORT"),
    ):
        if listening.is_free(settings.host, port):
            yield Finding("ports", True, f"{name} is not running, port {port} is free")
        elif answers_ready(settings.host, port):
            yield Finding("ports", True, f"{name} is ready on port {port}")
        else:
            remedy = f"If another program has it, set {setting}; if it is {name}, its log says why it is not ready."
            yield _fault("ports", f"port {port} of {name} is taken and does not say that it is ready", remedy)
