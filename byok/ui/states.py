"""What a page says when there is little to show, and how fresh, how complete and how well priced the rest is."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any
from zoneinfo import ZoneInfo

import streamlit as st
import structlog

from byok import in_words, links, services
from byok.accounts.plans import keep_after
from byok.accounts.users import User
from byok.errors import ByokError
from byok.store import questions
from byok.store.scope import Scope
from byok.ui import filters, losses, session
from byok.ui.filters import Filters
from byok.zones import LATEST

POLL = timedelta(seconds=2)
REFRESH = timedelta(seconds=10)
LATELY = timedelta(days=35)

log = structlog.get_logger("byok.web")


def newest_of(user: User, *, everyone: bool = False) -> datetime | None:
    """When the newest record that the user can see was made; None if there is none. `everyone`: of all users (for admins)."""
    engine = services.current().engine
    if everyone and user.admin:
        return questions.freshness(engine).newest_ts
    # Mostly it lies in the last weeks: their files are few, and whole hours make an answer that holds for an hour.
    since = max(session.now() - LATELY, keep_after(user.retention_days, session.now()))
    lately = Scope(user.id, since.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1), LATEST)
    return questions.newest(engine, lately) or questions.extent(engine, user.id)[1]


def require_records(user: User, chosen: Filters) -> None:
    """End the script with the way on where no record can be shown: none was ever made, or none of the period is kept any more."""
    if newest_of(user, everyone=chosen.everyone) is None:
        no_data_yet(user)
        st.stop()
    if chosen.gone:
        out_of_retention(user, chosen)
        st.stop()
    cut_by_retention(user, chosen)


def whose(chosen: Filters) -> None:
    """Say loudly that these are not the reader's own records."""
    if chosen.everyone:
        shown = f"the calls of {in_words.plural(len(chosen.user_ids), 'user')}" if chosen.user_ids else "everyone's calls"
        st.warning(f"You see {shown}, as an admin.", icon=":material/groups:")


def no_data_yet(user: User) -> None:
    """No call was ever recorded: how to make the first one. Shows the page by itself as soon as it arrives."""
    st.subheader("No calls yet")
    st.markdown(
        "Send the first one through the gateway: the built-in model `echo/echo-1` answers without any vendor key. "
        "This page fills by itself as soon as the call arrives."
    )
    st.code(links.first_call(services.current().settings.programs_url), language="bash", wrap_lines=True)
    with st.container(horizontal=True, gap="small"):
        st.page_link("pages/keys.py", label="Make an access token and store a vendor key", icon=":material/key:")
        st.page_link("pages/what_we_store.py", label="What is stored of a call", icon=":material/visibility:")
    _wait_for_the_first(user)


@st.fragment(run_every=POLL)
def _wait_for_the_first(user: User) -> None:
    session.still(user)
    if newest_of(user) is not None:
        st.rerun()
    st.caption(":material/hourglass_empty: Waiting for the first call …")


def nothing_matches(chosen: Filters) -> None:
    """There are records, but none in this period with these filters."""
    st.subheader("Nothing matches")
    where = "with these filters " if chosen.narrowed else ""
    fewer = ", or fewer filters" if chosen.narrowed else ""
    st.markdown(f"No call was made {where}in {chosen.period.words()} ({chosen.zone.key}). Take a longer period{fewer}.")
    if chosen.narrowed:
        st.button("Clear filters", on_click=filters.clear, type="primary", icon=":material/filter_list_off:", key="clear-nothing")


def nothing_measured() -> None:
    """There are calls, but none whose time could be shown: that is measured of successful ones."""
    st.caption("No time of a successful call was measured.")


def out_of_retention(user: User, chosen: Filters) -> None:
    """The whole period lies before what the plan keeps."""
    st.subheader("No longer kept")
    st.markdown(f"{_kept(user, chosen)} {chosen.period.words()} lies before that: its calls are no longer visible, and are deleted.")
    st.button("Show the last 7 days", on_click=_last_week, type="primary", icon=":material/calendar_today:")


def cut_by_retention(user: User, chosen: Filters) -> None:
    """A part of the period lies before what the plan keeps: say so above the numbers."""
    if chosen.cut and not chosen.gone:
        st.caption(f":material/history_toggle_off: {_kept(user, chosen)} This period shows what is left of it.")


def unpriced(rows: Sequence[Mapping[str, Any]]) -> None:
    """A banner for models without a price, from rows by vendor and model: calls, success, cost_usd.

    Failed calls without counts are unpriced, too; they are expected, and no reason for alarm.
    """
    without = [row for row in rows if row["cost_usd"] is None and row["success"]]
    if not without:
        return
    without.sort(key=lambda row: -row["calls"])
    named = ", ".join(f"`{row['vendor']}/{row['model']}`" for row in without[:3]) + (" …" if len(without) > 3 else "")
    calls = in_words.plural(sum(row["calls"] for row in without), "call")
    st.warning(
        f"No price is known for {named}: {calls} of this period are in no sum of money and shown as {in_words.DASH}. "
        "[The price table](costs#price-table) names every price there is.",
        icon=":material/money_off:",
    )


@st.fragment(run_every=REFRESH)
def freshness(user: User, chosen: Filters, *, compared: bool) -> None:
    """The period in words, up to which call the numbers reach, and whether files are missing from them. Renews itself."""
    session.still(user)
    newest = newest_of(user, everyone=chosen.everyone)
    missing = questions.freshness(services.current().engine).quarantined
    words = [f"{chosen.period.words()} ({chosen.zone.key})"]
    if compared and chosen.scope_before:
        words[0] += f", compared with {chosen.period.compared_with}"
    if newest is not None:
        words.append(f"Data to {_clock(newest, chosen.zone)}, {in_words.ago(session.now() - newest)}")
    if missing:
        words.append(f":red[{in_words.plural(missing, 'file')} cannot be read: numbers are incomplete]")
    if lost := losses.lost(services.current().settings.gateway_here):
        words.append(f":red[{in_words.plural(lost, 'call')} of this installation could not be recorded: numbers are incomplete]")
    st.caption(" · ".join(words))


def demo_banner() -> None:
    if services.current().settings.demo:
        st.info("Sample data: nothing here was really called, and nothing costs anything.", icon=":material/science:")


def _clock(moment: datetime, zone: ZoneInfo) -> str:
    here = moment.astimezone(zone)
    today = here.date() == session.now().astimezone(zone).date()
    return f"{here:%H:%M:%S}" if today else in_words.minute(here)


def _kept(user: User, chosen: Filters) -> str:
    since = chosen.kept_from.astimezone(chosen.zone)
    if chosen.everyone:
        return f"The longest plan among these users keeps calls since {in_words.day(since, year=True)}, {since:%H:%M}."
    kept = in_words.plural(user.retention_days, "day")
    return f"Your plan ({user.plan}) keeps {kept}: calls since {in_words.day(since, year=True)}, {since:%H:%M}."


def _last_week() -> None:
    st.session_state["range"] = "7d"


class Card:
    """A part of a page with a fault of its own, which is said there, with a way to try again, and leaves the rest alone.

    Its title (if any) stands at once and a skeleton until it is drawn. Made before anything is asked, so that nothing jumps when
    answers come; then `with card:` draws into it. Without a `height` (pixels) there is no skeleton: for what is drawn in no time.

    >>> hero = states.Card("Cost by vendor", height=320)
    >>> with hero:
    ...     charts.draw(…)
    """

    def __init__(
        self,
        title: str = "",
        *,
        height: int | None = None,
        framed: bool = True,
        key: str | None = None,
        anchor: str | None = None,
        column: Any = st,
    ) -> None:
        self.name = key or title or "figures"
        self.box = column.container(border=framed, key=key, height="content" if column is st else "stretch")
        with self.box:
            if title:
                self.heading = st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute")
                self.heading.subheader(title, anchor=anchor or False, width="content")
            self._waiting = st.skeleton(height=height) if height else None

    def __enter__(self) -> "Card":
        self.box.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> bool:
        if self._waiting is not None:
            self._waiting.empty()
        if isinstance(fault, Exception):
            _failed(fault, self.name)
        self.box.__exit__(None, None, None)
        return isinstance(fault, Exception)


def script_failed(fault: Exception) -> bool:
    """What Streamlit calls for a fault that no card caught: said with an id, never with a traceback."""
    _failed(fault, "page")
    return True


def _failed(fault: Exception, name: str) -> None:
    """A short word, a way to try again, and an id under which the log has the rest."""
    if isinstance(fault, ByokError):
        words = f"{fault.message} {fault.remedy}"
    else:
        fault_id = secrets.token_hex(4)
        log.error("page_failed", exc_info=fault, code=fault_id)
        words = f"This could not be shown. If it persists, run `byok doctor`; the log has more under {fault_id}."
    st.error(words, icon=":material/error:")
    st.button("Try again", icon=":material/refresh:", key=f"again-{name}")
