"""What the gateway counts about itself, for Prometheus. Labels come from our own lists only, never from a request."""

import os
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class CountedJournal(Protocol):
    """The counters of `byok.recording.journal.Journal`."""

    written: int
    lost: int
    sync_errors: int


class Metrics:
    """One gateway process's figures; with several workers, `page` adds up those of all (PROMETHEUS_MULTIPROC_DIR).

    A call costs plain additions; `settle`, once a second and before a page, hands them on to Prometheus.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._records = Counter("byok_records", "Records written to the journal.", registry=self._registry)
        self._lost = Counter("byok_records_lost", "Records that could not be written.", registry=self._registry)
        self._quarantined = Gauge(
            "byok_journal_quarantined_lines_total",
            "Damaged journal lines that were set aside.",
            registry=self._registry,
            multiprocess_mode="max",
        )
        self._sync_errors = Counter(
            "byok_journal_sync_errors", "Times the disk refused to keep what was written to the journal.", registry=self._registry
        )
        self._waiting = Gauge(
            "byok_journal_bytes", "Bytes of journal that wait to be published.", registry=self._registry, multiprocess_mode="max"
        )
        self._requests = Counter("byok_requests", "Calls passed on.", ("vendor", "status"), registry=self._registry)
        self._refused = Counter("byok_refused", "Requests the gateway refused itself, by code.", ("code",), registry=self._registry)
        self._open = Gauge("byok_open_calls", "Calls being relayed now.", registry=self._registry, multiprocess_mode="livesum")
        self._seconds = Histogram("byok_relay_seconds", "Arrival to last byte.", buckets=_SECONDS, registry=self._registry)
        self._written_seen = self._lost_seen = self._sync_errors_seen = self._open_calls = 0
        self._ended: dict[tuple[str, int], int] = {}
        self._took: list[float] = []

    def call_begins(self) -> None:
        self._open_calls += 1

    def call_ended(self, vendor: str, status: int, seconds: float) -> None:
        """`status` is what was booked (0: nothing was answered)."""
        self._open_calls -= 1
        self._took.append(seconds)
        label = (vendor, status // 100)
        self._ended[label] = self._ended.get(label, 0) + 1

    def refused(self, code: str) -> None:
        self._refused.labels(code).inc()

    def record_lost(self) -> None:
        """One that did not even reach the journal."""
        self._lost.inc()

    def settle(self, journal: CountedJournal | None) -> None:
        """Hand on what was counted since the last time, here and by the journal."""
        self._open.set(self._open_calls)
        ended, self._ended = self._ended, {}
        for (vendor, hundreds), count in ended.items():
            self._requests.labels(vendor, f"{hundreds}xx").inc(count)
        took, self._took = self._took, []
        for seconds in took:
            self._seconds.observe(seconds)
        if journal is None:
            return
        if (more := journal.written - self._written_seen) > 0:
            self._written_seen += more
            self._records.inc(more)
        if (more := journal.lost - self._lost_seen) > 0:
            self._lost_seen += more
            self._lost.inc(more)
        if (more := journal.sync_errors - self._sync_errors_seen) > 0:
            self._sync_errors_seen += more
            self._sync_errors.inc(more)

    def waiting(self, found: int) -> None:
        self._waiting.set(found)

    def quarantined(self, lines: int) -> None:
        self._quarantined.set(lines)

    def page(self) -> bytes:
        """The text that Prometheus reads."""
        registry = self._registry
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
