"""The access tokens of a user: list, make (shown once), revoke."""

import streamlit as st

from byok import in_words, links, services
from byok.accounts import access_tokens
from byok.accounts.access_tokens import AccessToken
from byok.accounts.users import User
from byok.errors import ByokError
from byok.ui import session
from byok.ui.vault import history


def draw(user: User) -> None:
    """The list with its actions."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader("Access tokens", anchor=False, width="content")
        with st.popover("New token", icon=":material/add:", key="new-token"):
            made = _new_form(user)
    if made:
        _show_once(made)
    tokens = access_tokens.of_user(services.current().db, user.id)
    if not tokens:
        st.markdown("No token yet. Your programs send one to the gateway in place of a vendor key, and to the API.")
    for token in tokens:
        _row(user, token)


def _row(user: User, token: AccessToken) -> None:
    expiry = f" · expires {in_words.day(token.expires_at, year=True)}" if token.expires_at else ""
    models = f" · for {in_words.literal(', '.join(token.models))} only" if token.models else ""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", border=True):
        with st.container(width="content", gap=None):
            st.markdown(f"**{in_words.literal(token.label) or 'Token'}** · {in_words.literal(f'byok_{token.id}_…')}")
            st.caption(history(token.created_at, token.last_used_at) + expiry + models)
        with st.popover("Revoke", key=f"revoke-token-{token.id}", icon=":material/delete:", type="tertiary"):
            st.markdown("Programs that use this token are refused within five seconds.")
            st.button("Revoke token", key=f"sure-token-{token.id}", type="primary", on_click=_revoke, args=(user, token))


def _new_form(user: User) -> str | None:
    """The form; the token itself in the one run in which it was made. Nothing keeps it."""
    with st.form("new-token-form", border=False, clear_on_submit=True):
        label = st.text_input("Label", placeholder="laptop", max_chars=60)
        sent = st.form_submit_button("Make token", type="primary", width="stretch")
    if not sent:
        return None
    try:
        return access_tokens.create(services.current().db, user.id, now=session.now(), label=label)
    except ByokError as error:
        st.error(f"{error.message} {error.remedy}")
        return None


def _show_once(token: str) -> None:
    with st.container(border=True):
        st.markdown("**Your new token.** This is the only time that it is shown, so copy it now:")
        st.code(token, language=None, wrap_lines=True)
        st.markdown("Try it:")
        st.code(links.first_call(services.current().settings.programs_url, token), language="bash", wrap_lines=True)


@session.checked
def _revoke(user: User, token: AccessToken) -> None:
    access_tokens.revoke(services.current().db, user.id, token.id)
