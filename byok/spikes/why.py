"""A spike in a sentence: how much more than usual, at which local hour, and which key and model made most of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

from byok import in_words
from byok.spikes.episodes import Metric

_FAR = 1000
T = TypeVar("T", str, tuple[str, str])
_UNITS: Mapping[Metric, str] = {"tokens": " tokens", "calls": " calls", "failed": " failed calls", "cost": ""}


def sentence(
    metric: Metric, actual: float, usual: float, hour: datetime, zone: str, *, over: str = "", model: str = "", key: str | None = None,
    share: float = 0.0,
) -> str:  # fmt: skip
    """What happened in `hour`, by the clock of `zone`; `share` (0 to 1) is what of the excess came from calls of `model` by `key`.

    `over` says of which calls, where it is not those of the model.

    >>> at = datetime.fromisoformat("2026-11-24T13:00:00Z")
    >>> sentence("calls", 612, 180, at, "Europe/Berlin", model="gpt-4o", key="prod-7", share=0.81)
    '3.4 × the usual Tuesday 14:00 (612 calls, usually 180); 81 % of the excess from key prod-7, model gpt-4o'
    """
    when = f"{hour.astimezone(ZoneInfo(zone)):%A %H:%M}"
    if usual > 0:
        times = actual / usual
        much = f"{times:.1f}" if times < _FAR else f"more than {_FAR:,}"
        text = f"{much} × the usual {when} ({_amount(metric, actual)}{_UNITS[metric]}, usually {_amount(metric, usual)})"
    else:
        text = f"{_amount(metric, actual)}{_UNITS[metric]}, usually nothing on {when}"
    text += f" {over}" if over else ""
    from_model = f", model {model}" if model else ""
    return f"{text}; {in_words.percent(share, 0)} of the excess from key {key}{from_model}" if key else f"{text}{from_model}"


def _amount(metric: Metric, value: float) -> str:
    if metric == "cost":
        return in_words.money(value)
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def largest_share(of_hour: Mapping[T, float], usually: Mapping[T, float]) -> tuple[T | None, float]:
    """Which part was the largest of what was more than usual, and how much of it (0 to 1)."""
    more = {part: max(0.0, value - usually.get(part, 0.0)) for part, value in of_hour.items()}
    total = sum(more.values())
    if total <= 0:
        return None, 0.0
    part = max(more, key=lambda name: (more[name], name))
    return part, more[part] / total
