"""Alerts & reports: who is told of what, how that went, and the mailed summary."""

from byok.ui import alert_form, alert_list, report_schedule, session, states

user = session.require_user()

with states.Card(key="rules-card"):
    alert_form.heading(user)
    alert_list.rules(user)
with states.Card("Last messages", key="messages-card"):
    alert_list.deliveries(user)
with states.Card("Report by mail", key="report-card"):
    report_schedule.draw(user)
