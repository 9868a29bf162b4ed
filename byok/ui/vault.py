"""The vendor keys of a user: list, add, make default, revoke. A secret goes in and never comes out."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import streamlit as st

from byok import in_words, services
from byok.accounts import key_vault
from byok.accounts.key_vault import VendorKey
from byok.accounts.users import User
from byok.errors import ByokError
from byok.gateway.vendors import vendors
from byok.ui import key_usage, session
from byok.ui.names import names_of

_FIELDS_USED, _REFUSAL = "new_key_fields_used", "new_key_refusal"


def draw(user: User) -> None:
    """The list with its actions, and the form below it."""
    keys = key_vault.of_user(services.current().db, user.id)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader("Vendor keys", anchor=False, width="content")
        with st.popover("Add a key", icon=":material/add:", type="secondary" if keys else "primary", key="add-key"):
            _add_form(user)
    if not keys:
        st.markdown("No key stored yet. The built-in model `echo/echo-1` answers without one; to call a real vendor, add its key.")
    words, calls = names_of(user).words, key_usage.calls_by_day(user) if keys else {}
    for key in sorted(keys, key=_used_lately):  # first those that could be revoked
        _row(user, key, words.get(key.id, key.id), calls.get(key.id, ()))
    st.caption(":material/lock: Encrypted at rest. Only the gateway opens a key, for its own vendor; nobody can read it back.")


def _used_lately(key: VendorKey) -> bool:
    return key.last_used_at is not None and session.now() - key.last_used_at < timedelta(days=key_usage.DAYS)


def _row(user: User, key: VendorKey, word: str, calls: Sequence[int]) -> None:
    name = f"**{key.vendor}**" + (f" · {in_words.literal(key.label)}" if key.label else "") + f" · …{in_words.literal(key.last_four)}"
    marks = (" :blue-badge[default]" if key.default else "") + (" :red-badge[refused by the vendor]" if key.refused_at else "")
    if not _used_lately(key):
        marks += f" :gray-badge[unused for {key_usage.DAYS} days]" if key.last_used_at else " :gray-badge[unused]"
    with st.container(border=True):
        # Columns, so that the small charts of all rows stand below each other.
        who, used, acts = st.columns([5, 2, 4], vertical_alignment="center")
        with who.container(gap=None):
            st.markdown(name + marks)
            st.caption(history(key.created_at, key.last_used_at))
        with used:
            key_usage.draw(user, calls)
        with acts.container(horizontal=True, vertical_alignment="center", horizontal_alignment="right", gap="small"):
            st.page_link("pages/overview.py", label="Usage", icon=":material/monitoring:", query_params={"key": word, "by": "model"})
            if not key.default:
                st.button("Make default", key=f"default-{key.id}", on_click=_make_default, args=(user, key), type="tertiary")
            with st.popover("Revoke", key=f"revoke-{key.id}", icon=":material/delete:", type="tertiary"):
                _confirm_revocation(user, key)


def history(created_at: datetime, last_used_at: datetime | None) -> str:
    """When something was made and last used, in words."""
    used = f"last used {in_words.ago(session.now() - last_used_at)}" if last_used_at else "never used"
    return f"Added {in_words.day(created_at, year=True)} · {used}"


def _add_form(user: User) -> None:
    # Every key typed has a field of its own: when the next one is drawn, Streamlit forgets the last one's content.
    field = f"new-key-{st.session_state.get(_FIELDS_USED, 0)}"
    with st.form("add-key-form", border=False):
        st.selectbox("Vendor", sorted(set(vendors(services.current().settings)) - {"echo"}), key="new-key-vendor")
        st.text_input("Label", placeholder="production", max_chars=60, help="Tells several keys of one vendor apart.", key=f"{field}-label")
        st.text_input("Key", type="password", autocomplete="off", key=field)  # no limit: a key cut short would be stored
        st.form_submit_button("Store key", type="primary", width="stretch", on_click=_store, args=(user, field))
    if refusal := st.session_state.pop(_REFUSAL, None):
        st.error(refusal)


@session.checked
def _store(user: User, field: str) -> None:
    book, said = services.current(), st.session_state
    try:
        key = key_vault.add(
            book.db, book.master, user.id, said["new-key-vendor"], said[field], now=session.now(), label=said[f"{field}-label"]
        )
        st.toast(f"Stored the {key.vendor} key ending in {in_words.literal(key.last_four)}.", icon=":material/check:")
    except ByokError as error:
        said[_REFUSAL] = f"{error.message} {error.remedy}"
    said[_FIELDS_USED] = said.get(_FIELDS_USED, 0) + 1


@session.checked
def _make_default(user: User, key: VendorKey) -> None:
    key_vault.make_default(services.current().db, user.id, key.id)


def _confirm_revocation(user: User, key: VendorKey) -> None:
    st.markdown(
        f"The **{key.vendor}** key …{in_words.literal(key.last_four)} is deleted here, and calls that need it fail from the next one on. "
        "Its past usage stays. Revoke it at the vendor, too, if it may have leaked."
    )
    typed = st.text_input(f"Type {key.last_four} to confirm", autocomplete="off", max_chars=20, key=f"typed-{key.id}", live=True)
    sure = (typed or "").strip() == key.last_four
    st.button("Revoke key", key=f"sure-{key.id}", type="primary", disabled=not sure, on_click=_revoke, args=(user, key))


@session.checked
def _revoke(user: User, key: VendorKey) -> None:
    key_vault.revoke(services.current().db, user.id, key.id)
