"""The view on screen as a link, and views kept by name: in the frame, beside the page's title."""

import contextlib
from collections.abc import Sequence
from datetime import date
from typing import Any
from urllib.parse import parse_qsl, urlencode

import streamlit as st

from byok import in_words, services
from byok.accounts import saved_views
from byok.accounts.saved_views import SavedView
from byok.accounts.users import User
from byok.errors import ByokError
from byok.ui import bar, filters, periods, session
from byok.ui.names import Names, names_of

# What pages add to the words of the bar.
OF_PAGES = ("view", "top", "hours", "who")
_OPENED = "saved"
_NAME, _FAULT, _RENAMED = "view-name", "view-fault", "view-renamed"


def draw(user: User, page: str) -> None:
    """Two buttons: the link, and the list of views with what can be done about them. `page` is the path in the address."""
    pairs = said(names_of(user, everyone=filters.of_everyone(bar.values(), user)))
    with st.popover("Link", icon=":material/link:", type="tertiary"):
        st.caption("Opens exactly this, for whoever may see it. Relative periods (7d, month) move along with time.")
        st.code(_address(page, pairs), language=None, wrap_lines=True)
    with st.popover("Views", icon=":material/bookmark:", type="tertiary"):
        _list(user)
        with st.form("keep-view", border=False):
            st.text_input("Keep this view as", key=_NAME, max_chars=saved_views.LONGEST_NAME, placeholder="A name")
            st.form_submit_button(
                "Save view", icon=":material/bookmark_add:", shortcut="Shift+S", on_click=_save, args=(user, page, pairs), key="save-view"
            )
        if fault := st.session_state.pop(_FAULT, None):
            st.error(fault)


def said(names: Names) -> list[tuple[str, str]]:
    """What the address says beside the page, users and keys by their ids: those of an erased user can be found again."""
    pairs = [(word, value) for word in (*filters.WORDS, *OF_PAGES) for value in st.query_params.get_all(word)]
    people = {value: names.person_id(value) or value for word, value in pairs if word == "user"}
    return [(word, names.key_id(value) if word == "key" else people[value] if word == "user" else value) for word, value in pairs]


def bring(user: User) -> None:
    """Set every control as in the kept view that the address names. Before the bar is drawn: what a link says beside that, controls that
    are on screen already do not take up."""
    view_id = st.query_params.get(_OPENED)
    if view_id is None:
        return
    del st.query_params[_OPENED]
    for view in saved_views.of_user(services.current().db, user.id):
        if view.id == view_id:
            names = names_of(user, everyone="user" in dict(parse_qsl(view.query)))
            for word, value in values_of(view, user, names).items():
                if word in OF_PAGES and word not in st.session_state:
                    st.query_params[word] = value  # a control that was never drawn does not bring its value into the address
                st.session_state[word] = value


def values_of(view: SavedView, user: User, names: Names) -> dict[str, Any]:
    """At what each control stands in a kept view; those that it does not name stand where they do by default."""
    said: dict[str, list[str]] = {}
    for word, value in parse_qsl(view.query):
        said.setdefault(word, []).append(value)
    words = {"key": names.words, "user": {user_id: person.word for user_id, person in names.people.items()}}
    found: dict[str, Any] = {word: [words.get(word, {}).get(one, one) for one in said.get(word, [])] for word in filters.LISTS}
    for word, options in bar.choices(user).items():
        asked = said.get(word, [""])[0]
        asked = periods.FORMER.get(asked, asked)
        found[word] = asked if asked in options else options[0]
    for word in ("from", "to"):
        with contextlib.suppress(ValueError):
            found[word] = date.fromisoformat(said[word][0]) if word in said else None
    return found | {word: said[word][0] for word in OF_PAGES if word in said}


def _address(page: str, pairs: Sequence[tuple[str, str]]) -> str:
    query = urlencode(pairs)
    return f"{services.current().settings.dashboard_url.rstrip('/')}/{page}{'?' if query else ''}{query}"


def _list(user: User) -> None:
    views = saved_views.of_user(services.current().db, user.id)
    if not views:
        st.caption("No view is kept yet. Each is a page with its period, filters and grouping.")
    for view in views:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            page = f"pages/{view.page or 'overview'}.py"
            st.page_link(page, label=in_words.literal(view.name), query_params={_OPENED: view.id}, width="stretch")
            st.button("Rename", key=f"rename-{view.id}", icon=":material/edit:", type="tertiary", on_click=_begin, args=(view,))
            st.button("Delete", key=f"delete-{view.id}", icon=":material/delete:", type="tertiary", on_click=_delete, args=(user, view.id))
        if st.session_state.get(_RENAMED) == view.id:
            st.text_input("New name", value=view.name, key=f"name-{view.id}", on_change=_rename, args=(user, view.id))


def _begin(view: SavedView) -> None:
    st.session_state[_RENAMED] = view.id


@session.checked
def _save(user: User, page: str, pairs: Sequence[tuple[str, str]]) -> None:
    book = services.current()
    before = {view.name for view in saved_views.of_user(book.db, user.id)}
    try:
        view = saved_views.save(book.db, user.id, st.session_state.get(_NAME) or "", page, urlencode(pairs), now=book.now())
    except ByokError as error:
        st.session_state[_FAULT] = f"{error.message} {error.remedy}"
    else:
        st.session_state[_NAME] = ""
        instead = ", in the place of the view that had this name" if view.name in before else ""
        st.toast(f"Kept as {in_words.literal(view.name)}{instead}.", icon=":material/check:")


@session.checked
def _rename(user: User, view_id: str) -> None:
    try:
        saved_views.rename(services.current().db, user.id, view_id, st.session_state.get(f"name-{view_id}") or "")
    except ByokError as error:
        st.session_state[_FAULT] = f"{error.message} {error.remedy}"
    else:
        st.session_state[_RENAMED] = None


@session.checked
def _delete(user: User, view_id: str) -> None:
    saved_views.delete(services.current().db, user.id, view_id)
