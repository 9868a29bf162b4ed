"""After an erasure not one byte of the user is left in the files of the accounts database."""

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from byok.accounts import access_tokens, alert_rules, identities, jobs, key_vault, passwords, receipts, sessions, users
from byok.accounts.alert_rules import Target, Terms
from byok.accounts.database import open_database, scrub
from byok.accounts.identities import Identity
from byok.accounts.key_vault import Secret
from byok.accounts.tables import METADATA
from byok.errors import TooManyRequests
from byok.notify import episodes, findings, outbox, schedules

EMAIL = "erased.person@canary-host.example"


def everything_of(db, master, now) -> list[bytes]:
    """Make a user with all that a user can have; return the texts to search for."""
    user = users.add(db, EMAIL, now=now, name="Canary Name", tz="Asia/Kathmandu", plan="enterprise")
    key = key_vault.add(db, master, user.id, "openai", "sk-canary-secret-9z8y7x6w", now=now, label="canary label")
    token = access_tokens.create(db, user.id, now=now, label="token canary")
    session = sessions.start(db, user.id, now=now)
    passwords.set_password(db, user.id, "tall canary sings at noon", now=now)
    sessions.start(db, user.id, now=now)
    link = passwords.set_link(db, user.id, now=now)
    identities.connect(db, Identity("https://canary.example", "canary subject"), user.id, now=now)
    identities.begin(db, "canary round trip", now=now, user_id=user.id, link_hash=passwords.link_hash(link))
    jobs.put(db, f"erase usage of {user.id}", now.isoformat())
    with pytest.raises(TooManyRequests):
        for _ in range(9):
            passwords.check(db, EMAIL, "wrong canary password", now=now, address="203.0.113.77")
    _everything_told(db, master, user, now)
    shown = [user.id, EMAIL, EMAIL.upper(), "Canary Name", key.id, "canary label", "token canary", "canary", "x6w", "Kathmandu", "$argon2"]
    stored = [row for table in METADATA.sorted_tables for row in texts_of(db, table, user.id)]
    return [text.encode() for text in [*shown, token, token[5:13], session, link, *stored]]


def _everything_told(db, master, user, now) -> None:
    """Rules, what they found, what lies in the outbox, a schedule."""
    url = Secret("https://hooks.slack.com/services/T0/B0/canarypath9z8y")
    rule = alert_rules.add(db, master, user.id, Terms(), Target("slack", url, "hooks.slack.com"), now=now)[0]
    alert_rules.add(db, master, user.id, Terms(), Target("mail", address="canary-mail@host.example"), now=now)
    episodes.tell(db, rule, [findings.sample(user.id, now)], now=now)
    schedules.put(db, user.id, "week", at="07:31", tz="Asia/Kathmandu", now=now)


def texts_of(db, table, user_id) -> list[str]:
    if "user_id" not in table.c:
        return []
    with db.reading() as connection:
        rows = connection.execute(sa.select(table).where(table.c.user_id == user_id)).mappings()
        return [value for row in rows for name, value in row.items() if isinstance(value, str) and len(value) > 8 and name != "kek_id"]


def files_of(url: str) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in Path(url.removeprefix("sqlite:///")).parent.iterdir()}


@pytest.mark.parametrize("crowd", [0, 3000])
def test_no_byte_of_the_user_is_left(sqlite_url, master, now, crowd):
    with open_database(sqlite_url) as db:
        users.add_many(db, [(f"usr_a{n:05d}", f"a{n}@example.org") for n in range(crowd)], "free", now)
        bob = users.add(db, "bob@example.org", now=now)
        searched = everything_of(db, master, now)
        user_id = searched[0].decode()
        users.add_many(db, [(f"usr_b{n:05d}", f"b{n}@example.org") for n in range(crowd)], "free", now)
        before = b"".join(files_of(sqlite_url).values())
        assert [text for text in searched if text in before], "nothing was stored, so this test would prove nothing"
        receipts.keep(
            db, {"receipt": "rcp_1", "kind": "erase", "dry_run": False, "rows": 1, "files": 1, "seconds": 0.5, "at": "2026-11-22T10:00:00Z"}
        )
        users.remove(db, user_id, now=now)
        scrub(db)
        left = [(name, text) for name, content in files_of(sqlite_url).items() for text in searched if text in content]
        assert left == []
        assert users.by_id(db, bob.id) == bob
        assert len(users.all_users(db)) == 2 * crowd + 1
    assert [text for text in searched if text in b"".join(files_of(sqlite_url).values())] == []


def test_the_files_are_clean_while_another_process_has_them_open(sqlite_url, master, now):
    with open_database(sqlite_url) as web, open_database(sqlite_url) as db:
        searched = everything_of(db, master, now)
        assert users.by_email(web, EMAIL).id == searched[0].decode()
        users.remove(db, searched[0].decode(), now=now)
        scrub(db)
        assert [text for text in searched if text in b"".join(files_of(sqlite_url).values())] == []
        users.add(web, "next@example.org", now=now + timedelta(seconds=1))


def test_facts_of_jobs_go_with_their_user_only(db, now):
    for number, user_id in enumerate(("usr_Abcd", "usr_Abcd1", "usr_aBCD")):
        users.add(db, f"{number}@example.org", now=now, user_id=user_id)
        jobs.put(db, f"erase:{user_id}", "x")
    jobs.put(db, "last purge", "x")
    users.remove(db, "usr_Abcd", now=now)
    assert set(jobs.named(db, "")) - {"sign-in-salt"} == {"erase:usr_Abcd1", "erase:usr_aBCD", "last purge"}


def test_removal_leaves_rows_of_nobody(db, master, now, bob):
    key_vault.add(db, master, bob.id, "openai", "sk-of-bob-123456", now=now)
    user_id = everything_of(db, master, now)[0].decode()
    users.remove(db, user_id, now=now)
    for table in METADATA.sorted_tables:
        if "user_id" in table.c:
            with db.reading() as connection:
                assert set(connection.execute(sa.select(table.c.user_id)).scalars()) <= {bob.id}
    assert len(key_vault.of_user(db, bob.id)) == 1


def test_what_an_admin_was_told_of_the_user_goes_and_the_rule_stays(sqlite_url, master, now):
    with open_database(sqlite_url) as db:
        admin, gone = users.add(db, "root@example.org", now=now, admin=True), users.add(db, EMAIL, now=now)
        rule = alert_rules.add(db, master, admin.id, Terms(all_users=True), Target("mail"), now=now)[0]
        assert episodes.tell(db, rule, [findings.sample(gone.id, now), findings.sample(admin.id, now)], now=now) == 2
        assert gone.id.encode() in b"".join(files_of(sqlite_url).values())
        users.remove(db, gone.id, now=now)
        scrub(db)
        assert gone.id.encode() not in b"".join(files_of(sqlite_url).values())
        assert [one.about_user_id for one in outbox.of_user(db, admin.id)] == [admin.id]
        assert alert_rules.get(db, rule.id) == rule
