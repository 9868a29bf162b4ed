"""The sign-in services (OpenID Connect) that open an account: connect, disconnect."""

from urllib.parse import urlsplit

import streamlit as st

from byok import in_words, services
from byok.accounts import identities, passwords
from byok.accounts.identities import Connected
from byok.accounts.users import User
from byok.ui import session

CONNECT_ADDRESS = "/auth/oidc/connect"
_SURE = "Single sign-on does not open this account any more, and all other browsers are signed out."
_LAST = " You have no password: then an access token, or a link from an admin, is the only way in."


def is_there(user: User) -> bool:
    """Whether there is anything to show: a service here, or one that the account was connected to once."""
    book = services.current()
    return bool(book.settings.oidc_issuer or identities.of_user(book.db, user.id))


def draw(user: User) -> None:
    """What is connected, with its actions."""
    book = services.current()
    found = identities.of_user(book.db, user.id)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader("Single sign-on", anchor=False, width="content")
        if found:
            with st.popover("Disconnect", key="disconnect", icon=":material/link_off:", type="tertiary"):
                st.markdown(_SURE + ("" if passwords.has_password(book.db, user.id) else _LAST))
                st.button("Disconnect", key="sure-disconnect", type="primary", on_click=_disconnect, args=(user,))
    for one in found:
        _row(user, one)
    if not found:
        st.markdown(f"Connect it, and {in_words.literal(book.settings.oidc_label)} opens this account beside your password.")
        if session.behind_web():
            session.go(f"Connect {book.settings.oidc_label}", CONNECT_ADDRESS)


def _row(user: User, one: Connected) -> None:
    with st.container(border=True, gap=None):
        st.markdown(f"**{in_words.literal(urlsplit(one.issuer).netloc)}**")
        st.caption(f"Connected {in_words.minute(one.created_at.astimezone(session.zone(user)))}")


@session.checked
def _disconnect(user: User) -> None:
    identities.disconnect(services.current().db, user.id, but_session=session.own_session_id())
