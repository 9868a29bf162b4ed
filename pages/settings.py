"""Settings: one's name and time zone, and what decides about colours and money."""

import streamlit as st

from byok.ui import preferences, session

user = session.require_user()

with st.container(border=True):
    st.subheader("You", anchor=False)
    preferences.person(user)
with st.container(border=True):
    st.subheader("Days and hours", anchor=False)
    preferences.clock(user)
left, right = st.columns(2)
with left.container(border=True, height="stretch"):
    st.subheader("Colours", anchor=False)
    preferences.looks()
with right.container(border=True, height="stretch"):
    st.subheader("Money", anchor=False)
    preferences.money()
