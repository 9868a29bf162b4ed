"""Exports: a one-time link for exactly the records that the filters name."""

from datetime import timedelta

from byok import downloads
from tests.pages.conftest import NOW
from tests.pages.reading import headings, text_of

PAGE = "pages/exports.py"


def address_of(app) -> str:
    (button,) = app.get("link_button")
    return button.proto.url


def test_the_link_is_the_users_own_and_good_once(book, ada, record, open_app):
    book.behind_web = True
    record(ada)
    app = open_app(ada, page=PAGE, vendor=["openai"])
    link = address_of(app).removeprefix("/download/")
    assert "**1 record**" in text_of(app)
    assert downloads.REGISTRY.take(link, "usr_somebody", now=NOW) is None
    offer = downloads.REGISTRY.take(link, ada.id, now=NOW)
    assert offer is not None
    assert (offer.format, offer.filename, offer.scope.user_id) == ("csv", "usage-2026-11-16-to-2026-11-22-openai.csv", ada.id)
    assert offer.scope.vendors == ("openai",)
    assert downloads.REGISTRY.take(link, ada.id, now=NOW) is None


def test_each_format_has_its_link_and_its_line(book, ada, record, open_app):
    book.behind_web = True
    record(ada)
    app = open_app(ada, page=PAGE)
    app.segmented_control(key="format").set_value("parquet").run()
    offer = downloads.REGISTRY.take(address_of(app).removeprefix("/download/"), ada.id, now=NOW)
    assert offer is not None
    assert offer.format == "parquet"
    assert "/usage/export?format=parquet&since=2026-11-16T00:00:00Z&until=2026-11-22T14:30:00Z" in app.code[0].value


def test_a_month_is_one_click_and_the_running_one_ends_today(book, ada, record, open_app):
    book.behind_web = True
    record(ada)
    record(ada, ago=timedelta(days=25))
    app = open_app(ada, page=PAGE)
    assert [button.label for button in app.button if str(button.key).startswith("month-")] == ["Nov", "Oct"]
    app.button(key="month-2026-10-01").click().run()
    assert "**1 record** from Oct 1 – Oct 31, 2026 (UTC)" in text_of(app)
    assert offered(app, ada).filename == "usage-2026-10-01-to-2026-10-31.csv"
    app.button(key="month-2026-11-01").click().run()
    assert not app.exception and app.session_state["to"] == NOW.date()


def test_without_the_routes_of_web_it_says_so(ada, record, open_app):
    record(ada)
    app = open_app(ada, page=PAGE)
    assert not app.get("link_button")
    assert "Downloads need the routes of `byok web`" in text_of(app)


def test_nothing_to_export_is_said_in_words(ada, record, open_app):
    assert headings(open_app(ada, script=PAGE)) == ["No calls yet"]
    record(ada, ago=timedelta(days=20))
    assert headings(open_app(ada, script=PAGE)) == ["Nothing matches"]


def test_signed_out_it_shows_the_form_only(ada, record, open_app):
    record(ada)
    assert "Records" not in headings(open_app(None, script=PAGE))


def offered(app, user):
    offer = downloads.REGISTRY.take(address_of(app).removeprefix("/download/"), user.id, now=NOW)
    assert offer is not None
    return offer


def test_the_name_of_a_file_names_the_filters(book, ada, record, open_app):
    book.behind_web = True
    record(ada, model="openai/gpt 4o", status=429)
    record(ada)
    app = open_app(ada, page=PAGE, vendor=["openai"], model=["openai/gpt 4o"], status=["429"])
    assert offered(app, ada).filename == "usage-2026-11-16-to-2026-11-22-openai-openai-gpt-4o-429.csv"


def test_sums_are_those_that_the_pages_show(book, ada, record, open_app):
    book.behind_web = True
    record(ada)
    app = open_app(ada, page=PAGE)
    app.segmented_control(key="content").set_value("sums").run()
    app.multiselect(key="sums-by").set_value(["day", "model"]).run()
    offer = offered(app, ada)
    assert (offer.group_by, offer.filename) == (("day", "model"), "usage-2026-11-16-to-2026-11-22-by-day-model.csv")
    assert "group_by=day,model" in "".join(block.value for block in app.code)


def test_records_can_have_their_cost(book, ada, record, open_app):
    book.behind_web = True
    record(ada)
    app = open_app(ada, page=PAGE)
    assert not offered(app, ada).priced
    app.segmented_control(key="content").set_value("records-with-cost").run()
    assert offered(app, ada).priced


def test_the_example_in_python_runs(ada, record, open_app):
    record(ada)
    app = open_app(ada, page=PAGE, model=["gpt-4o-mini"])
    (example,) = [block.value for block in app.code if block.value.startswith("import os")]
    compile(example, "example", "exec")
    assert "'model': ['gpt-4o-mini']" in example
