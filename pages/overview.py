"""Overview: how much, when, and who or what of it."""

import streamlit as st

from byok import services
from byok.store import questions
from byok.ui import breakdown, budgeting, cards, charts, explored, filters, forecast, marks, session, states, table, theme
from byok.ui.measures import MEASURES
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

summary = questions.summary(engine, chosen.scope)
if not summary["calls"]:
    states.nothing_matches(chosen)
    st.stop()

before = chosen.scope_before
column = filters.COLUMN_OF[chosen.by]
steps = buckets(max(chosen.period.since, chosen.kept_from), chosen.period.until, chosen.grain, chosen.zone)
whole = questions.series(engine, chosen.scope, grain=chosen.grain).to_pylist()
parts = questions.series(engine, chosen.scope, grain=chosen.grain, by=column).to_pylist()
names = names_of(user, everyone=chosen.everyone)

cards.draw(cards.cards(summary, questions.summary(engine, before) if before else None, breakdown.courses(whole, steps)))
states.unpriced(questions.usage(engine, chosen.scope, cost=True).rows)

# Without a single price there is no money to draw: the tokens say more than an empty chart.
metric = chosen.metric if MEASURES[chosen.metric].additive else "cost"
metric = "tokens" if metric == "cost" and summary["cost_usd"] is None else metric


def shown(value: str) -> str:
    return names.shown(column, value)


def narrow_to(value: str | None) -> None:
    if value and value != theme.OTHER:
        filters.narrow(chosen.by, shown(value))


with st.container(border=True):
    st.subheader(f"{MEASURES[metric].title} by {chosen.by}", anchor=False)
    series = breakdown.breakdown(parts, steps, metric, column=column)
    chart_key = f"hero-{chosen.fingerprint}"
    looks = names.looks(column, also=[part.name for part in series.parts])
    figure = charts.stacked_bars(
        series,
        metric=metric,
        grain=chosen.grain,
        looks=looks,
        shown=shown,
        mode=st.context.theme.type,
        running=chosen.period.running,
        earlier=explored.earlier(engine, chosen, metric),
    )
    spikes = marks.of(engine, chosen.scope)
    charts.draw(
        marks.marked(figure, spikes, series.buckets, [float(total) for total in series.totals], mode=st.context.theme.type),
        alt=charts.described(series, metric=metric, by=chosen.by, grain=chosen.grain, shown=shown),
        key=chart_key,
        on_select=lambda: narrow_to(charts.clicked(chart_key)),
    )
    marks.told(spikes, chosen.zone)

with st.container(border=True):
    st.subheader(f"Every {chosen.by}", anchor=False)
    group = (column,)
    frame = table.leaderboard(
        questions.usage(engine, chosen.scope, group_by=group, cost=True).rows,
        questions.usage(engine, before, group_by=group, cost=True).rows if before else None,
        breakdown.sparks(parts, steps, metric, column=column),
        column=column,
        metric=metric,
        shown=shown,
    )
    table_key = f"table-{chosen.fingerprint}"
    ids = frame["id"].tolist()
    table.draw(
        frame,
        title=chosen.by.capitalize(),
        compared_with=chosen.period.compared_with if before else None,
        key=table_key,
        on_select=lambda: narrow_to(table.clicked(table_key, ids)),
    )

forecast.line(chosen, metric, budget=budgeting.for_line(user, chosen, metric))
