"""The Explore page: each measure, each view, clicks, what is taken along, and whose calls it shows."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from urllib.parse import parse_qs

import pytest

from byok import downloads, export
from byok.accounts import users
from byok.ui import explore_actions, filters, names
from tests.pages.conftest import NOW
from tests.pages.reading import figure_of, headings, text_of

ADDITIVE = ["cost", "tokens", "calls", "failures"]
OTHERS = ["error-rate", "p50", "p95", "ttft", "cached"]


def explore(open_app, who, /, **query):
    return open_app(who, page="pages/explore.py", **query)


@pytest.fixture
def week(ada, record):
    """Two vendors, three models, one failure; one call of a week before."""
    record(ada, prompt_tokens=800_000, completion_tokens=200_000, cached_tokens=400_000, latency_ms=1_000, ttft_ms=100)
    record(ada, model="gpt-4o", ago=timedelta(days=2), latency_ms=3_000, ttft_ms=300, key_id="key_b")
    record(ada, model="gpt-4o", ago=timedelta(days=2, hours=3), status=429, prompt_tokens=None, completion_tokens=None, total_tokens=None)
    record(ada, vendor="anthropic", model="claude-haiku-4", ago=timedelta(days=3), total_tokens=500, prompt_tokens=500, latency_ms=None)
    record(ada, ago=timedelta(days=8))


def table_of(app):
    return app.dataframe[0].value.set_index("name")


@pytest.mark.parametrize(
    ("metric", "wholes"),
    [
        ("cost", {"openai": 2.74, "anthropic": 0.0004}),
        ("tokens", {"openai": 2_000_000, "anthropic": 500}),
        ("calls", {"openai": 3, "anthropic": 1}),
        ("failures", {"openai": 1, "anthropic": 0}),
        ("error-rate", {"openai": 100 / 3, "anthropic": 0}),
        ("p50", {"openai": 1.0, "anthropic": None}),
        ("p95", {"openai": 3.0, "anthropic": None}),
        ("ttft", {"openai": 0.1, "anthropic": 0.2}),
        ("cached", {"openai": 100 * 400_000 / 1_800_000, "anthropic": 0}),
    ],
)
def test_every_measure(week, ada, open_app, metric, wholes):
    found = table_of(explore(open_app, ada, metric=metric))["whole"]
    assert found.astype(object).where(found.notna(), None).to_dict() == pytest.approx(wholes)


@pytest.mark.parametrize("view", ["bars", "lines", "share", "cumulative"])
def test_every_view_draws_the_same_values(week, ada, open_app, view):
    app = explore(open_app, ada, metric="calls", by="model", view=view)
    figure = figure_of(app)
    traces = {trace["name"]: trace for trace in figure["data"]}
    assert set(traces) == {"gpt-4o", "gpt-4o-mini", "claude-haiku-4", "the 7 days before"} - (
        {"the 7 days before"} if view == "share" else set()
    )
    drawn = traces["gpt-4o"]["y"]
    assert {
        "bars": drawn == [0, 0, 0, 0, 2, 0, 0],
        "lines": drawn == [0, 0, 0, 0, 2, 0, 0],
        "share": drawn == [0, 0, 0, 0, 100, 0, 0],
        "cumulative": drawn == [0, 0, 0, 0, 2, 2, 2],
    }[view]
    assert figure["layout"]["height"] == 320


def test_a_table_alone_has_no_chart(week, ada, open_app):
    app = explore(open_app, ada, view="table")
    assert not app.get("plotly_chart")
    assert len(app.dataframe) == 1


@pytest.mark.parametrize("metric", OTHERS)
def test_what_does_not_add_up_is_drawn_as_lines_and_never_as_zero(week, ada, open_app, metric):
    figure = figure_of(explore(open_app, ada, metric=metric, view="share"))
    assert {trace["type"] for trace in figure["data"]} == {"scatter"}
    names_of_lines = [trace["name"] for trace in figure["data"]]
    assert "all of them" in names_of_lines
    assert "Other" not in names_of_lines
    openai = next(trace for trace in figure["data"] if trace["name"] == "openai")
    assert openai["y"][0] is None  # a day without calls has no latency


def test_two_levels(week, ada, open_app):
    app = explore(open_app, ada, by="vendor", by2="model", metric="calls")
    assert headings(app)[0] == "Calls by vendor and model"
    assert table_of(app)["whole"].to_dict() == {"openai › gpt-4o": 2, "openai › gpt-4o-mini": 1, "anthropic › claude-haiku-4": 1}
    colours = {trace["name"]: trace["marker"]["color"] for trace in figure_of(app)["data"]}
    assert len(set(colours.values())) == len(colours)


def test_the_largest_and_the_rest(ada, record, open_app):
    for number in range(9):
        record(ada, model=f"model-{number}", total_tokens=1000 * (number + 1))
    found = table_of(explore(open_app, ada, metric="tokens", by="model"))["whole"]
    assert list(found.index) == [f"model-{number}" for number in (8, 7, 6, 5, 4, 3)] + ["Other"]
    assert found["Other"] == 1000 + 2000 + 3000
    assert len(table_of(explore(open_app, ada, metric="tokens", by="model", top="12"))) == 9


def test_a_model_that_is_called_other_is_not_the_rest(ada, record, open_app):
    for number in range(9):
        record(ada, model=f"model-{number}", total_tokens=1000 * (number + 1))
    record(ada, model="Other", total_tokens=100_000)
    found = explore(open_app, ada, metric="tokens", by="model").dataframe[0].value
    assert found[found["name"] == "Other"]["whole"].tolist() == [100_000, 1000 + 2000 + 3000 + 4000]
    first, last = (trace for trace in figure_of(explore(open_app, ada, metric="tokens", by="model"))["data"] if trace["name"] == "Other")
    assert first["marker"]["color"] != last["marker"]["color"] and first["customdata"][0][0] == "Other" != last["customdata"][0][0]


def test_no_cell_of_the_table_writes_something_as_nothing(ada, record, open_app):
    for tokens, days in ((100_000, 1), (100, 2)):
        record(ada, ts=NOW - timedelta(days=days), prompt_tokens=tokens, completion_tokens=0, total_tokens=tokens)
    app = explore(open_app, ada, metric="cost", by="model")
    formats = {name: one.get("type_config", {}).get("format") for name, one in json.loads(app.dataframe[0].proto.columns).items()}
    assert table_of(app).loc["gpt-4o-mini", "Fri Nov 20, 2026"] == 0.000015
    assert formats["Fri Nov 20, 2026"] == formats["whole"] == "$%,.6f"


def test_a_day_that_is_clicked_is_shown_by_hour(week, ada, open_app):
    app = explore(open_app, ada, metric="calls", range="custom", grain="hour", **{"from": "2026-11-20", "to": "2026-11-20"})
    assert len(figure_of(app)["data"][0]["x"]) == 24
    assert "filters by that vendor" in text_of(app)


def chosen(user, **values):
    return filters.parse(values, user, names.Names(), now=NOW, browser_zone=None)


@pytest.mark.parametrize(
    ("grain", "first", "last", "finer"),
    [("day", date(2026, 11, 20), date(2026, 11, 20), "hour"), ("month", date(2026, 10, 1), date(2026, 10, 31), "day")],
)
def test_a_click_goes_one_grain_deeper(ada, monkeypatch, grain, first, last, finer):
    state: dict[str, object] = {}
    monkeypatch.setattr(explore_actions.st, "session_state", state)
    bucket = datetime(first.year, first.month, first.day, tzinfo=UTC)
    explore_actions.deeper(chosen(ada, range="90d", grain=grain), bucket, lambda: state.update(otherwise=True))
    assert state == {"range": "custom", "from": first, "to": last, "grain": finer}


def test_a_click_on_an_hour_filters_by_what_was_clicked(ada, monkeypatch):
    state: dict[str, object] = {}
    monkeypatch.setattr(explore_actions.st, "session_state", state)
    explore_actions.deeper(chosen(ada, range="24h"), NOW, lambda: state.update(otherwise=True))
    assert state == {"otherwise": True}


def test_a_row_of_two_levels_filters_by_both(ada, monkeypatch):
    state: dict[str, object] = {}
    monkeypatch.setattr(explore_actions.st, "session_state", state)
    explore_actions.narrow(chosen(ada, by="vendor", by2="model"), names.Names(), ["openai", "gpt-4o"])
    assert state == {"vendor": ["openai"], "model": ["gpt-4o"]}


def file_of(app, book, user, monkeypatch, fmt):
    """What the download offers; `offers.shown_link` needs the routes of web."""
    offered = []
    monkeypatch.setattr(book, "behind_web", True)
    monkeypatch.setattr(downloads, "offer", lambda *args, **named: offered.append((args, named)) or "/download/x")
    app.segmented_control(key="shown-format").set_value(fmt).run()
    (args, named) = offered[-1]
    assert args[0] == user.id
    return b"".join(export.file(args[2], args[1])), args, named


def test_the_file_is_what_is_shown_with_the_filters_named(week, ada, book, open_app, monkeypatch):
    app = explore(open_app, ada, by="model", vendor=["openai"], tz="Europe/Berlin")
    made, args, _ = file_of(app, book, ada, monkeypatch, "json")
    told = json.loads(made, parse_float=Decimal)
    assert told["filters"]["vendor"] == "openai"
    assert told["filters"]["shows"] == "cost by model, per day"
    assert told["filters"]["period"].endswith("(Europe/Berlin)")
    assert sum(row["cost_usd"] for row in told["rows"]) == Decimal("2.740000000")
    assert {row["model"] for row in told["rows"]} == {"gpt-4o", "gpt-4o-mini"}
    assert len(told["rows"]) == 2 * 7
    assert args[3] == "shown-2026-11-16-to-2026-11-22-openai.json"
    made, _, _ = file_of(app, book, ada, monkeypatch, "csv")
    lines = made.decode().splitlines()
    assert [line for line in lines if line.startswith("# vendor")] == ["# vendor: openai"]
    assert next(line for line in lines if not line.startswith(("#", '"#'))) == "day,model,cost_usd"


def test_a_file_about_others_is_for_admins_only(week, book, open_app, monkeypatch):
    root = users.add(book.db, "root@example.org", now=NOW, plan="team", admin=True)
    _, _, named = file_of(explore(open_app, root, user=["everyone"]), book, root, monkeypatch, "csv")
    assert named["admins_only"]


def test_without_a_price_nothing_is_drawn_and_no_sum_is_zero(ada, record, open_app):
    record(ada, model="kimi-of-tomorrow", vendor="moonshot")
    app = explore(open_app, ada)
    assert not app.get("plotly_chart")
    assert "Cost is not known of any of these calls" in text_of(app)
    assert table_of(app)["whole"].isna().all()


def test_a_long_name_is_short_in_legend_and_table_and_whole_where_it_is_pointed_at(ada, record, open_app):
    name = "an-organisation-with-a-name/a-model-with-a-very-long-name-instruct-28"
    record(ada, model=name, vendor="openrouter")
    app = explore(open_app, ada, by="model", metric="tokens")
    (trace,) = figure_of(app)["data"]
    assert (trace["name"], trace["meta"]) == ("a-model-with…y-long-name-instruct-28", name)
    assert table_of(app).index.tolist() == ["a-model-w…g-name-instruct-28"]


def link_to_sql(app):
    (link,) = [link for link in app.get("page_link") if link.proto.label == "Open in SQL"]
    return link.proto


def test_the_question_in_sql(week, ada, open_app):
    link = link_to_sql(explore(open_app, ada, metric="failures", by="key", status=["failed"]))
    text = parse_qs(link.query_string)["q"][0]
    assert link.page == "sql"
    assert "(status between 100 and 199 or status between 300 and 999)" in text
    assert "group by all" in text


def test_no_sql_about_others(week, book, open_app):
    root = users.add(book.db, "root@example.org", now=NOW, plan="team", admin=True)
    app = explore(open_app, root, user=["everyone"], by="user")
    assert link_to_sql(app).disabled
    assert table_of(app).index.tolist() == ["ada"]


def test_empty_in_its_three_ways(book, ada, record, open_app):
    assert headings(explore(open_app, ada))[-1] == "No calls yet"
    record(ada, ago=timedelta(days=20))
    assert "Nothing matches" in headings(explore(open_app, ada))
    grace = users.add(book.db, "grace@example.org", now=NOW, plan="free")
    record(grace)
    assert "No longer kept" in headings(explore(open_app, grace, range="last-month"))


def test_another_users_deep_link_shows_ones_own(week, ada, book, record, open_app):
    eve = users.add(book.db, "eve@example.org", now=NOW, plan="indie")
    record(eve, model="eves-model", vendor="openai", key_id="key_eve1")
    app = explore(open_app, eve, user=[ada.id], metric="calls", by="model")
    assert table_of(app)["whole"].to_dict() == {"eves-model": 1}
    assert not app.exception


def test_signed_out_there_is_nothing(week, open_app):
    page = open_app(None, script="pages/explore.py")
    assert not page.dataframe
    assert not page.get("plotly_chart")


def test_the_page_opens_without_the_frame(week, ada, open_app):
    assert len(open_app(ada, script="pages/explore.py").dataframe) == 1


def test_calls_that_all_failed_were_made_though_none_was_timed(ada, record, open_app):
    record(ada, status=429, prompt_tokens=None, completion_tokens=None, total_tokens=None, usage_source="none")
    said = text_of(explore(open_app, ada, metric="p50"))
    assert "No time of a successful call was measured." in said
    assert "Nothing matches" not in said
