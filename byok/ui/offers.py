"""The download links of pages: each good once and for a minute, so it renews itself while the page is open and after each use."""

from datetime import timedelta

import pyarrow as pa
import streamlit as st

from byok import downloads
from byok.accounts.users import User
from byok.ui import session
from byok.ui.filters import Filters

RENEW = downloads.VALID - timedelta(seconds=15)


@st.fragment(run_every=RENEW)
def link(user: User, chosen: Filters, fmt: str) -> None:
    """A button that fetches the records of `chosen` as `fmt`. Only `byok web` has the route that serves it."""
    session.still(user)
    if not session.behind_web():
        st.caption("Downloads need the routes of `byok web`: start `byok up`, or use the line below.")
        return
    address = downloads.offer(user.id, chosen.scope, fmt, filename(chosen, fmt), now=session.now())
    st.link_button(f"Download {fmt.upper()}", address, type="primary", icon=":material/download:", on_click="rerun", key=f"download-{fmt}")


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


def filename(chosen: Filters, fmt: str) -> str:
    """Such as usage-2026-11-16-to-2026-11-22.csv: the first and the last day that it holds, in the reader's zone."""
    last = chosen.period.until - timedelta(microseconds=1)
    return f"usage-{chosen.period.since:%Y-%m-%d}-to-{last:%Y-%m-%d}.{fmt}"
