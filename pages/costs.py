"""Costs: what was spent on what, part by part, at which prices; where the month will end; and what it could have cost."""

import streamlit as st

from byok import services
from byok.store import money
from byok.ui import (
    budgeting,
    cards,
    charts,
    cost_charts,
    costs,
    explored,
    filters,
    forecast,
    forecast_chart,
    price_table,
    session,
    states,
    what_if,
)
from byok.ui.names import names_of

user = session.require_user()
chosen = filters.current(user)
engine = services.current().engine
states.require_records(user, chosen)

column = filters.COLUMN_OF[chosen.by]
found = money.costs(engine, chosen.scope, group_by=(column,))
if not found.totals["total_calls"]:
    states.nothing_matches(chosen)
    st.stop()

mode = st.context.theme.type
names = names_of(user, everyone=chosen.everyone)
shown = costs.names_of(found.rows, column, lambda value: names.shown(column, value))
priced = [(row, name) for row, name in zip(found.rows, shown, strict=True) if row["cost_usd"]]
models = money.costs(engine, chosen.scope).rows
used = [(row["vendor"], row["model"]) for row in models]

# All places first, so that nothing moves when answers come. Charts are filled first: the browser draws them while the rest is asked.
top = states.Card(height=cards.HEIGHT, framed=False)
if priced:
    split = states.Card(f"Cost by {chosen.by}", height=cost_charts.split_height(len(priced)))
    over_time = states.Card("Over time", height=charts.HERO_HEIGHT)
board = states.Card(f"Every {chosen.by}", height=240)
month = states.Card("Where the month will end", height=forecast_chart.HEIGHT, key="forecast")
other = states.Card("What if")
prices = states.Card("Price table", anchor=price_table.ANCHOR)

course: list[dict[str, object]] = []
if priced:
    with split:
        rows, labels = [row for row, _ in priced], [name for _, name in priced]
        figure = cost_charts.split_bars(rows, labels, mode=mode)
        charts.draw(figure, alt=cost_charts.split_described(rows, labels), key=f"split-{chosen.fingerprint}")

    with over_time:
        course = money.course(engine, chosen.scope, grain=chosen.grain)
        series = cost_charts.over_time(course, explored.steps_of(chosen))
        style = charts.Style(
            "cost", chosen.grain, cost_charts.LOOKS, lambda part: cost_charts.WORDS.get(part, part), mode, chosen.period.running
        )
        charts.draw(
            charts.stacked_bars(series, style),
            alt=charts.described(series, style, by="part"),
            key=f"course-{chosen.fingerprint}",
        )

with top:
    course = course or money.course(engine, chosen.scope, grain=chosen.grain)
    before = money.costs(engine, chosen.scope_before, group_by=("vendor",)) if chosen.scope_before else None
    costs.draw_cards(found.totals, before.totals if before else None, course, explored.steps_of(chosen))
    states.unpriced(models)

with board:
    sources = costs.sources_by(found.rows, money.price_sources(engine, chosen.scope), column)
    costs.draw_table(costs.frame(found.rows, shown, sources), title=chosen.by.capitalize(), key=f"table-{chosen.fingerprint}")

with month:
    forecast.card(chosen, budget=budgeting.for_line(user, chosen, "cost"))
    with st.container(horizontal=True, gap="small"):
        st.page_link("pages/keys.py", label="Budgets", icon=":material/savings:")
        st.page_link("pages/reconcile.py", label="Beside the vendor's own account", icon=":material/balance:")

with other:
    what_if.section(chosen, used)

with prices:
    price_table.section(user, used)
