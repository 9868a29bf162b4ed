"""Overview: how much, when, and who or what of it."""

from dataclasses import replace

import streamlit as st

from byok import services
from byok.store import courses, questions
from byok.ui import (
    about,
    breakdown,
    budgeting,
    cards,
    charts,
    course_charts,
    explored,
    filters,
    forecast,
    marks,
    session,
    states,
    table,
    theme,
)
from byok.ui.measures import MEASURES
from byok.ui.names import names_of

user = session.require_user()
chosen = filters.current(user)
engine = services.current().engine

states.require_records(user, chosen)
about.line(user, chosen)

before = chosen.scope_before
column = filters.COLUMN_OF[chosen.by]
steps = explored.steps_of(chosen)
# One question for all of this page's sums: by vendor and model, from which either, the whole and what has no price can be added up.
levels = ("vendor", "model") if column in ("vendor", "model") else (column,)
sums = courses.sums(engine, chosen.scope, grain=chosen.grain, by=levels)
if not sums:
    states.nothing_matches(chosen)
    st.stop()
sums_before = courses.sums(engine, before, grain=chosen.grain, by=(column,)) if before else None
(summary,) = courses.added(sums)
parts = courses.added(sums, by=("start", column))

names = names_of(user, everyone=chosen.everyone)

# Where nothing has a price, or all of it is free, there is no money to draw; where all of it failed, no tokens either.
metric = next((word for word in ("cost", "tokens") if MEASURES[word].of(summary)), "calls") if chosen.metric == "cost" else chosen.metric
measure = MEASURES[metric]
ranked = metric if measure.additive else "calls"


def shown(value: str) -> str:
    return explored.shown(names, (column,), value)


def narrow_to(value: str | None) -> None:
    if value and value != theme.OTHER:
        filters.narrow(chosen.by, shown(value))


top = states.Card(height=cards.HEIGHT, framed=False)
hero = states.Card(f"{measure.title} by {chosen.by}", height=charts.HERO_HEIGHT)
board = states.Card(f"Every {chosen.by}", height=240)
end = states.Card(framed=False, key="end")

# The chart is filled first: the browser draws it while the rest comes.
with hero:
    if metric != chosen.metric:
        why = "No price of these calls is known" if summary["cost_usd"] is None else "None of these calls cost anything"
        st.caption(f"{why}: this shows {metric} instead.")
    found = explored.answer(
        engine,
        replace(chosen, by2=None),
        metric,
        most=breakdown.MOST_NAMES,
        sums=parts,
        sums_before=None if sums_before is None else courses.added(sums_before, by=("start",)),
    )
    series = found.series
    chart_key = f"hero-{chosen.fingerprint}"
    mode = st.context.theme.type
    style = charts.Style(metric, chosen.grain, explored.looks(names, found.columns, series), shown, mode, chosen.period.running)
    spikes = marks.of(engine, chosen)
    if not measure.additive:
        figure = course_charts.lines(series, style, earlier=found.earlier, whole=found.whole)
    else:
        figure = charts.stacked_bars(series, style, earlier=found.earlier)
        figure = marks.marked(figure, spikes, series.buckets, [float(total) for total in series.totals], mode=mode)
    if series.parts:
        charts.draw(
            figure,
            alt=charts.described(series, style, by=chosen.by, kind="Stacked bars" if measure.additive else "Lines"),
            key=chart_key,
            on_select=lambda: narrow_to(charts.clicked(chart_key)),
        )
    else:
        states.nothing_measured()
    marks.told(user, spikes, chosen)

with top:
    summary_before = courses.added(sums_before) if sums_before is not None else []
    cards.draw(
        cards.cards(
            summary,
            summary_before[0] if summary_before else None,
            breakdown.courses(courses.added(sums, by=("start",)), steps),
        )
    )
    if summary["unpriced_calls"]:
        by_model = ("vendor", "model")
        states.unpriced(courses.added(sums, by=by_model) if levels == by_model else questions.usage(engine, chosen.scope, cost=True).rows)

with board:
    frame = table.leaderboard(
        courses.added(parts, by=(column,)),
        None if sums_before is None else courses.added(sums_before, by=(column,)),
        breakdown.sparks(parts, steps, ranked, column=column),
        column=column,
        metric=ranked,
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

with end:
    forecast.line(chosen, metric, budget=budgeting.for_line(user, chosen, metric))
