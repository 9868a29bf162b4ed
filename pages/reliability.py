"""Reliability: what fails, when, for whom, how fast the rest is answered, and how far the counts can be trusted."""

import streamlit as st

from byok import services
from byok.store import questions, reliability
from byok.ui import cards, charts, filters, format, outcome_charts, outcome_tables, outcomes, session, states, table
from byok.ui.cards import Card
from byok.ui.filters import COLUMN_OF
from byok.ui.names import names_of
from byok.ui.periods import buckets

NEWEST = 50

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

mode = st.context.theme.type
names = names_of(user, everyone=chosen.everyone)
steps = buckets(max(chosen.period.since, chosen.kept_from), chosen.period.until, chosen.grain, chosen.zone)
found = outcomes.endings(reliability.endings(engine, chosen.scope, grain=chosen.grain), steps, chosen.grain)
if not sum(found.calls):
    states.nothing_matches(chosen)
    st.stop()


def course(name: str) -> list[float]:
    """Seconds per bucket; 0 where nothing was measured."""
    measured = {row["place"]: row[name] for row in pace}
    return [(measured.get(place) or 0) / 1000 for place in range(len(steps))]


before = questions.summary(engine, chosen.scope_before) if chosen.scope_before else None
speeds = reliability.speeds(engine, chosen.scope)
whole = speeds.whole or {}
pace = reliability.speeds_over_time(engine, chosen.scope, steps)
calls, failed = sum(found.calls), sum(found.failed)
rate_before = before["failed"] / before["calls"] if before and before["calls"] else None
cards.draw(
    [
        Card(
            "Error rate",
            format.percent(failed / calls),
            cards.points(failed / calls, rate_before),
            [100 * (rate or 0) for rate in found.rates],
            "inverse",
            "bar",
            f"{format.count(failed)} of {format.plural(calls, 'call')} did not end with a 2xx status.",
        ),
        Card(
            "Rate limited",
            format.percent(found.share("Rate limited")),
            None,
            [float(count) for count in found.by_kind["Rate limited"]],
            "inverse",
            "bar",
            "The share of calls that a vendor refused with 429: too many at once, or a quota used up.",
        ),
        Card(
            "First token",
            format.seconds(whole.get("ttft_p50_ms")),
            None,
            course("ttft_p50_ms"),
            "off",
            "bar",
            "Half of the successes had one by then.",
        ),
        Card(
            "Whole answer, p95",
            format.seconds(whole.get("latency_p95_ms")),
            None,
            course("latency_p95_ms"),
            "off",
            "bar",
            "19 of 20 successful calls were done by then: an exact percentile of the times measured.",
        ),
    ]
)

with st.container(border=True):
    st.subheader("Error rate", anchor=False)
    charts.draw(
        outcome_charts.rate_over_volume(found, grain=chosen.grain, mode=mode, running=chosen.period.running),
        alt=outcome_charts.rate_described(found, grain=chosen.grain),
        key=f"rate-{chosen.fingerprint}",
    )

if not failed:
    st.success(f"Nothing failed: all {format.plural(calls, 'call')} ended with a 2xx status.", icon=":material/check_circle:")
else:
    kinds, week = st.columns(2)
    with kinds.container(border=True, height="stretch"):
        st.subheader("What fails, and when", anchor=False)
        charts.draw(
            outcome_charts.failures_by_kind(found, grain=chosen.grain, mode=mode, running=chosen.period.running),
            alt=outcome_charts.kinds_described(found, grain=chosen.grain),
            key=f"kinds-{chosen.fingerprint}",
        )
        st.caption(f"Per {chosen.grain}; the stronger the colour, the larger the share of its calls.")
    with week.container(border=True, height="stretch"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.subheader("Hours of the week", anchor=False, width="content")
            metric = st.segmented_control(
                "Hours by",
                list(outcome_charts.WEEK_WORDS),
                default="failed",
                required=True,
                key="hours",
                label_visibility="collapsed",
                bind="query-params",
            )
        hours = reliability.week(engine, chosen.scope)
        charts.draw(
            outcome_charts.hours_of_the_week(hours, metric=metric, mode=mode),
            alt=outcome_charts.week_described(hours, metric=metric),
            key=f"week-{metric}-{chosen.fingerprint}",
        )
        st.caption(f"{outcome_charts.WEEK_WORDS[metric].capitalize()} by hour of the day in {chosen.zone.key}.")

    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.subheader("Who fails most", anchor=False, width="content")
            by = st.segmented_control(
                "Who",
                ("model", "key", "vendor", *(("user",) if chosen.everyone else ())),
                default="model",
                required=True,
                key="who",
                bind="query-params",
                label_visibility="collapsed",
            )
        column = COLUMN_OF[by]
        worst = outcomes.culprits(reliability.endings_of(engine, chosen.scope, by=column), by=column)
        table_key = f"who-{by}-{chosen.fingerprint}"

        def narrow() -> None:
            if clicked := table.clicked(table_key, [one.id for one in worst]):
                st.session_state[by] = [names.shown(column, clicked)]

        outcome_tables.culprits(
            worst, title=by.capitalize(), shown=lambda value: names.shown(column, value), key=table_key, on_select=narrow
        )

if speeds.models:
    with st.container(border=True):
        st.subheader("How fast models answer", anchor=False)
        outcome_tables.speeds(speeds.models)

with st.container(border=True):
    st.subheader("How far the counts can be trusted", anchor=False)
    outcome_tables.trust(reliability.sources(engine, chosen.scope))

if failed:
    with st.container(border=True):
        st.subheader("Newest failures", anchor=False)
        newest = reliability.recent_failures(engine, chosen.scope, most=NEWEST)
        outcome_tables.failures(newest, zone=chosen.zone, key_shown=lambda value: names.shown("key_id", value))
        if failed > NEWEST:
            st.caption(f"The newest {NEWEST} of {format.plural(failed, 'failed call')} in this period.")
