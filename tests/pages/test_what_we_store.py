"""What we store: the page is made from the record itself, so it cannot leave anything out."""

from datetime import timedelta

import msgspec

from byok.usage import COLUMN_NAMES, UsageRecord
from tests.pages.reading import text_of

PAGE = "pages/what_we_store.py"


def columns_shown(app) -> list[str]:
    return [name.replace("\\", "").strip("*") for name in app.table[0].value["Column"]]


def test_every_field_of_the_record_is_shown_in_its_order(ada, open_app):
    fields = [field.name for field in msgspec.structs.fields(UsageRecord)]
    assert columns_shown(open_app(ada, page=PAGE)) == fields == list(COLUMN_NAMES)


def test_the_newest_own_record_is_the_example(ada, record, open_app):
    record(ada, model="gpt-4o", total_tokens=1)
    made = record(ada, ago=timedelta(minutes=1), total_tokens=4711)
    table = open_app(ada, page=PAGE).table[0].value
    shown = dict(zip(COLUMN_NAMES, (cell.replace("\\", "") for cell in table["Your newest record"]), strict=True))
    assert shown["total_tokens"] == "4711"
    assert shown["user_id"] == made.user_id
    assert shown["cached_tokens"] == "null"


def test_empty_it_shows_an_invented_example_and_says_so(ada, open_app):
    app = open_app(ada, page=PAGE)
    assert "The example is invented" in text_of(app)
    assert "Example" in app.table[0].value.columns


def test_it_says_what_is_never_stored_and_for_how_long_the_rest(ada, open_app):
    said = text_of(open_app(ada, page=PAGE))
    assert "Prompts, messages" in said
    assert "Your plan (indie) keeps a record for 30 days" in said


def test_signed_out_it_shows_the_form_only(ada, open_app):
    assert not open_app(None, script=PAGE).table
