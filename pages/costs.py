"""Costs: what was spent on what, part by part, at which prices; where the month will end; and what it could have cost."""

import streamlit as st

from byok import services
from byok.store import money
from byok.ui import budgeting, charts, cost_charts, costs, filters, forecast, price_table, session, states, what_if
from byok.ui.names import names_of
from byok.ui.periods import buckets

user = session.require_user()
chosen = filters.current(user)
engine = services.current().engine

if states.newest_of(user, everyone=chosen.everyone) is None:
    states.no_data_yet(user)
    st.stop()
if chosen.gone:
    states.out_of_retention(user, chosen)
    st.stop()
states.cut_by_retention(user, chosen)

column = filters.COLUMN_OF[chosen.by]
found = money.costs(engine, chosen.scope, group_by=(column,))
if not found.totals["total_calls"]:
    states.nothing_matches(chosen)
    st.stop()

mode = st.context.theme.type
models = money.costs(engine, chosen.scope).rows
used = [(row["vendor"], row["model"]) for row in models]
course = money.course(engine, chosen.scope, grain=chosen.grain)
before = money.costs(engine, chosen.scope_before, group_by=("vendor",)) if chosen.scope_before else None
names = names_of(user, everyone=chosen.everyone)
shown = costs.names_of(found.rows, column, lambda value: names.shown(column, value))
priced = [(row, name) for row, name in zip(found.rows, shown, strict=True) if row["cost_usd"]]

costs.draw_cards(found.totals, before.totals if before else None, course)
states.unpriced(models)

if priced:
    with st.container(border=True):
        st.subheader(f"Cost by {chosen.by}", anchor=False)
        rows, labels = [row for row, _ in priced], [name for _, name in priced]
        figure = cost_charts.split_bars(rows, labels, mode=mode)
        charts.draw(figure, alt=cost_charts.split_described(rows, labels), key=f"split-{chosen.fingerprint}")

    with st.container(border=True):
        st.subheader("Over time", anchor=False)
        steps = buckets(max(chosen.period.since, chosen.kept_from), chosen.period.until, chosen.grain, chosen.zone)
        series = cost_charts.over_time(course, steps)
        charts.draw(
            charts.stacked_bars(
                series,
                metric="cost",
                grain=chosen.grain,
                looks=cost_charts.LOOKS,
                shown=lambda part: cost_charts.WORDS.get(part, part),
                mode=mode,
                running=chosen.period.running,
            ),
            alt=charts.described(
                series, metric="cost", by="part", grain=chosen.grain, shown=lambda part: cost_charts.WORDS.get(part, part)
            ),
            key=f"course-{chosen.fingerprint}",
        )

with st.container(border=True):
    st.subheader(f"Every {chosen.by}", anchor=False)
    sources = costs.sources_by(found.rows, money.price_sources(engine, chosen.scope), column)
    costs.draw_table(costs.frame(found.rows, shown, sources), title=chosen.by.capitalize(), key=f"table-{chosen.fingerprint}")

with st.container(border=True, key="forecast"):
    forecast.card(chosen, budget=budgeting.for_line(user, chosen, "cost"))
    with st.container(horizontal=True, gap="small"):
        st.page_link("pages/keys.py", label="Budgets", icon=":material/savings:")
        st.page_link("pages/reconcile.py", label="Beside the vendor's own account", icon=":material/balance:")

with st.container(border=True):
    what_if.section(chosen, used)

with st.container(border=True):
    price_table.section(user, used)
