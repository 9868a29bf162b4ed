"""Exports & API: the records of the period and filters above, or their sums, as a file; and the same by a program."""

import streamlit as st

from byok import in_words, links, services
from byok.store import questions
from byok.ui import filters, months, offers, session, states
from byok.ui.names import names_of
from byok.usage import COLUMNS

FORMATS = {
    "csv": "For spreadsheets. Cells that a spreadsheet would run as a formula are disarmed.",
    "json": "One array of objects.",
    "jsonl": "One object per line, for pipes and loaders.",
    "parquet": "Typed and small, for DuckDB, pandas and Spark. Period and filters stand in the file's metadata under `byok`.",
}
CONTENTS = {
    "records": f"Every record, with its {len(COLUMNS)} columns, ordered by time. Such a file can be imported again.",
    "records-with-cost": "Every record and what it cost (US dollars, nine decimals; empty where the price is not known).",
    "sums": "What the pages show: calls, tokens and cost by the columns that you choose.",
}
GROUPS = ("month", "day", "hour", "vendor", "model", "key_id", "status")

user = session.require_user()
chosen = filters.current(user)
months.draw(chosen)
states.require_records(user, chosen)

summary = questions.summary(services.current().engine, chosen.scope)
if not summary["calls"]:
    states.nothing_matches(chosen)
    st.stop()

group_by: tuple[str, ...] = ()
with states.Card("A file"):
    st.markdown(
        f"**{in_words.plural(summary['calls'], 'record')}** from {chosen.period.words()} ({chosen.zone.key}). Times in records are UTC."
    )
    content = st.segmented_control(
        "What", list(CONTENTS), default="records", required=True, key="content", bind="query-params", label_visibility="collapsed"
    )
    st.caption(CONTENTS[content])
    if content == "sums":
        groups = (*GROUPS, "user_id") if chosen.everyone else GROUPS
        group_by = tuple(st.multiselect("Sums by", groups, default=["day", "vendor", "model"], key="sums-by")) or ("vendor", "model")
    wanted = st.segmented_control(
        "Format", list(FORMATS), default="csv", required=True, key="format", bind="query-params", label_visibility="collapsed"
    )
    st.caption(FORMATS[wanted])
    offers.link(
        user,
        chosen,
        wanted,
        name=offers.filename(chosen, wanted, names=names_of(user, everyone=chosen.everyone), what=group_by),
        rows=None if group_by else summary["calls"],
        group_by=group_by,
        priced=content == "records-with-cost",
    )

if chosen.everyone:  # the API exports one's own records only
    st.stop()

here = services.current().settings.dashboard_url
with states.Card("By a program"):
    st.markdown("The same by the API, with an access token (page *Keys & budgets*) in the place of `$BYOK_TOKEN`:")
    st.code(links.export_call(here, chosen.scope, wanted), language="bash", wrap_lines=True)
    st.markdown("Sums, with cost:")
    sums_by = group_by or ("day", "vendor", "model")
    st.code(links.usage_call(here, chosen.scope, sums_by), language="bash", wrap_lines=True)
    st.markdown("In Python:")
    st.code(links.python_call(here, chosen.scope, sums_by), language="python", wrap_lines=True)
    st.markdown(f"[Every route of the API]({here}/docs)")
