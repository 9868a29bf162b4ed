"""Numbers, addresses and lines to paste: every example in the docstrings holds."""

import doctest
import re
import shlex
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from byok import in_words, links
from byok.notify import findings, reports
from byok.spikes import why
from byok.store.scope import Scope, statuses_of
from byok.ui import charts, figure, periods, theme


@pytest.mark.parametrize(
    "module", [in_words, links, periods, theme, charts, figure, findings, reports, why], ids=lambda module: module.__name__
)
def test_examples_hold(module):
    outcome = doctest.testmod(module)
    assert outcome.attempted
    assert not outcome.failed


@pytest.mark.parametrize(
    ("usd", "written"),
    [(Decimal("0.000000001"), "$0.000000001"), (Decimal("-3.5"), "-$3.50"), (9999.5, "$9,999.50"), (Decimal("12345678.9"), "$12,345,679")],
)
def test_money_has_as_many_decimals_as_it_deserves(usd, written):
    assert in_words.money(usd) == written


@pytest.mark.parametrize(("now", "before", "share"), [(-2, -1, -1), (-1, -2, 0.5), (1, -2, 1.5), (-1, 2, -1.5), (3, 2, 0.5), (1, 0, None)])
def test_a_change_points_the_way_the_figure_went(now, before, share):
    assert in_words.change(now, before) == share


@pytest.mark.parametrize("usd", [Decimal("0.005"), 0.005, Decimal("0.000000001"), Decimal("0.00999")])
def test_no_amount_is_written_as_nothing(usd):
    for written in (in_words.money(usd), in_words.cents(usd), in_words.dollars(usd)):
        assert re.sub("[^1-9]", "", written), written


def test_neither_nothing_nor_all_is_said_of_what_is_nearly_so():
    nearly = [share / 10_000 for share in (1, 3, 40, 49, 9951, 9960, 9999)]
    for places in (None, 0, 1):
        assert not {in_words.percent(share, places) for share in nearly} & {"0 %", "0.0 %", "100 %", "100.0 %"}
    lost = {in_words.signed_percent(-share) for share in nearly}
    assert not lost & {"-0 %", "-0.0 %", "-100 %", "-100.0 %"}
    assert in_words.signed_percent(-1) == "-100 %"


def test_a_reason_that_is_nearly_all_of_it_is_not_all_of_it():
    at = datetime(2026, 11, 24, 13, tzinfo=UTC)
    assert "; >99 % of the excess from key prod-7" in why.sentence("calls", 612, 180, at, "UTC", key="prod-7", share=0.997)


def test_money_is_told_alike_in_pages_messages_and_reasons():
    assert findings.amount("cost", 0.00042) == in_words.money(0.00042) == "$0.00042"
    said = why.sentence("cost", 12.5, 0.00042, datetime(2026, 11, 24, 13, tzinfo=UTC), "Europe/Berlin")
    assert said == "more than 1,000 × the usual Tuesday 14:00 ($12.50, usually $0.00042)"


def test_the_first_call_is_one_that_a_shell_takes():
    words = shlex.split(links.first_call("http://127.0.0.1:8080", "byok_x_y").replace("\\\n", " "))
    assert words[:2] == ["curl", "http://127.0.0.1:8080/v1/chat/completions"]
    assert "Authorization: Bearer byok_x_y" in words


def test_the_export_line_names_the_whole_scope():
    scope = Scope("usr_a1", datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC), vendors=("openai",), statuses=(429, 500))
    line = links.export_call("http://127.0.0.1:8501", scope, "csv")
    assert "&status=failed&status=200" in links.usage_call("http://x", replace(scope, statuses=statuses_of(["failed", "200"])), ("day",))
    assert "format=csv&since=2026-11-01T00:00:00Z&until=2026-11-02T00:00:00Z&vendor=openai&status=429&status=500" in line


@pytest.mark.parametrize("name", ["http://evil.example/x", "now at HTTPS://evil.example", "(www.evil.example)"])
def test_a_name_that_is_an_address_becomes_no_link(name):
    shown = re.sub(r"\\(.)", r"\1", in_words.literal(name))  # Markdown that knows bare addresses looks for them behind its escapes
    assert shown.replace("\N{WORD JOINER}", "") == name
    assert not re.search(r"https?://|www\.", shown, re.IGNORECASE)


def test_a_label_from_right_to_left_leaves_the_last_four_of_its_key_in_order():
    assert in_words.literal("\N{HEBREW LETTER ALEF}*") == "\u2068\N{HEBREW LETTER ALEF}\\*\u2069"
