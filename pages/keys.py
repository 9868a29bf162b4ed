"""Keys & budgets: the vendor keys that the gateway uses for you, your months' budgets, and your programs' access tokens."""

import streamlit as st

from byok.ui import budgeting, session, tokens, vault

user = session.require_user()

with st.container(border=True):
    vault.draw(user)
with st.container(border=True):
    budgeting.draw(user)
with st.container(border=True):
    tokens.draw(user)
