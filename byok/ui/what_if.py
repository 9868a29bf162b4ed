"""What if: the chosen calls under other models or another share of cached input, as a table and a waterfall."""

from collections.abc import Sequence
from decimal import Decimal

import pandas as pd
import streamlit as st

from byok import in_words, services
from byok.errors import ByokError
from byok.pricing import tokenizers
from byok.store import money
from byok.store.money import Name, WhatIf
from byok.ui import charts, cost_charts
from byok.ui.filters import Filters

MOST_STEPS = 8
_SMALL = Decimal("0.000000001")


def section(chosen: Filters, used: Sequence[Name]) -> None:
    """Controls and answer. `used` are the models of the selection, dearest first."""
    st.caption("The calls above, one by one, as if another model had answered or more of the input had been cached.")
    catalogue = services.current().engine.catalogue
    priced = [f"{model.vendor}/{model.model}" for model in catalogue.models() if model.prices]
    with st.grid(3, min_column_width=220, gap="small"):
        old = st.multiselect("Instead of", [_word(name) for name in used], key="whatif-of", placeholder="Models of this period")
        new = st.selectbox("Ask", priced, index=None, key="whatif-by", placeholder="A model with a price")
        share = st.number_input(
            "Share of input cached, %", 0, 100, None, step=10, key="whatif-share", placeholder="As it was", help="Of every prompt."
        )
    if not (old and new) and share is None:
        st.caption("Choose models to replace and one to ask instead, or another share of cached input.")
        return
    swaps = {_name(word): _name(new) for word in old} if new else {}
    try:
        found = money.what_if(services.current().engine, chosen.scope, swaps=swaps, cached_share=None if share is None else share / 100)
    except ByokError as error:
        st.error(f"{error.message} {error.remedy}")
        return
    _answer(found, key=chosen.fingerprint)
    known = tokenizers.of(new or "")
    more = f" `{new}` {known.words} ({known.source})." if known and swaps else ""
    cached = "" if share is None else " Cached input is charged at the model's rate for it, writing the cache at nothing."
    st.caption((f"{tokenizers.NOTE}{more}" if swaps else "") + cached)


def _answer(found: WhatIf, *, key: str) -> None:
    _sums(found)
    _steps(found, key=key)
    _models(found, key=key)


def _sums(found: WhatIf) -> None:
    before, after, difference = (found.totals[name] for name in ("cost_usd", "what_if_usd", "difference_usd"))
    share = in_words.change(after, before)
    words = f" ({in_words.signed_percent(share)})" if share is not None and difference else ""
    sign = "+" if difference > 0 else ""
    st.markdown(
        in_words.literal(f"{in_words.money(before)} → {in_words.money(after)}: {sign}{in_words.money(difference)}{words}")
        + (f" · {in_words.plural(found.totals['unpriced_calls'], 'call')} cannot be compared" if found.totals["unpriced_calls"] else "")
    )


def _steps(found: WhatIf, *, key: str) -> None:
    """From what it cost to what it would have, a step for each model that makes a difference."""
    before = found.totals["cost_usd"]
    steps = [(row["model"], row["difference_usd"]) for row in found.rows if row["difference_usd"]]
    shown = [
        *steps[:MOST_STEPS],
        *([("Other", sum((step for _, step in steps[MOST_STEPS:]), Decimal(0)))] if len(steps) > MOST_STEPS else []),
    ]
    figure = cost_charts.waterfall(before, shown, mode=st.context.theme.type)
    charts.draw(figure, alt=cost_charts.waterfall_described(before, shown), key=f"whatif-{key}")


def _models(found: WhatIf, *, key: str) -> None:
    before, after = found.totals["cost_usd"], found.totals["what_if_usd"]
    table = pd.DataFrame(
        [
            {
                "from": _word((row["vendor"], row["model"])),
                "to": _word((row["to_vendor"], row["to_model"])),
                "was": _float(row["cost_usd"]),
                "would": _float(row["what_if_usd"]),
                "difference": _float(row["difference_usd"]),
                "calls": row["calls"],
            }
            for row in found.rows
        ]
    )
    places = "dollar" if max(abs(before), abs(after), _SMALL) >= 1 else "$%,.6f"
    config = {
        "from": st.column_config.TextColumn("Answered", width=190, pinned=True),
        "to": st.column_config.TextColumn("As if by", width=190),
        "was": st.column_config.NumberColumn("Cost", format=places),
        "would": st.column_config.NumberColumn("What if", format=places),
        "difference": st.column_config.NumberColumn("Difference", format=places),
        "calls": st.column_config.NumberColumn("Calls", format="localized"),
    }
    st.dataframe(
        table,
        column_config=config,
        hide_index=True,
        width="stretch",
        placeholder=in_words.DASH,
        key=f"whatif-table-{key}",
        alt="What if, by model.",
    )


def _word(name: Name) -> str:
    return f"{name[0]}/{name[1]}"


def _name(word: str) -> Name:
    vendor, _, model = word.partition("/")
    return vendor, model


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
