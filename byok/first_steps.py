"""What a newcomer needs to begin: an admin, a link to set the password, an access token, and a first call to paste.

There is no default password. As long as the first admin has set none, each start makes a new link (the earlier one becomes void) and a new
token, unless the token of an earlier start is in use already.
"""

import textwrap
from datetime import datetime
from typing import NamedTuple

from byok import links
from byok.accounts import access_tokens, passwords, users
from byok.accounts.database import Database
from byok.settings import Settings

FIRST_ADMIN = "admin@localhost"
_LABEL = "printed by byok up"


class FirstSteps(NamedTuple):
    """Whose account it is; `link_secret` and `token` are None where they are not needed any more."""

    email: str | None
    link_secret: str | None
    token: str | None


def prepare(db: Database, *, now: datetime) -> FirstSteps:
    """Make the first admin if there is nobody yet, and what that admin needs to get in."""
    everyone = users.all_users(db)
    if not everyone:
        everyone = [users.add(db, FIRST_ADMIN, now=now, plan="enterprise", admin=True, name="Admin")]
    admins = sorted((user for user in everyone if user.admin and not user.disabled), key=lambda user: user.created_at)
    if not admins or any(passwords.has_password(db, admin.id) for admin in admins):
        return FirstSteps(None, None, None)
    admin = admins[0]
    return FirstSteps(admin.email, passwords.set_link(db, admin.id, now=now), _token(db, admin.id, now))


def _token(db: Database, user_id: str, now: datetime) -> str | None:
    printed = [token for token in access_tokens.of_user(db, user_id) if token.label == _LABEL]
    if any(token.last_used_at for token in printed):
        return None
    for token in printed:
        access_tokens.revoke(db, user_id, token.id)
    return access_tokens.create(db, user_id, now=now, label=_LABEL)


def welcome(settings: Settings, steps: FirstSteps) -> str:
    """The text that `byok up` prints while the processes start: what to open, how to get in, a first call."""
    gateway, dashboard = settings.programs_url, settings.dashboard_url
    lines = ["", f"  Dashboard  {dashboard}", f"  Gateway    {gateway}"]
    lines += [f"  Data       {settings.data}" + (" (sample usage of a year)" if settings.demo else ""), ""]
    if steps.link_secret:
        lines += [f"Set the password of {steps.email} (this link works once, for 24 hours):"]
        lines += [f"  {dashboard}/auth/set-password?token={steps.link_secret}", ""]
    curl = links.first_call(gateway, steps.token or links.IN_SHELL)
    lines += ["A first call. The built-in vendor echo answers it, no vendor key is needed:", textwrap.indent(curl, "  "), ""]
    if not steps.token:
        lines += ["An access token: byok access-token new EMAIL, or the Keys page.", ""]
    return "\n".join([*lines, "Starting; this takes some seconds ..."])


def ready(steps: FirstSteps, dashboard: str) -> str:
    """What it prints when everything answers."""
    door = "the link above" if steps.link_secret else dashboard
    return f"\nBYOK is ready. Open {door}. Ctrl-C stops everything.\n"
