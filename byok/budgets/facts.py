"""A budget as the API, the command line and exports give it."""

from datetime import datetime
from typing import Any

from byok.accounts.budgets import Budget


def of(budget: Budget, *, now: datetime) -> dict[str, Any]:
    """`limit` and `spent` in USD (nine places) or tokens; `spent`, `share` and `counted_at` are None until it was counted this month."""
    counted = budget.figure if budget.spent(now) is not None else None
    share = budget.share(now)
    return {
        "id": budget.id,
        "vendor": budget.vendor,
        "key_id": budget.key_id,
        "metric": budget.metric,
        "limit": budget.limit,
        "hard": budget.hard,
        "by_admin": budget.by_admin,
        "spent": budget.spent(now),
        "share": None if share is None else round(share, 4),
        "used_up": budget.used_up(now),
        "unpriced_calls": counted.unpriced_calls if counted else None,
        "month": counted.month if counted else None,
        "month_ends": counted.month_ends if counted else None,
        "counted_at": counted.counted_at if counted else None,
    }
