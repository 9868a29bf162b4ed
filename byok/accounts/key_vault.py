"""Vendor keys at rest: encrypted one by one, shown by label and last four characters, taken out only to make a call."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from byok.accounts import envelope
from byok.accounts.checks import checked_label, checked_vendor
from byok.accounts.database import Database
from byok.accounts.errors import UserUnknown, VendorKeyInvalid, VendorKeyUnreadable
from byok.accounts.ids import is_id, new_id
from byok.accounts.master_key import Purpose, refuse_replaced
from byok.accounts.tables import users, vendor_keys
from byok.errors import BadRequest, NotFound, VendorKeyMissing

PURPOSE: Purpose = "vendor-key-wrap"
LONGEST_SECRET = 4096
TOUCH_EVERY = timedelta(minutes=1)
_SHOWN = ("id", "user_id", "vendor", "label", "last_four", "is_default", "created_at", "last_used_at", "refused_at")


@dataclass(frozen=True, slots=True)
class VendorKey:
    """What can be shown of a key. `refused_at`: when the vendor last said that it is no good."""

    id: str
    user_id: str
    vendor: str
    label: str
    last_four: str
    default: bool
    created_at: datetime
    last_used_at: datetime | None
    refused_at: datetime | None

    def as_row(self) -> dict[str, object]:
        """A row of the view `keys`."""
        return {
            "key_id": self.id,
            "user_id": self.user_id,
            "vendor": self.vendor,
            "label": self.label,
            "last_four": self.last_four,
            "is_default": self.default,
            "created_at": self.created_at,
            "last_used_at": self.last_used_at,
        }


class Secret:
    """A text that does not print itself: not in logs, tracebacks, f-strings or pickles."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "***"

    def __reduce__(self) -> Any:
        raise TypeError("a secret is not written anywhere")


def add(db: Database, master: bytes, user_id: str, vendor: str, secret: str, *, now: datetime, label: str = "") -> VendorKey:
    """Store a key; the first of a vendor becomes the user's default for it.

    Raises `VendorKeyInvalid` (empty, with spaces or control characters inside, over 4096 characters), `BadRequest`, `UserUnknown`,
    `MasterKeyReplaced` if a rotation of the master key came in between.
    """
    text = _checked_secret(secret)
    key_id = new_id("key_")
    sealed = envelope.seal(master, PURPOSE, (user_id, key_id, checked_vendor(vendor)), text)
    values = {
        "id": key_id,
        "user_id": user_id,
        "vendor": vendor,
        "label": _checked_label(label, text),
        "last_four": text[-4:] if len(text) >= 8 else "",
        "created_at": now,
        **asdict(sealed),
    }
    with db.writing() as connection:
        refuse_replaced(connection, sealed.kek_id)
        if not _lock_keys(connection, user_id):
            raise UserUnknown
        first = connection.execute(sa.select(vendor_keys.c.id).where(_of(user_id, vendor), vendor_keys.c.is_default)).first() is None
        row = connection.execute(sa.insert(vendor_keys).values(is_default=first, **values).returning(*_shown())).one()
    return VendorKey(*row)


def of_user(db: Database, user_id: str) -> list[VendorKey]:
    """The user's keys, by vendor, oldest first."""
    order = (vendor_keys.c.vendor, vendor_keys.c.created_at, vendor_keys.c.id)
    with db.reading() as connection:
        return [
            VendorKey(*row) for row in connection.execute(sa.select(*_shown()).where(vendor_keys.c.user_id == user_id).order_by(*order))
        ]


def of_everyone(db: Database) -> list[VendorKey]:
    """The keys of all users, oldest first, for operators."""
    with db.reading() as connection:
        return [VendorKey(*row) for row in connection.execute(sa.select(*_shown()).order_by(vendor_keys.c.created_at, vendor_keys.c.id))]


def labels(db: Database, key_ids: Collection[str]) -> dict[str, str]:
    """Return key id -> label, for those of `key_ids` that there are and that have one."""
    with db.reading() as connection:
        found = connection.execute(sa.select(vendor_keys.c.id, vendor_keys.c.label).where(vendor_keys.c.id.in_(key_ids)))
        return {key_id: label for key_id, label in found if label}


def revoke(db: Database, user_id: str, key_id: str) -> bool:
    """Delete the key if it is this user's; returns whether it was. If it was the default, the vendor's next oldest takes its place."""
    if not is_id(key_id):
        return False
    with db.writing() as connection:
        _lock_keys(connection, user_id)
        gone = sa.delete(vendor_keys).where(vendor_keys.c.id == key_id, vendor_keys.c.user_id == user_id)
        row = connection.execute(gone.returning(vendor_keys.c.vendor, vendor_keys.c.is_default)).first()
        if row is not None and row.is_default:
            oldest = sa.select(vendor_keys.c.id).where(_of(user_id, row.vendor)).order_by(vendor_keys.c.created_at, vendor_keys.c.id)
            heir = connection.execute(oldest.limit(1)).scalar()
            if heir is not None:
                connection.execute(sa.update(vendor_keys).where(vendor_keys.c.id == heir).values(is_default=True))
    return row is not None


def make_default(db: Database, user_id: str, key_id: str) -> None:
    """Make this key the one that its vendor's calls use unless they name another. Raises `NotFound`."""
    with db.writing() as connection:
        _lock_keys(connection, user_id)
        vendor = connection.execute(_vendor_of(user_id, key_id)).scalar() if is_id(key_id) else None
        if vendor is None:
            raise NotFound("There is no such key.", remedy="byok key list EMAIL shows the keys of a user.")
        connection.execute(sa.update(vendor_keys).where(_of(user_id, vendor), vendor_keys.c.is_default).values(is_default=False))
        connection.execute(sa.update(vendor_keys).where(vendor_keys.c.id == key_id).values(is_default=True))


def choose(db: Database, master: bytes, user_id: str, vendor: str, key_id: str | None = None) -> tuple[str, Secret]:
    """Return (key id, secret) of the named key, else of the user's default key of this vendor. Only the gateway calls this.

    Raises `VendorKeyMissing` if there is none (a key of someone else, or of another vendor, is none) and `VendorKeyUnreadable`
    if its record was tampered with or another master key is in use.
    """
    which = vendor_keys.c.is_default if key_id is None else vendor_keys.c.id == key_id
    if key_id is not None and not is_id(key_id):
        raise VendorKeyMissing(vendor, named=True)
    with db.reading() as connection:
        row = connection.execute(sa.select(vendor_keys).where(_of(user_id, vendor), which)).first()
    if row is None:
        raise VendorKeyMissing(vendor, named=key_id is not None)
    sealed = envelope.Envelope(row.version, row.kek_id, row.wrapped_key, row.sealed_secret)
    try:
        return row.id, Secret(envelope.unseal(master, PURPOSE, (user_id, row.id, vendor), sealed))
    except envelope.EnvelopeBroken:
        raise VendorKeyUnreadable from None


def note_used(db: Database, key_id: str, *, now: datetime) -> None:
    """Remember that the key made a call; kept to the minute, and lost rather than waited for."""
    stale = vendor_keys.c.last_used_at.is_(None) | (vendor_keys.c.last_used_at <= now - TOUCH_EVERY)
    db.note(sa.update(vendor_keys).where(vendor_keys.c.id == key_id, stale).values(last_used_at=now))


def note_refused(db: Database, key_id: str, *, now: datetime | None) -> None:
    """Remember that the vendor refused the key (401), or with None that it takes it again."""
    db.note(sa.update(vendor_keys).where(vendor_keys.c.id == key_id).values(refused_at=now))


def is_refused(db: Database, key_id: str) -> bool:
    """Whether the vendor refused the key when it was last tried."""
    with db.reading() as connection:
        return connection.execute(sa.select(vendor_keys.c.refused_at).where(vendor_keys.c.id == key_id)).scalar() is not None


def _lock_keys(connection: Connection, user_id: str) -> bool:
    """Whoever changes a user's keys is alone at it, so that each vendor has one default; returns whether the user is there."""
    return connection.execute(sa.select(users.c.id).where(users.c.id == user_id).with_for_update()).first() is not None


def _shown() -> list[sa.Column[Any]]:
    return [vendor_keys.c[name] for name in _SHOWN]


def _of(user_id: str, vendor: str) -> sa.ColumnElement[bool]:
    return (vendor_keys.c.user_id == user_id) & (vendor_keys.c.vendor == vendor)


def _vendor_of(user_id: str, key_id: str) -> sa.Select[Any]:
    return sa.select(vendor_keys.c.vendor).where(vendor_keys.c.id == key_id, vendor_keys.c.user_id == user_id).with_for_update()


def _checked_secret(secret: str) -> str:
    text = secret.strip()  # what a paste or a pipe leaves around it
    if not text:
        raise VendorKeyInvalid("it is empty")
    if len(text) > LONGEST_SECRET:
        raise VendorKeyInvalid(f"it has more than {LONGEST_SECRET} characters")
    if not all("!" <= character <= "~" for character in text):  # it travels in an HTTP header
        raise VendorKeyInvalid("it holds spaces, line breaks or characters that no key has")
    return text


def _checked_label(label: str, secret: str) -> str:
    kept = checked_label(label)
    if len(secret) >= 8 and secret in kept:
        raise BadRequest("The label holds the key itself.", remedy="Labels are shown and not encrypted: call it by its use.")
    return kept
