"""Whole months at one click, for those who export them for accounting."""

from datetime import date, timedelta

import streamlit as st

from byok.ui import filters, session
from byok.ui.filters import Filters

MOST = 12


def draw(chosen: Filters) -> None:
    """A button for each month of which something is kept, the newest first, at most twelve."""
    today = session.now().astimezone(chosen.zone).date()
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.caption("A whole month", width="content")
        for first in of(chosen.kept_from.astimezone(chosen.zone).date(), today):
            label = f"{first:%b %Y}" if first.year != today.year else f"{first:%b}"
            st.button(label, key=f"month-{first}", type="tertiary", on_click=show, args=(first, today))


def of(oldest: date, today: date) -> list[date]:
    """The first days of the months from `oldest` to `today`, newest first.

    >>> of(date(2026, 9, 30), date(2026, 11, 22))
    [datetime.date(2026, 11, 1), datetime.date(2026, 10, 1), datetime.date(2026, 9, 1)]
    """
    found = [today.replace(day=1)]
    while len(found) < MOST and found[-1] > oldest:
        found.append((found[-1] - timedelta(days=1)).replace(day=1))
    return found


def last_day(first: date, today: date) -> date:
    """The last day of the month that begins so; today (the reader's) if that is still to come."""
    return min((first + timedelta(days=31)).replace(day=1) - timedelta(days=1), today)


def show(first: date, today: date) -> None:
    """Make that month the period (a callback)."""
    filters.choose_days(first, last_day(first, today))
