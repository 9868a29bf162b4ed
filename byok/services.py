"""What one process has open: accounts, master key, reader, prices and engine. The faces (web, dashboard, commands) share it.

Parts are opened when first asked for, so that a command about users does not pay for DuckDB.
"""

import os
import threading
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from byok import settings as settings_room
from byok.accounts import api_tokens, database, key_vault, master_key, price_overrides, rotation, users
from byok.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from byok.accounts.database import Database
    from byok.pricing.catalogue import Catalogue
    from byok.recording.reader import Reader
    from byok.store.engine import Engine


class Services:
    """One installation, opened. Thread-safe; `close` ends it, and it is a context manager.

    Opening the accounts migrates them and checks the master key against them: `MasterKeyWrong` says so at the start.

    >>> with Services(settings) as services:
    ...     users.by_email(services.db, "ada@example.org")
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.behind_web = False  # whether the routes of `byok web` (sign-in, downloads) surround the dashboard
        self._opening = threading.RLock()
        self._key_in_force = rotation.KeyInForce(settings)
        self._priced: tuple[tuple[int, int], Catalogue] | None = None  # and the version of what the operator set
        self._jwt_secret: tuple[bytes, bytes] | None = None  # and the master key it was derived from

    def now(self) -> datetime:
        """The clock of every face, in UTC; a test replaces it."""
        return datetime.now(UTC)

    @property
    def db(self) -> "Database":
        with self._opening:
            return self._db

    @property
    def master(self) -> bytes:
        """The key in force. After a rotation it is the new one from the next call on, without a restart."""
        with self._opening:
            return self._key_in_force.get(self.__dict__.get("_db"))

    @property
    def jwt_secret(self) -> bytes:
        with self._opening:
            master = self.master
            if self._jwt_secret is None or self._jwt_secret[0] != master:
                self._jwt_secret = master, api_tokens.jwt_secret(self.settings, master)
            return self._jwt_secret[1]

    @property
    def reader(self) -> "Reader":
        with self._opening:
            return self._reader

    @property
    def catalogue(self) -> "Catalogue":
        """The packaged prices and those that the operator set, as of now; the same object as long as nothing changed."""
        from byok.pricing import catalogue, overrides

        version = price_overrides.version(self.db)
        with self._opening:
            if self._priced is None or self._priced[0] != version:
                self._priced = version, overrides.applied(catalogue.load(), overrides.read(price_overrides.every(self._db)))
            return self._priced[1]

    @property
    def engine(self) -> "Engine":
        with self._opening:
            return self._engine

    def open(self) -> "Services":
        """Open every part now, so that a fault shows at the start and not at the first question."""
        with self._opening:
            _ = self._db, self.jwt_secret, self._engine
        return self

    def close(self) -> None:
        with self._opening:
            for name in ("_engine", "_reader", "_db"):
                part: Any = self.__dict__.pop(name, None)
                close = getattr(part, "close", None)
                if close is not None:
                    close()

    def __enter__(self) -> "Services":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def _db(self) -> "Database":
        db = database.open_database(self.settings.accounts_database)
        try:
            master_key.check_master_key(db, self._key_in_force.get(db))
        except BaseException:
            db.close()
            raise
        return db

    @cached_property
    def _reader(self) -> "Reader":
        from byok.recording.reader import Reader

        return Reader(self.settings.usage_dir, self.settings.journal_dir)

    @cached_property
    def _engine(self) -> "Engine":
        return self._kind_of_engine()(
            self._reader,
            self.catalogue,
            catalogue_now=lambda: self.catalogue,
            retention=lambda: users.retention(self.db),
            retention_of=lambda user_id: users.retention_of(self.db, user_id),
            zones_of=lambda user_ids: users.zones(self.db, user_ids),
            labels_of=lambda key_ids: key_vault.labels(self.db, key_ids),
            keys=self._keys,
            spill=self.settings.spill_dir,
            now=lambda: self.now(),  # late, so that a replaced clock is the engine's, too
        )

    def _kind_of_engine(self) -> "Callable[..., Engine]":
        if self.settings.engine == "spark":
            from byok.store.spark import SparkEngine, SparkTables

            return partial(SparkEngine, spark=SparkTables(self.settings.spark_master, self.settings.usage_dir))
        from byok.store.engine import Engine

        return Engine

    def _keys(self) -> list[dict[str, object]]:
        """Rows of the view `keys`: names and last four characters, never a secret."""
        return [key.as_row() for key in key_vault.of_everyone(self.db)]


_in_use: Services | None = None
_choosing = threading.Lock()


def use(services: Services | None) -> None:
    """Make `services` those of this process: `web` does so before any page runs; None forgets them."""
    global _in_use
    with _choosing:
        _in_use = services


def current() -> Services:
    """The services of this process; under a bare `streamlit run app.py` the first call opens them from the environment."""
    global _in_use
    with _choosing:
        if _in_use is None:
            _in_use = Services(settings_room.load(os.environ))
        return _in_use
