"""Alerts & reports: who is told of what, how that went, and the mailed summary."""

import streamlit as st

from byok.ui import alert_form, alert_list, report_schedule, session

user = session.require_user()

with st.container(border=True):
    alert_form.heading(user)
    alert_list.rules(user)
with st.container(border=True):
    alert_list.deliveries(user)
with st.container(border=True):
    report_schedule.draw(user)
