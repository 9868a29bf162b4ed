"""A new password for who knows the present one. It ends every session, this one too."""

import streamlit as st

from byok import services
from byok.accounts import passwords
from byok.accounts.users import User
from byok.errors import ByokError
from byok.ui import session

_TRIES, _REFUSAL = "password_tries", "password_refusal"


def draw(user: User) -> None:
    """The form; without a password yet, the way to a first one."""
    if not passwords.has_password(services.current().db, user.id):
        st.markdown("You have no password yet. An admin can send you a link to set one.")
        return
    # Every try has fields of its own, so that what was typed into the last ones is drawn no more.
    fields = f"password-{st.session_state.get(_TRIES, 0)}"
    with st.form("password-form", border=False):
        st.text_input("Current password", type="password", autocomplete="current-password", max_chars=1024, key=f"{fields}-present")
        st.text_input("New password", type="password", autocomplete="new-password", max_chars=1024, key=f"{fields}-new")
        st.text_input("New password again", type="password", autocomplete="new-password", max_chars=1024, key=f"{fields}-again")
        st.form_submit_button("Change password", type="primary", on_click=_change, args=(user, fields))
    st.caption("12 characters or more. You are then signed out everywhere, here too; JWTs from before are void, access tokens stay.")
    if refusal := st.session_state.pop(_REFUSAL, None):
        st.error(refusal)


@session.checked
def _change(user: User, fields: str) -> None:
    said, book, now = st.session_state, services.current(), session.now()
    said[_TRIES] = said.get(_TRIES, 0) + 1
    present, new, again = (str(said.pop(f"{fields}-{name}") or "") for name in ("present", "new", "again"))
    if new != again:
        said[_REFUSAL] = "The two new ones are not the same."
        return
    try:
        if passwords.check(book.db, user.email, present, now=now, address=st.context.ip_address or "") is None:
            said[_REFUSAL] = "That is not your present password."
        else:
            passwords.set_password(book.db, user.id, new, now=now)
    except ByokError as error:
        said[_REFUSAL] = f"{error.message} {error.remedy}"
