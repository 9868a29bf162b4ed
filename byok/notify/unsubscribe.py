"""One-click unsubscribe (RFC 8058): a signed token in the address says whose report or which mail rule ends. It opens nothing else."""

import hashlib
import hmac
from typing import NamedTuple
from urllib.parse import urlencode

from byok.accounts import alert_rules, master_key
from byok.accounts.database import Database
from byok.notify import schedules

PATH = "/auth/unsubscribe"


class Subject(NamedTuple):
    """What ends: the scheduled report of a user, or an alert rule (`rule_id`)."""

    user_id: str
    rule_id: str = ""


def address(base_url: str, master: bytes, subject: Subject) -> str:
    """The address whose POST ends such mails."""
    return f"{base_url.rstrip('/')}{PATH}?{urlencode({'token': token(master, subject)})}"


def token(master: bytes, subject: Subject) -> str:
    """`<user>.<rule>.<signature>`; void after a rotation of the master key."""
    return f"{subject.user_id}.{subject.rule_id}.{_signature(master, subject)}"


def read(master: bytes, text: str) -> Subject | None:
    """What a token stands for; None if we did not sign it."""
    parts = text.split(".") if len(text) <= 300 and text.isascii() else []
    if len(parts) != 3:
        return None
    subject = Subject(parts[0], parts[1])
    return subject if hmac.compare_digest(parts[2], _signature(master, subject)) else None


def end(db: Database, subject: Subject) -> None:
    """End those mails; again is no fault."""
    if subject.rule_id:
        alert_rules.remove(db, subject.user_id, subject.rule_id)
    else:
        schedules.end(db, subject.user_id)


def _signature(master: bytes, subject: Subject) -> str:
    key = master_key.subkey(master, "unsubscribe")
    return hmac.new(key, f"{subject.user_id}.{subject.rule_id}".encode(), hashlib.sha256).hexdigest()
