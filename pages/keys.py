"""Keys: the vendor keys that the gateway uses for you, and the access tokens with which your programs reach it."""

import streamlit as st

from byok.ui import session, tokens, vault

user = session.require_user()

with st.container(border=True):
    vault.draw(user)
with st.container(border=True):
    tokens.draw(user)
