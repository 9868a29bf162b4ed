"""The download links of pages: each good once and for a minute, so it renews itself while the page is open and after each use."""

import re
from collections.abc import Sequence
from datetime import timedelta

import pyarrow as pa
import streamlit as st

from byok import downloads, in_words
from byok.accounts.users import User
from byok.store.scope import words_of
from byok.ui import session
from byok.ui.filters import Filters
from byok.ui.names import Names

RENEW = downloads.VALID - timedelta(seconds=15)
WATCH = timedelta(seconds=1)
_LONGEST_NAME = 120
_WATCHED = "download_watched"


@st.fragment(run_every=RENEW)
def link(
    user: User, chosen: Filters, fmt: str, *, name: str, rows: int | None, group_by: tuple[str, ...] = (), priced: bool = False
) -> None:
    """A button that fetches the records of `chosen` (or their sums by `group_by`) as `fmt`. Only `byok web` has the route that serves it.

    `rows` is how many the file will have, for the progress; None if that is not known before.
    """
    session.still(user)
    if not session.behind_web():
        st.caption("Downloads need the routes of `byok web`: start `byok up`, or use the line below.")
        return
    address = downloads.offer(user.id, chosen.scope, fmt, name, now=session.now(), group_by=group_by, priced=priced)
    st.link_button(
        f"Download {fmt.upper()}",
        address,
        type="primary",
        icon=":material/download:",
        on_click=_watch,
        args=(address.rsplit("/", 1)[-1], rows),
        key=f"download-{fmt}",
    )
    if _WATCHED in st.session_state:
        _progress(user)


@st.fragment(run_every=RENEW)
def answer_link(user: User, answer: pa.Table, fmt: str) -> None:
    """A button that fetches an answer to SQL, exactly as it is shown."""
    session.still(user)
    if not session.behind_web():
        st.caption("Downloads need the routes of `byok web`: start `byok up`, or use `byok sql --user`.")
        return
    address = downloads.offer(user.id, answer, fmt, f"answer.{fmt}", now=session.now())
    st.link_button(f"Download {fmt.upper()}", address, icon=":material/download:", on_click="rerun", key=f"sql-download-{fmt}")


@st.fragment(run_every=RENEW)
def shown_link(user: User, answer: pa.Table, fmt: str, chosen: Filters) -> None:
    """A button that fetches what a page shows of `chosen`."""
    session.still(user)
    if not session.behind_web():
        st.caption("Downloads need the routes of `byok web`: start `byok up`.")
        return
    name = filename(chosen, fmt).replace("usage-", "shown-", 1)
    address = downloads.offer(user.id, answer, fmt, name, now=session.now(), admins_only=chosen.everyone)
    st.link_button(f"Download {fmt.upper()}", address, icon=":material/download:", on_click="rerun", key=f"shown-{fmt}")


def filename(chosen: Filters, fmt: str, *, names: Names | None = None, what: Sequence[str] = ()) -> str:
    """Such as usage-2026-11-16-to-2026-11-22-by-day-model-openai.csv: the first and last day, what the sums are by, and the filters."""
    last = chosen.period.until - timedelta(microseconds=1)
    words = [f"usage-{chosen.period.since:%Y-%m-%d}-to-{last:%Y-%m-%d}"]
    if what:
        words += ["by", *what]
    keys = [names.shown("key_id", key_id) if names else key_id for key_id in chosen.key_ids]
    words += [*chosen.vendors, *chosen.models, *keys, *(["everyone"] if chosen.everyone else [])]
    statuses = words_of(chosen.statuses)
    words += statuses if len(statuses) <= 3 else ["some-statuses"]
    safe = "-".join(re.sub(r"[^A-Za-z0-9._-]+", "-", word) for word in words)
    return f"{safe[:_LONGEST_NAME].rstrip('-.')}.{fmt}"


def _watch(address: str, rows: int | None) -> None:
    st.session_state[_WATCHED] = (address, rows)


@st.fragment(run_every=WATCH)
def _progress(user: User) -> None:
    """How far the last download has come, until it ends."""
    session.still(user)
    address, rows = st.session_state.get(_WATCHED, ("", None))
    found = downloads.REGISTRY.progress(address, user.id)
    if found is None:
        st.caption(":material/hourglass_empty: The download begins …")
    elif found.over:
        said = f"Sent: {in_words.plural(found.rows, 'row')}." if found.whole else f"Broken off after {in_words.plural(found.rows, 'row')}."
        st.caption(f":material/check: {said}" if found.whole else f":material/warning: {said}")
        if st.session_state.pop(_WATCHED, None):
            st.session_state["download_said"] = said
    elif rows:
        st.progress(min(1.0, found.rows / rows), text=f"{in_words.count(found.rows)} of {in_words.plural(rows, 'row')}")
    else:
        st.caption(f":material/downloading: {in_words.plural(found.rows, 'row')} …")
