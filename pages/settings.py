"""Settings: one's name and time zone, and what decides about colours and money."""

import streamlit as st

from byok.ui import preferences, session, states

user = session.require_user()

with states.Card("You"):
    preferences.person(user)
with states.Card("Days and hours"):
    preferences.clock(user)
left, right = st.columns(2)
with states.Card("Colours", column=left):
    preferences.looks()
with states.Card("Money", column=right):
    preferences.money()
