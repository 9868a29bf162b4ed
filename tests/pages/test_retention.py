"""Retention & deletion: what is kept and leaves, and deletions that take exactly what was shown, after a typed word."""

import json
from datetime import date, timedelta

import pytest

from byok.accounts import receipts, users
from byok.recording.journal import Journal
from byok.recording.publisher import publish
from byok.recording.table import Table
from byok.store import questions
from tests.pages.conftest import NOW
from tests.pages.reading import headings, text_of
from tests.samples import usage_record

PAGE = "pages/retention.py"


@pytest.fixture
def root(book):
    return users.add(book.db, "root@example.org", now=NOW - timedelta(days=50), plan="enterprise", admin=True)


@pytest.fixture(autouse=True)
def sealed(monkeypatch):
    """The gateway of these tests never seals its segment: nobody waits for it."""
    monkeypatch.setattr("byok.retention.SEALED_WITHIN_S", 0.0)


@pytest.fixture
def records(book, ada):
    """Ada's: five of gpt-4o-mini on five days, two of gpt-4o."""
    journal = Journal(book.settings.journal_dir, fsync="batch")
    for days in range(5):
        journal.append(usage_record(0, user_id=ada.id, ts=NOW - timedelta(days=days, hours=1)))
    for days in (1, 29):
        journal.append(usage_record(0, user_id=ada.id, ts=NOW - timedelta(days=days, hours=2), model="gpt-4o", key_id="key_two2"))
    journal.close()
    publish(Table(book.settings.usage_dir), book.settings.journal_dir, lambda _: {})


def kept(book, user) -> int:
    return questions.extent(book.engine, user.id)[2]


def type_in(app, user, word: str):
    app.text_input(key=f"delete-typed-{user.id}").set_value(word)
    return app.run()


def test_plan_days_oldest_and_number_stand_on_top(ada, records, open_app):
    words = text_of(open_app(ada, page=PAGE, tz="UTC"))
    for line in ("Plan Indie", "Days kept 30", "Oldest record 2026-10-24", "Records 7"):
        assert line in words


def test_the_calendar_has_a_cell_for_every_stored_day(ada, records, open_app):
    app = open_app(ada, page=PAGE, tz="UTC")
    (figure,) = [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]
    told = [cell for week in figure["data"][0]["customdata"] for cell in week]
    assert "<b>1 record</b><br>Sat Oct 24, 2026" in told
    assert "<b>2 records</b><br>Sat Nov 21, 2026" in told
    assert "<b>0 records</b><br>Mon Nov 16, 2026" in told
    shades = [cell for week in figure["data"][0]["z"] for cell in week]
    assert len([shade for shade in shades if shade is not None]) == 31, "from the plan's limit to today"


def test_what_leaves_next_is_listed_with_its_day(ada, records, open_app):
    app = open_app(ada, page=PAGE, tz="UTC")
    (leaving,) = [one.value for one in app.dataframe if "leave" in one.value.columns]
    assert leaving[["day", "records", "leave"]].values.tolist() == [["Sat Oct 24, 2026", 1, "during Mon Nov 23, 2026"]]
    assert "Within 3 days: 1 record." in text_of(app)


def test_without_records_there_is_nothing_to_delete(ada, open_app):
    app = open_app(ada, page=PAGE)
    assert headings(app) == ["Delete records", "Receipts"]
    assert "nothing to delete" in text_of(app)
    assert "Records 0" in text_of(app)


def test_a_deletion_takes_what_was_shown_and_needs_the_word(book, ada, records, open_app):
    app = open_app(ada, page=PAGE)
    app.multiselect(key=f"delete-model-{ada.id}").set_value(["gpt-4o"]).run()
    assert "**2 records** would be deleted, of `gpt-4o`." in text_of(app)
    assert app.button(key="delete-sure").disabled
    assert type_in(app, ada, "yes").button(key="delete-sure").disabled
    type_in(app, ada, "Delete").button(key="delete-sure").click().run()
    assert "Deleted: 2 records" in app.success[0].value
    assert kept(book, ada) == 5
    (receipt,) = receipts.latest(book.db, 9)
    assert receipt["receipt"] in app.success[0].value
    assert receipt["rows"] == 2
    (mine,) = [one.value for one in app.dataframe if "Receipt" in one.value.columns]
    assert mine["Receipt"].tolist() == [receipt["receipt"]]


def test_days_are_those_of_the_reader_and_the_last_is_included(book, ada, records, open_app):
    app = open_app(ada, page=PAGE, tz="UTC")
    app.segmented_control(key=f"delete-when-{ada.id}").set_value("between two days").run()
    assert "Choose the day first." in text_of(app)
    app.date_input(key=f"delete-first-{ada.id}").set_value(date(2026, 11, 19))
    app.date_input(key=f"delete-last-{ada.id}").set_value(date(2026, 11, 21)).run()
    assert "**4 records** would be deleted of Nov 19, 2026 to Nov 21, 2026." in text_of(app)
    type_in(app, ada, "delete").button(key="delete-sure").click().run()
    assert kept(book, ada) == 3


def test_everything_before_a_day(book, ada, records, open_app):
    app = open_app(ada, page=PAGE, tz="UTC")
    app.segmented_control(key=f"delete-when-{ada.id}").set_value("before a day").run()
    app.date_input(key=f"delete-before-{ada.id}").set_value(date(2026, 11, 20)).run()
    assert "**3 records** would be deleted up to and with Nov 19, 2026." in text_of(app)


def test_an_admin_deletes_for_others_loudly_and_types_their_email(book, ada, root, records, open_app):
    app = open_app(root, page=PAGE)
    assert "nothing to delete" in text_of(app)
    app.selectbox(key="whose").set_value(ada.id).run()
    assert "You are looking at the records of **ada\\@example\\.org**" in text_of(app)
    assert "not yours" in text_of(app)
    assert type_in(app, ada, "delete").button(key="delete-sure").disabled
    type_in(app, ada, "ada@example.org").button(key="delete-sure").click().run()
    assert kept(book, ada) == 0
    assert "Deleted: 7 records" in app.success[0].value


def test_nobody_else_chooses_whose(ada, root, records, open_app):
    app = open_app(ada, page=PAGE, whose=root.id)
    assert app.selectbox.len == 0
    assert "Records 7" in text_of(app)


def test_an_admin_who_is_none_any_more_deletes_nothing(book, ada, root, records, open_app):
    app = open_app(root, page=PAGE)
    app.selectbox(key="whose").set_value(ada.id).run()
    type_in(app, ada, "ada@example.org")
    users.change(book.db, root.id, admin=False)
    app.button(key="delete-sure").click().run()
    assert kept(book, ada) == 7


def test_a_receipt_is_found_by_its_number_only(book, ada, records, open_app):
    receipts.keep(
        book.db,
        {"receipt": "rcp_others1", "kind": "erase", "dry_run": False, "rows": 9, "files": 1, "seconds": 0.1, "at": "2026-11-20T00:00:00Z"},
    )
    app = open_app(ada, page=PAGE)
    assert "No receipt yet." in text_of(app)
    app.text_input(key="receipt-number").set_value("rcp_nonsense").run()
    assert "There is no receipt of that number." in text_of(app)
    app.text_input(key="receipt-number").set_value("rcp_others1").run()
    (found,) = [one.value for one in app.dataframe if "Receipt" in one.value.columns]
    assert found["Records"].tolist() == [9]


def test_a_gateway_that_does_not_let_go_is_said_and_the_rest_is_the_keepers(book, ada, record, open_app):
    record(ada)  # its segment stays open
    app = open_app(ada, page=PAGE)
    type_in(app, ada, "delete").button(key="delete-sure").click().run()
    assert "The keeper finishes the deletion by itself" in app.error[0].value


def test_signed_out_it_shows_the_form_only(ada, records, open_app):
    assert "Delete records" not in headings(open_app(None, script=PAGE))
