"""Which of several keepers leads: it merges, purges and sweeps the shared table and tells people; the others publish their own journals.

Where one machine has everything (accounts in SQLite), its keeper leads: the lock of the data directory has decided.
"""

import secrets
import threading
import time
from collections.abc import Callable

import structlog

from byok.accounts import leases
from byok.accounts.database import Database

RENEW_EVERY_S = 15.0
LEASE = "table"
log = structlog.get_logger("byok.keeper")


class Leading:
    """Renews the lease from a thread of its own, so that a long merge does not lose it. `number` fences what the leader writes."""

    def __init__(self, db: Database, holder: str, *, renew_every_s: float = RENEW_EVERY_S) -> None:
        self._db, self._holder, self._every_s = db, holder, renew_every_s
        self._run, self._starting = secrets.token_hex(4), True
        self.number = 0
        self._until = float("inf") if db.is_sqlite else 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        if not db.is_sqlite:
            self.renew()
            self._thread.start()

    @property
    def leads(self) -> bool:
        return time.monotonic() < self._until

    def only(self, job: Callable[[], object]) -> Callable[[], None]:
        """The job, which does nothing while another keeper leads."""

        def run() -> None:
            if self.leads:
                job()

        return run

    def renew(self) -> None:
        """Take or renew the lease; while the accounts cannot be reached it runs out by itself."""
        asked, led = time.monotonic(), self.leads
        try:
            number = leases.take(self._db, LEASE, self._holder, now=self._db.now(), run=self._run, starting=self._starting)
        except Exception as error:
            log.warning("lease_unknown", error=type(error).__name__)
            return
        self._starting = False
        if number is None:
            self._until = 0.0
        else:
            self.number, self._until = number, asked + leases.LEASE_S
        if self.leads != led:
            log.info("leads" if self.leads else "follows", count=self.number)

    def close(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        if not self._db.is_sqlite and self.leads:
            try:
                leases.release(self._db, LEASE, self._holder, run=self._run)
            except Exception as error:  # it runs out by itself
                log.warning("lease_unknown", error=type(error).__name__)

    def _renew(self) -> None:
        while not self._stop.wait(self._every_s):
            self.renew()
