"""The mailed summary: when it comes, how it looks, and one to be sent now."""

import base64
from datetime import time, timedelta
from typing import cast
from zoneinfo import ZoneInfo

import streamlit as st

from byok import in_words, services, zones
from byok.accounts.ids import new_id
from byok.accounts.users import User
from byok.errors import ByokError
from byok.notify import email, mail_pages, reports, schedules, source
from byok.notify.schedules import Kind, Schedule
from byok.ui import session

_SAID, _REFUSED, _SENT_AT = "report-said", "report-refused", "report-sent-at"
_NAMES = {"day": "Every day", "week": "Every Monday", "month": "On the first"}
_PERIODS = {"day": "Last day", "week": "Last week", "month": "Last month"}
_BETWEEN = timedelta(seconds=30)
FRESH_S = 60


def draw(user: User) -> None:
    """The schedule, and the preview below it."""
    schedule = schedules.of_user(services.current().db, user.id)
    if said := st.session_state.pop(_SAID, None):
        st.success(said)
    if refused := st.session_state.pop(_REFUSED, None):
        st.error(refused)
    if schedule:
        here = schedule.next_at.astimezone(ZoneInfo(schedule.tz))
        st.markdown(
            f":material/schedule: {_NAMES[schedule.period]} at {schedule.at} ({schedule.tz}) to **{in_words.literal(user.email)}**"
            f"{', with the figures as CSV' if schedule.csv else ''}. Next: **{here:%a} {in_words.minute(here)}**."
        )
    else:
        st.markdown(f"No report is sent. Choose when the summary of your usage comes to {in_words.literal(user.email)}.")
    if services.current().settings.smtp_url is None:
        st.warning("No mail server is set here, so no mail is sent: the operator sets `BYOK_SMTP_URL`.", icon=":material/mail_off:")
    _form(user, schedule)
    _preview(user)


def _form(user: User, schedule: Schedule | None) -> None:
    offered = sorted(zones.names())
    tz = schedule.tz if schedule else user.tz
    at = time.fromisoformat(schedule.at if schedule else schedules.AT)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        period = schedule.period if schedule else "week"
        st.segmented_control("How often", list(_NAMES), default=period, required=True, format_func=_NAMES.__getitem__, key="report-period")
        st.time_input("At", at, step=timedelta(minutes=15), key="report-at", width=110)
        st.selectbox("Time zone", offered, index=offered.index(tz) if tz in offered else offered.index("UTC"), key="report-tz", width=220)
        st.toggle("CSV", schedule.csv if schedule else False, key="report-csv", help="Attach the figures by model.")
        st.button("Save" if schedule else "Send me reports", type="primary", key="report-save", on_click=_save, args=(user,))
        if schedule:
            st.button("Stop", key="report-stop", on_click=_stop, args=(user,))


def _preview(user: User) -> None:
    with st.expander("Preview", icon=":material/visibility:", key="report-preview"):
        with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
            named = _PERIODS.__getitem__
            kind = st.segmented_control("Of", list(_PERIODS), default="week", required=True, format_func=named, key="report-of")
            st.button("Send it to me now", key="report-now", icon=":material/send:", on_click=_send, args=(user,))
        subject, page = _page(user, cast(Kind, kind))
        st.caption(f"Subject: {in_words.literal(subject)}")
        # As a data address the frame is of no origin: it reaches neither this page nor its cookies, and its own policy loads nothing.
        st.iframe(f"data:text/html;base64,{base64.b64encode(page.encode()).decode()}", height=760, alt="The mail as it will look.")


# The cache is shared by all sessions; the user, whose data it is, is its key.
@st.cache_data(ttl=FRESH_S, max_entries=64, show_spinner=False)
def _page(user: User, kind: Kind) -> tuple[str, str]:
    book = services.current()
    report = reports.of_last(book, user, kind, now=book.now(), spikes=source.spikes(book))
    return report.subject, mail_pages.html("report.html", preview=True, report=report, unsubscribe="")


@session.checked
def _save(user: User) -> None:
    said = st.session_state
    try:
        schedules.put(
            services.current().db,
            user.id,
            str(said["report-period"]),
            at=f"{said['report-at']:%H:%M}",
            tz=str(said["report-tz"]),
            csv=bool(said["report-csv"]),
            now=session.now(),
        )
    except ByokError as error:
        said[_REFUSED] = f"{error.message} {error.remedy}"


@session.checked
def _stop(user: User) -> None:
    schedules.end(services.current().db, user.id)
    st.session_state[_SAID] = "No more reports."


@session.checked
def _send(user: User) -> None:
    book, said = services.current(), st.session_state
    if said.get(_SENT_AT) and session.now() - said[_SENT_AT] < _BETWEEN:
        said[_REFUSED] = "One was sent a moment ago: wait half a minute."
        return
    if book.settings.smtp_url is None:
        said[_REFUSED] = f"{email.MailNotConfigured().message} {email.MailNotConfigured().remedy}"
        return
    said[_SENT_AT] = session.now()
    kind = cast(Kind, said.get("report-of", "week"))
    report = reports.of_last(book, user, kind, now=session.now(), spikes=source.spikes(book))
    outcome = email.send(reports.mail(book, report, new_id("rep_")), book.settings, session.now())
    if outcome.sent:
        said[_SAID] = f"Sent to {in_words.literal(user.email)}."
    else:
        said[_REFUSED] = f"The report was not sent: {outcome.said}."
