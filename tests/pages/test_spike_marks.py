"""Spikes on the charts: a diamond with the reason, in words below, and nothing that a key's name could do to the page."""

from datetime import timedelta

import pytest

from byok.accounts import key_vault
from tests.pages.conftest import NOW
from tests.pages.reading import figure_of, text_of

DAYS = 20


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
