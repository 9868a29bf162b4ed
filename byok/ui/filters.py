"""The words of the filter bar and what they mean: the store's scope, made in this one place."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, cast, get_args
from zoneinfo import ZoneInfo

import streamlit as st

from byok import zones
from byok.accounts.plans import keep_after
from byok.accounts.users import User
from byok.store.scope import AnyScope, EveryonesScope, Scope, is_status, statuses_of
from byok.ui import measures, periods, session
from byok.ui.names import EVERYONE, Names, names_of
from byok.ui.periods import COMPARED, RANGES, Compared, Grain, Period

By = Literal["vendor", "model", "key", "status", "user"]
BYS: tuple[By, ...] = get_args(By)
NO_BY = "none"
# One kind of entity, two names: the address says "key" and "user", the record "key_id" and "user_id".
COLUMN_OF: Mapping[By, str] = {"vendor": "vendor", "model": "model", "key": "key_id", "status": "status", "user": "user_id"}
LISTS = ("vendor", "model", "key", "status", "user")
# All that the bar keeps in the address.
WORDS = ("range", "from", "to", "tz", *LISTS, "cmp", "by", "by2", "metric", "grain")
_DEEPER: Mapping[By, By] = {"user": "vendor", "vendor": "model", "model": "key", "status": "model"}


@dataclass(frozen=True)
class Filters:
    """What the bar says. `kept_from` is the instant before which nothing is kept: by the user's plan, or by the longest of those shown.

    `everyone` (admins only): not the user's own records but those of `user_ids`, or of all users where that is empty.
    """

    user_id: str
    word: str
    period: Period
    zone: ZoneInfo
    grain: Grain
    by: By
    by2: By | None
    metric: str
    compared: Compared
    vendors: tuple[str, ...]
    models: tuple[str, ...]
    key_ids: tuple[str, ...]
    statuses: tuple[int, ...]
    everyone: bool
    user_ids: tuple[str, ...]
    kept_from: datetime

    @property
    def narrowed(self) -> bool:
        """Whether anything but the period leaves rows out."""
        return bool(self.vendors or self.models or self.key_ids or self.statuses or self.user_ids)

    @property
    def cut(self) -> bool:
        """Whether the period begins before what is kept."""
        return self.period.since < self.kept_from

    @property
    def gone(self) -> bool:
        """Whether the whole period lies before what is kept."""
        return self.period.until <= self.kept_from

    @property
    def scope(self) -> AnyScope:
        return self._scope(self.period.since, self.period.until)

    @property
    def scope_before(self) -> AnyScope | None:
        """The period compared with. None where nothing is to be compared, or not all of it is kept any more: half a period misleads."""
        if self.compared == "off" or self.period.before_since < self.kept_from:
            return None
        return self._scope(self.period.before_since, self.period.before_until)

    @property
    def fingerprint(self) -> str:
        """Differs for every choice, so that a chart or table of another choice is another one, with nothing selected in it."""
        said = (self.word, self.period.since.date(), self.period.until.date(), self.zone.key, self.grain, self.by, self.by2, self.metric)
        chosen = (self.vendors, self.models, self.key_ids, self.statuses, self.everyone, self.user_ids, self.compared)
        return format(zlib.crc32(repr((said, chosen)).encode()), "08x")

    def _scope(self, since: datetime, until: datetime) -> AnyScope:
        common: dict[str, Any] = {
            "since": since,
            "until": until,
            "tz": self.zone.key,
            "vendors": self.vendors,
            "models": self.models,
            "key_ids": self.key_ids,
            "statuses": self.statuses,
        }
        return EveryonesScope(user_ids=self.user_ids, **common) if self.everyone else Scope(user_id=self.user_id, **common)


def parse(values: Mapping[str, Any], user: User, names: Names, *, now: datetime, browser_zone: str | None) -> Filters:
    """Make filters of the bar's values; whatever is missing or unknown counts as not said.

    >>> parse({"range": "30d", "vendor": ["openai"]}, user, names, now=now, browser_zone="Europe/Berlin").vendors
    ('openai',)
    """
    zone = zone_of(values.get("tz"), browser_zone, user.tz)
    word = values.get("range") if values.get("range") in RANGES else "7d"
    period = periods.period(cast(str, word), now=now, zone=zone, first=_date(values.get("from")), last=_date(values.get("to")))
    compared = values.get("cmp") if values.get("cmp") in COMPARED else COMPARED[0]
    if compared == "dow":
        period = periods.on_same_weekdays(period, zone)
    everyone = of_everyone(values, user)
    user_ids = _people(values, names) if everyone else ()
    people = [names.people[user_id] for user_id in user_ids or names.people if user_id in names.people] if everyone else [user]
    kept_from = keep_after(max((one.retention_days for one in people), default=user.retention_days), now)
    bys = BYS if user.admin else BYS[:-1]
    by = cast(By, values.get("by")) if values.get("by") in bys else bys[0]
    by2 = values.get("by2")
    metric = values.get("metric")
    return Filters(
        user_id=user.id,
        word=cast(str, word),
        period=period,
        zone=zone,
        grain=periods.grain_for(str(values.get("grain")), max(period.since, kept_from), period.until),
        by=by,
        by2=cast(By, by2) if by2 in bys and by2 != by else None,
        metric=cast(str, metric) if metric in measures.WORDS else measures.WORDS[0],
        compared=cast(Compared, compared),
        vendors=_texts(values.get("vendor")),
        models=_texts(values.get("model")),
        key_ids=tuple(names.key_id(word) for word in _texts(values.get("key"))),
        statuses=statuses_of(list(filter(is_status, _texts(values.get("status"))))),
        everyone=everyone,
        user_ids=user_ids,
        kept_from=kept_from,
    )


def current(user: User) -> Filters:
    """The filters of this rerun: of the bar if the frame drew it, else the defaults."""
    values = cast(Mapping[str, Any], st.session_state)
    names = names_of(user, everyone=of_everyone(values, user))
    return parse(values, user, names, now=session.now(), browser_zone=st.context.timezone)


def of_everyone(values: Mapping[str, Any], user: User) -> bool:
    """Whether an admin asks for others' records; anyone else's word `user` counts as not said."""
    return user.admin and bool(_texts(values.get("user")))


def clear() -> None:
    """Take back everything but the period and the zone (a callback)."""
    for key in LISTS:
        st.session_state[key] = []


def choose_days(first: date, last: date) -> None:
    """Make these days the period (a callback)."""
    for word, value in {"range": "custom", "from": first, "to": last}.items():
        st.session_state[word] = value


def narrow(by: By, word: str) -> None:
    """Filter by one entity and go one step deeper (a callback): user, then vendors, their models, their keys."""
    st.session_state[by] = [word]
    if by in _DEEPER:
        st.session_state["by"] = _DEEPER[by]


def zone_of(asked: object, browser: str | None, own: str) -> ZoneInfo:
    """The first of these that is a zone, else UTC; the browser's by today's name."""
    for name in (asked, zones.of_browser(browser), own):
        if isinstance(name, str) and name in zones.names():
            return ZoneInfo(name)
    return ZoneInfo("UTC")


def opening_zone(user: User) -> str:
    """The zone in which pages open for this visitor: the browser's, else the saved one."""
    return zone_of(None, st.context.timezone, user.tz).key


def _people(values: Mapping[str, Any], names: Names) -> tuple[str, ...]:
    """The ids of those named; none for everyone. An unknown word is kept as it is, and has no records."""
    words = _texts(values.get("user"))
    return () if EVERYONE in words else tuple(names.person_id(word) or word for word in words)


def _date(value: object) -> date | None:
    return value if isinstance(value, date) else None


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list | tuple) else ()
