"""The four cards of the Reliability page: what fails, what is refused for its rate, and how fast the rest is."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from byok import in_words
from byok.ui import cards
from byok.ui.cards import Card
from byok.ui.outcomes import Endings

Row = Mapping[str, Any]


def draw(found: Endings, before: Row | None, speeds: Row, pace: Sequence[Row]) -> None:
    """`before`: the summary of the period compared with, if any; `speeds`, `pace`: times of the period, whole and as `courses.waits`."""
    cards.draw([_error_rate(found, before), _rate_limited(found), *_speeds(found.buckets, speeds, pace)])


def _error_rate(found: Endings, before: Row | None) -> Card:
    calls, failed = sum(found.calls), sum(found.failed)
    rate = failed / calls if calls else None
    rate_before = before["failed"] / before["calls"] if before and before["calls"] else None
    return Card(
        "Error rate",
        in_words.percent(rate),
        cards.points(rate, rate_before),
        [100 * (rate or 0) for rate in found.rates],
        "inverse",
        "bar",
        f"{in_words.count(failed)} of {in_words.plural(calls, 'call')} did not end with a 2xx status.",
        lambda value: in_words.percent(value / 100),
    )


def _rate_limited(found: Endings) -> Card:
    return Card(
        "Rate limited",
        in_words.percent(found.share("Rate limited")),
        None,
        [float(count) for count in found.by_kind["Rate limited"]],
        "inverse",
        "bar",
        "The share of calls that a vendor refused with 429: too many at once, or a quota used up.",
        lambda count: in_words.plural(int(count), "call"),
    )


def _speeds(buckets: Sequence[datetime], speeds: Row, pace: Sequence[Row]) -> list[Card]:
    measured = {row["start"].astimezone(UTC): row for row in pace}  # in UTC: hours that the clock shows twice are one elsewhere

    def of(title: str, name: str, about: str) -> Card:
        course = [measured.get(bucket.astimezone(UTC), {}).get(name) for bucket in buckets]
        return Card(title, in_words.seconds(speeds.get(name)), None, course, "off", "bar", about, in_words.seconds)

    return [
        of("First token, median", "ttft_p50_ms", "Half of the successes had one by then."),
        of("Latency, p95", "latency_p95_ms", "19 of 20 successful calls were done by then: an exact percentile of the times measured."),
    ]
