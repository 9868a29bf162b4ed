"""The exports of vendors: known by their columns, summed by day and model, and faults named by line and column."""

import io
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byok.reconciliation import exports
from byok.reconciliation.comparison import booked_name
from byok.reconciliation.exports import ExportUnreadable, lines_of, read

SAMPLES = Path(__file__).with_name("samples")
OPENAI_USAGE = (SAMPLES / "openai_usage.csv").read_text()
OPENAI_COST = (SAMPLES / "openai_cost.csv").read_text()
ANTHROPIC_USAGE = (SAMPLES / "anthropic_usage.csv").read_text()
ANTHROPIC_COST = (SAMPLES / "anthropic_cost.csv").read_text()
DAY = date(2026, 11, 22)


def of(text: str):
    return read(lines_of(io.StringIO(text, newline="")), name_of=booked_name)


def test_openai_usage_is_summed_over_projects_and_keys_and_named_as_booked():
    found = of(OPENAI_USAGE)
    assert (found.vendor, found.kind, found.lines, found.has_requests) == ("openai", "usage", 4, True)
    assert sorted(found.rows) == [(DAY, "gpt-4o"), (DAY, "gpt-4o-mini")]
    mini = found.rows[DAY, "gpt-4o-mini"]
    assert (mini.prompt_tokens, mini.completion_tokens, mini.requests) == (4312, 1683, 4)


def test_openai_cost_is_exact_and_by_the_model_of_its_line_item():
    found = of(OPENAI_COST)
    assert (found.vendor, found.kind) == ("openai", "cost")
    assert found.rows[DAY, "gpt-4o-mini"].usd == Decimal("0.01383598")


def test_anthropic_usage_counts_the_whole_input():
    found = of(ANTHROPIC_USAGE)
    assert (found.vendor, found.kind, found.has_requests) == ("anthropic", "usage", False)
    haiku = found.rows[DAY, "claude-haiku-4-5"]
    assert (haiku.prompt_tokens, haiku.completion_tokens) == (1123, 50)
    assert (date(2026, 11, 23), "claude-sonnet-4-5") in found.rows


def test_anthropic_cost_knows_models_by_their_shown_names():
    assert of(ANTHROPIC_COST).rows[DAY, "claude-haiku-4-5"].usd == Decimal("0.07")


def test_order_of_columns_tabs_a_byte_order_mark_and_blank_lines_make_no_difference():
    rows = [line.split(",") for line in OPENAI_USAGE.splitlines()]
    turned = "\ufeff" + "\r\n\r\n".join("\t".join(reversed(row)) for row in rows)
    assert of(turned).rows == of(OPENAI_USAGE).rows


def test_openai_counts_embeddings_in_a_file_of_its_own_and_without_output():
    found = of("start_time,num_model_requests,model,input_tokens\n1795305600,2,text-embedding-3-small,70\n")
    assert (found.vendor, found.kind) == ("openai", "usage")
    said = found.rows[DAY, "text-embedding-3-small"]
    assert (said.prompt_tokens, said.completion_tokens, said.requests) == (70, 0, 2)


def test_semicolons_and_quotes_around_everything_make_no_difference():
    rows = [line.split(",") for line in OPENAI_USAGE.splitlines()]
    quoted = "\ufeff" + "\r\n".join(";".join(f'"{cell}"' for cell in row) for row in rows)
    assert of(quoted).rows == of(OPENAI_USAGE).rows


def test_without_models_or_line_items_a_day_is_one_row():
    found = of("usage_date_utc,cost_usd\n2026-11-22,1.25\n2026-11-22,-0.25\n")
    assert found.rows[DAY, exports.ALL_MODELS].usd == Decimal(1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "The file is empty"),
        ("a,b,c\n1,2,3\n", "Line 1 does not have the columns"),
        ("start_time,end_time,start_time_iso,end_time_iso\n1795305600,1795392000,x,y\n", "times but no figures"),
        ("usage_date_utc,cost_usd\n", "no rows"),
        ("usage_date_utc,cost_usd\n2026-11-22,1\n22.11.2026,1\n", "Line 3, column usage_date_utc, is neither"),
        ("usage_date_utc,cost_usd\n1970-01-01,1\n", "Line 2, column usage_date_utc, lies before"),
        ("usage_date_utc,cost_usd\n9999-12-31,1\n", "Line 2, column usage_date_utc, lies after"),
        ("usage_date_utc,cost_usd\n2026-11-22,1e15\n", "Line 2, column cost_usd, is not an amount"),
        ("usage_date_utc,cost_usd\n2026-11-22,much\n", "Line 2, column cost_usd, is not an amount"),
        ("usage_date_utc,cost_usd\n2026-11-22,NaN\n", "Line 2, column cost_usd, is not an amount"),
        ("usage_date_utc,cost_usd\n2026-11-22,1,2,3\n", "Line 2 has 4 cells under 2 columns"),
        ("usage_date_utc,model,cost_usd\n2026-11-22,Claude\n", "Line 2 has 2 cells under 3 columns"),
        ('usage_date_utc,cost_usd\n2026-11-22,"1\n', "is not CSV"),
        ("usage_date_utc,cost_usd,cost_usd\n2026-11-22,1,1\n", "stands twice"),
        (OPENAI_USAGE.replace("4212", "4212.5"), "Line 2, column input_tokens, is not a whole number"),
        (OPENAI_USAGE.replace("4212", "-1"), "Line 2, column input_tokens, is not a whole number"),
        (OPENAI_COST.replace("0.01,usd", "0.01,eur"), "Line 4, column amount_currency, is not usd"),
        ("usage_date_utc,cost_usd\n2026-11-22," + "1" * 20_000 + "\n", "Line 2 is no line of a CSV export"),
    ],
)
def test_a_fault_is_named_by_line_and_column_and_not_repeated(text, said):
    with pytest.raises(ExportUnreadable) as caught:
        of(text)
    assert said in caught.value.message
    assert "22.11.2026" not in caught.value.message + caught.value.remedy


def test_a_file_without_line_ends_is_not_read_to_its_end():
    class Endless(io.StringIO):
        read_so_far = 0

        def readline(self, size=-1):
            self.read_so_far += size
            return "x" * size

    endless = Endless()
    with pytest.raises(ExportUnreadable):
        read(lines_of(endless), name_of=booked_name)
    assert endless.read_so_far <= 2 * exports.LONGEST_LINE


def test_too_many_lines_are_refused_before_time_is(monkeypatch):
    monkeypatch.setattr(exports, "MOST_LINES", 3)
    of("usage_date_utc,cost_usd\n" + "2026-11-22,1\n" * 2)
    with pytest.raises(ExportUnreadable, match="more than 3 lines"):
        of("usage_date_utc,cost_usd\n" + "2026-11-22,1\n" * 3)


def test_too_many_groups_are_refused_before_memory_is(monkeypatch):
    monkeypatch.setattr(exports, "MOST_GROUPS", 3)
    lines = "".join(f"2026-11-{day:02d},1\n" for day in range(1, 9))
    with pytest.raises(ExportUnreadable, match="more than 3"):
        of("usage_date_utc,cost_usd\n" + lines)


@given(st.text(max_size=300), st.integers(0, 600))
def test_whatever_a_file_holds_it_is_read_or_refused_in_words(junk, at):
    for text in (junk, OPENAI_USAGE[:at] + junk + OPENAI_USAGE[at:], ANTHROPIC_COST[:at] + junk):
        try:
            found = of(text)
        except ExportUnreadable as error:
            assert error.remedy
        else:
            assert all(said.prompt_tokens >= 0 for said in found.rows.values())
