"""Where a month is going: the engine's daily sums of a scope, and the forecast over them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from byok import forecast, zones
from byok.forecast import Forecast
from byok.store import questions
from byok.store.engine import Engine
from byok.store.scope import AnyScope

Metric = Literal["cost", "tokens", "calls"]
METRICS: tuple[Metric, ...] = ("cost", "tokens", "calls")
_COLUMNS = {"cost": "cost_usd", "tokens": "total_tokens", "calls": "calls"}


@dataclass(frozen=True)
class Outlook:
    """A month in the scope's zone, from its first day up to the day `until`: what it came to so far, and will.

    `days` are the sums of the month's days that had calls (USD, tokens or calls); `unpriced_calls` of this month are in no cost. `so_far`
    is their exact sum; None where calls were made and no cost of any is known.
    """

    metric: Metric
    month: date
    today: date
    until: date
    days: dict[date, float]
    forecast: Forecast
    unpriced_calls: int
    so_far: Decimal | int | None

    def facts(self) -> dict[str, Any]:
        """The shape that the API and `byok forecast --json` give; amounts in USD have nine places, others are whole."""
        found = self.forecast
        amounts = {"so_far": self.so_far, "middle": found.middle, "low": found.low, "high": found.high}
        return {
            "metric": self.metric,
            "month": f"{self.month:%Y-%m}",
            **{name: self._amount(value) for name, value in amounts.items()},
            "enough": found.enough,
            "basis": found.basis,
            "unpriced_calls": self.unpriced_calls,
        }

    def _amount(self, value: Decimal | float | None) -> Decimal | int | None:
        if value is None:
            return None
        return Decimal(str(value)).quantize(Decimal("1e-9")) if self.metric == "cost" else round(value)


def outlook(engine: Engine, scope: AnyScope, *, now: datetime, metric: Metric = "cost", kept_from: datetime | None = None) -> Outlook:
    """Where the month of `now` goes for the users, vendors, models, keys and statuses of `scope`; its period is not looked at.

    `kept_from` is the instant before which the plan keeps nothing: a day cut by it is no day of the past, and a month that it cuts has
    no forecast. One question to the engine, over at most half a year.
    """
    where = zones.zone(scope.tz)
    today = now.astimezone(where).date()
    month = today.replace(day=1)
    until = (month + timedelta(days=32)).replace(day=1)
    since = _first_whole_day(today - timedelta(days=forecast.MOST_DAYS), scope.tz, kept_from)
    asked = replace(scope, since=min(zones.midnight(month, scope.tz), zones.midnight(since, scope.tz)), until=now)
    rows = questions.series(engine, asked, grain="day").to_pylist()
    sums = {date.fromisoformat(row["bucket"]): row for row in rows}
    values = {day: float(row[_COLUMNS[metric]] or 0) for day, row in sums.items()}
    of_month = {day: value for day, value in values.items() if day >= month}
    if kept_from is not None and since > month:
        reason = "The plan no longer keeps the beginning of this month."
        found = Forecast(sum(of_month.values()), None, None, None, reason, False)
    else:
        past = {day: value for day, value in values.items() if day >= since}
        found = forecast.month_end(list(past), list(past.values()), today=today, until=until, elapsed=_elapsed(now, today, scope.tz))
    rows_of_month = [row for day, row in sums.items() if day >= month]
    unpriced = sum(row["unpriced_calls"] for row in rows_of_month)
    return Outlook(metric, month, today, until, of_month, found, unpriced, _so_far([row[_COLUMNS[metric]] for row in rows_of_month]))


def _so_far(amounts: Sequence[Decimal | int | None]) -> Decimal | int | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known or not amounts else None


def _first_whole_day(earliest: date, tz: str, kept_from: datetime | None) -> date:
    if kept_from is None:
        return earliest
    day = kept_from.astimezone(zones.zone(tz)).date()
    whole = day if zones.midnight(day, tz) >= kept_from else day + timedelta(days=1)
    return max(earliest, whole)


def _elapsed(now: datetime, today: date, tz: str) -> float:
    """How much of the local day has gone; a day on which clocks change has 23 or 25 hours."""
    start, end = zones.midnight(today, tz), zones.midnight(today + timedelta(days=1), tz)
    return (now - start) / (end - start)
