"""Account: where you are signed in, which access tokens are yours, and your password."""

import streamlit as st

from byok.ui import password, session, tokens, visits

user = session.require_user()

with st.container(border=True):
    visits.draw(user)
with st.container(border=True):
    tokens.draw(user)
with st.container(border=True):
    password.draw(user)
