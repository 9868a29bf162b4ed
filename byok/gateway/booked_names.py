"""What records call models, for one process: the rule of `models.booked_model`, and a bound on how many new names a user may bring.

A vendor that repeats any name it is sent would otherwise let a client write a text of its own into the records, name by name. The count is
in memory: a process that begins anew counts anew.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime

from byok.gateway import models
from byok.usage import OTHER_MODEL

NAMES_A_DAY = 200  # outside the catalogue and not allowed by an admin, per user; each of several processes allows its part, rounded up
MOST_USUAL = 4_096  # pairs of names whose booking is remembered
MOST_NAMES = 50_000  # of all users together, in memory


class BookedNames:
    """`allowed` gives the names that an admin vouches for. A day is one of UTC."""

    def __init__(
        self, allowed: Callable[[], frozenset[str]], *, processes: int = 1, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._allowed = allowed
        self._a_day = -(-NAMES_A_DAY // processes)
        self._now = now
        self._day: date | None = None
        self._seen: dict[str, set[str]] = {}
        self._count = 0
        self._usual: dict[tuple[str | None, str | None, bool, str], str] = {}  # what the catalogue alone decides on
        self._usual_with: frozenset[str] | None = None

    def booked(self, user_id: str, requested: str | None, answered: str | None, status: int, vendor: str) -> str:
        """What the record of this user's call says for a model."""
        allowed = self._allowed()
        if allowed is not self._usual_with:
            self._usual, self._usual_with = {}, allowed
        asked = (requested, answered, 200 <= status < 300, vendor)
        if (usual := self._usual.get(asked)) is not None:
            return usual
        name = models.booked_model(requested, answered, status, vendor, allowed)
        if models.is_catalogued(name):
            if len(self._usual) < MOST_USUAL and all(_is_known(said, vendor) for said in (requested, answered)):
                self._usual[asked] = name
            return name
        if name == OTHER_MODEL or models.is_allowed(name, vendor, allowed):
            return name
        return name if self._has_room(user_id, name) else OTHER_MODEL

    def _has_room(self, user_id: str, name: str) -> bool:
        today = self._now().date()
        if today != self._day:
            self._day, self._seen, self._count = today, {}, 0
        seen = self._seen.setdefault(user_id, set())
        if name in seen:
            return True
        if len(seen) >= self._a_day or self._count >= MOST_NAMES:
            return False
        seen.add(name)
        self._count += 1
        return True


def _is_known(said: str | None, vendor: str) -> bool:
    """Whether it may be remembered: a text of the client's or the vendor's own, however long, is not kept."""
    return said is None or models.catalogue_name(vendor, said) is not None
