"""Importing for this installation: whose rows are booked."""

from datetime import UTC, datetime

from byok import intake
from byok.accounts import users

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def test_users_that_another_import_makes_at_the_same_time_are_known(db, monkeypatch):
    ids, make = {"usr_first1", "usr_second1"}, users.add_many

    def after_the_other(where, people, plan, now):
        make(where, [("usr_first1", "usr_first1@import.invalid")], plan, now)
        return make(where, people, plan, now)

    monkeypatch.setattr(users, "add_many", after_the_other)
    assert intake._known(db, ids, "team", NOW) == ids
