"""SQL: the user's own question, its answer, its file, and what is said when there is none."""

import time
from concurrent.futures import wait

import pyarrow as pa
import pytest

from byok import downloads, export, services, sql_sessions
from byok.accounts import sessions, users
from byok.cli.sql import _own
from byok.settings import Settings
from byok.store import formatting, sandbox
from byok.ui import sql_answer, sql_tables
from tests.pages.conftest import NOW
from tests.pages.reading import headings, text_of

PAGE = "pages/sql.py"
ENDLESS = "select count(*) from range(1_000_000) a, range(1_000_000) b"


@pytest.fixture(autouse=True)
def no_process_stays(book):
    yield
    sql_sessions.close(book)


@pytest.fixture
def signed_in(book, ada):
    """Ada, signed in somewhere: the process of one who is not would end at once."""
    sessions.start(book.db, ada.id, now=NOW)
    return ada


def ask(app, query: str | None = None):
    """Type, press Run, and wait for the answer."""
    if query is not None:
        app.text_area(key="sql-query").set_value(query)
    app.button(key="sql-go").click().run()
    return until_answered(app)


def until_answered(app):
    run = app.session_state["sql-run"]
    assert wait([run.answer], 60).done, "no answer within a minute"
    return app.run()


def test_it_answers_over_own_rows_only(book, ada, record, open_app):
    bob = users.add(book.db, "bob@example.org", now=NOW)
    record(ada, prompt_tokens=41)
    record(bob, prompt_tokens=1000)
    app = ask(open_app(ada, page=PAGE), "select sum(prompt_tokens) as t, count(distinct user_id) as people from usage")
    assert "**1 row** in" in text_of(app)
    assert app.dataframe[0].value.to_dict("records") == [{"t": 41, "people": 1}]


def test_the_command_answers_the_same(book, ada, record, open_app):
    for tokens in (5, 7):
        record(ada, prompt_tokens=tokens)
    query = "select model, prompt_tokens, cost_usd, ts from usage_priced order by prompt_tokens"
    shown = ask(open_app(ada, page=PAGE), query).session_state["sql-run"].answer.result()
    assert formatting.unique(shown.columns) == ["model", "prompt_tokens", "cost_usd", "ts"]
    assert shown.rows == _own(book, query, "ada@example.org")
    assert shown.rows.num_rows == 2


@pytest.mark.parametrize("example", sql_tables.EXAMPLES, ids=lambda example: example.title)
def test_every_example_answers(signed_in, record, example, book):
    ada = signed_in
    record(ada)
    record(ada, status=500, prompt_tokens=None, completion_tokens=None, total_tokens=None)
    answer = sql_sessions.pool(book).ask(ada.id, example.query, sql_sessions.rows_of(book, ada))
    assert answer.rows.num_rows > 0


def test_an_example_is_put_into_the_editor_and_not_run(ada, open_app):
    app = open_app(ada, page=PAGE)
    app.selectbox(key="sql-example").set_value(sql_tables.EXAMPLES[1].title).run()
    assert app.text_area(key="sql-query").value == sql_tables.EXAMPLES[1].query
    assert "sql-run" not in app.session_state


def test_an_address_brings_a_query_and_never_runs_it(ada, record, open_app):
    record(ada)
    app = open_app(ada, script=PAGE, q="select 42 as brought")
    assert app.text_area(key="sql-query").value == "select 42 as brought"
    app.run()
    assert "sql-run" not in app.session_state and not app.dataframe
    app.text_area(key="sql-query").set_value("select 1 as mine").run()
    assert app.text_area(key="sql-query").value == "select 1 as mine", "the address counts once"
    assert ask(app).dataframe[0].value.to_dict("records") == [{"mine": 1}]


def test_errors_are_shown_plainly_with_code_and_remedy(ada, open_app):
    app = open_app(ada, page=PAGE)
    for query, code, words in (
        ("select nothing from usage", "sql_failed", "nothing"),
        ("delete from usage", "sql_refused", "Only SELECT"),
        ("select * from read_csv('/etc/passwd')", "sql_refused", "disabled by configuration"),
        ("", "sql_refused", "empty"),
    ):
        said = text_of(ask(app, query))
        assert f"`{code}`" in said and words in said, said
        assert "Traceback" not in said


def test_a_running_query_can_be_cancelled(book, ada, open_app):
    app = open_app(ada, page=PAGE)
    app.text_area(key="sql-query").set_value(ENDLESS)
    app.button(key="sql-go").click().run()
    assert "Running for" in text_of(app)
    begun = time.monotonic()
    app.button(key="sql-stop").click().run()
    app = until_answered(app)
    assert time.monotonic() - begun < 4
    assert "Cancelled before there was an answer." in text_of(app)
    assert ask(app, "select 7 as again").dataframe[0].value.to_dict("records") == [{"again": 7}]


def test_what_was_cut_is_said(ada, open_app):
    assert "only the first 10,000 rows are shown" in text_of(ask(open_app(ada, page=PAGE), "select * from range(20_000)"))


def test_the_file_is_the_answer_that_is_shown_and_the_users_own(book, ada, record, open_app):
    book.behind_web = True
    record(ada)
    app = ask(open_app(ada, page=PAGE), "select model, 1 as model, '=1+1' as f from usage")
    (button,) = app.get("link_button")
    link = button.proto.url.removeprefix("/download/")
    assert downloads.REGISTRY.take(link, "usr_somebody", now=NOW) is None
    offer = downloads.REGISTRY.take(link, ada.id, now=NOW)
    assert (offer.format, offer.filename) == ("csv", "answer.csv")
    assert b"".join(export.file("csv", offer.answer)) == b"model,model_1,f\r\ngpt-4o-mini,1,'=1+1\r\n"
    assert downloads.REGISTRY.take(link, ada.id, now=NOW) is None
    assert not app.get("download_button"), "Streamlit's own files can be fetched by anyone"


def test_a_chart_goes_along_times_or_texts_and_keeps_gaps(ada, record, open_app):
    rows = pa.table({"m": ["<a href='x'>", "b"], "n": [1, None], "at": pa.array([0, 1], pa.timestamp("us", "UTC"))})
    assert sql_answer.axes(rows) == (["at", "m", "n"], ["n"])
    bars = sql_answer.quick(rows, "m", ["n"], mode="dark")["data"][0]
    assert (bars["type"], bars["x"], bars["y"]) == ("bar", ["&lt;a href=&#x27;x&#x27;&gt;", "b"], [1.0, None])
    lines = sql_answer.quick(rows, "at", ["n"], mode=None)["data"][0]
    assert (lines["type"], lines["x"][1]) == ("scatter", "1970-01-01T00:00:00.000001Z")
    record(ada)
    app = ask(open_app(ada, page=PAGE), "select model, count(*) as calls from usage group by all")
    assert app.get("plotly_chart")


def test_the_schema_browser_lists_what_there_is(book, signed_in):
    ada = signed_in
    pool, rows = sql_sessions.pool(book), sql_sessions.rows_of(book, ada)
    for table, (_, fields) in sql_tables.TABLES.items():
        said = pool.ask(ada.id, f"select column_name, lower(column_type) as type from (describe {table})", rows).rows.to_pylist()
        types = {"timestamp with time zone": "timestamptz"}
        assert [(row["column_name"], types.get(row["type"], row["type"])) for row in said] == [(f.name, f.type) for f in fields], table


def test_without_calls_it_says_that_there_are_none(ada, open_app):
    app = ask(open_app(ada, page=PAGE), "select * from usage")
    assert "**0 rows**" in text_of(app) and "No call was recorded yet" in text_of(app)


def test_another_user_in_the_same_tab_sees_neither_answer_nor_query(book, ada, record, open_app):
    bob = users.add(book.db, "bob@example.org", now=NOW)
    app = ask(open_app(ada, page=PAGE), "select 'of ada' as whose")
    assert app.dataframe
    app.session_state["own_session"] = sessions.start(book.db, bob.id, now=NOW)
    app.switch_page("pages/keys.py").run().switch_page(PAGE).run()
    assert not app.dataframe
    assert "of ada" not in app.text_area(key="sql-query").value


def test_signed_out_it_shows_the_form_only(ada, record, open_app):
    record(ada)
    app = open_app(None, script=PAGE, q="select 1")
    assert "Tables" not in headings(app)
    assert not [area for area in app.text_area if area.key == "sql-query"]


@pytest.mark.parametrize(
    ("chosen", "walls_missing", "people", "is_open", "says"),
    [
        ("auto", (), 3, True, ""),
        ("auto", ("landlock",), 1, True, "lacks Landlock"),
        ("auto", ("landlock", "seccomp"), 2, False, "BYOK_SQL_CONSOLE=on"),
        ("on", ("landlock",), 2, True, "operator allows"),
        ("off", (), 1, False, "BYOK_SQL_CONSOLE=off"),
    ],
)
def test_where_it_is_open(book, ada, open_app, monkeypatch, chosen, walls_missing, people, is_open, says):
    for number in range(people - 1):
        users.add(book.db, f"more{number}@example.org", now=NOW)
    book.settings = Settings(**(book.settings.model_dump() | {"sql_console": chosen}))
    monkeypatch.setattr(sandbox, "missing_walls", lambda: walls_missing)
    app = open_app(ada, page=PAGE)
    assert says in text_of(app)
    assert bool([area for area in app.text_area if area.key == "sql-query"]) == is_open
    assert ("Not available here" in headings(app)) != is_open
    assert sql_sessions.standing(services.current()).walls == (() if walls_missing or chosen == "off" else sql_sessions.WALLS)
