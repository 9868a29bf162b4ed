"""SQL: any question to one's own records."""

import streamlit as st

from byok import services, sql_sessions
from byok.ui import session, sql_answer, sql_editor, sql_tables, states

user = session.require_user()
here = services.current()
standing = sql_sessions.standing(here)
if not standing.open:
    st.subheader("Not available here")
    st.markdown(standing.note)
    st.stop()
if standing.note:
    st.caption(f":material/shield: {standing.note}")

# The user's rows are copied while the query is still being written.
sql_sessions.pool(here).prepare(user.id, sql_sessions.rows_of(here, user), walls=standing.walls)

writing, tables = st.columns([2, 1])
with writing:
    sql_editor.draw(user, standing)
with tables:
    sql_tables.draw()

run = sql_editor.current(user)
if run and sql_editor.answered(user, run):
    with states.Card(key="answer-card"):
        sql_answer.draw(user, run)
