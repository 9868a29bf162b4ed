"""What one can do with what the Explore page shows: go deeper, filter, take it along as a file, ask it as SQL."""

from collections.abc import Callable, Sequence
from datetime import datetime

import streamlit as st

from byok import export, in_words
from byok.accounts.users import User
from byok.store import pasted
from byok.store.scope import Scope
from byok.ui import filters, months, offers, session, shown
from byok.ui.explored import Answer, columns_of
from byok.ui.filters import Filters
from byok.ui.measures import MEASURES
from byok.ui.names import Names

_SQL = "Open in SQL"
_NOT_OF_OTHERS = "The SQL page asks of your own calls only; of others' an operator asks with byok sql."
FORMATS = ("csv", "json", "parquet")


def deeper(chosen: Filters, bucket: datetime | None, otherwise: Callable[[], None]) -> None:
    """Show the month or day that was clicked, in the next finer grain (a callback); an hour has none, so its entity is filtered by."""
    if bucket is None or chosen.grain == "hour":
        otherwise()
        return
    first = bucket.astimezone(chosen.zone).date()
    last = first if chosen.grain == "day" else months.last_day(first, session.now().astimezone(chosen.zone).date())
    filters.choose_days(first, last)
    st.session_state["grain"] = "hour" if chosen.grain == "day" else "day"


def narrow(chosen: Filters, names: Names, values: Sequence[str]) -> None:
    """Filter by the values of the one or two levels of a row (a callback)."""
    levels = (chosen.by, chosen.by2) if chosen.by2 else (chosen.by,)
    for by, value in zip(levels, values, strict=True):
        st.session_state[by] = [names.shown(filters.COLUMN_OF[by], value)]
    if len(values) == 1:
        filters.narrow(chosen.by, names.shown(filters.COLUMN_OF[chosen.by], values[0]))


def hint(chosen: Filters) -> str:
    """What a click does."""
    finer = {"month": "shows that month by day", "day": "shows that day by hour", "hour": f"filters by that {chosen.by}"}[chosen.grain]
    return f":material/touch_app: A click on the chart {finer}; a click on a row filters by it."


def row(user: User, chosen: Filters, names: Names, found: Answer) -> None:
    """The files and the SQL."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        fmt = st.segmented_control("This as a file", FORMATS, default="csv", required=True, key="shown-format")
        answer = export.with_head(shown.rows(found, chosen.metric, chosen.grain), shown.about(chosen, names, chosen.metric))
        offers.shown_link(user, answer, fmt, chosen)
        _as_sql(chosen)


def _as_sql(chosen: Filters) -> None:
    scope, columns = chosen.scope, columns_of(chosen)
    if not isinstance(scope, Scope) or "user_id" in columns:
        st.page_link("pages/sql.py", label=_SQL, disabled=True, icon=":material/database:", help=_NOT_OF_OTHERS)
        return
    title = f"{MEASURES[chosen.metric].title} by {' and '.join(filter(None, (chosen.by, chosen.by2)))}, {format_period(chosen)}"
    text = pasted.as_sql(scope, measure=chosen.metric, grain=chosen.grain, by=columns, title=title)
    # A link and no button: Streamlit lets no script change the page while the frame's controls are bound to the address.
    st.page_link("pages/sql.py", label=_SQL, icon=":material/database:", query_params={"q": text})


def format_period(chosen: Filters) -> str:
    """The period and its zone in words."""
    return f"{chosen.period.words()} ({chosen.zone.key})".replace(in_words.DASH, "-")
