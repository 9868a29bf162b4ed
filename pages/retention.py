"""Retention & deletion: what is kept and for how long, what leaves next, and deleting records oneself."""

import streamlit as st

from byok import in_words, services
from byok.accounts import users
from byok.ui import deleting, filters, keeping, session, states
from byok.ui.names import names_of

user = session.require_user()
zone = filters.current(user).zone
whose = user

if user.admin:
    everyone = {one.id: one for one in users.all_users(services.current().db)}
    chosen = st.selectbox(
        "Whose records", list(everyone), index=list(everyone).index(user.id), key="whose",
        format_func=lambda one: f"{everyone[one].email} (you)" if one == user.id else everyone[one].email if one in everyone else "erased",
    )  # fmt: skip
    whose = everyone.get(chosen, user)
    if whose.id != user.id:
        st.error(
            f"You are looking at the records of **{in_words.literal(whose.email)}**, and what you delete below is theirs.",
            icon=":material/admin_panel_settings:",
        )

keeping.draw(whose, zone)

with states.Card("Delete records"):
    deleting.draw(user, whose, names_of(whose), zone)

with states.Card("Receipts"):
    deleting.draw_receipts(user)
