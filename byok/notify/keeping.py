"""What the keeper does about notifications, beside its work on the table: checks, reports that are due, delivery, forgetting."""

from collections.abc import Callable
from datetime import UTC, datetime

from byok.notify import alerts, outbox, schedules, source
from byok.notify.delivery import Deliverer
from byok.services import Services
from byok.settings import Settings

DELIVER_EVERY_S = 1.0
REPORTS_EVERY_S = 5.0
PRUNE_EVERY_S = 3600.0
THREADS = 3  # a check that takes long holds up neither delivery nor reports
Job = tuple[str, float, Callable[[], object]]


class Notifications:
    """Opened by the one keeper that works on a data directory; `jobs` are to be run on threads of their own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._services = Services(settings)
        self._deliverer = Deliverer(self._services, source.spikes(self._services))
        self._recovered = False

    @property
    def jobs(self) -> list[Job]:
        """Name, seconds between runs, and what to run."""
        return [
            ("deliver", DELIVER_EVERY_S, self._deliver),
            ("reports", REPORTS_EVERY_S, lambda: schedules.enqueue_due(self._services.db, now=datetime.now(UTC))),
            ("spikes", self._settings.spike_every_s, self._check),
            ("prune", PRUNE_EVERY_S, lambda: outbox.prune(self._services.db, now=datetime.now(UTC))),
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
        if alerts.check(self._services, source.spikes(self._services), now=datetime.now(UTC)):
            self._deliver()

    def _deliver(self) -> None:
        if not self._recovered:
            outbox.recover(self._services.db, now=datetime.now(UTC))
            self._recovered = True
        self._deliverer.round()
