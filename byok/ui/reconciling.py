"""A vendor's export beside what the gateway saw: chosen, read in memory, shown, and forgotten."""

import io
from decimal import Decimal

import pandas as pd
import streamlit as st
from starlette.formparsers import MultiPartParser

from byok import in_words, services
from byok.accounts import key_vault
from byok.accounts.plans import keep_after
from byok.accounts.users import User
from byok.errors import ByokError
from byok.reconciliation.comparison import Reconciliation, reconcile
from byok.reconciliation.exports import lines_of
from byok.store.scope import Scope
from byok.ui import names, session
from byok.ui.table import money_format
from byok.zones import EARLIEST, LATEST

MOST_MB = 32  # a month of minutes, as OpenAI exports it, for some models


def draw(user: User) -> None:
    """The choice of a file, and its comparison."""
    st.markdown(
        "Export *Usage* or *Cost* as CSV from the console of OpenAI or Anthropic, and see how much of it went through the gateway: "
        "per day (UTC) and model."
    )
    MultiPartParser.spool_max_size = (MOST_MB + 1) * 2**20  # else all beyond a megabyte is written to a temporary file first
    file = st.file_uploader("Export of a vendor", type=["csv", "tsv", "txt"], max_upload_size=MOST_MB, key="export-file")
    words = names.key_words((), key_vault.of_user(services.current().db, user.id))
    chosen = st.multiselect("Only calls with these keys", list(words), format_func=lambda one: words.get(one, one), placeholder="All keys")
    st.caption(":material/lock: Read in memory and forgotten when you leave this page. Nothing of the file is stored.")
    if file is None:
        return
    book, now = services.current(), session.now()
    scope = Scope(user.id, EARLIEST, LATEST, key_ids=tuple(one for one in chosen if one in words))
    try:
        with io.TextIOWrapper(io.BytesIO(file.getvalue()), encoding="utf-8", newline="") as text:
            found = reconcile(book.engine, scope, lines_of(text), kept_from=keep_after(user.retention_days, now))
    except ByokError as error:
        st.error(f"{in_words.literal(error.message)} {in_words.literal(error.remedy)}")
        return
    _show(found)


def _show(found: Reconciliation) -> None:
    if found.days_gone:
        st.caption(
            f":material/history_toggle_off: {in_words.plural(found.days_gone, 'day')} left out: their records are not all kept any more."
        )
    if not found.rows:
        st.info("Nothing is left to compare: export a period that your plan still keeps.", icon=":material/history_toggle_off:")
        return
    unit = "tokens" if found.kind == "usage" else "USD"
    total = found.total
    with st.container(horizontal=True, gap="small"):
        st.metric("Captured", in_words.percent(total.captured, 1), border=True)
        st.metric(f"{found.vendor} says ({unit})", _amount(total.theirs, found), border=True)
        st.metric(f"The gateway saw ({unit})", _amount(total.ours, found), border=True)
    amounts = [f"{found.vendor} ({unit})", f"Gateway ({unit})", "Difference"]
    shown = _table(found)
    written = "localized" if found.kind == "usage" else money_format(pd.concat([shown[name].abs() for name in amounts]))
    st.dataframe(
        shown,
        hide_index=True,
        column_config={
            "Captured": st.column_config.ProgressColumn(min_value=0, max_value=1, format="percent"),
            **{name: st.column_config.NumberColumn(format=written) for name in amounts},
            "Day": st.column_config.DateColumn(format="YYYY-MM-DD"),
        },
        alt=f"What {found.vendor} says and what the gateway saw, in {unit}, per day and model",
    )
    if found.unnamed:
        st.caption(f"In no sum, as the export does not name them: {', '.join(f'`{model}`' for model in found.unnamed)}.")
    st.caption(
        "Less than all: calls that went past the gateway with the same account, or clients that left before the vendor told its counts. "
        "More: calls of other accounts than the export's. A call around midnight can stand on two days."
        + (" Cost is compared as calls are priced here; a discount shows as more than all." if found.kind == "cost" else "")
    )


def _table(found: Reconciliation) -> pd.DataFrame:
    unit = "tokens" if found.kind == "usage" else "USD"
    rows = []
    for row in found.rows:
        rows.append(
            {
                "Day": row.day,
                "Model": row.model,
                f"{found.vendor} ({unit})": float(row.theirs),
                f"Gateway ({unit})": float(row.ours),
                "Difference": float(row.ours - row.theirs),
                "Captured": row.captured,
            }
            | ({"Calls there": row.their_requests, "Calls here": row.our_requests} if row.their_requests is not None else {})
        )
    return pd.DataFrame(rows)


def _amount(value: Decimal, found: Reconciliation) -> str:
    return in_words.short(value) if found.kind == "usage" else in_words.money(value)
