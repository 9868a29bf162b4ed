"""Explore: any measure, by one or two things, over time; drawn in four ways, as a table, a file, or SQL."""

import streamlit as st

from byok import services
from byok.store import questions
from byok.ui import charts, course_charts, explore_actions, explored, filters, marks, pivot, session, states, table
from byok.ui.course_charts import VIEWS, VIEWS_OF_RATIOS
from byok.ui.measures import MEASURES
from byok.ui.names import names_of
from byok.ui.theme import OTHER

TOPS = ("6", "12", "24")

user = session.require_user()
chosen = filters.current(user)
engine = services.current().engine

states.require_records(user, chosen)

measure = MEASURES[chosen.metric]
levels = " and ".join(filter(None, (chosen.by, chosen.by2)))
names = names_of(user, everyone=chosen.everyone)

card = states.Card(f"{measure.title} by {levels}", height=charts.HERO_HEIGHT + 260)
with card:
    with card.heading.container(horizontal=True, vertical_alignment="bottom", width="content", gap="small"):
        view = st.segmented_control("As", VIEWS, default="bars", required=True, key="view", bind="query-params")
        top = st.segmented_control("Top", TOPS, default="6", required=True, key="top", bind="query-params")
    found = explored.answer(engine, chosen, chosen.metric, most=int(top))
    if not found.series.parts:
        if questions.newest(engine, chosen.scope):
            states.nothing_measured()
        else:
            states.nothing_matches(chosen)
        st.stop()
    if not measure.additive and view not in VIEWS_OF_RATIOS:
        view = "lines"
        st.caption(f"{measure.title} of parts does not add up to that of the whole, so these are lines: the {top} with most calls.")

    if measure.additive and not any(part.known for part in found.series.parts):
        view = "table"
        st.info(f"{measure.title} is not known of any of these calls, so there is nothing to draw.", icon=":material/help:")

    def shown(part: str) -> str:
        return explored.shown(names, found.columns, part)

    def narrow_to(part: str | None) -> None:
        if part and part != OTHER:
            explore_actions.narrow(chosen, names, explored.values_of(part, found.columns))

    chart_key = f"explore-{view}-{top}-{chosen.fingerprint}"
    looks, mode = explored.looks(names, found.columns, found.series), st.context.theme.type
    style = charts.Style(chosen.metric, chosen.grain, looks, shown, mode, chosen.period.running)
    spikes = marks.of(engine, chosen) if view in ("bars", "share") else []
    if view != "table":
        if view == "lines":
            figure = course_charts.lines(found.series, style, earlier=found.earlier, whole=found.whole)
        elif view == "cumulative":
            figure = course_charts.cumulative(found.series, style, earlier=found.earlier)
        else:
            figure = charts.stacked_bars(found.series, style, earlier=found.earlier, share=view == "share")
            tops = [100.0 if view == "share" else float(total) for total in found.series.totals]
            figure = marks.marked(figure, spikes, found.series.buckets, tops, mode=mode)
        charts.draw(
            figure,
            alt=charts.described(found.series, style, by=levels, kind=view.capitalize()),
            key=chart_key,
            on_select=lambda: explore_actions.deeper(
                chosen, charts.clicked_bucket(chart_key), lambda: narrow_to(charts.clicked(chart_key))
            ),
        )
        st.caption(explore_actions.hint(chosen))
        marks.told(user, spikes, chosen)
    pivot_key = f"pivot-{chart_key}"
    pivoted = pivot.frame(found.series, chosen.metric, chosen.grain, shown=shown)
    ids = pivoted["id"].tolist()
    pivot.draw(pivoted, chosen.metric, title=levels.capitalize(), key=pivot_key, on_select=lambda: narrow_to(table.clicked(pivot_key, ids)))
    if left_out := pivot.buckets_left_out(found.series.buckets):
        st.caption(f"The oldest {left_out} of {len(found.series.buckets)} {chosen.grain}s have no column here; the file has them all.")

    explore_actions.row(user, chosen, names, found)
