"""Spikes on the charts: a diamond with the reason, in words below, and nothing that a key's name could do to the page."""

import threading
from datetime import timedelta

import pytest

from byok import services
from byok.accounts import key_vault
from byok.spikes.episodes import Episode, Spike
from byok.store import unusual
from byok.store.scope import Scope
from byok.ui import marks, spike_search
from tests.pages.conftest import NOW
from tests.pages.reading import figure_of, text_of

DAYS = 20


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """These pages wait for what is searched for beside them."""
    monkeypatch.setattr(spike_search, "PATIENCE_S", 60)


@pytest.fixture
def runaway(book, ada, record):
    """Six calls an hour around the clock, and two hundred of them three hours ago."""
    key = key_vault.add(book.db, book.master, ada.id, "openai", "sk-0123456789", now=NOW, label="**night** <b>bot</b>").id
    for hours in range(1, 24 * DAYS):
        for n in range(200 if hours == 3 else 6):
            record(ada, ago=timedelta(hours=hours, seconds=-n), key_id=key, prompt_tokens=100, total_tokens=100)
    return ada


def diamonds(app):
    return [trace for trace in figure_of(app)["data"] if trace.get("marker", {}).get("symbol") == "diamond"]


@pytest.mark.parametrize("page", [None, "pages/explore.py"])
def test_a_spike_is_a_diamond_over_its_bar_with_the_reason_in_words(runaway, open_app, page):
    app = open_app(runaway, page=page, range="7d", grain="day", metric="calls", by="model")
    (trace,) = diamonds(app)
    assert [len(trace["x"]), trace["x"][0][:10]] == [1, "2026-11-22"]
    top = sum(bars["y"][bars["x"].index(trace["x"][0])] for bars in figure_of(app)["data"] if bars["type"] == "bar")
    assert trace["y"][0] > top
    (name, sentence, *_) = trace["customdata"][0]
    assert name == "" and "33.3 × the usual Sunday 11:00" in sentence
    assert "<b>bot" not in sentence and "&lt;b&gt;bot" in sentence
    said = text_of(app).replace("\\", "")
    assert "33.3 × the usual Sunday 11:00" in said and "from key **night**" in said
    assert "\\*\\*night" in text_of(app)


def test_the_chart_does_not_wait_for_its_marks_and_what_was_found_is_remembered(runaway, open_app, monkeypatch):
    go = threading.Event()
    found = [*unusual.episodes(services.current().engine, Scope(runaway.id, NOW - timedelta(days=7), NOW))]
    asked = []
    monkeypatch.setattr(unusual, "episodes", lambda *_: asked.append(go.wait(60)) or found)
    monkeypatch.setattr(spike_search, "PATIENCE_S", 0)
    app = open_app(runaway, range="7d", grain="day", metric="calls", by="model")
    assert diamonds(app) == [] and "Looking for spikes" in text_of(app)
    go.set()
    monkeypatch.setattr(spike_search, "PATIENCE_S", 60)
    assert len(diamonds(app.run())) == 1
    assert "Looking for spikes" not in text_of(app.run())
    assert len(asked) == 1


def test_where_the_page_has_another_zone_it_says_whose_clock_the_usual_hours_go_by(runaway, open_app):
    words = "What is usual at which hour goes by your own clock (UTC), all other times on this page by that of Asia/Kathmandu."
    assert words in text_of(open_app(runaway, range="7d", grain="day", tz="Asia/Kathmandu"))
    assert "your own clock" not in text_of(open_app(runaway, range="7d", grain="day", tz="UTC"))


def test_without_a_spike_there_is_no_diamond(ada, record, open_app):
    record(ada)
    app = open_app(ada)
    assert diamonds(app) == []
    assert "◆" not in text_of(app)


def test_spikes_are_of_all_keys_so_a_filter_of_keys_hides_them(runaway, open_app):
    assert diamonds(open_app(runaway, range="7d", grain="day", status="200")) == []


def test_a_quarter_of_an_hour_zone_and_hours_get_their_diamond_too(runaway, open_app):
    app = open_app(runaway, range="24h", grain="hour", tz="Asia/Kathmandu", metric="calls")
    assert len(diamonds(app)) == 1


def test_so_far_stands_above_the_diamond_of_the_last_bar():
    hours = [NOW - timedelta(hours=1), NOW]
    peak = Spike(NOW, "usr_a1", "openai", "gpt-4o", "calls", 9.0, 1.0, 9.0, 0.9, "more")
    spike = Episode("usr_a1", "openai", "gpt-4o", NOW, None, peak, (peak,))
    plain = {"data": [], "layout": {"annotations": [{"text": "so far", "yshift": 9}]}}
    assert marks.marked(plain, [spike], hours, [1.0, 9.0], mode="light")["layout"]["annotations"][0]["yshift"] > 9 + 11
    assert marks.marked(plain, [], hours, [1.0, 9.0], mode="light") == plain
