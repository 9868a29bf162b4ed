"""The filter bar of the frame: every control bound to the address. What its words mean: `byok.ui.filters`."""

import re
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any, Literal

import streamlit as st

from byok import in_words, zones
from byok.accounts.users import User
from byok.store.scope import STATUS_WORDS, is_status
from byok.ui import filters, measures, session
from byok.ui.filters import BYS, LISTS, NO_BY
from byok.ui.names import EVERYONE, Names, names_of
from byok.ui.periods import COMPARED, FORMER, GRAINS, RANGES

# What a page may have beside period and filters. "summed": only measures whose parts make the whole.
Part = Literal["metric", "summed", "by", "by2", "cmp", "grain"]
_RANGE = "7d"
_OWN = ("metric", "by", "by2", "cmp", "grain")
_PARTS, _KEPT, _ABSENT = "bar-parts", "bar-kept", "absent"
_FILTERS, _DRAWN, _DRAWN_BEFORE = "filters", "bar-drawn", "bar-drawn-before"
_REACH_DAYS = {"24h": 1, "7d": 7, "30d": 30, "90d": 90}
_RANGE_HELP = (
    "24h, 7d, 30d, 90d and month (this one) end now · last-month: the whole month before · custom: between two days. "
    "Days begin at midnight of the chosen time zone."
)
_METRIC_HELP = (
    "failures: calls without a 2xx status · error-rate: their share · p50 and p95: half and 95 % of the successful calls took at most this "
    "long · ttft: half of them had their first token by then · cached: share of the input that the vendor had in its cache."
)
_GRAIN_HELP = "How wide a bar is; auto fits it to the period."
# What a link may name though nobody has called it: words that a record could have. (Of an unknown user nothing is asked.)
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,95}").fullmatch
_PLAIN: Mapping[str, Callable[[str], object]] = {"vendor": _WORD, "model": _WORD, "key": _WORD, "status": is_status}
_COMPARE_HELP = "prev: the stretch before · dow: the same weekdays of earlier weeks · off: nothing."


def draw(user: User, parts: Collection[Part]) -> None:
    """Draw the bar. In the frame, before the page runs: then its values stay in the address of every page.

    `parts` is what the page makes use of; period, time zone and filters are on every page.
    """
    if (word := st.query_params.get("range")) in FORMER and "range" not in st.session_state:
        st.query_params["range"] = FORMER[word]
        st.rerun()  # only what the address says before the control is drawn stays in it
    _bring_along(user, parts)
    st.session_state[_DRAWN_BEFORE], st.session_state[_DRAWN] = st.session_state.get(_DRAWN, set()), set()
    names = names_of(user, everyone=user.admin and bool(st.session_state.get("user") or st.query_params.get_all("user")))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall", key="filter-bar"):
        _segments("Period", RANGES, "range", default=_RANGE, help=_RANGE_HELP + _reach(user))
        if st.session_state.get("range") == "custom":
            _dates(user)
        for part in ("metric", "by", "by2"):
            if part in parts or (part == "metric" and "summed" in parts):
                _part(part, user, parts)
    # Not a popover: what is in a closed one loses its place in the address on the way to another page.
    with st.expander("Filters", icon=":material/filter_list:", key=_FILTERS, on_change="rerun"):
        _choices(user, names, parts)
    with st.container(horizontal=True, gap="small", key="chips"):
        _chips()  # after the choices: on a first visit only they know what the address says
    st.session_state[_KEPT] = values()


def rest() -> None:
    """On a page without the bar: the next one that has it brings back what was said."""
    st.session_state[_PARTS], st.session_state[_DRAWN] = _ABSENT, set()


def values() -> dict[str, Any]:
    """What is said now, by word."""
    return {word: st.session_state.get(word) for word in filters.WORDS}


def choices(user: User) -> dict[str, Sequence[str]]:
    """What each control of one choice offers, where it stands by default first."""
    zone = filters.opening_zone(user)
    ranges = [_RANGE, *(word for word in RANGES if word != _RANGE)]
    return {"range": ranges, "tz": [zone, *sorted(zones.names())]} | {word: _words(word, user) for word in _OWN}


def _bring_along(user: User, parts: Collection[Part]) -> None:
    """Say again what was said on a page that has the controls at another place, or before one that had none: the browser forgets them
    when they move or go."""
    before, st.session_state[_PARTS] = st.session_state.get(_PARTS), tuple(parts)
    if before in (None, tuple(parts)):
        return
    if before == _ABSENT and any(word in st.query_params for word in filters.WORDS):
        return  # a link says what is meant
    kept = st.session_state.get(_KEPT, {}) if before == _ABSENT else {word: st.session_state.get(word) for word in _OWN}
    for word, value in kept.items():
        known = _words(word, user) if word in _OWN else None
        said = word in st.query_params or (before == _ABSENT and word in st.session_state)
        if not said and value and (known is None or value in known):
            st.session_state[word] = value


def _words(part: str, user: User) -> tuple[str, ...]:
    bys = BYS if user.admin else BYS[:-1]
    return {"metric": measures.WORDS, "by": bys, "by2": (NO_BY, *bys), "cmp": COMPARED, "grain": ("auto", *GRAINS)}[part]


def _part(part: str, user: User, parts: Collection[Part]) -> None:
    """One control of those that not every page makes use of."""
    words = _words(part, user)
    if part == "metric":
        options = words if "summed" not in parts else _with_one(measures.SUMMED, "metric", measures.WORDS)
        _segments("Show", options, "metric", help=_METRIC_HELP)
    elif part == "by":
        _segments("By", words, "by")
    elif part == "by2":
        st.selectbox("Then by", words, key="by2", bind="query-params", width=130, help="A second level within the first.")
    elif part == "cmp":
        st.selectbox("Compare with", words, key="cmp", bind="query-params", help=_COMPARE_HELP)
    elif part == "grain":
        st.selectbox("Grain", words, key="grain", bind="query-params", help=_GRAIN_HELP)


def _reach(user: User) -> str:
    """Which of the ranges reach beyond what the plan keeps. They stay on offer, and show what is left."""
    beyond = [word for word, days in _REACH_DAYS.items() if days > user.retention_days]
    if not beyond:
        return ""
    return f"\n\nYour plan keeps {in_words.plural(user.retention_days, 'day')}: {', '.join(beyond)} can show no more than that."


def _dates(user: User) -> None:
    # The zone's today, which may be tomorrow in UTC. Its own control comes later: on a first visit only the address has it.
    asked = st.session_state.get("tz") or st.query_params.get("tz")
    today = session.now().astimezone(filters.zone_of(asked, st.context.timezone, user.tz)).date()
    for key, label in (("from", "From"), ("to", "To")):
        _to_address(key)
        st.date_input(label, value=None, max_value=today, key=key, bind="query-params", width=165, format="YYYY-MM-DD")


def _segments(label: str, options: Sequence[str], key: str, *, default: str | None = None, help: str | None = None) -> None:
    default = default or options[0]
    st.segmented_control(label, options, default=default, required=True, key=key, bind="query-params", help=help, wrap=True)


def _choices(user: User, names: Names, parts: Collection[Part]) -> None:
    """All controls while somebody sees them, else those that say something: each costs the browser 20 to 50 ms, seen or not."""
    with st.grid(3, min_column_width=220, gap="small"):
        for key, label, options in (
            ("vendor", "Vendor", names.vendors),
            ("model", "Model", names.models),
            ("key", "Key", (*names.key_words, *_ids("key", names.words))),
            ("status", "Status", (*STATUS_WORDS, *names.statuses)),
        ):
            _where_needed(user, key, partial(_several, label, options, key))
        if user.admin:
            people = (EVERYONE, *names.person_words, *_ids("user", names.people))
            _where_needed(user, "user", partial(_several, "User (admins)", people, "user", none="Only me", help="Whose calls are shown."))
        for part in ("cmp", "grain"):
            if part in parts:
                _where_needed(user, part, partial(_part, part, user, parts))
        _where_needed(user, "tz", partial(_zone, user))
    st.button("Clear filters", on_click=filters.clear, icon=":material/filter_list_off:", key="clear-filters", shortcut="Shift+X")
    idle = [part for part in _OWN if part not in parts and (part != "metric" or "summed" not in parts)]
    if any(_needed(user, part) for part in idle):
        # Drawn all the same: what is not on a page loses its place in the address, and a disabled control its value.
        st.caption("Kept for other pages, without effect on this one:")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        for part in idle:
            _where_needed(user, part, partial(_part, part, user, parts))


def _where_needed(user: User, word: str, control: Callable[[], object]) -> None:
    with st.container():  # each in a place of its own, whichever others are drawn: the browser forgets one that moves
        if _needed(user, word):
            _to_address(word)
            control()


def _to_address(word: str) -> None:
    """Of a control that is drawn anew: what was said before does not come into the address by itself."""
    st.session_state[_DRAWN].add(word)
    value = st.session_state.get(word)
    if value and word not in st.session_state[_DRAWN_BEFORE] | st.query_params.keys():
        st.query_params[word] = value.isoformat() if isinstance(value, date) else value


def _needed(user: User, word: str) -> bool:
    """Whether a control is seen, or has something to keep in the address or to take out of it."""
    default = filters.opening_zone(user) if word == "tz" else _words(word, user)[0] if word in _OWN else None
    said = word in st.query_params or st.session_state.get(word) not in (None, [], default)
    return said or bool(st.session_state[_FILTERS])


def _several(label: str, options: Sequence[str], key: str, *, none: str = "All", help: str | None = None) -> None:
    st.multiselect(label, _with_chosen(options, key), key=key, bind="query-params", placeholder=none, help=help)


def _zone(user: User) -> None:
    zone = filters.opening_zone(user)
    offered = sorted(zones.names() | {zone})
    st.selectbox("Time zone", offered, index=offered.index(zone), key="tz", bind="query-params")


def _chips() -> None:
    """What is filtered by now, each with a cross that takes it back."""
    for key in LISTS:
        for word in st.session_state.get(key, []):
            label = f"{key} {in_words.literal(word)}"
            st.button(label, key=f"drop-{key}-{word}", on_click=_drop, args=(key, word), icon=":material/close:", type="tertiary")


def _drop(key: str, word: str) -> None:
    st.session_state[key] = [other for other in st.session_state[key] if other != word]


def _with_chosen(options: Sequence[str], key: str) -> list[str]:
    """Options, and what is already chosen though it is not known (a click on a bar can be ahead of the cached names), or what a link
    names: that none of it is there is an answer, all the rest would be a wrong one."""
    linked = st.query_params.get_all(key) if key in _PLAIN else []
    return list(dict.fromkeys([*options, *st.session_state.get(key, []), *filter(_PLAIN.get(key), linked)]))


def _ids(key: str, known: Container[str]) -> list[str]:
    """Ids that the address names in place of words."""
    return [word for word in st.query_params.get_all(key) if word in known]


def _with_one(options: Sequence[str], key: str, known: Sequence[str]) -> list[str]:
    """Options, and the one chosen on another page if this page would not offer it."""
    chosen = str(st.session_state.get(key) or st.query_params.get(key))
    return [*options, chosen] if chosen in known and chosen not in options else list(options)
