"""What Prometheus sees of the web process: requests by route and status, how long they took, broken files, the outbox. Nobody's data."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from starlette.types import Scope

from byok.errors import ByokError
from byok.notify import outbox
from byok.services import Services
from byok.store import questions

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class WebMetrics:
    """The counters of one web process. Labels are route templates, never paths."""

    def __init__(self, services: Services) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter("byok_web_requests", "Requests answered.", ("route", "method", "status"), registry=self.registry)
        self._seconds = Histogram(
            "byok_web_request_seconds", "Time to the last byte.", ("route",), buckets=_SECONDS, registry=self.registry
        )
        self.registry.register(_Store(services))
        self.registry.register(_Outbox(services))
        ProcessCollector(registry=self.registry)

    def note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "") or "dashboard"
        method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS") else "other"
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self.registry)


class _Store(Collector):
    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        try:
            found = questions.freshness(self._services.engine)
        except (ByokError, OSError):
            yield GaugeMetricFamily("byok_store_reachable", "Whether the usage files can be reached.", 0)
            return
        yield GaugeMetricFamily("byok_store_reachable", "Whether the usage files can be reached.", 1)
        yield GaugeMetricFamily("byok_quarantined_files", "Usage files that cannot be read and are left out.", found.quarantined)
        yield GaugeMetricFamily("byok_pending_records", "Records not yet in Parquet.", found.pending_rows)


class _Outbox(Collector):
    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        try:
            found = outbox.figures(self._services.db, now=self._services.now())
        except ByokError:
            return
        by_status = GaugeMetricFamily("byok_deliveries", "Alerts and reports of the last 30 days by state.", labels=["status"])
        for status, count in found.by_status.items():
            by_status.add_metric([status], count)
        yield by_status
        yield GaugeMetricFamily("byok_deliveries_oldest_due_seconds", "How long the oldest one that is due has waited.", found.oldest_due_s)
