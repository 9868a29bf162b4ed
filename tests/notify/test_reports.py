"""What a report says, in both parts, exactly; and what it must not say."""

from datetime import UTC, datetime, timedelta
from html import unescape

import pytest

from byok.accounts import access_tokens, key_vault, users
from byok.notify import email, reports, schedules
from tests.notify.conftest import NOW, spike

MILLION = {"prompt_tokens": 1_200_000, "completion_tokens": 34_567, "total_tokens": 1_234_567}


def week_ago(days: int = 7):
    """Wednesday of the week before by default."""
    return timedelta(days=days)


@pytest.fixture
def week(book):
    """A week with 1,003 calls, and one before with less."""
    none = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    book.record(book.ada, *(week_ago() + timedelta(seconds=number) for number in range(1000)), **none)
    book.record(book.ada, week_ago(), model="gpt-4o", **MILLION)
    for status in (429, 500):
        book.record(book.ada, week_ago(8), status=status, prompt_tokens=None, completion_tokens=None, total_tokens=None)
    book.record(book.ada, week_ago(14), vendor="anthropic", model="claude-haiku-4", prompt_tokens=1_000_000, total_tokens=1_000_010)
    book.record(book.ada, week_ago(1), model="gpt-4o", **MILLION)  # not complete yet
    book.record(book.bob, week_ago(), model="gpt-4o", **MILLION)
    return book


def both(book, kind="week", spikes=None, **more) -> tuple[str, str, reports.Report]:
    user = users.by_id(book.services.db, book.ada.id)
    report = reports.of_last(book.services, user, kind, now=book.now, spikes=spikes)
    mail = reports.mail(book.services, report, "rep_1", **more)
    return mail.text, unescape(mail.html), report


def test_both_parts_hold_the_figures(week):
    text, html, report = both(week)
    assert report.subject == "BYOK usage, week 2026-W47, 2026-11-16 to 2026-11-22"
    for part in (text, html):
        for figure in ("1,003", "1,234,567", "$3.35"):  # 1.2 M x 2.50 + 34,567 x 10.00 USD per million
            assert figure in part
    assert [(figure.name, figure.now) for figure in report.figures] == [
        *(("Calls", "1,003"), ("Failed", "2"), ("Tokens", "1,234,567"), ("Cost", "$3.35"))
    ]
    assert "usr_" not in text.split("Open in the dashboard")[0]


def test_what_changed_and_what_failed(week):
    text, html, report = both(week)
    assert [line.name for line in report.movers] == ["openai/gpt-4o", "anthropic/claude-haiku-4"]
    assert report.movers[0].cells == ("+$3.35", "new", "$0.00", "$3.35") and report.movers[1].cells[1] == "gone"
    assert "from 1" in text and "+100,200 %" in text
    assert [(line.name, line.cells[0]) for line in report.failures] == [("openai, status 429", "1"), ("openai, status 500", "1")]
    assert "openai, status 429" in text and "openai, status 429" in html


def test_an_empty_period_says_so(book):
    text, html, report = both(book, "day")
    assert "No call was made" in text and "No call was made" in html
    assert [figure.now for figure in report.figures] == ["0", "0", "0", "$0.00"]


def test_a_cost_that_is_not_known_is_no_zero(book):
    book.record(book.ada, timedelta(days=1), vendor="ollama", model="home-grown")
    _, _, report = both(book, "day")
    assert report.figures[3].now == "not known" and report.models[0].cells[-1] == "not known"


def test_a_model_of_which_no_cost_is_known_this_time_did_not_become_free(book):
    none = {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None}
    book.record(book.ada, week_ago(14), model="gpt-4o", **MILLION)
    book.record(book.ada, week_ago(), model="gpt-4o", status=500, **none)
    book.record(book.ada, week_ago(), prompt_tokens=1_000_000, completion_tokens=0, total_tokens=1_000_000)
    _, _, report = both(book)
    assert [(line.name, line.cells[0]) for line in report.movers] == [("openai/gpt-4o-mini", "+$0.15")]


def test_a_cost_below_half_a_cent_is_not_nothing(book):
    book.record(book.ada, week_ago(), prompt_tokens=1_000, completion_tokens=0, total_tokens=1_000)
    _, _, report = both(book)
    assert report.figures[3].now == report.models[0].cells[-1] == "<$0.01"


def test_days_are_those_of_the_zone(book):
    users.change(book.services.db, book.ada.id, tz="Pacific/Auckland")  # 26th, 03:30 there
    book.record(book.ada, timedelta(hours=4), total_tokens=777)
    _, _, report = both(book, "day")
    assert (report.period.name, report.figures[0].now) == ("2026-11-25", "1")


def test_retention_holds_and_is_said(week):
    users.change(week.services.db, week.ada.id, plan="free")
    text, html, report = both(week)
    assert report.figures[0].now == "2" and not report.movers, "what is exactly seven days old is kept"
    for part in (text, html):
        assert "keeps 7 days" in " ".join(part.split())


def test_what_expires_soon(book):
    db = book.services.db
    access_tokens.create(db, book.ada.id, now=book.now, label="<ci>", ttl_s=5 * 86400)
    access_tokens.create(db, book.ada.id, now=book.now, label="later", ttl_s=50 * 86400)
    key = key_vault.add(db, book.services.master, book.ada.id, "openai", "sk-secret-12345678", now=book.now, label="prod")
    key_vault.note_refused(db, key.id, now=book.now)
    text, html, report = both(book)
    assert [line.split()[2] for line in report.expiring] == ["<ci>", "the"]
    assert "<ci>" in text and "&lt;ci&gt;" in reports.mail(book.services, report, "x").html
    assert "sk-secret" not in text + html


def test_what_expires_soon_does_so_by_the_clock_of_the_report(book):
    """14:30 UTC is the next day in Auckland."""
    users.change(book.services.db, book.ada.id, tz="Pacific/Auckland", plan="indie")
    book.record(book.ada, timedelta(days=25))
    access_tokens.create(book.services.db, book.ada.id, now=book.now, label="ci", ttl_s=5 * 86400)
    _, _, report = both(book)
    assert report.expiring == (
        "Access token ci expires on 2026-12-01.",
        "Records from before 2026-11-03 03:30 Pacific/Auckland (UTC+13:00) are deleted within the next seven days: "
        "your plan (indie) keeps no more.",
    )


def test_spikes_are_told_with_their_reason(book):
    one = spike(book.ada, 24 * 7, why="81 % from key <b>prod</b>")
    text, html, _ = both(book, spikes=lambda scope: [one] if scope.since <= one.hour < scope.until else [])
    assert "81 % from key <b>prod</b>" in text and "12.0x" in html
    assert "2026-11-18 14:00 UTC" in text


def test_the_file_holds_the_figures_and_no_formula(week):
    week.record(week.ada, week_ago(), vendor="ollama", model="@sum", prompt_tokens=1, completion_tokens=1, total_tokens=2)
    _, _, report = both(week)
    name, text = reports.mail(week.services, report, "x", with_csv=True).attachment
    assert name == "usage-2026-W47.csv"
    assert text.splitlines()[0].startswith("vendor,model,") and "openai,gpt-4o," in text and ",'@sum," in text


def test_the_mail_is_ascii_and_no_line_is_too_long(week):
    _, _, report = both(week)
    made = email.message(reports.mail(week.services, report, "rep_1", with_csv=True), week.services.settings, NOW)
    lines = made.as_bytes().splitlines()
    assert max(map(len, lines)) < 998
    assert made["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    assert made.as_bytes().isascii()


def test_nothing_is_loaded_from_elsewhere(week):
    html = reports.mail(week.services, both(week)[2], "x").html
    for mark in ("<script", "<img", "<link", "url(", "@import", "http://fonts", "src="):
        assert mark not in html.lower()


def test_a_schedule_of_its_own_zone_is_what_the_mail_tells_of(book):
    period = schedules.last_complete("day", "Asia/Tokyo", NOW)
    assert "Asia/Tokyo" in reports.mail(book.services, reports.compose(book.services, book.ada, period, now=NOW), "x").text


def test_what_the_cost_leaves_out_is_said(week):
    assert "Not in the cost: 2 calls " in " ".join(both(week)[0].split()), "those that failed have no counts"
    week.record(week.ada, week_ago(), vendor="ollama", model="home-grown")
    text, html, _ = both(week)
    for part in (text, html):
        assert "Not in the cost: 3 calls whose price or token counts are not known." in " ".join(part.split())


def test_a_change_of_less_than_a_cent_is_none(book):
    for days, tokens in ((1, 1000), (2, 500)):
        counts = {"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens}
        book.record(book.ada, timedelta(days=days), vendor="openai", model="gpt-4o-mini", **counts)
    assert both(book, "day")[2].movers == ()


def test_an_hour_that_a_clock_change_repeats_is_told_apart(book):
    change = datetime(2026, 10, 25, 1, tzinfo=UTC)
    for minutes in (-90, -30, 30, 90):
        book.record(book.ada, NOW - change - timedelta(minutes=minutes))
    day = schedules.Period("day", change.date(), change.date(), "Europe/Berlin")
    report = reports.compose(book.services, book.ada, day, now=NOW)
    assert [line.name for line in report.steps] == ["01:00", "02:00 (UTC+02:00)", "02:00 (UTC+01:00)", "03:00"]
