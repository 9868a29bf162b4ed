"""`byok doctor`: looks at an installation from settings to the last usage file, and names each fault with its remedy. Changes nothing."""

import errno
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

from byok.doctor import accounts, machine, records
from byok.doctor.finding import RESTORE, Finding, fault
from byok.errors import ByokError
from byok.settings import Settings

__all__ = ["Finding", "examine"]


def examine(settings: Settings, environ: Mapping[str, str], *, now: datetime, requirements: Path | None = None) -> list[Finding]:
    """Look at everything; a part that cannot be looked at is a fault of its own and does not hide the others."""
    parts: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("installation", lambda: machine.check_installation(requirements or Path(__file__).parents[2] / "requirements.txt")),
        ("settings", lambda: machine.check_settings(settings, environ)),
        ("clock", lambda: machine.check_clock(now)),
        ("data", lambda: machine.check_directories(settings)),
        ("disk", lambda: machine.check_disk(settings)),
        ("master key", lambda: accounts.check_master_key(settings)),
        ("JWT secret", lambda: accounts.check_jwt_secret(settings)),
        ("accounts", lambda: accounts.check_accounts(settings)),
        ("vendor keys", lambda: accounts.check_vendor_keys(settings)),
        ("budgets", lambda: accounts.check_budgets(settings, now)),
        ("sign-in service", lambda: accounts.check_sign_on(settings)),
        ("notifications", lambda: accounts.check_notifications(settings)),
        ("prices", records.check_prices),
        ("usage table", lambda: records.check_table(settings)),
        ("records", lambda: records.check_records(settings, now)),
        ("journal", lambda: records.check_journal(settings, now)),
        ("keeper", lambda: records.check_keeper(settings, now)),
        ("machines", lambda: accounts.check_machines(settings, now)),
        ("ports", lambda: machine.check_ports(settings)),
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
        yield fault(what, f"{place}: {error.strerror}", remedy)
    except Exception as error:
        yield fault(what, f"cannot be examined ({type(error).__name__})", f"{RESTORE}, or report this.")
