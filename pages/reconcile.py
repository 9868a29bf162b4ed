"""Reconcile: a vendor's own account beside what the gateway saw of it."""

from byok.ui import reconciling, session, states

user = session.require_user()

with states.Card(key="comparison-card"):
    reconciling.draw(user)
