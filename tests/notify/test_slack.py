"""What Slack gets: names letter by letter, and nobody called."""

import json
from dataclasses import replace

import pytest

from byok.notify import findings, slack
from tests.notify.conftest import NOW, spike


def told(ada, **fields):
    found = findings.sample(ada.id, NOW)
    return findings.words(replace(found, **fields), "alert", "a&b@example.org", "Europe/Berlin", "http://localhost:8501")


def test_the_text_names_everything(book):
    one = spike(book.ada)
    words = findings.words(
        replace(findings.sample(book.ada.id, NOW), actual=one.actual, usual=one.usual, times=12.345, why="mostly key prod-7"),
        "alert",
        "ada@example.org",
        "Europe/Berlin",
        "http://localhost:8501",
    )
    text = slack.message(words)["text"]
    when = "2026-11-25 15:00 Europe/Berlin (UTC+01:00)"
    for part in (
        "ada@example.org",
        "openai/gpt-4o-mini",
        "120,000",
        "10,000",
        "12.3x",
        when,
        "mostly key prod-7",
    ):
        assert part in text


def test_markup_in_names_is_shown_and_mentions_call_nobody(book):
    why = "key <!channel> *x* <https://evil.example|click> & @here @CHANNEL @everyone ada@here.example <@U123>"
    sent = json.dumps(slack.message(told(book.ada, why=why)), ensure_ascii=False)
    for call in ("<!", "<@", "<https://evil", "@here ", "@CHANNEL", "@everyone"):
        assert call not in sent
    assert "a&amp;b@example.org" in sent and "ada@here.example" in sent and "&lt;!channel&gt;" in sent


def test_a_key_that_is_new_is_no_model(book):
    found = replace(
        findings.sample(book.ada.id, NOW), kind="first_use", vendor="groq", model="", why="First use of key prod in eight weeks."
    )
    words = findings.words(found, "alert", "ada@example.org", "UTC", "http://localhost:8501")
    assert words.title == "groq: first use of a key" and dict(words.rows)["Vendor"] == "groq"
    assert words.text == "Alert for ada@example.org: groq, first call at 2026-11-25 14:00 UTC. First use of key prod in eight weeks."


@pytest.mark.parametrize(
    ("fields", "what", "title", "text"),
    [
        (
            {"metric": "calls", "actual": 400.0, "usual": 0.0, "times": None, "why": ""},
            *("alert", "openai/gpt-4o-mini: 400 calls, usually none"),
            "Alert for ada@example.org: openai/gpt-4o-mini: 400 calls in 2026-11-25 14:00 UTC, usually 0 calls.",
        ),
        (
            {"kind": "silence", "actual": 7.6, "usual": 0.0, "times": None, "why": ""},
            *("alert", "openai/gpt-4o-mini: no call for 7 hours"),
            "Alert for ada@example.org: openai/gpt-4o-mini: no call for 7 hours. Last call at 2026-11-25 14:00 UTC.",
        ),
        ({"kind": "silence", "actual": 1.0}, "alert", "openai/gpt-4o-mini: no call for 1 hour", "no call for 1 hour. "),
        (
            {"kind": "silence", "actual": 1.0},
            "resolved",
            "Over: openai/gpt-4o-mini: calls again",
            "Last call before at 2026-11-25 14:00 UTC.",
        ),
    ],
)
def test_what_is_said_is_what_was_found(book, fields, what, title, text):
    found = replace(findings.sample(book.ada.id, NOW), **fields)
    words = findings.words(found, what, "ada@example.org", "UTC", "http://localhost:8501")
    assert words.title == title and text in words.text
    assert "Times" not in dict(words.rows) and all(value for _, value in words.rows)


def test_control_characters_and_line_ends_are_gone(book):
    text = slack.message(told(book.ada, why="a\nb\r\x00c\u202ed"))["text"]
    assert "a b" in text and not set(text) & set("\n\r\x00\u202e")


def test_the_link_leads_to_that_day(book):
    (_, context) = slack.message(told(book.ada))["blocks"]
    link = context["elements"][0]["text"]
    assert "range=custom&amp;from=2026-11-25&amp;to=2026-11-25&amp;tz=Europe%2FBerlin" in link and "model=gpt-4o-mini" in link
