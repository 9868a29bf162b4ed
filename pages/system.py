"""System: how the installation stands, for admins. No secret, no path outside the data directory, nobody's usage."""

import streamlit as st

from byok.ui import session, states, system

admin = session.require_admin()

system.standing(admin)
with states.Card("Checks"):
    system.checks(admin)
with states.Card("Usage table"):
    system.files()
left, right = st.columns(2)
with states.Card("Prices", column=left):
    system.prices()
with states.Card("Versions", column=right):
    system.versions()
