"""The sessions of a user: every browser that is signed in, and its end."""

import streamlit as st

from byok import in_words, services
from byok.accounts import sessions
from byok.accounts.sessions import Session
from byok.accounts.users import User
from byok.ui import session


def draw(user: User) -> None:
    """The list with its actions."""
    found = sessions.of_user(services.current().db, user.id, now=session.now())
    mine = session.own_session_id()
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader("Sessions", anchor=False, width="content")
        if len(found) > 1:
            st.button("Sign out everywhere else", key="end-others", icon=":material/logout:", on_click=_end_others, args=(user,))
    for one in found:
        _row(user, one, own=one.id == mine)
    st.caption("One line per browser that is signed in. A session ends after 8 hours without a visit, and after 30 days.")


def _row(user: User, one: Session, *, own: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", border=True):
        with st.container(width="content", gap=None):
            st.markdown(
                f"Signed in {in_words.minute(one.created_at.astimezone(session.zone(user)))}" + (" :blue-badge[this one]" if own else "")
            )
            st.caption(f"Last visit {in_words.ago(session.now() - one.seen_at)}")
        if not own:
            st.button("End", key=f"end-{one.id}", type="tertiary", icon=":material/logout:", on_click=_end, args=(user, one.id))


@session.checked
def _end(user: User, session_id: str) -> None:
    sessions.revoke(services.current().db, user.id, session_id)


@session.checked
def _end_others(user: User) -> None:
    sessions.end_others(services.current().db, user.id, session.own_session_id())
