"""Account: where you are signed in, which access tokens are yours, your password, and what else opens the account."""

import streamlit as st

from byok.ui import password, session, sign_ons, tokens, visits

user = session.require_user()

with st.container(border=True):
    visits.draw(user)
with st.container(border=True):
    tokens.draw(user)
with st.container(border=True):
    password.draw(user)
if sign_ons.is_there(user):
    with st.container(border=True):
        sign_ons.draw(user)
