"""Exports: the raw records of the period and filters above, as a file."""

import streamlit as st

from byok import services
from byok.store import questions
from byok.ui import filters, format, links, offers, session, states
from byok.usage import COLUMNS

FORMATS = {
    "csv": "For spreadsheets. Cells that a spreadsheet would run as a formula are disarmed.",
    "json": "One array of objects.",
    "jsonl": "One object per line, for pipes and loaders.",
    "parquet": "Typed and small, for DuckDB, pandas and Spark.",
}

user = session.require_user()
chosen = filters.current(user)
if chosen.gone:
    states.out_of_retention(user, chosen)
    st.stop()
states.cut_by_retention(user, chosen)

summary = questions.summary(services.current().engine, chosen.scope)
if not summary["calls"]:
    states.nothing_matches(chosen)
    st.stop()

with st.container(border=True):
    st.subheader("Records", anchor=False)
    st.markdown(
        f"**{format.plural(summary['calls'], 'record')}** from {chosen.period.words()} ({chosen.zone.key}), ordered by time, "
        f"with all {len(COLUMNS)} columns. Times in the file are UTC."
    )
    wanted = st.segmented_control("Format", list(FORMATS), default="csv", required=True, key="format", bind="query-params")
    st.caption(FORMATS[wanted])
    offers.link(user, chosen, wanted)

if chosen.everyone:  # the API exports one's own records only
    st.stop()

with st.container(border=True):
    st.subheader("By a program", anchor=False)
    st.markdown("The same file from the API, with an access token from the Keys page:")
    st.code(links.export_call(services.current().settings.dashboard_url, chosen.scope, wanted), language="bash", wrap_lines=True)
