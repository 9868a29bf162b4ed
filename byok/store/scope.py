"""Whose data and when: every question carries one. Everyone's data is a type of its own, so that nobody asks for it by accident."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

from byok import zones
from byok.errors import BadRequest
from byok.zones import EARLIEST, LATEST

_DATE = re.compile(r"^\d{4}-\d\d-\d\d$")
_INSTANT = re.compile(r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?$")
_PLUS_LOST = re.compile(r"(T[\d:.]+) (\d\d:?\d\d)$")  # a `+` in a query string that was not escaped
_MOST_VALUES = 200
# What stands for many statuses: a call is a success or has failed.
STATUS_WORDS: Mapping[str, frozenset[int]] = {
    "success": frozenset(range(200, 300)),
    "failed": frozenset({*range(100, 200), *range(300, 1000)}),
}


@dataclass(frozen=True)
class Scope:
    """One user's records with `since <= ts < until`; the empty filters mean all. `tz` is where days and hours are cut."""

    user_id: str
    since: datetime
    until: datetime
    tz: str = "UTC"
    vendors: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    key_ids: tuple[str, ...] = ()
    statuses: tuple[int, ...] = ()


@dataclass(frozen=True)
class EveryonesScope:
    """The records of ALL users, for operators only; `user_ids` narrows it."""

    since: datetime
    until: datetime
    tz: str = "UTC"
    vendors: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    key_ids: tuple[str, ...] = ()
    statuses: tuple[int, ...] = ()
    user_ids: tuple[str, ...] = ()


AnyScope = Scope | EveryonesScope


class InvalidParameter(BadRequest):
    """A parameter of a question cannot be understood; the message names it and never repeats its value."""

    code = "invalid_parameter"

    def __init__(self, name: str, expected: str) -> None:
        super().__init__(f"The parameter {name} is not understood.", remedy=f"{name}: {expected}")


class Asker(Protocol):
    """What a scope needs to know of the user who asks."""

    @property
    def id(self) -> str: ...
    @property
    def tz(self) -> str: ...
    @property
    def retention_days(self) -> int: ...


def parse_scope(params: Mapping[str, Sequence[str]], *, user: Asker, now: datetime) -> Scope:
    """Return the scope that query parameters (or command options) describe, for this user.

    `since` and `until` are ISO dates (midnights of `tz`, by default the user's zone) or instants (one without offset is local time).
    Without `since`: all that the plan keeps; without `until`: everything after. Other names are not looked at.
    Raises `InvalidParameter` or `ZoneUnknown`.
    """
    return Scope(user_id=user.id, **_common(params, user.tz, _kept_since(user.retention_days, now)))


def parse_everyones_scope(params: Mapping[str, Sequence[str]], *, tz: str = "UTC") -> EveryonesScope:
    """As `parse_scope`, over all users, with `user_id` as one more filter. Only for operators: the caller checks that."""
    return EveryonesScope(**_common(params, tz, EARLIEST), user_ids=_texts(params, "user_id"))


def parse_instant(text: str, tz: str, *, name: str = "since") -> datetime:
    """The UTC instant of an ISO date (midnight of `tz`) or an ISO instant; `InvalidParameter` names `name`.

    >>> parse_instant("2026-07-01", "Europe/Berlin").isoformat()
    '2026-06-30T22:00:00+00:00'
    """
    text = _PLUS_LOST.sub(r"\1+\2", text.strip())
    try:
        if _DATE.match(text):
            found = zones.midnight(date.fromisoformat(text), tz)
        elif _INSTANT.match(text):
            parsed = datetime.fromisoformat(text)
            found = (parsed if parsed.tzinfo else parsed.replace(tzinfo=zones.zone(tz))).astimezone(UTC)
        else:
            raise ValueError
    except OverflowError:
        found = EARLIEST if text < "1970" else LATEST
    except ValueError:
        raise InvalidParameter(name, "an ISO date (2026-11-22) or instant (2026-11-22T10:00:00Z)") from None
    return min(max(found, EARLIEST), LATEST)


def parse_group_by(values: Sequence[str], *, everyone: bool = False) -> tuple[str, ...]:
    """The columns of a repeatable or comma-separated `group_by`; vendor and model if none. `InvalidParameter` for another name."""
    allowed = ("vendor", "model", "key_id", "status", "day", "hour", "month") + (("user_id",) if everyone else ())
    asked = [part.strip() for value in values for part in value.split(",")]
    if any(part not in allowed for part in asked):
        raise InvalidParameter("group_by", f"one or more of {', '.join(allowed)}")
    return tuple(dict.fromkeys(asked)) or ("vendor", "model")


def statuses_of(words: Sequence[str]) -> tuple[int, ...]:
    """The statuses that these words name, ascending. `InvalidParameter` for another word.

    >>> statuses_of(["429", "200"])
    (200, 429)
    """
    return tuple(sorted(frozenset[int]().union(*map(_status, words))))


def is_status(word: str) -> bool:
    """Whether a word names statuses."""
    return word in STATUS_WORDS or re.fullmatch(r"[1-9]\d\d", word, re.ASCII) is not None


def words_of(statuses: Sequence[int]) -> tuple[str, ...]:
    """The fewest words that name these statuses.

    >>> words_of(statuses_of(["failed", "503", "200"]))
    ('failed', '200')
    """
    whole = {word: of_word for word, of_word in STATUS_WORDS.items() if of_word <= set(statuses)}
    return (*whole, *(str(status) for status in statuses if not any(status in of_word for of_word in whole.values())))


def _common(params: Mapping[str, Sequence[str]], tz: str, kept_since: datetime) -> dict[str, Any]:
    tz = _single(params, "tz") or tz
    zones.zone(tz)
    since, until = _single(params, "since"), _single(params, "until")
    return {
        "since": kept_since if since is None else parse_instant(since, tz, name="since"),
        "until": LATEST if until is None else parse_instant(until, tz, name="until"),
        "tz": tz,
        "vendors": _texts(params, "vendor"),
        "models": _texts(params, "model"),
        "key_ids": _texts(params, "key_id"),
        "statuses": statuses_of(_texts(params, "status")),
    }


def _kept_since(retention_days: int, now: datetime) -> datetime:
    try:
        return max(EARLIEST, now - timedelta(days=retention_days))
    except OverflowError:
        return EARLIEST


def _single(params: Mapping[str, Sequence[str]], name: str) -> str | None:
    values = params.get(name) or ()
    if len(values) > 1:
        raise InvalidParameter(name, "give it once")
    return values[0] if values else None


def _texts(params: Mapping[str, Sequence[str]], name: str) -> tuple[str, ...]:
    values = params.get(name) or ()
    if len(values) > _MOST_VALUES:
        raise InvalidParameter(name, f"at most {_MOST_VALUES} values")
    return tuple(dict.fromkeys(values))


def _status(text: str) -> frozenset[int]:
    if not is_status(text):
        raise InvalidParameter("status", f"an HTTP status such as 200 or 429, {' or '.join(STATUS_WORDS)}")
    return STATUS_WORDS.get(text) or frozenset({int(text)})
