"""The query, and what starts and stops it. Nothing runs but by a click: an address can only bring a query along."""

import contextlib
import time
from concurrent.futures import Future, wait
from dataclasses import dataclass

import streamlit as st

from byok import services, sql_sessions
from byok.accounts.users import User
from byok.sql_sessions import Standing
from byok.store.console import ConsoleResult
from byok.ui import session, sql_tables

LONGEST = 100_000
_QUERY, _EXAMPLE, _RUN = "sql-query", "sql-example", "sql-run"
_KEPT, _FROM_ADDRESS = "sql-kept-", "sql-from-address"  # a widget's own state is gone when another page is opened
_SHORT_S = 0.7
_POLL_S = 0.5


@dataclass(frozen=True)
class Run:
    """A query under way or answered: whose, a future of the answer, and when it was begun (monotonic seconds)."""

    user_id: str
    query: str
    answer: "Future[ConsoleResult]"
    begun: float


def draw(user: User, standing: Standing) -> None:
    """Examples, the query, and the buttons."""
    _fill(user)
    st.selectbox(
        "Start from an example",
        [example.title for example in sql_tables.EXAMPLES],
        index=None,
        placeholder="Choose one of these queries",
        key=_EXAMPLE,
        on_change=_take_example,
    )
    if run := current(user):
        wait([run.answer], _SHORT_S)  # most are done by then, and need no button to stop them
    st.session_state[_KEPT + user.id] = st.text_area("Query", key=_QUERY, height=220, max_chars=LONGEST)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Run", type="primary", icon=":material/play_arrow:", key="sql-go", on_click=_begin, args=(user, standing))
        st.button("Cancel", icon=":material/stop:", key="sql-stop", on_click=_cancel, args=(user,), disabled=not _is_running(user))
        st.caption("One SELECT at a time; at most 5 s, 10,000 rows, 8 MB.")


def current(user: User) -> Run | None:
    """The newest run of this tab, if it is this user's: without the routes of web, another may sign in in the same tab."""
    found = st.session_state.get(_RUN)
    return found if isinstance(found, Run) and found.user_id == user.id else None


def answered(user: User, run: Run) -> bool:
    """Whether the answer is there; until then says how long it has been running, and looks again by itself."""
    if not run.answer.done():
        _waiting(user, run)
    return run.answer.done()


@st.fragment(run_every=_POLL_S)
def _waiting(user: User, run: Run) -> None:
    session.still(user)
    if run.answer.done():
        st.rerun()
    st.caption(f":material/hourglass_top: Running for {time.monotonic() - run.begun:.1f} s …")


def _is_running(user: User) -> bool:
    run = current(user)
    return run is not None and not run.answer.done()


def _fill(user: User) -> None:
    """Put into the editor what the address brings, once, or what stood there before another page was opened."""
    brought = st.query_params.get("q")
    if brought is not None and brought != st.session_state.get(_FROM_ADDRESS):
        st.session_state[_FROM_ADDRESS] = brought
        st.session_state[_QUERY] = brought[:LONGEST]
    st.session_state.setdefault(_QUERY, st.session_state.get(_KEPT + user.id) or sql_tables.EXAMPLES[0].query)


def _take_example() -> None:
    chosen = st.session_state.get(_EXAMPLE)
    for example in sql_tables.EXAMPLES:
        if example.title == chosen:
            st.session_state[_QUERY] = example.query


@session.checked
def _begin(user: User, standing: Standing) -> None:
    here = services.current()
    if _is_running(user):
        _cancel(user)
    query = st.session_state[_QUERY] or ""
    pool = sql_sessions.pool(here)
    answer = pool.begin(user.id, query, sql_sessions.rows_of(here, user), walls=standing.walls)
    st.session_state[_RUN] = Run(user.id, query, answer, time.monotonic())


@session.checked
def _cancel(user: User) -> None:
    sql_sessions.end(services.current(), user.id)
    if run := current(user):
        with contextlib.suppress(TimeoutError):  # the process is dead; this waits for the words
            run.answer.exception(timeout=_SHORT_S)
