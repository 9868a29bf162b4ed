"""Alert rules with their actions, and how the last messages went."""

import pandas as pd
import streamlit as st

from byok import in_words, services
from byok.accounts import alert_rules, users
from byok.accounts.alert_rules import Rule
from byok.accounts.users import User
from byok.errors import ByokError
from byok.notify import delivery, findings, listing, outbox, schedules
from byok.notify.outbox import Delivery
from byok.ui import session

MOST = 20
_SAID, _REFUSED = "alert-said", "alert-refused"
_ICONS = {"slack": ":material/tag:", "webhook": ":material/webhook:", "mail": ":material/mail:"}
_COLOURS = {"sent": "green", "pending": "blue", "refused": "red", "expired": "red"}
_KINDS = {"alert": "Alert", "resolved": "Over", "test": "Test", "report": "Report"}


def rules(user: User) -> None:
    """The user's rules, oldest first."""
    book = services.current()
    if said := st.session_state.pop(_SAID, None):
        st.success(said)
    if refused := st.session_state.pop(_REFUSED, None):
        st.error(refused)
    found = alert_rules.of_user(book.db, user.id)
    if not found:
        st.markdown("No rule yet. A rule tells you, by Slack, a webhook or mail, when your calls are unusual, too many, or none.")
    last = outbox.last_of_rules(book.db, [rule.id for rule in found])
    for rule in found:
        _row(user, rule, last.get(rule.id))


def deliveries(user: User) -> None:
    """The last messages of rules and reports, each with its state and a link to the chart of that time."""
    book = services.current()
    found = outbox.of_user(book.db, user.id, most=MOST)
    if not found:
        st.markdown("Nothing was sent yet.")
        return
    config = {
        "at": st.column_config.DatetimeColumn("When", format="MMM D, HH:mm", width=110),
        "kind": st.column_config.TextColumn("What", width=80),
        "hour": st.column_config.TextColumn("Hour", width=150),
        "about": st.column_config.TextColumn("About", width=300),
        "state": st.column_config.TextColumn("State", help="Of the last try; an HTTP or SMTP status, or a word of ours."),
        "tries": st.column_config.NumberColumn("Tries", width=70),
        "next": st.column_config.DatetimeColumn("Next try", format="MMM D, HH:mm:ss", width=130),
        "chart": st.column_config.LinkColumn("Chart", display_text="Open", width=70),
    }
    frame = pd.DataFrame([_told(user, one) for one in found], columns=list(config))
    st.dataframe(
        frame,
        column_config=config,
        hide_index=True,
        placeholder=in_words.DASH,
        alt="The last messages: time, kind, subject, state and tries.",
    )


def _told(user: User, one: Delivery) -> dict[str, object]:
    book, zone = services.current(), session.zone(user)
    facts: dict[str, object] = {
        "at": one.created_at.astimezone(zone),
        "kind": _KINDS[one.kind],
        "state": one.status + (f" ({one.result})" if one.result else ""),
        "tries": one.tries,
        "next": one.next_try_at.astimezone(zone) if one.status == "pending" else None,
    }
    if one.kind == "report":
        return facts | {"hour": None, "about": schedules.period_of(one.facts)[0].words, "chart": None}
    found = findings.load(one.facts)
    about = users.by_id(book.db, found.user_id) or user
    words = findings.words(found, one.kind, about.email, user.tz, book.settings.dashboard_url, reader=user.id)
    whose = f"{about.email}, " if about.id != user.id else ""
    title = words.title.removeprefix("Test: ").removeprefix("Over: ")
    hour = findings.window(found.hour, found.step, zone).partition(" (")[0].removesuffix(f" {zone.key}")  # of the zone of "When"
    return facts | {"hour": hour, "about": f"{whose}{title}", "chart": words.url}


def _row(user: User, rule: Rule, last: Delivery | None) -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", border=True):
        with st.container(width="content", gap=None):
            badge = ":orange-badge[paused]" if rule.paused else _badge(last)
            st.markdown(f"{_ICONS[rule.channel]} **{in_words.literal(rule.to)}** {badge}")
            quiet = f" · quiet {rule.terms.quiet_from}–{rule.terms.quiet_until}" if rule.terms.quiet_from else ""
            st.caption(in_words.literal(listing.when(rule)) + quiet)
        with st.container(horizontal=True, width="content", gap="small"):
            word, icon = ("Resume", ":material/play_arrow:") if rule.paused else ("Pause", ":material/pause:")
            st.button(word, key=f"pause-{rule.id}", type="tertiary", icon=icon, on_click=_pause, args=(user, rule))
            st.button("Send test", key=f"test-{rule.id}", type="tertiary", icon=":material/send:", on_click=_test, args=(user, rule))
            with st.popover("Remove", key=f"remove-{rule.id}", icon=":material/delete:", type="tertiary"):
                st.markdown("This rule tells nobody any more; what it was still to send is dropped.")
                st.button("Remove rule", key=f"sure-{rule.id}", type="primary", on_click=_remove, args=(user, rule))


def _badge(last: Delivery | None) -> str:
    if last is None:
        return ":gray-badge[nothing sent yet]"
    ago = in_words.ago(session.now() - (last.ended_at or last.last_try_at or last.created_at))
    return f":{_COLOURS[last.status]}-badge[{last.status}{f' ({last.result})' if last.result else ''}, {ago}]"


@session.checked
def _test(user: User, rule: Rule) -> None:
    book = services.current()
    found = alert_rules.get(book.db, rule.id)
    if found is None or found.owner.id != user.id:
        return
    try:
        if not delivery.may_test(book.db, rule, now=session.now()):
            st.session_state[_REFUSED] = "The last message of this rule was sent a moment ago: wait five seconds."
            return
        outcome = delivery.test(book, found, now=session.now())
    except ByokError as error:
        st.session_state[_REFUSED] = f"{error.message} {error.remedy}"
        return
    where = in_words.literal(rule.to)
    if outcome.sent:
        st.session_state[_SAID] = f"The sample arrived at {where}."
    else:
        st.session_state[_REFUSED] = f"The sample did not arrive at {where}: {outcome.said}. Check the address."


@session.checked
def _pause(user: User, rule: Rule) -> None:
    alert_rules.pause(services.current().db, user.id, rule.id, not rule.paused, now=session.now())


@session.checked
def _remove(user: User, rule: Rule) -> None:
    alert_rules.remove(services.current().db, user.id, rule.id)
