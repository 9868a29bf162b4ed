"""A new master key: every data key is wrapped anew in one transaction, between two changes of files that each happen whole or not at all.

    1. FILE.next holds the new key.           the database knows the old one
    2. The transaction: all rows, check value the database knows the new one
    3. FILE.old keeps the old key, FILE.next becomes FILE

Killed anywhere, the installation works on: whichever of the two keys the database knows is in force (`KeyInForce`). Rotating again goes
on where it was; the next start of any process does what is left of step 3.
"""

import contextlib
import hmac
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from byok import disk
from byok.accounts import alert_rules, envelope, key_vault
from byok.accounts.database import Database
from byok.accounts.errors import MasterKeyInvalid, MasterKeyWrong, RecordBroken
from byok.accounts.master_key import (
    Purpose,
    check_master_key,
    check_value,
    decoded,
    is_known,
    kek_id,
    load_master_key,
    new_key_text,
    read_key_file,
    write_key_file,
)
from byok.accounts.tables import alert_rules as alert_rules_table
from byok.accounts.tables import master_keys, vendor_keys
from byok.errors import ByokError
from byok.settings import Settings

_BATCH = 500


@dataclass(frozen=True)
class Wrapped:
    """A table with the columns of an envelope. `identity` is what its rows are bound to, from a row."""

    table: sa.Table
    purpose: Purpose
    identity: Callable[[Any], tuple[str, ...]]


WRAPPED = (
    Wrapped(vendor_keys, key_vault.PURPOSE, lambda row: (row.user_id, row.id, row.vendor)),
    Wrapped(alert_rules_table, alert_rules.PURPOSE, alert_rules.identity),
)


@dataclass(frozen=True, slots=True)
class Rotation:
    """`rows` were wrapped anew; None when an earlier run had done that and only the files were left. `kek_id` names the new key."""

    rows: int | None
    kek_id: str
    key_file: Path


class KeyInForce:
    """The master key of a running process, which follows a rotation: asked each time, it costs two looks at the file's state."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._file = _key_file(settings)
        self._lock = threading.Lock()
        self._key: bytes | None = None
        self._seen: object = None

    def get(self, db: Database | None) -> bytes:
        """The key that the database knows. Without `db` (not open yet): the one of the file.

        Raises `MasterKeyInvalid`, `MasterKeyWrong`. A process that had a good key keeps it while the file is missing or makes no sense.
        """
        with self._lock:
            if self._key is None:
                self._key = self._read(db)
            elif self._settings.master_key is None and (_state(self._file) != self._seen or _next(self._file).exists()):
                with contextlib.suppress(ByokError):
                    key = self._read(db)
                    self._key = key if db is None or is_known(db, key) else self._key
            return self._key

    def _read(self, db: Database | None) -> bytes:
        seen = _state(self._file)
        key = load_master_key(self._settings) if db is None else key_in_force(self._settings, db)
        if db is not None and self._settings.master_key is None and key != load_master_key(self._settings):
            with contextlib.suppress(OSError, ByokError):  # where only the operator can write; the key is good all the same
                finish(self._settings, db)
        self._seen = seen
        return key


def key_in_force(settings: Settings, db: Database) -> bytes:
    """The key that the database knows: that of the file, or after a rotation that was killed the one beside it. Changes nothing.

    Raises `MasterKeyWrong` if it is neither, `MasterKeyInvalid`.
    """
    key, coming = load_master_key(settings), _next(_key_file(settings))
    if settings.master_key is not None or is_known(db, key):
        return key
    try:
        following = read_key_file(coming)
    except MasterKeyInvalid:
        if coming.exists():
            raise
        return load_master_key(settings)  # no rotation, or one that ended between the looks
    if not is_known(db, following):
        raise MasterKeyWrong
    return following


def finish(settings: Settings, db: Database) -> bytes | None:
    """Bring a rotation that was killed after its transaction to its end; the new key, or None if there was none."""
    file = _key_file(settings)
    with _alone(file):
        return _finish(settings, db, file)


def rotate(settings: Settings, db: Database, *, new_key_file: Path | None = None) -> Rotation:
    """Make a new master key (or take that of `new_key_file`), wrap every stored secret with it and put it in the old one's place.

    Where the key comes from BYOK_MASTER_KEY its place is the operator's: `new_key_file` (made if it is missing) then stays as it is.
    Raises `MasterKeyWrong`, `MasterKeyInvalid`, `RecordBroken`; then nothing is changed.
    """
    if new_key_file is not None and new_key_file.resolve().is_relative_to(settings.data.resolve()):
        raise MasterKeyInvalid(f"{new_key_file} lies inside the data directory, whose copies must not hold it")
    if settings.master_key is not None:
        return _rotate_elsewhere(settings, db, new_key_file)
    file = _key_file(settings)
    with _alone(file):
        if (finished := _finish(settings, db, file)) is not None:
            return Rotation(None, kek_id(finished), file)
        before, coming = load_master_key(settings), _next(file)
        check_master_key(db, before)
        if new_key_file is not None:
            write_key_file(coming, read_key_file(new_key_file), replace=True)
        elif not coming.exists() or read_key_file(coming) == before:
            write_key_file(coming, decoded(new_key_text()), replace=True)
        after = read_key_file(coming)
        rows = rewrap(db, before, after)
        _switch(file, after)
        return Rotation(rows, kek_id(after), file)


def rewrap(db: Database, before: bytes, after: bytes) -> int:
    """Wrap every data key that `before` wraps with `after`, and know `after` only: all in one transaction. Returns the number of rows."""
    if hmac.compare_digest(before, after):
        raise MasterKeyInvalid("the new one is the old one")
    rows = 0
    with db.writing() as connection:
        # Held until the end: whoever stores a secret meanwhile waits, then finds that the key is another (`key_vault.add`).
        known = connection.execute(sa.select(master_keys.c.kek_id).with_for_update()).scalars().all()
        if kek_id(before) not in known:
            raise MasterKeyWrong
        for kind in WRAPPED:
            rows += _rewrap_table(connection, kind, before, after)
        connection.execute(sa.delete(master_keys))
        connection.execute(sa.insert(master_keys).values(kek_id=kek_id(after), check_value=check_value(after)))
    return rows


def unreadable(db: Database, master: bytes) -> list[str]:
    """The ids of stored secrets (vendor keys, addresses of alert rules) that do not open: damaged, or sealed under another key."""
    found = []
    with db.reading() as connection:
        for kind in WRAPPED:
            for row in connection.execute(sa.select(kind.table).where(kind.table.c.kek_id.is_not(None)).order_by(kind.table.c.id)):
                sealed = envelope.Envelope(row.version, row.kek_id, row.wrapped_key, row.sealed_secret)
                try:
                    envelope.unseal(master, kind.purpose, kind.identity(row), sealed)
                except envelope.EnvelopeBroken:
                    found.append(row.id)
    return found


def _rewrap_table(connection: Connection, kind: Wrapped, before: bytes, after: bytes) -> int:
    mine, done = kind.table.c, 0
    left = sa.select(kind.table).where(mine.kek_id != kek_id(after)).order_by(mine.id).limit(_BATCH)
    while rows := connection.execute(left).all():
        for row in rows:
            old = envelope.Envelope(row.version, row.kek_id, row.wrapped_key, row.sealed_secret)
            try:
                new = envelope.rewrap(before, after, kind.purpose, kind.identity(row), old)
            except envelope.EnvelopeBroken:
                raise RecordBroken(row.id) from None
            change = sa.update(kind.table).where(mine.id == row.id)
            connection.execute(change.values(kek_id=new.kek_id, wrapped_key=new.wrapped_key))
            done += 1
    return done


def _rotate_elsewhere(settings: Settings, db: Database, new_key_file: Path | None) -> Rotation:
    if new_key_file is None:
        raise MasterKeyInvalid("it comes from BYOK_MASTER_KEY, so a rotation needs --new-key FILE to put the next one")
    if not new_key_file.exists():
        write_key_file(new_key_file, decoded(new_key_text()), replace=False)
    before, after = load_master_key(settings), read_key_file(new_key_file)
    if is_known(db, after) and not is_known(db, before):
        return Rotation(None, kek_id(after), new_key_file)
    return Rotation(rewrap(db, before, after), kek_id(after), new_key_file)


def _finish(settings: Settings, db: Database, file: Path) -> bytes | None:
    key = key_in_force(settings, db)
    if key == load_master_key(settings):
        return None
    _switch(file, key)
    return key


def _switch(file: Path, after: bytes) -> None:
    write_key_file(file.with_name(f"{file.name}.old"), read_key_file(file), replace=True)
    write_key_file(file, after, replace=True)
    _next(file).unlink(missing_ok=True)


def _key_file(settings: Settings) -> Path:
    return settings.master_key_file.resolve()  # a link stays one


def _next(file: Path) -> Path:
    return file.with_name(f"{file.name}.next")


def _state(file: Path) -> object:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


@contextlib.contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Two rotations at once would each replace the other's next key: the second waits, and is a rotation of its own."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(disk.locked(file.parent))
        except OSError as error:
            raise MasterKeyInvalid(f"{file}: {error.strerror}") from None
        yield
