"""System: how the installation stands, for admins. No secret, no path outside the data directory, nobody's usage."""

import streamlit as st

from byok.ui import session, system

admin = session.require_admin()

system.standing(admin)
with st.container(border=True):
    st.subheader("Checks", anchor=False)
    system.checks(admin)
with st.container(border=True):
    st.subheader("Usage table", anchor=False)
    system.files()
left, right = st.columns(2)
with left.container(border=True, height="stretch"):
    st.subheader("Prices", anchor=False)
    system.prices()
with right.container(border=True, height="stretch"):
    st.subheader("Versions", anchor=False)
    system.versions()
