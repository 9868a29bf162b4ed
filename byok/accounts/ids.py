"""Opaque ids of our own: a prefix that says what it is, and 16 random letters and digits."""

import re
import secrets
import string

ALPHABET = string.ascii_letters + string.digits
_ID = re.compile(r"[A-Za-z0-9_]{1,64}")
_USER_ID = re.compile(r"usr_[A-Za-z0-9]{4,40}")


def new_id(prefix: str, length: int = 16) -> str:
    """Return a fresh id, for example `usr_` and 16 characters (95 bits)."""
    return prefix + random_characters(length)


def random_characters(length: int) -> str:
    """Random letters and digits, nearly six bits each."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def is_id(text: str) -> bool:
    """Whether this could be an id of ours; what a stranger sends instead never reaches the database."""
    return _ID.fullmatch(text) is not None


def is_user_id(text: str) -> bool:
    """Whether this has the form of a user's id."""
    return _USER_ID.fullmatch(text) is not None
