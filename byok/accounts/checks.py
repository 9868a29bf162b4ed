"""What several rooms of the accounts ask of a text before they keep it. Each raises `BadRequest`."""

import re

from byok.errors import BadRequest

CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")  # a time of day, HH:MM
_VENDOR = re.compile(r"[a-z][a-z0-9_-]{0,30}")


def checked_vendor(vendor: str) -> str:
    """A vendor's name as it may be kept, whether or not there is such a vendor."""
    if not _VENDOR.fullmatch(vendor):
        raise BadRequest("The vendor's name is not valid.", remedy="It is a short name in lower case, such as openai.")
    return vendor


def checked_label(label: str) -> str:
    """What people call a key or token, without blanks around it."""
    kept = label.strip()
    if len(kept) > 100 or not kept.isprintable():
        raise BadRequest("The label is not valid.", remedy="It must be one line of at most 100 characters.")
    return kept
