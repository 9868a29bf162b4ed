"""What is kept of a user's records, since when, and what leaves next: the upper half of the page Retention & deletion."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import streamlit as st

from byok import in_words, services
from byok.accounts.plans import keep_after
from byok.accounts.users import User
from byok.store import questions
from byok.store.scope import Scope
from byok.ui import calendar_chart, session, states
from byok.ui.table import percent_format
from byok.zones import EARLIEST, LATEST

SOON = timedelta(days=3)
LEAVING_DAYS = 7
_CARDS_HEIGHT = 92  # without small charts


@dataclass(frozen=True)
class Kept:
    """A user's visible records: how many, of which days (in the reader's zone), and from which to which instant."""

    user: User
    zone: ZoneInfo
    kept_from: datetime
    rows: int
    oldest: datetime | None
    newest: datetime | None
    per_day: dict[date, int]
    leaving_soon: int


def kept(user: User, zone: ZoneInfo) -> Kept:
    """Ask what is kept of `user` now."""
    engine = services.current().engine
    since = keep_after(user.retention_days, session.now())
    oldest, newest, rows = questions.extent(engine, user.id)
    days = questions.usage(engine, Scope(user.id, EARLIEST, LATEST, tz=zone.key), group_by=("day",)).rows
    soon = questions.usage(engine, Scope(user.id, since, since + SOON), group_by=("vendor",)).totals["total_calls"]
    return Kept(user, zone, since, rows, oldest, newest, {date.fromisoformat(row["day"]): row["calls"] for row in days}, soon)


def draw(whose: User, zone: ZoneInfo) -> None:
    """The cards, the calendar, and what leaves in the next days."""
    found: Kept | None = None
    with states.Card(height=_CARDS_HEIGHT, framed=False):
        found = kept(whose, zone)
        _cards(found)
    if not found or not found.oldest:
        return
    with states.Card("Stored days"):
        today = session.now().astimezone(found.zone).date()
        calendar_chart.draw(found.per_day, _first_day(found), max(today, max(found.per_day)), mode=st.context.theme.type)
        st.caption(f"Days in {found.zone.key}. The stronger the blue of a day, the more calls.")
    _leaving(found)


def _cards(found: Kept) -> None:
    oldest = found.oldest.astimezone(found.zone) if found.oldest else None
    leaves = f"Leaves {_until(found)}." if oldest else "There is no record."
    with st.grid(4, min_column_width=165, gap="small"):
        st.metric("Plan", found.user.plan.capitalize(), border=True, height="stretch", help="An admin changes it on the page Users.")
        st.metric("Days kept", in_words.count(found.user.retention_days), border=True, height="stretch", help=_KEPT_HELP)
        since = f"{oldest:%Y-%m-%d}" if oldest else in_words.DASH  # a month's name is cut off on a phone
        st.metric("Oldest record", since, border=True, height="stretch", help=leaves)
        seen = f"{in_words.count(found.rows)} that you can see."
        st.metric("Records", in_words.short(found.rows), border=True, height="stretch", help=seen)


def _leaving(found: Kept) -> None:
    """Days whose records pass the plan's limit within a week, oldest first."""
    last = (found.kept_from + timedelta(days=LEAVING_DAYS)).astimezone(found.zone).date()
    rows = [(day, count) for day, count in sorted(found.per_day.items()) if day <= last]
    with states.Card("Leaving soon"):
        if not rows:
            st.markdown(f"Nothing leaves within {in_words.plural(LEAVING_DAYS, 'day')}. The oldest record leaves {_until(found)}.")
            return
        days = found.user.retention_days
        frame = pd.DataFrame(
            [{"day": _day(day), "records": count, "leave": _leave(day, days), "share": 100 * count / found.rows} for day, count in rows]
        )
        config = {
            "day": st.column_config.TextColumn("Records of", width=150, pinned=True),
            "leave": st.column_config.TextColumn("Leave", width=190, help="A record leaves at the time of day at which it was made."),
            "records": st.column_config.NumberColumn("Records", format="localized"),
            "share": st.column_config.ProgressColumn(
                "Share of all", format=percent_format(frame["share"], 1), min_value=0, max_value=100, width=110
            ),
        }
        st.dataframe(
            frame, column_config=config, column_order=list(config), hide_index=True, height="content", key="leaving",
            alt="Days whose records leave next, with how many and when.",
        )  # fmt: skip
        soon = in_words.plural(found.leaving_soon, "record")
        st.caption(f"Within {SOON.days} days: {soon}. To keep a copy, export them first; a longer plan keeps them here.")


_KEPT_HELP = "An older record is invisible at once, and deleted from every file within a day."


def _first_day(found: Kept) -> date:
    """Where the calendar begins: at the oldest record, or at the limit for a plan that keeps little."""
    limit = found.kept_from.astimezone(found.zone).date()
    return limit if found.user.retention_days <= 35 else min(max(limit, min(found.per_day)), min(found.per_day))


def _until(found: Kept) -> str:
    if not found.oldest:
        return ""
    leaves = (found.oldest.astimezone(UTC) + timedelta(days=found.user.retention_days)).astimezone(found.zone)
    return f"on {in_words.day(leaves, year=True)} at {leaves:%H:%M}"


def _day(day: date) -> str:
    return f"{day:%a %b} {day.day}, {day.year}"


def _leave(day: date, days: int) -> str:
    gone = day + timedelta(days=days)
    return f"during {gone:%a %b} {gone.day}, {gone.year}"
