"""A new alert rule, with what it would have told of in the last 30 days."""

from datetime import time, timedelta
from typing import Any

import streamlit as st

from byok import in_words, services
from byok.accounts import alert_rules, users
from byok.accounts.alert_rules import Metric, Terms
from byok.accounts.users import User
from byok.errors import ByokError
from byok.notify import alerts, episodes, findings, listing, source
from byok.spikes.episodes import Spike, named
from byok.store.scope import AnyScope, EveryonesScope, Scope
from byok.ui import session
from byok.ui.names import names_of

PREVIEW = timedelta(days=30)
_USED, _SAID, _KEY = "alert-fields-used", "alert-form-refused", "alert-signing-key"
_CHANNELS = {"slack": "Slack", "mail": "Mail to me", "webhook": "Webhook"}
_KINDS = {"spike": "Spikes", "above": "Threshold", "silence": "Silence", "first_use": "First use", "budget": "Budgets"}
_SENSITIVITY = {"every": "Every spike", "strong": "Strong ones", "extreme": "Extreme ones"}
_METRICS = ("tokens", "calls", "failed", "cost")
_MOST_SHOWN = 5
_MOST_AT_ONCE = 5_000_000  # records of everybody that are searched without asking: half a minute


def heading(user: User) -> None:
    """The heading, and the form behind its button."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader("Alert rules", anchor=False, width="content")
        with st.popover("New rule", icon=":material/add:", key="new-rule"):
            _form(user)
    if key := st.session_state.pop(_KEY, None):
        with st.container(border=True):
            st.markdown("**The secret that messages are signed with.** This is the only time that it is shown, so copy it now:")
            st.code(key, language=None, wrap_lines=True)


def _form(user: User) -> None:
    hosts = ", ".join(services.current().settings.webhook_hosts)
    channel = st.segmented_control(
        "Where", list(_CHANNELS), default="slack", required=True, format_func=_CHANNELS.__getitem__, key="rule-channel"
    )
    # Every address typed has a field of its own: when the next one is drawn, Streamlit forgets the last one's content.
    field = f"rule-url-{st.session_state.get(_USED, 0)}"
    if channel != "mail":
        st.text_input("Web address", type="password", autocomplete="off", key=field, help=f"Allowed here: {hosts}. It is stored encrypted.")
    kind = st.segmented_control("When", list(_KINDS), default="spike", required=True, format_func=_KINDS.__getitem__, key="rule-kind")
    {"spike": _spikes, "above": _threshold, "silence": _silence, "first_use": _first_use, "budget": _budgets}[str(kind)]()
    _scope(user, models=kind != "budget")
    terms = _terms()
    st.button("Add rule", type="primary", width="stretch", key="add-rule", on_click=_add, args=(user, field))
    if refusal := st.session_state.pop(_SAID, None):
        st.error(refusal)
    if terms.kind == "spike":
        _preview(user, terms)


def _spikes() -> None:
    st.selectbox("Which", list(_SENSITIVITY), format_func=_SENSITIVITY.__getitem__, key="rule-sensitivity")
    st.selectbox("Measure", ("any", *_METRICS), key="rule-metric")
    st.number_input("Never hours below, in tokens", min_value=0, value=1000, step=1000, key="rule-min-tokens")


def _threshold() -> None:
    st.selectbox("Measure", _METRICS, key="rule-metric-above", help="Cost is in USD.")
    left, right = st.columns(2)
    left.number_input("Warn from", min_value=0.0, value=None, key="rule-warn", placeholder="no warning")
    right.number_input("Alert from", min_value=0.0, value=None, key="rule-alert", placeholder="no alert")
    st.segmented_control("Within", ("hour", "day"), default="day", required=True, key="rule-window")


def _silence() -> None:
    st.number_input("Hours without a call", min_value=1, max_value=168, value=2, key="rule-silent")
    st.caption("Hours in which there usually is no call, such as nights, are no silence.")


def _first_use() -> None:
    st.caption("A model or key that was not used in the last eight weeks, from two weeks after the first call on.")


def _budgets() -> None:
    st.caption("At 80 and 100 % of a budget, and when the month will most likely end above it. Without such a rule, your other rules tell.")


def _scope(user: User, *, models: bool) -> None:
    names = names_of(user)
    left, right = st.columns(2)
    left.selectbox("Vendor", ("all", *names.vendors), key="rule-vendor")
    if models:
        right.selectbox("Model", ("all", *names.models), key="rule-model")
    if user.admin:
        st.toggle("All users", key="rule-all", help="Of everybody's calls, not only of yours.")
    if st.toggle("Quiet hours", key="rule-quiet", help="Messages wait until they are over; none is lost."):
        left, right = st.columns(2)
        left.time_input("From", time(22), key="rule-quiet-from")
        right.time_input("To", time(7), key="rule-quiet-until")


def _terms() -> Terms:
    """What the fields say; those that are not drawn say nothing."""
    said = st.session_state
    kind = said.get("rule-kind", "spike")
    quiet = (
        f"{said['rule-quiet-from']:%H:%M}-{said['rule-quiet-until']:%H:%M}"
        if "rule-quiet-from" in said and said.get("rule-quiet")
        else None
    )
    common: dict[str, Any] = {
        "all_users": bool(said.get("rule-all")),
        "vendor": None if said.get("rule-vendor", "all") == "all" else said["rule-vendor"],
        "model": None if said.get("rule-model", "all") == "all" else said["rule-model"],
        "quiet": quiet,
    }
    if kind == "above":
        limits: dict[str, Any] = {"warn_at": said.get("rule-warn"), "alert_at": said.get("rule-alert")}
        if limits == {"warn_at": None, "alert_at": None}:
            limits["alert_at"] = 0.0  # refused below, with words
        return listing.terms(**common, **limits, metric=said.get("rule-metric-above"), window=said.get("rule-window", "day"))
    if kind == "silence":
        return listing.terms(**common, silent_hours=said.get("rule-silent", 2))
    if kind == "first_use":
        return listing.terms(**common, first_use=True)
    if kind == "budget":
        return listing.terms(**common | {"model": None}, budgets=True)
    metric = said.get("rule-metric", "any")
    return listing.terms(
        **common,
        metric=None if metric == "any" else metric,
        sensitivity=said.get("rule-sensitivity", "every"),
        min_tokens=int(said.get("rule-min-tokens", 1000)),
    )


def _preview(user: User, terms: Terms) -> None:
    """How many messages this rule would have sent in the last 30 days."""
    scope = _past(user, terms)
    if isinstance(scope, EveryonesScope) and not _worth_waiting():
        return
    with st.spinner("Searching the last 30 days …"):
        past = _past_spikes(scope, terms.metric)
    found = [spike for spike, tokens in past if alerts.fits(terms, spike, tokens)]
    told = episodes.in_a_row(found)
    st.caption(f"In the last 30 days this rule would have told of **{in_words.plural(len(told), 'spike')}**.")
    for hours in told[:_MOST_SHOWN]:
        peak, zone = max(hours, key=lambda spike: (spike.score, spike.actual)), session.zone(user)
        times = f", {peak.times:,.1f}x" if peak.times is not None else ""
        about = users.by_id(services.current().db, peak.user_id) if peak.user_id != user.id else None
        whose = f"{about.email} · " if about else ""
        what = in_words.literal(f"{whose}{named(peak.vendor, peak.model)} · {findings.amount(peak.metric, peak.actual)}{times}")
        st.caption(f"{in_words.minute(peak.hour.astimezone(zone))} · {what}")


def _worth_waiting() -> bool:
    """Whether to search everybody's calls at once: where there are many, only who asks for it waits."""
    records = sum(file.rows for file in services.current().engine.view().files)
    if records <= _MOST_AT_ONCE:
        return True
    st.caption(f"Finding out what this rule would have told of everybody takes minutes: there are {in_words.count(records)} records.")
    return st.button("Find out", key="rule-find-out", icon=":material/hourglass_top:")


def _past(user: User, terms: Terms) -> AnyScope:
    until = session.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    if terms.all_users and user.admin:
        return EveryonesScope(until - PREVIEW, until)
    return Scope(user.id, until - PREVIEW, until)


# The cache is shared by all sessions; the scope, which says whose data it is, is its key.
@st.cache_data(ttl=60, max_entries=64, show_spinner=False)
def _past_spikes(scope: AnyScope, metric: Metric | None) -> list[tuple[Spike, float]]:
    """Each with the tokens of its hour."""
    found = list(source.spikes(services.current(), metric=metric)(scope))
    tokens = alerts.tokens_of(services.current(), found)
    return [(spike, tokens[alerts.key_of(spike)]) for spike in found]


@session.checked
def _add(user: User, field: str) -> None:
    book, said = services.current(), st.session_state
    try:
        channel = str(said.get("rule-channel", "slack"))
        target = listing.target(book.settings, channel, None if channel == "mail" else said.get(field, ""))
        _, key = alert_rules.add(book.db, book.master, user.id, _terms(), target, now=session.now())
        said[_KEY] = key.reveal() if key else None
        st.toast("The rule is set. Send a test to see that it arrives.", icon=":material/check:")
    except ByokError as error:
        said[_SAID] = f"{error.message} {error.remedy}"
    said[_USED] = said.get(_USED, 0) + 1
