"""What the keeper does about notifications, beside its work on the table: checks, reports that are due, delivery, forgetting."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from byok.notify import alerts, budget_warnings, outbox, schedules, source
from byok.notify.delivery import Deliverer
from byok.services import Services
from byok.settings import Settings

DELIVER_EVERY_S = 1.0
REPORTS_EVERY_S = 5.0
PRUNE_EVERY_S = 3600.0
THOROUGH_EVERY_S = 300.0  # first uses, and where budgets lead
THREADS = 3  # a check that takes long holds up neither delivery nor reports
Job = tuple[str, float, Callable[[], object]]


class Notifications:
    """Opened by the one keeper that works on a data directory; `jobs` are to be run on threads of their own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._services = Services(settings)
        self._deliverer = Deliverer(self._services, source.spikes(self._services))
        self._watches = source.watches(self._services)
        self._recovering, self._recovered = threading.Lock(), False
        self._thorough_at = 0.0  # monotonic

    @property
    def jobs(self) -> list[Job]:
        """Name, seconds between runs, and what to run."""
        return [
            ("deliver", DELIVER_EVERY_S, self._deliver),
            ("reports", REPORTS_EVERY_S, lambda: schedules.enqueue_due(self._services.db, now=datetime.now(UTC))),
            ("spikes", self._settings.spike_every_s, self._check),
            ("prune", PRUNE_EVERY_S, self._prune),
        ]

    @property
    def services(self) -> Services:
        """What it has open, for others in this process; open until `close`."""
        return self._services

    def close(self) -> None:
        """Let what is being sent end."""
        self._deliverer.close()
        self._services.close()

    def _check(self) -> None:
        thorough = time.monotonic() >= self._thorough_at
        if thorough:
            self._thorough_at = time.monotonic() + THOROUGH_EVERY_S
        watches = self._watches
        if alerts.check(self._services, watches[None], now=datetime.now(UTC), thorough=thorough, by_metric=watches):
            self._deliver()

    def _prune(self) -> None:
        now = datetime.now(UTC)
        outbox.prune(self._services.db, now=now)
        budget_warnings.prune(self._services.db, now=now)

    def _deliver(self) -> None:
        with self._recovering:  # before the first try, whichever job makes it
            if not self._recovered:
                outbox.recover(self._services.db, now=datetime.now(UTC))
                self._recovered = True
        self._deliverer.round()
