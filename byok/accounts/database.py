"""The accounts database: opened, migrated, read, written, scrubbed. The only place that knows SQLite from PostgreSQL."""

import contextlib
import os
import sqlite3
import time
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import StaticPool

from byok.accounts.errors import AccountsDriverMissing, AccountsTooNew, AccountsUnavailable
from byok.accounts.tables import METADATA

HEAD = "0009"  # the newest step in migrations/versions
PATIENCE_MS = 10_000
NOTE_PATIENCE_MS = 50
_MIGRATION = "migration"
_MIGRATION_PATIENCE_S = 60
_OURS = 0x62796F6B  # marks our advisory locks among those of others in the same database
_READ_ONLY = "read only"
# A server that is gone or cut off is noticed within seconds, whatever its network does. What the URL says itself comes first.
_SERVER_OPTIONS = {
    "application_name": "byok",
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "options": f"-c lock_timeout={PATIENCE_MS} -c idle_in_transaction_session_timeout=60000",
}
_IN_OUR_WORDS = {  # what SQLite says for a folder that is not ours and for a full disk, too
    "attempt to write a readonly database": "its disk is full, or file or folder may not be written",
    "unable to open database file": "its file or folder may not be opened, or the disk is full",
}
_OLDER_SNAPSHOTS = """
    select count(*) from pg_stat_activity
    where pid <> pg_backend_pid() and datname = current_database() and age(backend_xmin) > age(cast(cast(:now as text) as xid))
"""


class Database:
    """An open accounts database. Safe to share between threads; one per process."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one consistent state. Raises `AccountsUnavailable` if the database cannot be read."""
        with _translated(), self.engine.connect() as connection:
            yield (
                connection if self.is_sqlite else connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            )

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction, kept when the block ends well. It takes SQLite's write lock at once, so that it cannot fail half-way."""
        with _translated(), self.engine.connect().execution_options(writes=True) as connection, connection.begin():
            yield connection

    def alone(self, connection: Connection, what: str) -> None:
        """Wait until no other transaction is at `what`, and keep others out until this one ends. SQLite's write lock does that already."""
        if not self.is_sqlite:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_OURS, zlib.crc32(what.encode()) >> 1)))

    def now(self) -> datetime:
        """The time by the clock that all machines share: the server's, or of a file this machine's."""
        if self.is_sqlite:
            return datetime.now(UTC)
        with self.reading() as connection:
            found: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
            return found.astimezone(UTC)

    def note(self, statement: sa.Update) -> bool:
        """Write something that may be lost, such as when a token was last used. Never raises, never waits long."""
        try:
            with self.engine.connect().execution_options(writes=True) as connection, self._impatient(connection), connection.begin():
                if not self.is_sqlite:
                    connection.exec_driver_sql(f"set local lock_timeout = {NOTE_PATIENCE_MS}")
                connection.execute(statement)
        except DBAPIError:
            return False
        return True

    def close(self) -> None:
        self.engine.dispose()

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @contextlib.contextmanager
    def _impatient(self, connection: Connection) -> Iterator[None]:
        if not self.is_sqlite:
            yield
            return
        raw: Any = connection.connection.dbapi_connection
        raw.execute(f"PRAGMA busy_timeout = {NOTE_PATIENCE_MS}")
        try:
            yield
        finally:
            raw.execute(f"PRAGMA busy_timeout = {PATIENCE_MS}")


def open_database(url: str) -> Database:
    """Return the database at a SQLAlchemy URL with all its tables in their newest form.

    Several processes may open a fresh database at once: one makes the tables, the others wait. Raises `AccountsTooNew` if a newer
    version wrote it, `AccountsDriverMissing` if a server's driver is not installed, `AccountsUnavailable` if it cannot be opened.

    >>> with open_database("sqlite://") as db:
    ...     db.is_sqlite
    True
    """
    place = make_url(url)
    with _translated():
        db = Database(_sqlite_engine(place) if place.get_backend_name() == "sqlite" else _server_engine(place))
        try:
            if _version(db) != HEAD:
                _migrate(db)
        except BaseException:
            db.close()
            raise
    return db


def scrub(db: Database) -> None:
    """Leave no byte of deleted rows in the tables' files (SQLite: nor in its log). See docs/scale.md for a server's log of changes.

    Raises `AccountsUnavailable` if others kept the tables or the log busy for 10 s; calling it again is harmless.
    """
    if not db.is_sqlite:
        _scrub_server(db)
        return
    deadline = time.monotonic() + PATIENCE_MS / 1000
    with _translated(), db.engine.connect() as connection:
        raw: Any = connection.connection.dbapi_connection
        raw.execute("PRAGMA temp_store = MEMORY")  # VACUUM's copy of the rows stays off the disk
        raw.execute("VACUUM")
        while raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > deadline:
                raise AccountsUnavailable("its log is in use")
            time.sleep(0.02)


def _scrub_server(db: Database) -> None:
    """PostgreSQL keeps deleted rows in its pages: only writing the tables anew, when nobody can see them any more, takes them away."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    with _translated(), db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        now = connection.execute(sa.text("select pg_current_xact_id()::text")).scalar_one()
        while connection.execute(sa.text(_OLDER_SNAPSHOTS), {"now": now}).scalar_one():
            if time.monotonic() > deadline:
                raise AccountsUnavailable("a transaction stays open")
            time.sleep(0.05)
        for table in METADATA.sorted_tables:
            connection.exec_driver_sql(f"vacuum (full) {table.name}")


def _keep_no_samples(connection: Connection) -> None:
    """A server samples columns for its planner, and an erased e-mail would live on among the samples."""
    quote = connection.dialect.identifier_preparer.quote
    for table in METADATA.sorted_tables:
        texts = [quote(column.name) for column in table.columns if isinstance(column.type, sa.String | sa.LargeBinary)]
        if texts:
            changes = ", ".join(f"alter column {name} set statistics 0" for name in texts)
            connection.exec_driver_sql(f"alter table {quote(table.name)} {changes}")


def _server_engine(place: URL) -> Engine:
    options = {name: value for name, value in _SERVER_OPTIONS.items() if name not in place.query}
    try:
        return sa.create_engine(place, hide_parameters=True, pool_pre_ping=True, pool_timeout=PATIENCE_MS / 1000, connect_args=options)
    except ModuleNotFoundError as error:
        raise AccountsDriverMissing(str(error.name)) from None


def _sqlite_engine(place: URL) -> Engine:
    in_memory = place.database in (None, "", ":memory:")
    if not in_memory:
        _make_private_file(Path(str(place.database)))
    options: dict[str, Any] = {"poolclass": StaticPool} if in_memory else {"pool_size": 8, "max_overflow": 32}
    engine = sa.create_engine(place, hide_parameters=True, connect_args={"check_same_thread": False}, **options)

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: object, record: Any, arguments: list[Any], options: dict[str, Any]) -> sqlite3.Connection:
        try:
            return _prepared(sqlite3.connect(*arguments, **options), in_memory=in_memory)
        except sqlite3.OperationalError:
            if in_memory or (raw := _read_only(Path(str(place.database)))) is None:
                raise
            record.info[_READ_ONLY] = True
            return raw

    @event.listens_for(engine, "checkin")
    def _try_anew(_raw: object, record: Any) -> None:
        if record.info.pop(_READ_ONLY, False):  # the next one may find the disk writable again
            record.invalidate()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _make_private_file(path: Path) -> None:
    # Only a file that is missing is opened here: closing one that this process has open elsewhere would drop SQLite's locks on it, and
    # the next process to leave would take the write-ahead log along.
    if path.exists():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            # SQLite gives its -wal and -shm files the mode of this one.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except OSError as error:
        raise AccountsUnavailable(f"{type(error).__name__} at its place") from None


def _prepared(raw: sqlite3.Connection, *, in_memory: bool) -> sqlite3.Connection:
    raw.isolation_level = None  # transactions begin where we say, not where the driver guesses
    try:
        for pragma in (f"busy_timeout = {PATIENCE_MS}", "secure_delete = ON", "foreign_keys = ON"):
            raw.execute(f"PRAGMA {pragma}")
        if not in_memory:
            _use_write_ahead_log(raw)
    except BaseException:
        raw.close()
        raise
    return raw


def _read_only(path: Path) -> sqlite3.Connection | None:
    """On a disk that cannot be written, known users still get in: read what is there, if necessary without its log."""
    for mode in ("mode=ro", "mode=ro&immutable=1"):
        with contextlib.suppress(sqlite3.OperationalError):
            raw = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, check_same_thread=False, isolation_level=None)
            try:
                raw.execute("select version_num from alembic_version").fetchone()
            except sqlite3.OperationalError:
                raw.close()
                raise
            return raw
    return None


def _use_write_ahead_log(raw: sqlite3.Connection) -> None:
    # Turning it on needs the file alone, and SQLite does not wait for that itself.
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while raw.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            raw.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _version(db: Database) -> str | None:
    try:
        with db.engine.connect() as connection:
            return connection.execute(sa.text("select version_num from alembic_version")).scalar()
    except (OperationalError, ProgrammingError):  # a fresh database
        return None


def _migrate(db: Database) -> None:
    # Imported here: a start that finds everything in place does not pay for it.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with db.engine.connect().execution_options(writes=True) as connection, connection.begin():
        if not db.is_sqlite:
            connection.exec_driver_sql(f"set local lock_timeout = '{_MIGRATION_PATIENCE_S}s'")
        db.alone(connection, _MIGRATION)
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError:
            raise AccountsTooNew from None
        if not db.is_sqlite:
            _keep_no_samples(connection)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except PoolTimeout:
        raise AccountsUnavailable("all connections are in use") from None
    except (DBAPIError, sqlite3.Error) as error:
        raise AccountsUnavailable(_reason(error.orig if isinstance(error, DBAPIError) else error)) from None


def _reason(error: BaseException | None) -> str:
    if isinstance(error, sqlite3.Error):
        said = str(error).splitlines()[0][:120] if str(error) else "no reason given"
        return _IN_OUR_WORDS.get(said, said)
    # A server's own words name hosts and roles, and whoever calls the API would read them.
    return f"the database server: {type(error).__name__}"
