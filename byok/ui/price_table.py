"""The price table of the Costs page, and the form with which an admin sets a price."""

from collections.abc import Collection
from datetime import UTC, date
from typing import Any

import pandas as pd
import streamlit as st

from byok import in_words, price_setting, services
from byok.accounts.users import User
from byok.errors import ByokError
from byok.pricing import files
from byok.pricing.overrides import BY_OPERATOR, Override
from byok.store import questions
from byok.store.money import Name
from byok.ui import session, table

ANCHOR = "price-table"
_RATES = {"input": "Input", "output": "Output", "cached": "Cached input", "cache_write": "Cache write"}
_SAID = "price-said"
_MOST_NAMED = 10  # models without a price that are named one by one


def section(user: User, used: Collection[Name]) -> None:
    """What is charged now; at first only for the models of the selection."""
    st.caption("USD per million tokens, in force now. A dash: charged like input. Earlier calls keep the price of their day.")
    every = st.toggle("Show every model", key="price-table-all", value=not used)
    rows = [row for row in questions.price_list(services.current().engine) if every or (row["vendor"], row["model"]) in used]
    priced = {(row["vendor"], row["model"]) for row in rows}
    if rows:
        _draw(rows)
    if unpriced := sorted(name for name in used if name not in priced):
        named = ", ".join(f"`{vendor}/{model}`" for vendor, model in unpriced[:_MOST_NAMED])
        named += f" and {len(unpriced) - _MOST_NAMED:,} more" if len(unpriced) > _MOST_NAMED else ""
        st.markdown(f":material/money_off: No price is known for {named}: an admin can set one here or with `byok prices set`.")
    if user.admin:
        _form(user)


def _draw(rows: list[dict[str, Any]]) -> None:
    frame = pd.DataFrame(
        [
            {
                "vendor": row["vendor"],
                "model": row["model"],
                **{name: _float(row[f"{place}_usd_per_mtok"]) for name, place in _COLUMNS.items()},
                "fee": _float(row["request_usd"]) or None,
                "conditions": row["conditions"],
                "source": row["price_source"],
            }
            for row in rows
        ]
    )
    config: dict[str, Any] = {
        "vendor": st.column_config.TextColumn("Vendor"),
        "model": st.column_config.TextColumn("Model", width=190, pinned=True),
        **{name: st.column_config.NumberColumn(words, format=_dollars(frame[name])) for name, words in _RATES.items()},
        "fee": st.column_config.NumberColumn("Each call", format=_dollars(frame["fee"])),
        "conditions": st.column_config.TextColumn("Otherwise", width="medium", help="Rates that hold instead, and when."),
        "source": st.column_config.TextColumn("Source and date", width="large"),
    }
    order = [name for name in config if name not in ("fee", "conditions") or frame[name].notna().any()]
    alt = "Prices by vendor and model: input, output, cached input and cache writes in USD per million tokens, with source and date."
    table.show(frame, config, order, key="price-table", alt=alt)


def _dollars(rates: "pd.Series[float]") -> str:
    """How a column of rates is written: with the decimals that the longest needs, two at least, so that points stand below points."""
    places = max((len(f"{rate:.9f}".rstrip("0").partition(".")[2]) for rate in rates.dropna()), default=2)
    return f"$%,.{max(places, 2)}f"


_COLUMNS = {"input": "input", "output": "output", "cached": "cached", "cache_write": "write"}


def _form(user: User) -> None:
    with st.expander("Set a price", icon=":material/edit:"):
        with st.form("set-price", border=False):
            name = st.text_input("Model", key="price-model", placeholder="vendor/model", max_chars=140)
            with st.grid(4, min_column_width=130, gap="small"):
                for field, words in _RATES.items():
                    st.text_input(f"{words}, $", key=f"price-{field}", max_chars=20, help="USD per million tokens.")
            today = session.now().astimezone(UTC).date()
            since = st.date_input("From (UTC)", today, min_value=today, key="price-from", format="YYYY-MM-DD", help="No day that is over.")
            source = st.text_input("Source", key="price-source", placeholder="The vendor's page, a contract …", max_chars=200)
            st.form_submit_button("Set price", type="primary", on_click=_set, args=(user,))
        del name, since, source  # the callback reads them where they are kept
    if said := st.session_state.pop(_SAID, None):
        (st.error if said[0] else st.success)(said[1])


@session.checked_admin
def _set(user: User) -> None:  # noqa: ARG001 - asked for by `checked_admin`
    """Book what the form says."""
    book, state = services.current(), st.session_state
    vendor, _, model = str(state.get("price-model", "")).strip().partition("/")
    values = {field: str(state[f"price-{field}"]).strip() for field in _RATES if str(state.get(f"price-{field}", "")).strip()}
    since = state.get("price-from")
    try:
        if not price_setting.is_name(vendor, model) or not isinstance(since, date):
            raise ValueError("name the model as vendor/model")
        entry = files.entry({**values, "source": str(state.get("price-source", "")).strip() or BY_OPERATOR})
        price_setting.book(book, [Override(vendor, model, since, entry)], now=book.now())
    except ValueError as error:
        state[_SAID] = (True, f"This is no price: {in_words.literal(str(error))}.")
    except ByokError as error:
        state[_SAID] = (True, f"{in_words.literal(error.message)} {in_words.literal(error.remedy)}")
    else:
        state[_SAID] = (False, f"Set for {in_words.literal(f'{vendor}/{model}')} from {since} on.")


def _float(value: object) -> float | None:
    return None if value is None else float(value)  # type: ignore[arg-type]
