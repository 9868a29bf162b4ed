"""The filter bar of the frame, bound to the address, and what it means: the store's `Scope`, made in this one place."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, cast
from zoneinfo import ZoneInfo, available_timezones

import streamlit as st

from byok.accounts.plans import keep_after
from byok.accounts.users import User
from byok.store.scope import Scope
from byok.ui import periods, session
from byok.ui.format import literal
from byok.ui.names import Names, names_of
from byok.ui.periods import GRAINS, RANGES, Grain, Period

By = Literal["vendor", "model", "key"]
BYS: tuple[By, ...] = ("vendor", "model", "key")
METRICS = ("cost", "tokens", "calls")
# The words of the status filter that stand for many statuses; the others are the numbers themselves.
STATUS_WORDS: Mapping[str, range] = {"success": range(200, 300), "failed": range(300, 600)}
# One kind of entity, two names: the address says "key", the record "key_id".
COLUMN_OF: Mapping[By, str] = {"vendor": "vendor", "model": "model", "key": "key_id"}
_LISTS = ("vendor", "model", "key", "status")
_RANGE_HELP = (
    "24h, 7d, 30d and 90d end now · mtd: this month to date · lastmonth: the whole month before · custom: between two days. "
    "Days begin at midnight of the chosen time zone."
)


@dataclass(frozen=True)
class Filters:
    """What the bar says. `kept_from` is the instant before which the user's plan keeps nothing."""

    user_id: str
    word: str
    period: Period
    zone: ZoneInfo
    grain: Grain
    by: By
    metric: str
    vendors: tuple[str, ...]
    models: tuple[str, ...]
    key_ids: tuple[str, ...]
    statuses: tuple[int, ...]
    kept_from: datetime

    @property
    def narrowed(self) -> bool:
        """Whether anything but the period leaves rows out."""
        return bool(self.vendors or self.models or self.key_ids or self.statuses)

    @property
    def cut(self) -> bool:
        """Whether the period begins before what the plan keeps."""
        return self.period.since < self.kept_from

    @property
    def gone(self) -> bool:
        """Whether the whole period lies before what the plan keeps."""
        return self.period.until <= self.kept_from

    @property
    def scope(self) -> Scope:
        return self._scope(self.period.since, self.period.until)

    @property
    def scope_before(self) -> Scope | None:
        """The period compared with; None where the plan no longer keeps all of it, because half a period misleads."""
        if self.period.before_since < self.kept_from:
            return None
        return self._scope(self.period.before_since, self.period.before_until)

    @property
    def fingerprint(self) -> str:
        """Differs for every choice, so that a chart or table of another choice is another one, with nothing selected in it."""
        said = (self.word, self.period.since.date(), self.zone.key, self.grain, self.by, self.metric)
        return format(zlib.crc32(repr((said, self.vendors, self.models, self.key_ids, self.statuses)).encode()), "08x")

    def _scope(self, since: datetime, until: datetime) -> Scope:
        return Scope(
            user_id=self.user_id,
            since=since,
            until=until,
            tz=self.zone.key,
            vendors=self.vendors,
            models=self.models,
            key_ids=self.key_ids,
            statuses=self.statuses,
        )


def parse(values: Mapping[str, Any], user: User, names: Names, *, now: datetime, browser_zone: str | None) -> Filters:
    """Make filters of the bar's values; whatever is missing or unknown counts as not said.

    >>> parse({"range": "30d", "vendor": ["openai"]}, user, names, now=now, browser_zone="Europe/Berlin").vendors
    ('openai',)
    """
    zone = _zone(values.get("tz"), browser_zone, user.tz)
    word = values.get("range") if values.get("range") in RANGES else "7d"
    period = periods.period(cast(str, word), now=now, zone=zone, first=_date(values.get("from")), last=_date(values.get("to")))
    kept_from = keep_after(user.retention_days, now)
    by = values.get("by")
    metric = values.get("metric")
    return Filters(
        user_id=user.id,
        word=cast(str, word),
        period=period,
        zone=zone,
        grain=periods.grain_for(str(values.get("grain")), max(period.since, kept_from), period.until),
        by=cast(By, by) if by in BYS else "vendor",
        metric=cast(str, metric) if metric in METRICS else "cost",
        vendors=_texts(values.get("vendor")),
        models=_texts(values.get("model")),
        key_ids=tuple(names.key_id(word) for word in _texts(values.get("key"))),
        statuses=_statuses(_texts(values.get("status"))),
        kept_from=kept_from,
    )


def current(user: User) -> Filters:
    """The filters of this rerun: of the bar if the frame drew it, else the defaults."""
    return parse(st.session_state, user, names_of(user), now=session.now(), browser_zone=st.context.timezone)  # type: ignore[arg-type]


def bar(user: User, *, grouped: bool) -> None:
    """Draw the bar. In the frame, before the page runs: then its values stay in the address of every page.

    `grouped` says whether the page shows a metric by something; else only the choice of records is offered.
    """
    names = names_of(user)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="filter-bar"):
        _segments("Period", RANGES, "range", default="7d", help=_RANGE_HELP)
        if st.session_state.get("range") == "custom":
            _dates()
        if grouped:
            _segments("Show", METRICS, "metric")
            _segments("By", BYS, "by")
    # Not a popover: what is in a closed one loses its place in the address on the way to another page.
    with st.expander("Filters", icon=":material/filter_list:", key="filters"):
        _choices(user, names, grouped=grouped)
    with st.container(horizontal=True, gap="small", key="chips"):
        _chips()  # after the choices: on a first visit only they know what the address says


def clear() -> None:
    """Take back everything but the period and the zone (a callback)."""
    for key in _LISTS:
        st.session_state[key] = []


def narrow(by: By, word: str) -> None:
    """Filter by one entity and go one step deeper (a callback): vendor, then its models, then their keys."""
    st.session_state[by] = [word]
    if by != "key":
        st.session_state["by"] = BYS[BYS.index(by) + 1]


def _dates() -> None:
    today = session.now().date()
    for key, label in (("from", "From"), ("to", "To")):
        st.date_input(label, value=None, max_value=today, key=key, bind="query-params", width=140, format="YYYY-MM-DD")


def _segments(label: str, options: Sequence[str], key: str, *, default: str | None = None, help: str | None = None) -> None:
    st.segmented_control(
        label,
        options,
        default=default or options[0],
        required=True,
        key=key,
        bind="query-params",
        help=help,
        label_visibility="collapsed",
        wrap=True,
    )


def _choices(user: User, names: Names, *, grouped: bool) -> None:
    zone = _zone(None, st.context.timezone, user.tz).key
    zones = sorted(available_timezones() | {zone})
    with st.grid(3, min_column_width=220, gap="small"):
        for key, label, options in (
            ("vendor", "Vendor", names.vendors),
            ("model", "Model", names.models),
            ("key", "Key", names.key_words),
            ("status", "Status", (*STATUS_WORDS, *names.statuses)),
        ):
            st.multiselect(label, _with_chosen(options, key), key=key, bind="query-params", placeholder="All")
        if grouped:
            st.selectbox(
                "Grain", ("auto", *GRAINS), key="grain", bind="query-params", help="How wide a bar is; auto fits it to the period."
            )
        st.selectbox("Time zone", zones, index=zones.index(zone), key="tz", bind="query-params")
    st.button("Clear filters", on_click=clear, icon=":material/filter_list_off:")


def _chips() -> None:
    """What is filtered by now, each with a cross that takes it back."""
    for key in _LISTS:
        for word in st.session_state.get(key, []):
            label = f"{key} {literal(word)}"
            st.button(label, key=f"drop-{key}-{word}", on_click=_drop, args=(key, word), icon=":material/close:", type="tertiary")


def _drop(key: str, word: str) -> None:
    st.session_state[key] = [other for other in st.session_state[key] if other != word]


def _with_chosen(options: Sequence[str], key: str) -> list[str]:
    """Options, and what is already chosen though it is not known (a click on a bar can be ahead of the cached names)."""
    return list(dict.fromkeys([*options, *st.session_state.get(key, [])]))


def _zone(asked: object, browser: str | None, own: str) -> ZoneInfo:
    for name in (asked, browser, own):
        if isinstance(name, str) and name in available_timezones():
            return ZoneInfo(name)
    return ZoneInfo("UTC")


def _date(value: object) -> date | None:
    return value if isinstance(value, date) else None


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list | tuple) else ()


def _statuses(words: Sequence[str]) -> tuple[int, ...]:
    found: set[int] = set()
    for word in words:
        found.update(STATUS_WORDS.get(word, [int(word)] if word.isdigit() else []))
    return tuple(sorted(found))
