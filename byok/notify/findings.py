"""What an alert rule found, as facts that lie in the outbox, and the words for it that every channel shares.

Words are made when a message is sent, from facts of ours; whatever a user named (e-mail, key labels in `why`) is escaped by the channel.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from byok import in_words, links
from byok.spikes.episodes import named

_UNITS = {"tokens": "tokens", "calls": "calls", "failed": "failed calls", "cost": "USD"}
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_Said = tuple[str, str, tuple[tuple[str, str], ...]]  # title, sentence, rows


@dataclass(frozen=True, slots=True)
class Finding:
    """One unusual hour (or window) of one user. `vendor` and `model` may be empty: all. `kind` is that of the rule that found it.

    `actual` and `usual` are in the metric's unit (cost: USD); for `above`, `usual` is the threshold. `times` is actual / usual.
    """

    kind: str
    user_id: str
    vendor: str
    model: str
    metric: str
    hour: datetime
    step: timedelta
    actual: float
    usual: float
    times: float | None
    score: float
    level: str
    why: str

    def dump(self) -> str:
        """As JSON text."""
        return json.dumps(asdict(self) | {"hour": self.hour.astimezone(UTC).isoformat(), "step": self.step.total_seconds()})


def load(text: str) -> Finding:
    """The finding of a JSON text that `Finding.dump` made."""
    held = json.loads(text)
    return Finding(**held | {"hour": datetime.fromisoformat(held["hour"]), "step": timedelta(seconds=held["step"])})


def sample(user_id: str, now: datetime) -> Finding:
    """What a test message tells of."""
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    why = "This is a test: nothing happened. 12.3 × the usual of this hour."
    return Finding("spike", user_id, "openai", "gpt-4o-mini", "tokens", hour, _HOUR, 1_234_567, 100_371, 12.3, 1.0, "alert", why)


def stronger(one: Finding, other: Finding) -> Finding:
    """The one that says more about an episode."""
    return max(one, other, key=lambda found: (found.score, found.actual))


@dataclass(frozen=True, slots=True)
class Words:
    """A finding in words. None of them is escaped."""

    title: str
    text: str
    rows: tuple[tuple[str, str], ...]
    url: str


def words(found: Finding, what: str, email: str, tz: str, base_url: str, *, reader: str = "") -> Words:
    """What to tell about a finding: `what` is alert, resolved or test; `email` that of the user it is about; hours are of `tz`.

    `reader` is the id of whoever is told: for another one the link names the user.

    `text` names the e-mail, vendor/model, actual, usual, times as `12.3x`, the hour with its zone, and why.
    """
    zone, over = ZoneInfo(tz), what == "resolved"
    title, sentence, rows = _SAID[found.kind](found, window(found.hour, found.step, zone), over)
    head = {"alert": "", "resolved": "Over: ", "test": "Test: "}[what]
    lead = {"alert": "Warning" if found.level == "warn" else "Alert", "resolved": "Over", "test": "Test"}[what]
    text = plain(f"{lead} for {email}: {sentence} {found.why}")
    return Words(f"{head}{title}", text, (("User", email), *rows), chart(found, base_url, zone, reader=reader))


def _spike(found: Finding, when: str, _: bool) -> _Said:
    series, actual, usual = named(found.vendor, found.model), *_amounts(found)
    rows = (("Model", series), ("When", when), ("Actual", actual), ("Usual", usual))
    if found.times is None:
        return f"{series}: {actual}, usually none", f"{series}: {actual} in {when}, usually {usual}.", rows
    times = f"{found.times:,.1f}x"
    return f"{series}: {actual}, {times} the usual", f"{series}: {actual} in {when}, usually {usual} ({times}).", (*rows, ("Times", times))


def _above(found: Finding, when: str, _: bool) -> _Said:
    series, actual, threshold, times = named(found.vendor, found.model), *_amounts(found), f"{found.times or 0:,.1f}x"
    title = f"{'warning: ' if found.level == 'warn' else ''}{series}: {actual} in {_span(found.step)}"
    rows = (("Model", series), ("When", when), ("Actual", actual), ("Threshold", threshold), ("Times", times))
    return title, f"{series}: {actual} in {when}, threshold {threshold} ({times}).", rows


def _silence(found: Finding, when: str, over: bool) -> _Said:
    series, hours = named(found.vendor, found.model), in_words.plural(int(found.actual), "hour")
    title = f"{series}: {'calls again' if over else f'no call for {hours}'}"
    return title, f"{title}. Last call{' before' if over else ''} at {when}.", (("Model", series), ("Last call", when))


def _first_use(found: Finding, when: str, _: bool) -> _Said:
    if not found.model:  # `why` names the key
        rows = (("Vendor", found.vendor), ("When", when))
        return f"{found.vendor}: first use of a key", f"{found.vendor}, first call at {when}.", rows
    series = named(found.vendor, found.model)
    return f"{series}: first use", f"{series}, first call at {when}.", (("Model", series), ("When", when))


def _budget(found: Finding, when: str, _: bool) -> _Said:
    (spent, limit), percent = _amounts(found), f"{math.floor(round(100 * (found.times or 0), 9)):,} %"
    title = f"Budget{f' for {found.vendor}' if found.vendor else ''}: {percent} used up"
    rows = (("For", found.vendor or "all vendors"), ("When", when), ("Used up", spent), ("Budget", limit))
    return title, f"{spent} of {limit} in {when}.", rows


_SAID: Mapping[str, Callable[[Finding, str, bool], _Said]] = {
    "spike": _spike,
    "above": _above,
    "silence": _silence,
    "first_use": _first_use,
    "budget": _budget,
}


def _amounts(found: Finding) -> tuple[str, str]:
    return amount(found.metric, found.actual), amount(found.metric, found.usual)


def amount(metric: str, value: float) -> str:
    """A figure with its unit.

    >>> amount("tokens", 1234567.4), amount("cost", 12.346)
    ('1,234,567 tokens', '$12.35')
    """
    if metric == "cost":
        return in_words.money(value)
    return f"{value:,.0f} {_UNITS[metric]}" if value >= 10 or value == int(value) else f"{value:,.1f} {_UNITS[metric]}"


def window(start: datetime, step: timedelta, zone: ZoneInfo) -> str:
    """An hour, a day or a month with its zone.

    >>> window(datetime(2026, 11, 25, 14, tzinfo=UTC), timedelta(hours=1), ZoneInfo("UTC"))
    '2026-11-25 14:00 UTC'
    """
    here = start.astimezone(zone)
    if step > 20 * _DAY:
        return f"{here:%B %Y} ({zone.key})"
    if step >= _DAY:
        return f"{here:%Y-%m-%d} ({zone.key})"
    offset = f"{here:%z}"
    return f"{here:%Y-%m-%d %H:%M} {zone.key}" + ("" if zone.key == "UTC" else f" (UTC{offset[:3]}:{offset[3:]})")


def chart(found: Finding, base_url: str, zone: ZoneInfo, *, reader: str = "") -> str:
    """Where the dashboard shows that time: the day it fell on, by hour where it was an hour; of a budget the month."""
    first = found.hour.astimezone(zone).date()
    last = (found.hour + found.step).astimezone(zone).date() - _DAY if found.kind == "budget" else first
    filters: dict[str, str] = {"range": "custom", "from": first.isoformat(), "to": last.isoformat(), "tz": zone.key, "by": "model"}
    filters |= {name: value for name, value in (("vendor", found.vendor), ("model", found.model)) if value}
    filters["metric"] = {"failed": "calls"}.get(found.metric, found.metric)
    if reader not in ("", found.user_id):
        filters["user"] = found.user_id
    return links.page(base_url, "overview", filters)


def plain(text: str) -> str:
    """One line without control characters: for headers and plain text."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", " ", text).split())


def body(found: Finding) -> dict[str, Any]:
    """The facts as a webhook gets them."""
    return asdict(found) | {"hour": f"{found.hour.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", "step": found.step.total_seconds()}


def _span(step: timedelta) -> str:
    return "a day" if step >= _DAY else "an hour"
