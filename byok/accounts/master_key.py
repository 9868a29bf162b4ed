"""The master key: 32 bytes outside the data directory, from which one key per purpose is derived. It encrypts nothing itself."""

import base64
import binascii
import contextlib
import hashlib
import hmac
import os
import secrets
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import sqlalchemy as sa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from byok import disk
from byok.accounts.database import Database
from byok.accounts.errors import MasterKeyInvalid, MasterKeyReplaced, MasterKeyWrong
from byok.accounts.tables import master_keys
from byok.settings import Settings

Purpose = Literal["vendor-key-wrap", "webhook-wrap", "jwt", "csrf", "sign-on", "unsubscribe", "check"]
KEY_BYTES = 32
_ACL_OWNER, _ACL_USER, _ACL_MASK = 0x01, 0x02, 0x10


def load_master_key(settings: Settings) -> bytes:
    """Return the 32 bytes; on the first start make the file (mode 0600) at `master_key_file`.

    Raises `MasterKeyInvalid` if it is short, not base64, a filler such as zeros, or readable by others.
    """
    if settings.master_key is not None:
        return decoded(settings.master_key.get_secret_value())
    path = settings.master_key_file
    with _faults_told(path):
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_key_file(path, decoded(new_key_text()), replace=False)
    return read_key_file(path)


def read_key_file(path: Path) -> bytes:
    """Return the 32 bytes of a file. Raises `MasterKeyInvalid` as `load_master_key` does."""
    with _faults_told(path):
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text(encoding="ascii")
        private = not mode & 0o077 or (not mode & 0o007 and _opens_to_us_alone(path))
    if not private:
        raise MasterKeyInvalid(f"{path} can be read or written by others (mode {mode:04o})")
    return decoded(text)


def _opens_to_us_alone(path: Path) -> bool:
    """Whether an access list lets nobody in but the owner and us. The mode's middle digit is then the list's mask: systemd's credentials
    show 0440. Reference: https://man7.org/linux/man-pages/man5/acl.5.html"""
    if not hasattr(os, "getxattr"):
        return False
    try:
        entries = struct.iter_unpack("<HHI", os.getxattr(path, "system.posix_acl_access")[4:])
    except OSError:  # it has none
        return False
    return all(tag in (_ACL_OWNER, _ACL_MASK) or (tag, who) == (_ACL_USER, os.geteuid()) or not rights for tag, rights, who in entries)


def write_key_file(path: Path, key: bytes, *, replace: bool) -> None:
    """Write a key, mode 0600, whole or not at all. Without `replace` a file that is there already stays. Raises `MasterKeyInvalid`."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with _faults_told(path):
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(base64.b64encode(key) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            if replace:
                draft.replace(path)
            else:  # a link never replaces the key that another process has just made
                with contextlib.suppress(FileExistsError):
                    path.hardlink_to(draft)
        finally:
            draft.unlink(missing_ok=True)
        disk.sync(path.parent)


def new_key_text() -> str:
    """A new random key, as it stands in files."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def subkey(master: bytes, purpose: Purpose) -> bytes:
    """Return the 32 bytes for one purpose: what one purpose sealed never opens as another's."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=f"byok/1/{purpose}".encode()).derive(master)


def check_value(master: bytes) -> str:
    """What is stored to recognise this key again; it tells nothing about the key."""
    return hashlib.sha256(subkey(master, "check")).hexdigest()


def kek_id(master: bytes) -> str:
    """The short name under which records remember which master key wrapped them."""
    return check_value(master)[:16]


def check_master_key(db: Database, master: bytes) -> None:
    """Remember this key the first time; afterwards raise `MasterKeyWrong` unless it is a known one."""
    value = check_value(master)
    known = _known(db)
    if not known:
        try:
            with db.writing() as connection:
                db.alone(connection, "master key")  # two machines that start with a key of their own must not both be right
                if not connection.execute(sa.select(master_keys.c.seq)).first():
                    connection.execute(sa.insert(master_keys).values(kek_id=kek_id(master), check_value=value))
        except IntegrityError:  # another process was first
            pass
        known = _known(db)
    if not any(hmac.compare_digest(value, one) for one in known):
        raise MasterKeyWrong


def is_known(db: Database, master: bytes) -> bool:
    """Whether this is the key that the stored secrets are encrypted with."""
    return any(hmac.compare_digest(check_value(master), one) for one in _known(db))


def refuse_replaced(connection: Connection, kek: str | None) -> None:
    """Raise `MasterKeyReplaced` if a rotation has come since something was sealed under this key (None: nothing was)."""
    known = connection.execute(sa.select(master_keys.c.kek_id).with_for_update(read=True)).scalars().all()
    if kek and known and kek not in known:
        raise MasterKeyReplaced


def _known(db: Database) -> list[str]:
    with db.reading() as connection:
        return list(connection.execute(sa.select(master_keys.c.check_value)).scalars())


def decoded(text: str) -> bytes:
    """Return the 32 bytes of a text in base64. Raises `MasterKeyInvalid`."""
    try:
        key = base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        raise MasterKeyInvalid("it is not base64") from None
    if len(key) != KEY_BYTES:
        raise MasterKeyInvalid(f"it has {len(key)} bytes, not {KEY_BYTES}")
    if len(set(key)) < 8:
        raise MasterKeyInvalid("it is a filler, not random")
    return key


@contextlib.contextmanager
def _faults_told(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError:
        raise MasterKeyInvalid(f"{path} is not base64") from None
    except OSError as error:
        raise MasterKeyInvalid(f"{path}: {error.strerror or type(error).__name__}") from None
