"""A line about the one key or the one user that is filtered by: with it the Overview is that key's or user's page."""

import streamlit as st

from byok import in_words, services
from byok.accounts import key_vault, users
from byok.accounts.users import User
from byok.ui import session
from byok.ui.filters import Filters


def line(user: User, chosen: Filters) -> None:
    """Nothing unless exactly one key or, for admins, one user is chosen."""
    if chosen.everyone and len(chosen.user_ids) == 1:
        _person(chosen.user_ids[0])
    if len(chosen.key_ids) == 1:
        _key(user, chosen)


def _person(user_id: str) -> None:
    found = users.by_id(services.current().db, user_id)
    if found is None:
        return
    state = " · disabled" if found.disabled else ""
    kept = in_words.plural(found.retention_days, "day")
    words = f"**{in_words.literal(found.name or found.email)}** · {found.plan} plan, keeps {kept}{state} · since "
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f":material/person: {words}{in_words.day(found.created_at, year=True)}", width="content")
        st.page_link("pages/users.py", label="Users", icon=":material/group:")


def _key(user: User, chosen: Filters) -> None:
    db = services.current().db
    keys = key_vault.of_everyone(db) if chosen.everyone else key_vault.of_user(db, user.id)
    found = next((key for key in keys if key.id == chosen.key_ids[0]), None)
    if found is None:
        return
    name = " · ".join(filter(None, (found.vendor, in_words.literal(found.label), f"…{in_words.literal(found.last_four)}")))
    used = f"last used {in_words.ago(session.now() - found.last_used_at)}" if found.last_used_at else "never used"
    refused = " · :red[refused by the vendor]" if found.refused_at else ""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f":material/key: **{name}** · added {in_words.day(found.created_at, year=True)} · {used}{refused}", width="content")
        if not chosen.everyone:
            st.page_link("pages/keys.py", label="Keys", icon=":material/key:")
