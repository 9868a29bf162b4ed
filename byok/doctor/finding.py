"""One thing that was looked at."""

from typing import NamedTuple

RESTORE = "Restore it from a backup (docs/operations.md)"


class Finding(NamedTuple):
    """One thing looked at. `remedy` stands with every fault, and as advice with some that are well."""

    what: str
    ok: bool
    said: str
    remedy: str = ""


def fault(what: str, said: str, remedy: str) -> Finding:
    """A finding that asks for something to be done."""
    return Finding(what, False, said, remedy)
