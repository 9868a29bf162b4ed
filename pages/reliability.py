"""Reliability: what fails, when, for whom, how fast the rest is answered, and how far the counts can be trusted."""

import streamlit as st

from byok import in_words, services
from byok.store import courses, questions, reliability
from byok.store.reliability import Speeds
from byok.ui import charts, explored, filters, outcome_cards, outcome_charts, outcome_tables, outcomes, session, states, table
from byok.ui.cards import HEIGHT as CARDS_HEIGHT
from byok.ui.filters import COLUMN_OF
from byok.ui.names import names_of

NEWEST = 50
TABLE_HEIGHT = 240

user = session.require_user()
chosen = filters.current(user)
engine = services.current().engine
states.require_records(user, chosen)

mode = st.context.theme.type
names = names_of(user, everyone=chosen.everyone)
steps = explored.steps_of(chosen)
found = outcomes.endings(reliability.endings(engine, chosen.scope, grain=chosen.grain), steps, chosen.grain)
calls, failed = sum(found.calls), sum(found.failed)
if not calls:
    states.nothing_matches(chosen)
    st.stop()
common = {"grain": chosen.grain, "mode": mode, "running": chosen.period.running}

# All places first, so that nothing moves when answers come. Charts are filled first: the browser draws them while the rest is asked.
top = states.Card(height=CARDS_HEIGHT, framed=False)
over_time = states.Card("Error rate", height=outcome_charts.RATE_HEIGHT)
if failed:
    left, right = st.columns(2)
    kinds = states.Card("What fails, and when", height=outcome_charts.HEIGHT, column=left)
    week = states.Card("Hours of the week", height=outcome_charts.HEIGHT, column=right)
    who = states.Card("Who fails most", height=TABLE_HEIGHT)
else:
    st.success(f"Nothing failed: {in_words.plural(calls, 'call')}, all with a 2xx status.", icon=":material/check_circle:")
fast = states.Card("How fast models answer", height=TABLE_HEIGHT) if failed < calls else None
trust = states.Card("How far the counts can be trusted", height=80)

with over_time:
    charts.draw(
        outcome_charts.rate_over_volume(found, **common),
        alt=outcome_charts.rate_described(found, grain=chosen.grain),
        key=f"rate-{chosen.fingerprint}",
    )

if failed:
    with kinds:
        charts.draw(
            outcome_charts.failures_by_kind(found, **common),
            alt=outcome_charts.kinds_described(found, grain=chosen.grain),
            key=f"kinds-{chosen.fingerprint}",
        )
        st.caption(f"Per {chosen.grain}; the stronger the colour, the larger the share of its calls.")

    with week:
        metric = week.heading.segmented_control(
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

speeds: Speeds | None = None
with top:
    before = questions.summary(engine, chosen.scope_before) if chosen.scope_before else None
    speeds = reliability.speeds(engine, chosen.scope)
    outcome_cards.draw(found, before, speeds.whole or {}, courses.waits(engine, chosen.scope, steps))

if failed:
    with who:
        by = who.heading.segmented_control(
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

if fast:
    with fast:
        speeds = speeds or reliability.speeds(engine, chosen.scope)
        if speeds.models:
            outcome_tables.speeds(speeds.models)
        else:
            states.nothing_measured()

with trust:
    outcome_tables.trust(reliability.sources(engine, chosen.scope))

if failed:
    with states.Card("Newest failures", height=TABLE_HEIGHT):
        newest = reliability.recent_failures(engine, chosen.scope, most=NEWEST)
        outcome_tables.failures(newest, zone=chosen.zone, key_shown=lambda value: names.shown("key_id", value))
        if failed > NEWEST:
            st.caption(f"The newest {NEWEST} of {in_words.plural(failed, 'failed call')} in this period.")
