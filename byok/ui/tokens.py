"""The access tokens of a user: list, make (shown once), revoke."""

import streamlit as st

from byok import services
from byok.accounts import access_tokens
from byok.accounts.access_tokens import AccessToken
from byok.accounts.users import User
from byok.errors import ByokError
from byok.ui import format, links, session
from byok.ui.vault import history


def draw(user: User) -> None:
    """The list with its actions."""
    tokens = access_tokens.of_user(services.current().db, user.id)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader("Access tokens", anchor=False, width="content")
        if st.button("New token", icon=":material/add:", key="new-token"):
            _new(user)
    if not tokens:
        st.markdown("No token yet. Your programs send one to the gateway in place of a vendor key, and to the API.")
    for token in tokens:
        _row(user, token)


def _row(user: User, token: AccessToken) -> None:
    expiry = f" · expires {format.day(token.expires_at, year=True)}" if token.expires_at else ""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", border=True):
        with st.container(width="content", gap=None):
            st.markdown(f"**{format.literal(token.label) or 'Token'}** · `byok_{token.id}_…`")
            st.caption(history(token.created_at, token.last_used_at) + expiry)
        if st.button("Revoke", key=f"revoke-token-{token.id}", icon=":material/delete:", type="tertiary"):
            _confirm_revocation(user, token)


@st.dialog("New access token", width="medium")
def _new(user: User) -> None:
    with st.form("new-token-form", border=False):
        label = st.text_input("Label", placeholder="laptop", max_chars=60)
        sent = st.form_submit_button("Make token", type="primary")
    if sent:
        book = services.current()
        try:
            token = access_tokens.create(book.db, user.id, now=session.now(), label=label)
        except ByokError as error:
            st.error(f"{error.message} {error.remedy}")
            return
        st.markdown("This is the only time that it is shown. Copy it now:")
        st.code(token, language=None, wrap_lines=True)
        st.markdown("Try it:")
        st.code(links.first_call(book.settings.gateway_url, token), language="bash", wrap_lines=True)
        if st.button("Done"):
            st.rerun()


@st.dialog("Revoke this token?")
def _confirm_revocation(user: User, token: AccessToken) -> None:
    st.markdown(f"Programs that use `byok_{token.id}_…` are refused within five seconds.")
    if st.button("Revoke token", type="primary"):
        access_tokens.revoke(services.current().db, user.id, token.id)
        st.rerun()
