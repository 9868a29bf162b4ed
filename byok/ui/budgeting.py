"""The budgets of a user: how much of each is used up, set, remove. One that an admin has set can be seen only."""

from dataclasses import replace
from decimal import Decimal, InvalidOperation

import streamlit as st

from byok import in_words, services
from byok.accounts import budgets, key_vault
from byok.accounts.budgets import Budget
from byok.accounts.users import User
from byok.budgets.warnings import outlook_of, reached_on
from byok.errors import ByokError
from byok.gateway.vendors import ECHO, vendors
from byok.store.outlook import Outlook
from byok.ui import session
from byok.ui.filters import Filters
from byok.ui.names import key_words

FRESH_S = 30
EVERYTHING = "Everything"
_FIELDS_USED, _REFUSAL = "new_budget_fields_used", "new_budget_refusal"


def draw(user: User) -> None:
    """The list with its bars, and the form for a new one."""
    found = budgets.of_user(services.current().db, user.id)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader("Budgets", anchor=False, width="content")
        with st.popover("Set a budget", icon=":material/add:", key="add-budget"):
            _form(user)
    if not found:
        st.markdown(
            "No budget yet. A soft one warns at 80 and 100 %, here and by your alert rules; a hard one refuses calls when it is used up."
        )
    words = _words(user)
    for budget in found:
        _row(user, budget, words)


def for_line(user: User, chosen: Filters, metric: str) -> float | None:
    """The smallest budget that is for just what the bar shows: everything, or one vendor. None if there is none."""
    plain = not (chosen.models or chosen.key_ids or chosen.statuses or chosen.everyone) and len(chosen.vendors) <= 1
    unit = {"cost": "usd", "tokens": "tokens"}.get(metric)
    if not plain or unit is None:
        return None
    vendor = chosen.vendors[0] if chosen.vendors else None
    fitting = [
        one for one in budgets.of_user(services.current().db, user.id) if (one.vendor, one.key_id, one.metric) == (vendor, None, unit)
    ]
    return min((float(one.limit) for one in fitting), default=None)


def _row(user: User, budget: Budget, words: dict[str, str]) -> None:
    now = session.now()
    share = budget.share(now)
    marks = " :orange-badge[hard]" if budget.hard else " :gray-badge[soft]"
    marks += " :blue-badge[set by an admin]" if budget.by_admin else ""
    marks += " :red-badge[used up]" if budget.used_up(now) else ""
    with st.container(border=True, gap="small"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            limit = in_words.literal(_amount(budget, budget.limit))
            st.markdown(f"**{in_words.literal(subject(budget, words))}** · {limit} a month{marks}")
            if not budget.by_admin:
                with st.popover("Remove", key=f"remove-{budget.id}", icon=":material/delete:", type="tertiary"):
                    st.markdown("The budget no longer warns, and no longer stops anything.")
                    st.button("Remove budget", key=f"sure-{budget.id}", type="primary", on_click=_remove, args=(user, budget))
        if share is None:
            st.caption("Counted within seconds, while the keeper runs.")
            return
        st.progress(min(share, 1.0), text=f"{in_words.literal(_amount(budget, budget.spent(now)))} used, {in_words.percent(share)}")
        st.caption(_small_print(budget))


def _small_print(budget: Budget) -> str:
    now = session.now()
    figure = budget.figure
    parts = []
    going = _going(replace(budget, figure=None))
    if going and (day := reached_on(going, budget, now=now)):
        parts.append(f"at this pace used up around {day:%b} {day.day}")
    if figure and figure.unpriced_calls and budget.metric == "usd":
        parts.append(f"{in_words.plural(figure.unpriced_calls, 'call')} without a known cost not counted")
    if figure:
        parts.append(f"counted {in_words.ago(now - figure.counted_at)}")
    return " · ".join(parts)


# Shared by all sessions; the budget, which says whose it is, is the key; what is used up of it changes too often to be part of it.
@st.cache_data(ttl=FRESH_S, max_entries=512, show_spinner=False)
def _going(budget: Budget) -> Outlook | None:
    book = services.current()
    owner = budgets.owners(book.db).get(budget.user_id)
    return None if owner is None else outlook_of(book.engine, budget, owner, now=book.now())


def subject(budget: Budget, words: dict[str, str]) -> str:
    """What a budget is for, in the words of its page."""
    parts = [budget.vendor, words.get(budget.key_id, budget.key_id) if budget.key_id else None]
    return " · ".join(part for part in parts if part) or EVERYTHING


def _form(user: User) -> None:
    # A field of its own each time, so that the next form is empty.
    field = f"new-budget-{st.session_state.get(_FIELDS_USED, 0)}"
    known = sorted(set(vendors(services.current().settings)) - {ECHO})
    options = [EVERYTHING, *known, *(f"key {word}" for word in _words(user).values())]
    with st.form("add-budget-form", border=False):
        st.selectbox("For", options, key=f"{field}-for")
        st.segmented_control("In", ["USD", "tokens"], default="USD", required=True, key=f"{field}-unit")
        st.text_input("A month", placeholder="49.50", max_chars=20, autocomplete="off", key=f"{field}-amount")
        st.toggle("Hard: refuse calls when it is used up", key=f"{field}-hard")
        st.form_submit_button("Set budget", type="primary", width="stretch", on_click=_put, args=(user, field))
    if refusal := st.session_state.pop(_REFUSAL, None):
        st.error(refusal)


@session.checked
def _put(user: User, field: str) -> None:
    said = st.session_state
    chosen, unit, hard = said[f"{field}-for"], said[f"{field}-unit"], said[f"{field}-hard"]
    keys = {f"key {word}": key_id for key_id, word in _words(user).items()}
    try:
        amount = Decimal(said[f"{field}-amount"].replace(",", "").strip())
        whole = amount.is_finite() and amount == amount.to_integral_value()
        if unit == "tokens" and not whole:
            raise InvalidOperation
        budgets.put(
            services.current().db,
            user.id,
            usd=amount if unit == "USD" else None,
            tokens=int(amount) if unit == "tokens" else None,
            hard=hard,
            vendor=chosen if chosen not in keys and chosen != EVERYTHING else None,
            key_id=keys.get(chosen),
            now=session.now(),
        )
        said[_FIELDS_USED] = said.get(_FIELDS_USED, 0) + 1
    except InvalidOperation:
        said[_REFUSAL] = "The amount is not valid. It must be a number such as 49.50, or a whole number of tokens."
    except ByokError as error:
        said[_REFUSAL] = f"{error.message} {error.remedy}"


@session.checked
def _remove(user: User, budget: Budget) -> None:
    budgets.remove(services.current().db, budget.id, user_id=user.id)


def _words(user: User) -> dict[str, str]:
    return key_words((), key_vault.of_user(services.current().db, user.id))


def _amount(budget: Budget, value: Decimal | int | None) -> str:
    return in_words.money(value) if budget.metric == "usd" else f"{in_words.short(value)} tokens"
