"""Where the month will end: one line for the Overview, and a card with the way there."""

from dataclasses import replace
from datetime import date, timedelta

import streamlit as st

from byok import in_words, services
from byok.accounts.plans import keep_after
from byok.store.outlook import METRICS, Metric, Outlook, outlook
from byok.store.scope import AnyScope
from byok.ui import charts, forecast_chart, session
from byok.ui.filters import Filters
from byok.zones import EARLIEST, LATEST

FRESH_S = 20


def of(chosen: Filters, metric: str = "cost") -> Outlook:
    """This month's outlook for what the bar filters by, whatever its period; as of at most `FRESH_S` seconds ago."""
    whenever = replace(chosen.scope, since=EARLIEST, until=LATEST)
    days_kept = round((session.now() - chosen.kept_from) / timedelta(days=1))
    return _of(whenever, metric if metric in METRICS else "cost", days_kept)


# The cache is shared by all sessions; the scope, which says whose data it is, is its key.
@st.cache_data(ttl=FRESH_S, max_entries=256, show_spinner=False)
def _of(scope: AnyScope, metric: Metric, days_kept: int) -> Outlook:
    book = services.current()
    now = book.now()
    return outlook(book.engine, scope, now=now, metric=metric, kept_from=keep_after(days_kept, now))


def line(chosen: Filters, metric: str = "cost", *, budget: float | None = None) -> None:
    """Month so far, what it will come to, and the budget if there is one. Nothing before the first call of the month."""
    found = of(chosen, metric)
    if not found.days:
        return
    with st.container(border=True, key="month-end"):
        st.markdown(f":material/trending_up: {sentence(found, budget=budget)}")
        st.caption(_small_print(found, chosen))


def sentence(found: Outlook, *, budget: float | None = None) -> str:
    """Such as: Month so far $214.33, projected $288.10 ($261.55–$321.47), budget $300.00. As Markdown."""
    write, guess = forecast_chart.WRITE[found.metric], found.forecast
    unit = "" if found.metric == "cost" else f" {found.metric}"
    so_far = in_words.DASH if _nothing_priced(found) else write(guess.so_far)
    words = f"{found.month:%B} so far **{in_words.literal(so_far)}**{unit}"
    if guess.enough:
        within = f"{write(guess.low)}–{write(guess.high)}"
        words += f", projected **{in_words.literal(write(guess.middle))}** ({in_words.literal(within)})"
    if budget is not None:
        words += f", budget {in_words.literal(write(budget))}"
        reached = guess.reaches(budget, today=found.today)
        if guess.so_far >= budget:
            words += ": reached"
        elif reached:
            words += f": reached around {_day(reached)}"
    return words + "."


def card(chosen: Filters, metric: str = "cost", *, budget: float | None = None) -> None:
    """The month as a rising line, the band in which it will end, and the budget."""
    found = of(chosen, metric)
    if not found.days and not found.forecast.enough:
        st.caption(f"Nothing was used in {found.month:%B} yet. {found.forecast.basis}")
        return
    st.markdown(sentence(found, budget=budget))
    if found.forecast.enough:
        figure = forecast_chart.band(found, budget=budget, mode=st.context.theme.type)
        charts.draw(figure, alt=forecast_chart.described(found), key=f"forecast-{chosen.fingerprint}-{metric}")
    st.caption(_small_print(found, chosen))


def _small_print(found: Outlook, chosen: Filters) -> str:
    filtered = " With the filters above." if chosen.narrowed else ""
    unpriced = ""
    if found.metric == "cost" and found.unpriced_calls:
        unpriced = f" {in_words.plural(found.unpriced_calls, 'call')} without a known cost are left out."
    basis = "" if _nothing_priced(found) else f"{found.forecast.basis} "
    return f"{basis}This is the calendar month, whatever the period above.{filtered}{unpriced}"


def _nothing_priced(found: Outlook) -> bool:
    """Whether there are calls, but none of which any cost is known: that is not $0.00."""
    return found.so_far is None


def _day(day: date) -> str:
    return f"{day:%b} {day.day}"
