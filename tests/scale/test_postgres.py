"""The accounts on a real PostgreSQL: races that SQLite cannot have, what stays in its files, and what goes on while it is away.

`make test-scale` also runs every test of the accounts on it.
"""

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import httpx
import pytest
import sqlalchemy as sa

from byok import doctor
from byok import settings as settings_room
from byok.accounts import access_tokens, allowed_models, key_vault, master_key, sessions, tables, users
from byok.accounts.database import Database, open_database, scrub
from byok.accounts.errors import AccountsUnavailable, MasterKeyWrong, UserErased, UserUnknown
from byok.errors import ByokError
from tests.e2e.installation import Installation, wait_until
from tests.scale.postgres_server import PostgresServer

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
MASTER = bytes(range(100, 132))
OPEN = "import sys; from byok.accounts.database import open_database; sys.stdin.readline(); open_database(sys.argv[1]).close()"


@pytest.fixture(scope="module")
def url(postgres: PostgresServer) -> str:
    return postgres.url()


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    with open_database(url) as opened:
        yield opened


def at_once(*works: Callable[[], object], times: int = 1) -> Counter[str]:
    """How the works ended that began at the same moment."""
    gate, ended = threading.Barrier(len(works) * times), []

    def run(work: Callable[[], object]) -> None:
        gate.wait()
        try:
            work()
            ended.append("well")
        except ByokError as error:
            ended.append(error.code)
        except Exception as error:
            ended.append(repr(error))

    threads = [threading.Thread(target=run, args=(work,)) for work in works * times]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return Counter(ended)


def test_processes_that_open_a_fresh_database_at_once_all_succeed(postgres):
    fresh = postgres.url()
    racers = [
        subprocess.Popen([sys.executable, "-c", OPEN, fresh], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    assert [(racer.communicate(timeout=60)[1], racer.returncode) for racer in racers] == [("", 0)] * 3


def test_two_machines_with_keys_of_their_own_do_not_both_become_right(postgres):
    fresh = postgres.url()
    with open_database(fresh) as one, open_database(fresh) as two:
        keys = [bytes([number]) * 32 for number in range(6)]
        ended = at_once(
            *[lambda key=key, db=db: master_key.check_master_key(db, key) for key, db in zip(keys, [one, two] * 3, strict=True)]
        )
        assert ended == {"well": 1, MasterKeyWrong().code: 5}


def test_there_is_one_default_key_whoever_chooses_adds_and_revokes_at_once(db):
    ada = users.add(db, "ada-default@example.org", now=NOW)
    keys = [key_vault.add(db, MASTER, ada.id, "openai", f"sk-test-{number:08}", now=NOW).id for number in range(6)]
    for round_ in range(4):
        works = [lambda key=key: key_vault.make_default(db, ada.id, key) for key in keys[round_:]]
        works += [lambda: key_vault.revoke(db, ada.id, keys[round_])]  # noqa: B023 - it ends within the round
        works += [lambda: key_vault.add(db, MASTER, ada.id, "openai", "sk-test-another-1", now=NOW)]
        ended = at_once(*works)
        assert set(ended) <= {"well", "not_found"}, ended
        assert sum(key.default for key in key_vault.of_user(db, ada.id)) == 1


def test_what_is_added_while_a_user_is_removed_is_refused_or_goes_with_the_user(db):
    for round_ in range(5):
        eve = users.add(db, f"eve{round_}@example.org", now=NOW)
        works = [
            lambda: users.remove(db, eve.id, now=NOW),  # noqa: B023 - it ends within the round
            lambda: users.remove(db, eve.id, now=NOW),  # noqa: B023
            lambda: access_tokens.create(db, eve.id, now=NOW),  # noqa: B023
            lambda: sessions.start(db, eve.id, now=NOW),  # noqa: B023
            lambda: key_vault.add(db, MASTER, eve.id, "openai", "sk-test-00000001", now=NOW),  # noqa: B023
        ]
        ended = at_once(*works)
        assert set(ended) <= {"well", UserUnknown().code}, ended
        with db.reading() as connection:
            for table in (tables.access_tokens, tables.sessions, tables.vendor_keys):
                assert connection.execute(sa.select(sa.func.count()).where(table.c.user_id == eve.id)).scalar() == 0
        with pytest.raises(UserErased):
            users.add(db, "again@example.org", user_id=eve.id, now=NOW)


def test_the_same_model_is_allowed_once_by_many(db):
    assert at_once(lambda: allowed_models.allow(db, "lab/model-1", now=NOW), times=6) == {"well": 6}
    assert "lab/model-1" in allowed_models.every(db)


def test_a_reader_sees_one_state(db):
    ada = users.add(db, "ada-state@example.org", now=NOW)
    with db.reading() as connection:
        before = connection.execute(sa.select(tables.users.c.plan).where(tables.users.c.id == ada.id)).scalar()
        users.change(db, ada.id, plan="team")
        assert connection.execute(sa.select(tables.users.c.plan).where(tables.users.c.id == ada.id)).scalar() == before


def test_a_note_does_not_wait_for_a_row_that_somebody_holds(db):
    ada = users.add(db, "ada-note@example.org", now=NOW)
    token = access_tokens.create(db, ada.id, now=NOW)
    with db.writing() as connection:
        connection.execute(sa.select(tables.access_tokens).where(tables.access_tokens.c.user_id == ada.id).with_for_update())
        assert access_tokens.verify(db, token, now=NOW) == ada
        assert access_tokens.of_user(db, ada.id)[0].last_used_at is None
    access_tokens.verify(db, token, now=NOW)
    assert access_tokens.of_user(db, ada.id)[0].last_used_at == NOW


def test_after_an_erasure_no_byte_of_the_user_is_left_in_the_tables_files(postgres):
    fresh = postgres.url()
    name = fresh.rsplit("/", 1)[1]
    with open_database(fresh) as db:
        zoe = users.add(db, "zoe-canary-7731@example.org", now=NOW)
        for number in range(300):  # enough for a planner's samples
            users.add(db, f"other{number}@example.org", now=NOW)
        access_tokens.create(db, zoe.id, now=NOW)
        key_vault.add(db, MASTER, zoe.id, "openai", "sk-test-00000001", now=NOW)
        postgres.psql("analyze", name)
        postgres.psql("checkpoint", name)
        kept = [path for path in (postgres.data / "base").rglob("*") if path.is_file() and b"zoe-canary-7731" in path.read_bytes()]
        assert kept, "nothing was written, so this test would prove nothing"
        users.remove(db, zoe.id, now=NOW)
        scrub(db)
    postgres.psql("checkpoint", name)
    words = (b"zoe-canary-7731", zoe.id.encode())
    outside_log = [path for path in postgres.files() if "pg_wal" not in path.parts]
    assert [path.name for path in outside_log if any(word in path.read_bytes() for word in words)] == []


def test_a_scrub_waits_for_who_may_still_see_the_row_and_gives_up_in_words(db, monkeypatch):
    monkeypatch.setattr("byok.accounts.database.PATIENCE_MS", 300)
    with db.reading() as connection:
        connection.execute(sa.text("select 1"))
        users.add(db, "ada-scrub@example.org", now=NOW)
        with pytest.raises(AccountsUnavailable, match="stays open"):
            scrub(db)
    scrub(db)


def test_no_word_of_the_server_reaches_whoever_asks(postgres):
    with pytest.raises(AccountsUnavailable) as caught:
        open_database(postgres.url().replace(f":{postgres.port}", ":1"))
    assert "127.0.0.1" not in str(caught.value)
    assert "byok@" not in str(caught.value)


def test_the_settings_do_not_print_the_password():
    settings = settings_room.load({"BYOK_ACCOUNTS_URL": "postgresql+psycopg://byok:CANARY@db/byok"})
    assert "CANARY" not in repr(settings)


def accounts_finding(home: Installation) -> tuple[str, bool]:
    found = doctor.examine(settings_room.load(home.env), home.env, now=datetime.now(UTC))
    return next((finding.said, finding.ok) for finding in found if finding.what == "accounts")


@pytest.mark.slow
def test_known_callers_go_on_while_the_database_is_away_and_all_is_well_afterwards(postgres, tmp_path):
    home = Installation(tmp_path, BYOK_ACCOUNTS_URL=postgres.url(), BYOK_PUBLISH_EVERY_S="1")
    body = {"model": "echo-1", "messages": [{"role": "user", "content": "one two"}]}

    def call(token: str) -> int:
        answer = httpx.post(f"{home.gateway}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {token}"}, timeout=30)
        return answer.status_code

    try:
        token, stranger = home.add_user("ada@example.org"), home.add_user("bob@example.org")
        home.start("gateway", "keeper")
        assert call(token) == 200
        assert not (home.data / "accounts.db").exists()
        postgres.stop()
        time.sleep(5)  # beyond what a gateway remembers without asking
        try:
            assert [call(token) for _ in range(5)] == [200] * 5
            assert call(stranger) == 503
            assert httpx.get(f"{home.gateway}/readyz").status_code == 503
        finally:
            postgres.start()
        wait_until(lambda: httpx.get(f"{home.gateway}/readyz").status_code == 200, 60)
        assert call(stranger) == 200
        with postgres.frozen():
            time.sleep(5)
            assert [call(token) for _ in range(5)] == [200] * 5
        wait_until(lambda: httpx.get(f"{home.gateway}/readyz", timeout=30).status_code == 200, 60)
        home.command("compact")
        assert home.sql("select count(*) as n from usage") == [{"n": 12}]
        assert accounts_finding(home) == ("2 users, 0 admins", True)
        postgres.stop()
        try:
            assert accounts_finding(home)[1] is False
        finally:
            postgres.start()
    finally:
        home.close()
