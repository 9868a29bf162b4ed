"""Refuses calls of a hard budget that is used up. What was counted comes with the caller's grant: nothing is looked up here."""

from collections.abc import Iterable
from datetime import datetime

from byok import in_words
from byok.accounts.budgets import NANO, Stop
from byok.errors import ByokError


class BudgetExceeded(ByokError):
    """Nothing that a client does mends it, so it is told not to try again."""

    status, code, final = 429, "budget_exceeded", True

    def __init__(self, stop: Stop) -> None:
        amount = in_words.dollars(stop.amount * NANO) if stop.metric == "usd" else f"{stop.amount:,} tokens"
        where = stop.vendor or "all vendors"
        key = " with this key" if stop.key_id else ""
        who = "ask an admin to raise it" if stop.by_admin else "raise or remove it on the Keys page or with: byok budget set EMAIL"
        super().__init__(
            f"This month's budget of {amount} for {where}{key} is used up.",
            remedy=f"The next month begins at {stop.ends_at:%Y-%m-%dT%H:%MZ}; to call before that, {who}.",
        )


def check(stops: Iterable[Stop], vendor: str, key_id: str, *, now: datetime) -> None:
    """Raise `BudgetExceeded` if one of these covers a call of this vendor with this key."""
    for stop in stops:
        if stop.vendor in (None, vendor) and stop.key_id in (None, key_id) and now < stop.ends_at:
            raise BudgetExceeded(stop)
