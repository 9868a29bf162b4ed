"""Receipts and the facts that jobs leave."""

import threading

from byok.accounts import jobs, receipts


def receipt(number: int) -> dict:
    return {
        "receipt": f"rcp_{number}",
        "kind": "purge",
        "dry_run": False,
        "rows": 2**40,
        "files": 3,
        "seconds": 0.25,
        "at": "2026-11-22T10:00:00.000000Z",
    }


def test_a_receipt_comes_back_as_it_was_handed_out(db):
    for number in range(5):
        receipts.keep(db, receipt(number))
    assert receipts.latest(db, 2) == [receipt(4), receipt(3)]


def test_a_kept_receipt_names_no_user(db):
    receipts.keep(db, receipt(1) | {"users": [{"user_id": "usr_somebody", "rows": 1}], "email": "ada@example.org"})
    assert receipts.latest(db, 9) == [receipt(1)]


def test_keeping_a_receipt_twice_keeps_it_once(db):
    receipts.keep(db, receipt(1))
    receipts.keep(db, receipt(1))
    assert len(receipts.latest(db, 9)) == 1


def test_a_fact_is_the_last_that_was_put(db):
    assert jobs.get(db, "last purge") is None
    jobs.put(db, "last purge", "a")
    jobs.put(db, "last purge", "b")
    assert jobs.get(db, "last purge") == "b"
    jobs.drop(db, "last purge")
    jobs.drop(db, "last purge")
    assert jobs.get(db, "last purge") is None


def test_facts_are_found_by_the_beginning_of_their_name(db):
    for name in ("erase:b", "erase:a", "erase_c", "Erase:d", "import:x", "er%:y"):
        jobs.put(db, name, name)
    assert list(jobs.named(db, "erase:").items()) == [("erase:a", "erase:a"), ("erase:b", "erase:b")]
    assert list(jobs.named(db, "er%")) == ["er%:y"]


def test_many_may_put_the_same_fact_at_once(db):
    threads = [threading.Thread(target=jobs.put, args=(db, "name", str(number))) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert jobs.get(db, "name") in {str(number) for number in range(8)}
