"""What the accounts know: secrets, people, budgets, the sign-in service, who is told what, the machines that share them."""

import asyncio
import contextlib
import sqlite3
import stat
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from byok import in_words
from byok.doctor.finding import RESTORE, Finding, fault
from byok.settings import Settings
from byok.settings.addresses import is_safe_origin

LONGEST_UNCOUNTED = timedelta(minutes=2)
MOST_WAITING = 500  # sealed segments after a publication


def exist(settings: Settings) -> bool:
    """Whether there is a database to look into: a server has one, the first start makes a file."""
    file = settings.accounts_file
    return file is None or file.exists()


def check_master_key(settings: Settings) -> Iterator[Finding]:
    from byok.accounts import database, master_key, rotation

    path = settings.master_key_file
    used = exist(settings)
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
            yield fault("master key", said, "Restore accounts.db from a backup; or remove them and add them again (byok key, byok alert).")
            return
    yield Finding("master key", True, "opens this database" if used else "well formed")


def check_jwt_secret(settings: Settings) -> Iterator[Finding]:
    """That of a file: whoever reads it is every user to the API. The usual one is derived from the master key."""
    from byok.accounts import api_tokens, master_key

    if (file := settings.jwt_secret_file) is None:
        return
    has_key = settings.master_key is not None or settings.master_key_file.exists()
    api_tokens.jwt_secret(settings, master_key.load_master_key(settings) if has_key else b"")
    found = _only_ours(file, "JWT secret") or Finding("JWT secret", True, "well formed")
    yield found._replace(ok=True)  # a container's secret may lie open, and be its own alone


def _only_ours(file: Path, what: str) -> Finding | None:
    """The fault that others can read a file with a secret, if they can."""
    mode = stat.S_IMODE(file.stat().st_mode)
    return fault(what, f"{file} can be read by others (mode {mode:04o})", f"chmod 600 {file}") if mode & 0o077 else None


def check_accounts(settings: Settings) -> Iterator[Finding]:
    from byok.accounts import database, users

    if not exist(settings):
        yield Finding("accounts", True, "no database yet; the first start makes it")
        return
    if (file := settings.accounts_file) is not None:
        if not _is_sound(file):
            yield fault("accounts", f"{file} is damaged", f"{RESTORE}.")
            return
        if open_to_others := _only_ours(file, "accounts"):
            yield open_to_others
    with database.open_database(settings.accounts_database) as db:
        everyone = users.all_users(db)
    admins = sum(user.admin and not user.disabled for user in everyone)
    advice = "" if admins or not everyone else "Make one: byok user set EMAIL --admin"
    if lost := sum(user.tz != user.stored_tz for user in everyone):
        said = f"{in_words.plural(lost, 'user')} with a time zone that this machine does not know: their days are those of UTC"
        yield fault("accounts", said, "make install (tzdata has the zones), or set another: byok user set EMAIL --tz ZONE")
    yield Finding("accounts", True, f"{in_words.plural(len(everyone), 'user')}, {in_words.plural(admins, 'admin')}", advice)


def _is_sound(file: Path) -> bool:
    """Whether SQLite finds no fault, on a disk that cannot be written, too. Raises OSError if we may not read the file."""
    file.open("rb").close()
    for mode in ("mode=ro", "mode=ro&immutable=1"):
        try:
            with contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?{mode}", uri=True)) as raw:
                return bool(raw.execute("pragma quick_check(1)").fetchone()[0] == "ok")
        except sqlite3.OperationalError:  # no room for its log's index, or no right to make one
            continue
        except sqlite3.DatabaseError:
            return False
    return False


def check_vendor_keys(settings: Settings) -> Iterator[Finding]:
    """Those that their vendor answered with 401 when they were last tried, as the gateway noted it: no vendor is asked."""
    from byok.accounts import database, key_vault

    if not exist(settings):
        return
    with database.open_database(settings.accounts_database) as db:
        found = key_vault.of_everyone(db)
    if refused := [key for key in found if key.refused_at is not None]:
        named = ", ".join(f"{key.id} ({key.vendor}, since {key.refused_at:%Y-%m-%d %H:%M}Z)" for key in refused[:5])
        said = f"{in_words.plural(len(refused), 'key')} refused by the vendor: {named}{', …' if len(refused) > 5 else ''}"
        remedy = "byok key list says whose; add a new one (byok key add), make it the default, and revoke the old one."
        yield Finding("vendor keys", True, said, remedy)  # a user's concern: the installation works
    elif found:
        yield Finding("vendor keys", True, f"{len(found)} stored, none known to be refused by its vendor")


def check_budgets(settings: Settings, now: datetime) -> Iterator[Finding]:
    from byok.accounts import budgets, database

    if not exist(settings):
        return
    with database.open_database(settings.accounts_database) as db:
        found = budgets.every(db)
    oldest = min((one.figure.counted_at if one.figure else one.created_at for one in found), default=now)
    if now - oldest > LONGEST_UNCOUNTED:
        said = f"what is used up of {len(found)} budgets was last counted {oldest:%Y-%m-%d %H:%M}Z: hard ones stop nothing new"
        yield fault("budgets", said, "Start the keeper (byok keeper); its log says why it does not count.")
    elif found:
        yield Finding("budgets", True, f"{len(found)}, counted by the keeper")


def check_sign_on(settings: Settings) -> Iterator[Finding]:
    """Asks the service what it says of itself, and whether that is enough; nothing, where there is none."""
    if not settings.oidc_issuer:
        return
    from byok.oidc import ALGORITHMS, Provider, client_secret
    from byok.sign_on import callback_address

    what, file = "sign-in service", settings.oidc_client_secret_file
    client_secret(settings)
    if file is not None and (open_to_others := _only_ours(file, what)):
        yield open_to_others
    if not is_safe_origin(settings.dashboard_url):
        yield fault(what, f"{settings.dashboard_url} is not https", "Put TLS in front and set BYOK_PUBLIC_URL: sign-ins could be read.")
    said = asyncio.run(Provider(settings).describe())
    if not set(said.id_token_signing_alg_values_supported) & set(ALGORITHMS):
        yield fault(what, "signs in no way that is trusted", f"Let it sign ID tokens with one of {', '.join(ALGORITHMS)}.")
    pkce = "" if "S256" in said.code_challenge_methods_supported else "; it does not say that it knows PKCE (S256)"
    yield Finding(what, True, f"answers; it must know {callback_address(settings.dashboard_url)}{pkce}")


def check_notifications(settings: Settings) -> Iterator[Finding]:
    from byok.accounts import alert_rules, database, rotation
    from byok.notify import email, outgoing, schedules

    if not exist(settings):
        return
    with database.open_database(settings.accounts_database) as db:
        rules, planned = alert_rules.all_rules(db), schedules.everyones(db)
        if settings.smtp_url is None and (planned or any(rule.channel == "mail" for rule in rules)):
            yield fault("notifications", "mails are to be sent, and no mail server is set", "Set BYOK_SMTP_URL and BYOK_MAIL_FROM.")
            return
        for rule in (rule for rule in rules if rule.channel != "mail"):
            url, _ = alert_rules.web_address(db, rotation.key_in_force(settings, db), rule)
            outgoing.allowed(url.reveal(), settings.webhook_hosts)
    if settings.smtp_url is not None and not (tried := email.reach(settings)).sent:
        yield fault("notifications", f"the mail server does not take mails ({tried.said})", "Look at BYOK_SMTP_URL, and at that server.")
        return
    yield Finding("notifications", True, f"{in_words.plural(len(rules), 'alert rule')}, {in_words.plural(len(planned), 'report schedule')}")


def check_machines(settings: Settings, now: datetime) -> Iterator[Finding]:
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
            yield fault("machines", f"{host.name} has said nothing for {silent_s / 60:,.0f} min; {waited}", remedy)
        elif host.segments > MOST_WAITING:
            yield fault("machines", f"{host.segments} segments of the journal wait on {host.name}", "Its log says why it cannot publish.")
    if found:
        yield Finding("machines", True, f"{len(found)} share these accounts")
