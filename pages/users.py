"""Users: who may call, for admins."""

import streamlit as st

from byok.ui import members, session

admin = session.require_admin()

with st.container(border=True):
    members.draw(admin)
