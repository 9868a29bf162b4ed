"""System: an admin sees how the installation stands, and no secret and no place; nobody else sees anything of it."""

import fcntl
import json
import re
from datetime import timedelta

import pytest

from byok import condition
from byok.accounts import key_vault, users
from byok.recording.journal import Journal
from byok.recording.publisher import publish
from byok.recording.segments import QUARANTINE
from byok.recording.table import Table
from tests.pages.conftest import NOW
from tests.pages.reading import headings, text_of
from tests.samples import usage_record

PAGE = "pages/system.py"


@pytest.fixture
def root(book):
    return users.add(book.db, "root@example.org", now=NOW - timedelta(days=50), plan="enterprise", admin=True)


def everything(app) -> str:
    return "\n".join([text_of(app), *(str(frame.value) for frame in app.dataframe), *(str(card.proto) for card in app.metric)])


def test_only_admins_have_the_page(book, ada, record, open_app):
    record(ada)
    app = open_app(ada, script=PAGE)
    assert "This page is for admins." in text_of(app)
    assert (app.metric.len, app.button.len) == (0, 0)
    assert open_app(None, script=PAGE).metric.len == 0


def test_cards_say_what_there_is(book, root, ada, record, open_app):
    record(ada, ago=timedelta(seconds=30))
    words = text_of(open_app(root, page=PAGE))
    for line in (
        "Newest record 30 s ago",
        "Records 1",
        "Waiting in the journal 1",
        "Keeper does not run",
        "Last purge —",
        "Lost records 0",
    ):
        assert line in words
    assert "No keeper runs" in words


def test_an_empty_installation_says_so(book, root, open_app):
    app = open_app(root, page=PAGE)
    assert "Newest record —" in text_of(app)
    assert "No usage file yet" in text_of(app)
    (newest,) = re.findall(r"models with a price; the newest price is dated (.+?)\.", text_of(app))
    entries = [price.since for model in book.engine.catalogue.models() for price in model.prices if price.since]
    assert newest == max(day for day in entries if day <= NOW.date()).isoformat()  # also where it is a model's first


def test_a_keeper_that_holds_its_lock_runs(book, root, open_app):
    with (book.settings.data / "keeper.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert condition.keeper_runs(book.settings)
        assert "Keeper runs" in text_of(open_app(root, page=PAGE))
    assert not condition.keeper_runs(book.settings)


def test_damaged_lines_and_files_are_counted(book, root, ada, record, open_app):
    record(ada)
    folder = book.settings.journal_dir / QUARANTINE
    folder.mkdir()
    (folder / "w-1.bad").write_bytes(b"{\r}\n{}\n")  # a damaged line may hold any byte
    assert "Damaged lines 2" in text_of(open_app(root, page=PAGE))


def test_every_column_that_is_formatted_is_one_of_the_table_s(book, root, ada, open_app):
    journal = Journal(book.settings.journal_dir, fsync="batch")
    journal.append(usage_record(0, user_id=ada.id, ts=NOW))
    journal.close()
    publish(Table(book.settings.usage_dir), book.settings.journal_dir, lambda _: {})
    (table,) = [frame for frame in open_app(root, page=PAGE).dataframe if "Month" in frame.value.columns]
    assert set(json.loads(table.proto.columns)) - {"_index"} <= set(table.value.columns)


def test_checks_name_faults_and_remedies_and_no_place_and_no_secret(book, root, ada, record, open_app):
    record(ada)
    key_vault.add(book.db, book.master, ada.id, "openai", "sk-canary-of-the-system-page", now=NOW)
    book.settings.master_key_file.chmod(0o644)
    app = open_app(root, page=PAGE)
    app.button(key="examine").click().run(timeout=60)
    (findings,) = [frame.value for frame in app.dataframe if "Remedy" in frame.value.columns]
    assert "master key" in findings["What"].tolist()
    said = everything(app)
    for canary in ("sk-canary", "ada@example.org", ada.id, str(book.settings.data.parent), "/home/", "/root", "/tmp/"):
        assert canary not in said
    assert "fault" in said


def test_an_admin_who_is_none_any_more_examines_nothing(book, root, open_app):
    app = open_app(root, page=PAGE)
    users.change(book.db, root.id, admin=False)
    app.button(key="examine").click().run()
    assert "doctor_found" not in app.session_state
    assert headings(app) == []
