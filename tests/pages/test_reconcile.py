"""The page Reconcile: an export in, a comparison out, nothing kept."""

import asyncio
from datetime import UTC, datetime

from starlette.datastructures import Headers
from starlette.formparsers import MultiPartParser

from byok.accounts import users
from tests.pages.conftest import NOW
from tests.pages.reading import text_of

PAGE = "pages/reconcile.py"
EXPORT = "usage_date_utc,model_version,usage_input_tokens_no_cache,usage_output_tokens\n2026-11-22,claude-haiku-4-5-20251001,{tokens},0\n"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def upload(app, text: str):
    return app.file_uploader[0].upload("export.csv", text.encode(), "text/csv").run()


def test_it_says_how_much_was_captured(book, ada, record, open_app):
    record(ada, ts=NOON, vendor="anthropic", model="claude-haiku-4-5", prompt_tokens=992, completion_tokens=0)
    app = upload(open_app(ada, page=PAGE), EXPORT.format(tokens=1000))
    assert [(card.label, card.value) for card in app.metric] == [
        ("Captured", "99.2 %"),
        ("anthropic says (tokens)", "1,000"),
        ("The gateway saw (tokens)", "992"),
    ]
    (table,) = app.dataframe
    assert table.value["Captured"].tolist() == [0.992]
    assert b"992" not in b"".join(path.read_bytes() for path in book.settings.data.rglob("*.csv"))


def test_what_is_uploaded_touches_no_disk(ada, open_app, monkeypatch):
    monkeypatch.setattr(MultiPartParser, "spool_max_size", 2**20)
    open_app(ada, page=PAGE)

    async def body():
        yield b'--x\r\nContent-Disposition: form-data; name="f"; filename="export.csv"\r\n\r\n' + b"1,1\n" * 2**19 + b"\r\n--x--\r\n"

    parser = MultiPartParser(Headers({"content-type": "multipart/form-data; boundary=x"}), body())
    upload = asyncio.run(parser.parse())["f"]
    assert upload.size == 2**21
    assert upload._in_memory


def test_a_bad_file_is_refused_by_line_and_column(book, ada, open_app):
    app = upload(open_app(ada, page=PAGE), EXPORT.format(tokens="many"))
    assert "Line 2" in app.error[0].value.replace("\\", "")
    assert "usage_input_tokens_no_cache" in app.error[0].value.replace("\\", "")


def test_other_peoples_calls_are_not_captured(book, ada, record, open_app):
    eve = users.add(book.db, "eve@example.org", now=NOW)
    record(eve, ts=NOON, vendor="anthropic", model="claude-haiku-4-5", prompt_tokens=1000, completion_tokens=0)
    app = upload(open_app(ada, page=PAGE), EXPORT.format(tokens=1000))
    assert app.metric[0].value == "0.0 %"


def test_signed_out_it_shows_the_form_only(ada, open_app):
    assert "Export" not in text_of(open_app(None, script=PAGE))
