import os
import sqlite3
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.schema import CreateIndex, CreateTable

from byok.accounts import access_tokens, database, jobs, users
from byok.accounts.database import Database, open_database, scrub
from byok.accounts.errors import AccountsTooNew, AccountsUnavailable
from byok.accounts.tables import METADATA
from byok.accounts.tables import users as users_table

pytestmark = pytest.mark.usefixtures("real_migrations")
MIGRATIONS = Path(database.__file__).parent / "migrations"
OPEN_AND_ADD = """
import sys
from datetime import UTC, datetime
from byok.accounts import users
from byok.accounts.database import open_database
sys.stdin.readline()
with open_database(sys.argv[1]) as db:
    users.add(db, sys.argv[2], now=datetime.now(UTC))
"""


def file_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def test_processes_that_open_a_fresh_database_at_once_all_succeed(url):
    command = [sys.executable, "-c", OPEN_AND_ADD, url]
    racers = [subprocess.Popen([*command, f"p{n}@example.org"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for n in range(4)]
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    outcomes = [(racer.communicate(timeout=60)[1], racer.returncode) for racer in racers]
    assert outcomes == [("", 0)] * 4
    with open_database(url) as db:
        assert len(users.all_users(db)) == 4


def test_the_migrations_make_exactly_the_tables_of_the_code(db: Database):
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []


def test_head_names_the_newest_step():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [database.HEAD]


def test_every_table_can_be_made_on_postgresql():
    from sqlalchemy.dialects import postgresql

    for table in METADATA.sorted_tables:
        assert "DATETIME" not in str(CreateTable(table).compile(dialect=postgresql.dialect()))
        for index in table.indexes:
            str(CreateIndex(index).compile(dialect=postgresql.dialect()))


def test_opening_what_is_up_to_date_does_not_load_the_migration_tool(url):
    open_database(url).close()
    code = (
        "import sys; from byok.accounts.database import open_database; open_database(sys.argv[1]).close(); print('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, check=True).stdout == "False\n"


def test_files_are_for_the_owner_only(sqlite_url):
    umask = os.umask(0)
    try:
        with open_database(sqlite_url) as db:
            jobs.put(db, "a", "b")
            files = list(file_of(sqlite_url).parent.iterdir())
            assert {file.name for file in files} == {"accounts.db", "accounts.db-wal", "accounts.db-shm"}
            assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    finally:
        os.umask(umask)


def test_every_connection_deletes_securely_and_keeps_foreign_keys(sqlite_url):
    with open_database(sqlite_url) as db, db.engine.connect() as one, db.engine.connect() as two:
        for connection in (one, two):
            values = [
                connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("secure_delete", "foreign_keys", "journal_mode", "busy_timeout")
            ]
            assert values == [1, 1, "wal", 10_000]


def test_an_instant_comes_back_as_it_went_in(db: Database, ada, now):
    east = timezone(timedelta(hours=5, minutes=45))
    for moment in (now, now.astimezone(east), datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)):
        with db.writing() as connection:
            connection.execute(sa.update(users_table).values(created_at=moment))
        kept = users.by_id(db, ada.id).created_at
        assert kept == moment
        assert kept.tzinfo is UTC


def test_instants_are_compared_as_instants(db: Database, ada, now):
    with db.reading() as connection:
        for zone in (UTC, timezone(timedelta(hours=-9)), timezone(timedelta(hours=9))):
            sooner, later = ((now + timedelta(microseconds=step)).astimezone(zone) for step in (-1, 1))
            found = connection.execute(
                sa.select(users_table.c.id).where(users_table.c.created_at > sooner, users_table.c.created_at < later)
            )
            assert list(found.scalars()) == [ada.id]


def test_a_naive_time_is_refused(db: Database):
    with pytest.raises(sa.exc.StatementError, match="zone"):
        users.add(db, "naive@example.org", now=datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_database_of_a_newer_version_is_left_alone(url):
    with open_database(url) as db, db.writing() as connection:
        connection.execute(sa.text("update alembic_version set version_num = '9999'"))
    with pytest.raises(AccountsTooNew):
        open_database(url)


@pytest.mark.parametrize("revision", [f"{number:04}" for number in range(1, int(database.HEAD))])
def test_a_database_of_any_older_version_keeps_what_it_holds(sqlite_url, revision):
    file_of(sqlite_url).parent.mkdir()
    config, engine = Config(), sa.create_engine(sqlite_url)
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        held = {table: _fill(connection, table) for table in sa.inspect(connection).get_table_names() if table != "alembic_version"}
    engine.dispose()
    with open_database(sqlite_url) as db, db.engine.connect() as connection:
        for table, values in held.items():
            (row,) = connection.execute(sa.text(f"select * from {table}")).mappings()
            assert {name: row[name] for name in values} == values
        assert connection.exec_driver_sql("pragma foreign_key_check").all() == []
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), METADATA) == []


def _fill(connection: sa.Connection, table: str) -> dict[str, object]:
    """One row with a value in every column; ids are alike, so that rows belong to each other."""
    kinds = {bool: 1, int: 7, float: 0.5, bytes: b"secret"}
    columns = {column["name"]: column["type"] for column in sa.inspect(connection).get_columns(table)}
    python = {name: str if isinstance(kind, sa.DateTime) else kind.python_type for name, kind in columns.items()}
    values = {name: kinds.get(kind, "id1" if name.endswith("id") else name) for name, kind in python.items()}
    names = ", ".join(f'"{name}"' for name in values)
    connection.execute(sa.text(f"insert into {table} ({names}) values ({', '.join(f':{name}' for name in values)})"), values)
    return values


def test_a_file_that_is_no_database_is_named_unusable(sqlite_url):
    file_of(sqlite_url).parent.mkdir()
    file_of(sqlite_url).write_bytes(b"this is not a database, whatever its name says" * 100)
    with pytest.raises(AccountsUnavailable, match="not a database"):
        open_database(sqlite_url)


def test_a_place_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(AccountsUnavailable):
        open_database(f"sqlite:///{tmp_path / 'file' / 'accounts.db'}")


def test_a_failed_block_leaves_nothing(db: Database, ada):
    with pytest.raises(RuntimeError), db.writing() as connection:
        connection.execute(sa.delete(users_table))
        raise RuntimeError
    assert users.all_users(db) == [ada]


def test_an_error_says_no_parameter(db: Database):
    with db.writing() as connection, pytest.raises(sa.exc.DBAPIError) as caught:
        connection.execute(sa.text("select * from nowhere where secret = :secret"), {"secret": "CANARY"})
    assert "CANARY" not in str(caught.value)


def test_reading_goes_on_while_someone_holds_the_write_lock(sqlite_url, now):
    with open_database(sqlite_url) as db:
        ada = users.add(db, "ada@example.org", now=now)
        token = access_tokens.create(db, ada.id, now=now)
        blocker = sqlite3.connect(file_of(sqlite_url), isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        assert access_tokens.verify(db, token, now=now) == ada  # its note of the use is lost, quickly
        assert access_tokens.of_user(db, ada.id)[0].last_used_at is None
        blocker.close()
        assert access_tokens.verify(db, token, now=now) == ada
        assert access_tokens.of_user(db, ada.id)[0].last_used_at == now


def test_many_threads_write_without_losing_anything(db: Database, now):
    def add_ten(number: int) -> None:
        for step in range(10):
            users.add(db, f"u{number}-{step}@example.org", now=now)

    threads = [threading.Thread(target=add_ten, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(users.all_users(db)) == 60


@pytest.mark.skipif(sys.platform != "linux", reason="uses a mount of Linux")
def test_on_a_disk_that_cannot_be_written_known_users_still_get_in(sqlite_url, now, tmp_path):
    with open_database(sqlite_url) as db:
        token = access_tokens.create(db, users.add(db, "ada@example.org", now=now).id, now=now)
    code = """
import subprocess
import sys
from datetime import datetime
from byok.accounts import access_tokens, users
from byok.accounts.database import open_database
from byok.accounts.errors import AccountsUnavailable
url, token, now = sys.argv[1], sys.argv[2], datetime.fromisoformat(sys.argv[3])
with open_database(url) as db:
    print(access_tokens.verify(db, token, now=now).email)
    try:
        users.add(db, "new@example.org", now=now)
    except AccountsUnavailable:
        print("refused")
    subprocess.run(["mount", "-o", "remount,bind,rw", sys.argv[4]], check=True)
    print(users.add(db, "new@example.org", now=now).email)
"""
    data = file_of(sqlite_url).parent
    script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" || exit 77; shift; exec "$@"'
    program = [sys.executable, "-c", code, sqlite_url, token, now.isoformat(), str(data)]
    command = ["unshare", "-rm", "sh", "-c", script, "sh", str(data), *program]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("no unshare on this machine")
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("this kernel lets nobody mount")
    assert (done.stdout, done.stderr) == ("ada@example.org\nrefused\nnew@example.org\n", "")


def test_scrub_waits_for_readers_and_gives_up_in_words(sqlite_url, now, monkeypatch):
    monkeypatch.setattr(database, "PATIENCE_MS", 300)
    with open_database(sqlite_url) as db:
        users.add(db, "ada@example.org", now=now)
        reader = sqlite3.connect(file_of(sqlite_url), isolation_level=None, check_same_thread=False)
        reader.execute("BEGIN")
        reader.execute("select * from users").fetchall()
        with pytest.raises(AccountsUnavailable):
            scrub(db)
        threading.Timer(0.1, reader.close).start()
        scrub(db)


def test_opening_it_twice_in_one_process_leaves_its_locks_alone(sqlite_url, now):
    """A process that ends deletes the write-ahead log unless somebody's lock says that the log is in use."""
    with open_database(sqlite_url) as first:
        users.add(first, "ada@example.org", now=now)
        with open_database(sqlite_url) as second:
            assert users.by_email(second, "ada@example.org")
            other = f"from byok.accounts.database import open_database as o\nwith o({sqlite_url!r}) as db: db.reading().__enter__()"
            subprocess.run([sys.executable, "-c", other], check=True)
            assert Path(sqlite_url.removeprefix("sqlite:///") + "-wal").exists()
            users.add(first, "bob@example.org", now=now)
            assert users.by_email(second, "bob@example.org")
