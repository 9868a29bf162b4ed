"""Reconcile: a vendor's own account beside what the gateway saw of it."""

import streamlit as st

from byok.ui import reconciling, session

user = session.require_user()

with st.container(border=True):
    reconciling.draw(user)
