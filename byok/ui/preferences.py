"""What a user may set about oneself: the name and the time zone, which the accounts keep; and what the browser decides."""

import streamlit as st

from byok import services, zones
from byok.accounts import users
from byok.accounts.users import User
from byok.errors import ByokError
from byok.ui import filters, session

_SAID, _REFUSED = "settings_said", "settings_refused"


def person(user: User) -> None:
    """Name and time zone."""
    if refused := st.session_state.pop(_REFUSED, None):
        st.error(refused)
    if said := st.session_state.pop(_SAID, None):
        st.success(said)
    offered = sorted(zones.names() | {user.tz})
    with st.form("person", border=False):
        st.text_input("Name", user.name or "", max_chars=200, key="own-name", autocomplete="name", help="For the sidebar and admins.")
        st.selectbox(
            "Time zone",
            offered,
            index=offered.index(user.tz),
            key="own-zone",
            help="Where the API, the commands and mails cut your days, unless told otherwise.",
        )
        st.form_submit_button("Save", type="primary", on_click=_save, args=(user,))
    st.text(user.email)
    st.caption("Only an admin changes e-mail and plan.")


def clock(user: User) -> None:
    """Which zone the pages use, and how to make the two the same."""
    browser = filters.opening_zone(user)
    if browser != user.tz:
        st.markdown(f"Pages open in your browser's zone, **{browser}**; your saved zone is **{user.tz}**.")
        st.button(f"Save {browser}", on_click=_save_zone, args=(user, browser), key="take-zone", icon=":material/schedule:")
    else:
        st.markdown(f"Pages, API and mails use **{user.tz}**.")
    st.caption("Filters on every page choose another zone for that view; the address keeps it.")


def looks() -> None:
    """Light and dark."""
    st.markdown(f"You see the **{st.context.theme.type or 'light'}** colours, as your system or browser asks for them.")
    st.caption("To choose yourself: the menu at the top right, Settings, Theme. The choice stays in this browser.")


def money() -> None:
    """What amounts are in."""
    st.markdown("All amounts are **US dollars**, at the vendors' own list prices in force when each call was made, without any mark-up.")
    st.caption("Nothing is converted: a rate of the day would change what past months cost. Your taxes and discounts are not known.")


@session.checked
def _save(user: User) -> None:
    said = st.session_state
    try:
        users.change(services.current().db, user.id, name=said["own-name"], tz=said["own-zone"])
    except ByokError as error:
        said[_REFUSED] = f"{error.message} {error.remedy}"
    else:
        said[_SAID] = "Saved."


@session.checked
def _save_zone(user: User, zone: str) -> None:
    if zone in zones.names():
        users.change(services.current().db, user.id, tz=zone)
        st.session_state["own-zone"] = zone
        st.session_state[_SAID] = f"Saved: your days are cut in {zone}."
