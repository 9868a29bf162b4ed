"""The users of an installation, for its admins: who there is, invite, change, disable, erase. What is done here is logged."""

from collections.abc import Callable

import pandas as pd
import streamlit as st
import structlog

from byok import downloads, in_words, services, sql_sessions
from byok.accounts import identities, passwords, plans, users
from byok.accounts.users import AS_SET, HIGHEST_LIMIT, User
from byok.errors import ByokError
from byok.retention import Retention
from byok.ui import session
from byok.ui.names import EVERYONE, names_of

_SAID, _REFUSED, _LINK = "members_said", "members_refused", "members_link"
log = structlog.get_logger("byok.web")


def draw(admin: User) -> None:
    """The table, the invitation, and what can be done with the one who is chosen."""
    everyone = users.all_users(services.current().db)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader(in_words.plural(len(everyone), "user"), anchor=False, width="content")
        with st.container(horizontal=True, vertical_alignment="center", width="content", gap="small"):
            everyones = {"user": EVERYONE, "by": "user"}
            st.page_link("pages/overview.py", label="Everyone's usage", icon=":material/monitoring:", query_params=everyones)
            with st.popover("Invite", icon=":material/person_add:", type="primary", key="invite"):
                _invite_form(admin)
    _say_what_was_done()
    st.dataframe(_table(everyone), hide_index=True, key="users-table")
    st.caption("Changes take effect at once: on pages with that person's next click, in the gateway within five seconds.")
    known = {one.id: one for one in everyone}
    chosen = st.selectbox(
        "Change a user", known, index=None, format_func=lambda one: _email(known, one), placeholder="E-mail", key="member"
    )
    if chosen in known:
        _sheet(admin, known[chosen])


def _email(known: dict[str, User], user_id: str) -> str:
    return known[user_id].email if user_id in known else "erased"


def _table(everyone: list[User]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "E-mail": one.email,
                "Name": one.name or "",
                "Plan": one.plan,
                "Days kept": one.retention_days,
                "Role": "admin" if one.admin else "user",
                "State": "disabled" if one.disabled else "active",
                "Since": one.created_at.date(),
            }
            for one in everyone
        ]
    )


def _say_what_was_done() -> None:
    """Once, in the run after a click. A link is in no other place, so it stands where it can be copied."""
    if refused := st.session_state.pop(_REFUSED, None):
        st.error(refused)
    if said := st.session_state.pop(_SAID, None):
        st.success(said)
    if link := st.session_state.pop(_LINK, None):
        st.code(link, language=None, wrap_lines=True)


def _invite_form(admin: User) -> None:
    with st.form("invite-form", border=False, clear_on_submit=True):
        st.text_input("E-mail", max_chars=254, autocomplete="off", key="invite-email")
        st.text_input("Name", max_chars=200, autocomplete="off", key="invite-name")
        st.selectbox("Plan", plans.PLANS, format_func=_plan_words, key="invite-plan")
        st.toggle("Admin", help="Sees all users' usage and manages users.", key="invite-admin")
        st.form_submit_button("Invite", type="primary", width="stretch", on_click=_invite, args=(admin,))


def _sheet(admin: User, one: User) -> None:
    """Everything about one user. Widgets are named after the user, so that no value moves on to the next."""
    if person := names_of(admin).people.get(one.id):
        address = {"user": person.word, "by": "key"}
        st.page_link("pages/overview.py", label="Usage of this user", icon=":material/monitoring:", query_params=address)
    facts, limits, state = st.columns(3)
    with facts.form(f"plan-{one.id}"):
        st.selectbox("Plan", plans.PLANS, index=plans.PLANS.index(one.plan), format_func=_plan_words, key=f"plan-of-{one.id}")
        st.number_input("Days kept", 1, plans.LONGEST_DAYS, one.retention_days, disabled=one.plan != "enterprise", key=f"days-of-{one.id}")
        st.caption("A shorter time hides older usage at once; it is deleted within a day.")
        st.form_submit_button("Save plan", on_click=_save_plan, args=(admin, one))
    with limits.form(f"limits-{one.id}"):
        _limit_input("Requests a minute", one.requests_per_minute, f"rate-of-{one.id}")
        _limit_input("Calls at once", one.calls_at_once, f"open-of-{one.id}")
        st.caption("Empty: what the settings say. 0: no limit.")
        st.form_submit_button("Save limits", on_click=_save_limits, args=(admin, one))
    with state.container(border=True):
        with st.popover("Change e-mail", key=f"rename-{one.id}", icon=":material/mail:", width="stretch"):
            st.text_input("New e-mail", max_chars=254, autocomplete="off", key=f"email-of-{one.id}")
            st.caption("For signing in and for mails, at once. Records, keys and tokens stay.")
            st.button("Change e-mail", key=f"email-{one.id}", type="primary", width="stretch", on_click=_save_email, args=(admin, one))
        st.button("New sign-in link", key=f"link-{one.id}", width="stretch", on_click=_new_link, args=(admin, one))
        if identities.of_user(services.current().db, one.id):
            st.button("Disconnect single sign-on", key=f"apart-{one.id}", width="stretch", on_click=_disconnect, args=(admin, one))
        if one.id == admin.id:
            st.caption("This is you. Another admin can disable or erase you, or take the role away.")
            return
        st.button(
            "Make a user" if one.admin else "Make an admin", key=f"role-{one.id}", width="stretch", on_click=_set_role, args=(admin, one)
        )
        st.button("Enable" if one.disabled else "Disable", key=f"state-{one.id}", width="stretch", on_click=_set_state, args=(admin, one))
        with st.popover("Erase", key=f"erase-{one.id}", icon=":material/delete:", width="stretch"):
            _confirm_erasure(admin, one)


def _limit_input(label: str, value: int | None, key: str) -> None:
    # No number field: one that had a number cannot be emptied again.
    st.text_input(label, "" if value is None else str(value), placeholder="as in the settings", max_chars=7, autocomplete="off", key=key)


def _confirm_erasure(admin: User, one: User) -> None:
    st.markdown(
        f"Deletes **{in_words.literal(one.email)}**: account, vendor keys, tokens, sessions and all usage, for good. "
        "Nobody can bring it back, and the same id is never used again."
    )
    typed = st.text_input("Type the e-mail to confirm", autocomplete="off", max_chars=254, key=f"typed-{one.id}", live=True)
    sure = users.normal_email(typed or "") == one.email
    st.button("Erase for good", key=f"sure-{one.id}", type="primary", disabled=not sure, on_click=_erase, args=(admin, one))


def _plan_words(plan: str) -> str:
    return f"{plan} ({in_words.plural(plans.PLAN_DAYS[plan], 'day')})"  # type: ignore[index]


# -- what a click does: in callbacks, which are checked anew --


def _doing(event: str, one: str, act: Callable[[], str]) -> None:
    """Do it, log that it was done, and say so or why not in the run that follows."""
    try:
        st.session_state[_SAID] = act()
    except ByokError as error:
        st.session_state[_REFUSED] = f"{error.message} {error.remedy}"
    else:
        log.warning(event, user_id=one)


@session.checked_admin
def _invite(_admin: User) -> None:
    book, said = services.current(), st.session_state

    def act() -> str:
        facts = {"plan": said["invite-plan"], "name": said["invite-name"], "admin": said["invite-admin"]}
        added = users.add(book.db, said["invite-email"], now=session.now(), **facts)
        return _link_for(added, f"Invited {in_words.literal(added.email)}.")

    _doing("user_invited", "", act)


@session.checked_admin
def _new_link(_admin: User, one: User) -> None:
    _doing("user_link_made", one.id, lambda: _link_for(one, f"A new link for {in_words.literal(one.email)}; the one before is void."))


def _link_for(one: User, words: str) -> str:
    book = services.current()
    secret = passwords.set_link(book.db, one.id, now=session.now())
    st.session_state[_LINK] = f"{book.settings.dashboard_url}/auth/set-password?token={secret}"
    sets = "sets a password or connects single sign-on" if book.settings.oidc_issuer else "sets a password"
    return f"{words} Send this link: it {sets}, works once and for 24 hours, and is shown only now."


@session.checked_admin
def _disconnect(_admin: User, one: User) -> None:
    def act() -> str:
        identities.disconnect(services.current().db, one.id)
        return f"Single sign-on does not open the account of {in_words.literal(one.email)} any more, and all its browsers are signed out."

    _doing("user_disconnected", one.id, act)


@session.checked_admin
def _save_email(_admin: User, one: User) -> None:
    _change(one, "user_email_changed", email=st.session_state[f"email-of-{one.id}"])
    if _SAID in st.session_state:
        st.session_state["member"] = None  # the list would go on showing the name that was chosen


@session.checked_admin
def _save_plan(_admin: User, one: User) -> None:
    plan = st.session_state[f"plan-of-{one.id}"]
    days = st.session_state[f"days-of-{one.id}"] if plan == one.plan == "enterprise" else None
    _change(one, "user_plan_changed", plan=None if plan == one.plan else plan, retention_days=days)


@session.checked_admin
def _save_limits(_admin: User, one: User) -> None:
    rate, at_once = (st.session_state[f"{name}-of-{one.id}"].strip() for name in ("rate", "open"))
    if any(text and not (text.isascii() and text.isdecimal()) for text in (rate, at_once)):
        st.session_state[_REFUSED] = f"A limit is not valid. It must be empty, or a whole number from 0 (none) to {HIGHEST_LIMIT:,}."
        return
    _change(one, "user_limits_changed", requests_per_minute=int(rate or AS_SET), calls_at_once=int(at_once or AS_SET))


@session.checked_admin
def _set_role(admin: User, one: User) -> None:
    if one.id != admin.id:
        _change(one, "user_role_changed", admin=not one.admin)


@session.checked_admin
def _set_state(admin: User, one: User) -> None:
    if one.id != admin.id:
        _change(one, "user_enabled" if one.disabled else "user_disabled", disabled=not one.disabled)
        if not one.disabled:
            downloads.REGISTRY.forget(one.id)
            sql_sessions.end(services.current(), one.id)


def _change(one: User, event: str, *, plan: str | None = None, email: str | None = None, **changes: int | bool | None) -> None:
    def act() -> str:
        changed = users.change(services.current().db, one.id, plan=plan, email=email, **changes)  # type: ignore[arg-type]
        return f"Changed {in_words.literal(changed.email)}."

    _doing(event, one.id, act)


@session.checked_admin
def _erase(admin: User, one: User) -> None:
    typed = users.normal_email(st.session_state.get(f"typed-{one.id}") or "")
    if one.id == admin.id or typed != one.email:
        return

    def act() -> str:
        book = services.current()
        receipt = Retention.of(book.settings, book.db).erase_user(one.id, now=session.now())
        downloads.REGISTRY.forget(one.id)
        sql_sessions.end(book, one.id)
        return (
            f"Erased: {receipt['rows']:,} records in {receipt['files']:,} files, {receipt['seconds']:.1f} s. Receipt {receipt['receipt']}."
        )

    _doing("user_erased", "", act)
