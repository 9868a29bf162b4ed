"""One of several keepers leads; whoever takes over gets a higher number; a machine that went silent is named."""

from datetime import UTC, datetime, timedelta

from byok import leading as leading_room
from byok.accounts import hosts, leases
from byok.accounts.database import Database
from byok.leading import Leading


def test_a_lease_has_one_holder_and_numbers_grow(db: Database, now):
    assert leases.take(db, "table", "a", now=now) == 1
    assert leases.take(db, "table", "b", now=now + timedelta(seconds=59)) is None
    assert leases.take(db, "table", "a", now=now + timedelta(seconds=59)) == 1
    assert leases.take(db, "table", "b", now=now + timedelta(seconds=118)) is None
    assert leases.take(db, "table", "b", now=now + timedelta(seconds=120)) == 2
    assert leases.take(db, "table", "a", now=now + timedelta(seconds=121)) is None


def test_a_lease_that_is_given_back_is_free_at_once(db: Database, now):
    assert leases.take(db, "table", "a", now=now) == 1
    leases.release(db, "table", "b")
    assert leases.take(db, "table", "b", now=now) is None
    leases.release(db, "table", "a")
    assert leases.take(db, "table", "b", now=now) == 2


def test_a_copy_of_a_machine_never_leads_beside_it(db: Database, now):
    """A disk that was copied has the same name on it: whoever started last leads, and the number tells the two apart."""
    assert db.now().tzinfo is UTC
    assert leases.take(db, "table", "a", run="1", starting=True, now=now) == 1
    assert leases.take(db, "table", "a", run="2", starting=True, now=now) == 2, "the same machine again does not wait for the end"
    assert leases.take(db, "table", "a", run="1", now=now) is None
    leases.release(db, "table", "a", run="1")
    assert leases.take(db, "table", "a", run="2", now=now) == 2
    assert leases.take(db, "table", "b", run="3", starting=True, now=now) is None


class Server:
    """Looks like accounts that several machines share."""

    is_sqlite = False

    def now(self) -> datetime:
        return datetime.now(UTC)


def test_a_keeper_leads_only_while_it_holds_the_lease(monkeypatch):
    given: list[object] = [7, 7, None, TimeoutError()]
    clock = [1000.0]

    def take(*_: object, **__: object) -> object:
        found = given.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(leases, "take", take)
    monkeypatch.setattr(leases, "release", lambda *_, **__: None)
    monkeypatch.setattr(leading_room.time, "monotonic", lambda: clock[0])
    leading = Leading(Server(), "a", renew_every_s=1e6)  # type: ignore[arg-type]
    did: list[str] = []
    job = leading.only(lambda: did.append("merged"))
    job()
    assert (leading.number, did) == (7, ["merged"])
    clock[0] += leases.LEASE_S
    job()
    assert did == ["merged"], "the lease has run out"
    leading.renew()
    job()
    assert did == ["merged"] * 2
    leading.renew()
    job()
    leading.renew()
    job()
    assert did == ["merged"] * 2
    leading.close()


def test_where_one_machine_has_everything_its_keeper_leads():
    class File:
        is_sqlite = True

    leading = Leading(File(), "")  # type: ignore[arg-type]
    assert leading.leads
    leading.close()


def test_a_machine_keeps_its_name_and_says_what_waits(db: Database, now, tmp_path):
    name = hosts.name_of(tmp_path)
    assert hosts.name_of(tmp_path) == name
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "host").touch()
    assert hosts.name_of(tmp_path / "empty") not in ("", name)
    hosts.report(db, name, now=now, segments=3)
    hosts.report(db, "other", now=now, segments=0, stopped=True)
    assert hosts.every(db) == sorted([hosts.Host(name, now, 3, False), hosts.Host("other", now, 0, True)])
    assert hosts.forget(db, "other")
    assert not hosts.forget(db, "other")
