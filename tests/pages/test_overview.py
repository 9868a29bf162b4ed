"""The Overview page: full, empty in its three ways, signed out, and what must not be mistaken for something else."""

from datetime import timedelta

import pytest

from byok.accounts import key_vault, users
from byok.store.engine import StoreUnreadable
from byok.ui import explored
from tests.pages.conftest import NOW
from tests.pages.reading import figure_of, headings, text_of


def test_four_cards_a_chart_and_a_table(ada, record, open_app):
    record(ada)
    record(
        ada, vendor="anthropic", model="claude-haiku-4", ago=timedelta(days=2), total_tokens=500, prompt_tokens=400, completion_tokens=100
    )
    record(ada, status=429, prompt_tokens=None, completion_tokens=None, total_tokens=None, usage_source="none")
    app = open_app(ada)
    assert [(card.label, card.value) for card in app.metric] == [
        ("Cost", "$0.15"),
        ("Calls", "3"),
        ("Tokens", "1M"),
        ("Error rate", "33 %"),
    ]
    assert headings(app) == ["Cost by vendor", "Every vendor"]
    (table,) = app.dataframe
    assert table.value["name"].tolist() == ["openai", "anthropic"]
    assert table.value["cost"].tolist() == [0.15, 0.00072]
    assert table.value["errors"].tolist() == [1, 0]


def test_a_period_is_compared_with_the_same_elapsed_time_before(ada, record, open_app):
    record(ada)
    record(ada, ago=timedelta(days=7, hours=1))
    record(ada, ago=timedelta(days=6, hours=23))  # seven days ago, but later in the day than now: not yet elapsed
    app = open_app(ada)
    assert [card.delta for card in app.metric][1:3] == ["0", "0"]
    assert "compared with the 7 days before" in text_of(app)


def test_no_comparison_with_a_time_that_is_not_kept(book, record, open_app):
    grace = users.add(book.db, "grace@example.org", now=NOW, plan="free")
    record(grace)
    app = open_app(grace)
    assert [card.delta for card in app.metric] == [""] * 4
    assert "compared with" not in text_of(app)


def test_before_the_first_call_the_page_shows_how_to_make_it(book, ada, open_app):
    app = open_app(ada)
    assert headings(app) == ["No calls yet"]
    assert f"curl {book.settings.programs_url}/v1/chat/completions" in app.code[-1].value
    assert '"model": "echo/echo-1"' in app.code[-1].value


def test_the_page_fills_when_the_first_call_arrives(ada, record, open_app):
    app = open_app(ada)
    record(ada)
    assert headings(app.run()) == ["Cost by vendor", "Every vendor"]


def test_filters_that_match_nothing_can_be_cleared(ada, record, open_app):
    record(ada)
    record(ada, vendor="gemini", model="gemini-2.5-flash", ago=timedelta(days=20))
    app = open_app(ada, vendor=["gemini"])
    assert headings(app) == ["Nothing matches"]
    app.button(key="clear-nothing").click().run()
    assert headings(app) == ["Cost by vendor", "Every vendor"]


def test_a_period_before_the_plan_names_day_and_plan(book, record, open_app):
    grace = users.add(book.db, "grace@example.org", now=NOW, plan="free")
    record(grace)
    app = open_app(grace, range="last-month")
    assert headings(app) == ["No longer kept"]
    assert "Your plan (free) keeps 7 days: calls since Nov 15, 2026" in text_of(app)


@pytest.mark.parametrize(("former", "word"), [("mtd", "month"), ("lastmonth", "last-month")])
def test_an_address_of_an_earlier_version_says_the_same(former, word, ada, record, open_app):
    record(ada)
    app = open_app(ada, range=former)
    assert app.session_state["range"] == word
    assert app.query_params["range"] in (word, [word])


def test_a_period_longer_than_the_plan_is_shown_and_said_to_be_cut(book, record, open_app):
    grace = users.add(book.db, "grace@example.org", now=NOW, plan="free")
    record(grace)
    record(grace, ago=timedelta(days=8))
    app = open_app(grace, range="90d")
    assert "Your plan (free) keeps 7 days" in text_of(app)
    assert app.metric[1].value == "1"


def test_an_unknown_price_is_a_dash_and_never_zero(ada, record, open_app):
    record(ada, model="kimi-of-tomorrow", vendor="moonshot")
    app = open_app(ada)
    assert app.metric[0].value == "—"
    assert "No price is known for `moonshot/kimi-of-tomorrow`" in text_of(app)
    assert app.dataframe[0].value["cost"].isna().all()
    assert "$0.00" not in text_of(app)
    assert headings(app)[0] == "Tokens by vendor"  # there is no money to draw
    assert "No price of these calls is known: this shows tokens instead." in text_of(app)


def test_where_nothing_cost_anything_the_chart_shows_tokens_and_where_all_failed_calls(ada, record, open_app):
    record(ada, vendor="echo", model="echo-1")
    free = open_app(ada)
    assert headings(free)[0] == "Tokens by vendor"
    assert "None of these calls cost anything: this shows tokens instead." in text_of(free)
    record(ada, status=429, prompt_tokens=None, completion_tokens=None, total_tokens=None, usage_source="none")
    assert headings(open_app(ada, status=["failed"]))[0] == "Calls by vendor"


def test_the_running_bucket_is_marked(ada, record, open_app):
    record(ada)
    figure = figure_of(open_app(ada))
    assert [note["text"] for note in figure["layout"]["annotations"]] == ["so far"]
    assert figure["data"][0]["marker"]["opacity"][-1] < 1
    last_month = figure_of(open_app(ada, range="30d"))
    assert len(last_month["data"][0]["x"]) == 30


@pytest.mark.parametrize(
    ("query", "calls"),
    [({"vendor": ["openai"]}, "2"), ({"status": ["failed"]}, "2"), ({"model": ["gpt-4o"]}, "1"), ({"key": ["key_b"]}, "1")],
)
def test_the_address_filters(ada, record, open_app, query, calls):
    record(ada)
    record(ada, model="gpt-4o", status=503)
    record(ada, vendor="gemini", model="gemini-2.5-flash", key_id="key_a", status=703)
    record(ada, vendor="gemini", model="gemini-2.5-flash", key_id="key_b")
    assert open_app(ada, **query).metric[1].value == calls


def test_senseless_words_in_the_address_count_as_not_said(ada, record, open_app):
    record(ada)
    app = open_app(ada, range="forever", tz="Mars/Olympus", by="user_id", grain="week", vendor=["no body"], status=["abc"])
    assert app.metric[1].value == "1"


def test_another_users_calls_are_never_counted(book, ada, record, open_app):
    eve = users.add(book.db, "eve@example.org", now=NOW, plan="indie")
    record(eve, model="gpt-4o", vendor="openai", key_id="key_eve1")
    record(ada)
    app = open_app(ada, by="key", state={"filters": True})
    assert app.metric[1].value == "1"
    assert "key_eve1" not in str(app.multiselect(key="key").options)
    assert headings(open_app(eve, model=["gpt-4o-mini"])) == headings(open_app(eve, model=["gpt-0"])) == ["Nothing matches"]


def test_signed_out_there_is_a_form_and_nothing_else(ada, record, open_app):
    record(ada)
    app = open_app(None, vendor=["openai"])
    assert app.title[0].value == "BYOK"
    assert not app.metric
    assert not app.dataframe
    page = open_app(None, script="pages/overview.py")
    assert not page.metric


def test_the_page_opens_without_the_frame(ada, record, open_app):
    record(ada)
    assert open_app(ada, script="pages/overview.py").metric[1].value == "1"


def test_a_session_that_was_ended_shows_nothing_more(book, ada, record, open_app):
    from byok.accounts import sessions

    record(ada)
    app = open_app(ada)
    assert app.metric
    sessions.end_others(book.db, ada.id, None)
    assert not app.run().metric


def test_one_key_has_its_page(book, ada, record, open_app):
    key = key_vault.add(book.db, book.master, ada.id, "openai", "sk-0123456789", now=NOW - timedelta(days=3), label="laptop")
    record(ada, key_id=key.id)
    record(ada)
    app = open_app(ada, key=["laptop-6789"], by="model")
    assert "openai · laptop · …6789** · added Nov 19, 2026 · never used" in text_of(app)
    assert app.metric[1].value == "1"
    assert "laptop" not in text_of(open_app(ada))


def test_one_user_has_a_page_for_admins(book, ada, record, open_app):
    root = users.add(book.db, "root@example.org", now=NOW, plan="team", admin=True)
    record(ada)
    assert "**Ada** · indie plan, keeps 30 days" in text_of(open_app(root, user=["ada"]))
    assert "indie plan, keeps" not in text_of(open_app(ada, user=["ada"]))


def test_a_measure_of_the_explore_page_is_drawn_as_lines(ada, record, open_app):
    record(ada)
    app = open_app(ada, metric="p95")
    assert headings(app)[0] == "Latency, p95 by vendor"
    assert {trace["type"] for trace in figure_of(app)["data"]} == {"scatter"}


def test_the_period_before_is_a_dotted_line(ada, record, open_app):
    record(ada)
    record(ada, ago=timedelta(days=7, hours=1))
    dotted = [trace for trace in figure_of(open_app(ada))["data"] if trace.get("line", {}).get("dash") == "dot"]
    assert [trace["name"] for trace in dotted] == ["the 7 days before"]
    assert dotted[0]["y"] == [0, 0, 0, 0, 0, 0, 0.15]
    assert not [trace for trace in figure_of(open_app(ada, cmp="off"))["data"] if trace["type"] == "scatter"]


def test_a_fault_of_one_card_leaves_the_others(ada, record, open_app, monkeypatch):
    record(ada)
    monkeypatch.setattr(explored, "answer", lambda *_, **__: 1 / 0)
    app = open_app(ada)
    (fault,) = app.error
    assert "the log has more under" in fault.value
    assert "ZeroDivision" not in text_of(app)
    assert len(app.metric) == 4
    assert len(app.dataframe) == 1
    monkeypatch.undo()
    app.button(key="again-Cost by vendor").click().run()
    assert not app.error
    assert figure_of(app)


def test_a_fault_with_a_remedy_says_it(ada, record, open_app, monkeypatch):
    record(ada)

    def failing(*_: object, **__: object) -> None:
        raise StoreUnreadable

    monkeypatch.setattr(explored, "answer", failing)
    assert "Try again; if it persists, run: byok doctor" in open_app(ada).error[0].value


def test_times_of_calls_that_all_failed_are_said_not_to_be_measured(ada, record, open_app):
    record(ada, status=429, prompt_tokens=None, completion_tokens=None, total_tokens=None, usage_source="none")
    app = open_app(ada, metric="p95")
    assert not app.error
    assert "No time of a successful call was measured." in text_of(app)
    assert not app.get("plotly_chart")
