"""How calls end, in words: what each status means, which of seven kinds of failure it is, and the figures of a period by kind."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from byok.ui.periods import Grain, written

KINDS = ("Rate limited", "Overloaded", "Vendor error", "Unreachable or timed out", "Bad credentials", "Refused request", "Client left")
_WORDS: Mapping[int, str] = {
    400: "invalid request",
    401: "bad credentials",
    402: "no balance or quota",
    403: "not allowed",
    404: "not found",
    408: "request timed out",
    413: "too large",
    422: "invalid request",
    429: "rate limited",
    499: "the client left",
    500: "vendor error",
    502: "vendor unreachable",
    503: "vendor unavailable",
    504: "vendor timed out",
    529: "vendor overloaded",
}
_KIND_OF: Mapping[int, str] = {
    429: "Rate limited",
    503: "Overloaded",
    529: "Overloaded",
    408: "Unreachable or timed out",
    502: "Unreachable or timed out",
    504: "Unreachable or timed out",
    401: "Bad credentials",
    402: "Bad credentials",
    403: "Bad credentials",
    499: "Client left",
}
SOURCES: Mapping[str, tuple[str, str]] = {
    "vendor": ("Exact", "The vendor reported the counts."),
    "partial": ("Partial", "The answer ended early: what the vendor had reported by then, and what was streamed."),
    "estimated": ("Estimated", "The vendor reported no counts: estimated from what was streamed."),
    "none": ("Unknown", "Nothing was reported, mostly because the call failed."),
}
Row = Mapping[str, Any]


def is_success(status: int) -> bool:
    return 200 <= status <= 299


def kind_of(status: int) -> str | None:
    """Which kind of failure a status is; None for success.

    >>> kind_of(200), kind_of(529), kind_of(418), kind_of(511)
    (None, 'Overloaded', 'Refused request', 'Vendor error')
    """
    if is_success(status):
        return None
    return _KIND_OF.get(status, "Refused request" if status < 500 else "Vendor error")


def in_words(status: int) -> str:
    """Such as 429 rate limited.

    >>> in_words(429), in_words(200), in_words(418)
    ('429 rate limited', '200 success', '418')
    """
    words = "success" if is_success(status) else _WORDS.get(status, "")
    return f"{status} {words}".strip()


@dataclass(frozen=True)
class Endings:
    """How calls ended over buckets: all calls, and the failed ones by kind. A bucket without a call has 0 of everything."""

    buckets: tuple[datetime, ...]
    calls: tuple[int, ...]
    by_kind: Mapping[str, tuple[int, ...]]

    @property
    def failed(self) -> tuple[int, ...]:
        return tuple(sum(column) for column in zip(*self.by_kind.values(), strict=True)) if self.by_kind else (0,) * len(self.buckets)

    @property
    def rates(self) -> tuple[float | None, ...]:
        """The share of failed calls; None where there was no call."""
        return tuple(bad / calls if calls else None for bad, calls in zip(self.failed, self.calls, strict=True))

    def share(self, kind: str) -> float | None:
        """The share of all calls that ended so."""
        return sum(self.by_kind[kind]) / sum(self.calls) if sum(self.calls) else None


def endings(rows: Iterable[Row], buckets: Sequence[datetime], grain: Grain) -> Endings:
    """Rows of `reliability.endings` over all buckets of the period."""
    places = {written(bucket, grain): at for at, bucket in enumerate(buckets)}
    calls = [0] * len(buckets)
    by_kind = {kind: [0] * len(buckets) for kind in KINDS}
    for row in rows:
        at = places.get(row[grain])
        if at is None:
            continue
        calls[at] += row["calls"]
        if kind := kind_of(row["status"]):
            by_kind[kind][at] += row["calls"]
    return Endings(tuple(buckets), tuple(calls), {kind: tuple(values) for kind, values in by_kind.items()})


@dataclass(frozen=True)
class Culprit:
    """One model, key or vendor: how many of its calls failed, and what of most."""

    id: str
    calls: int
    failed: int
    limited: int
    mostly: int | None

    @property
    def rate(self) -> float:
        return self.failed / self.calls


def culprits(rows: Iterable[Row], *, by: str) -> list[Culprit]:
    """Rows of `reliability.endings_of` per entity, most failures first."""
    statuses: dict[str, Counter[int]] = {}
    for row in rows:
        statuses.setdefault(str(row[by]), Counter())[row["status"]] += row["calls"]
    found = []
    for name, counts in statuses.items():
        bad = {status: calls for status, calls in counts.items() if not is_success(status)}
        mostly = min(bad, key=lambda status: (-bad[status], status)) if bad else None
        found.append(Culprit(name, counts.total(), sum(bad.values()), counts[429], mostly))
    return sorted(found, key=lambda one: (-one.failed, -one.rate, one.id))
