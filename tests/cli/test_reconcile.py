from tests.cli.conftest import Installation

EXPORT = """usage_date_utc,model_version,usage_input_tokens_no_cache,usage_input_tokens_cache_read,usage_output_tokens
{day},claude-haiku-4-5-20251001,900,100,250
"""


def test_reconcile_says_what_the_gateway_saw(ada: Installation) -> None:
    from datetime import UTC, datetime

    day = datetime.now(UTC).date().isoformat()
    usage = {"vendor": "anthropic", "model": "claude-haiku-4-5", "prompt_tokens": 990, "completion_tokens": 250, "total_tokens": 1240}
    ada.import_rows({"ts": f"{day}T00:00:00Z", "user_id": ada.user_id("ada@example.org")} | usage)
    file = ada.data.parent / "export.csv"
    file.write_text(EXPORT.format(day=day))
    body = ada.json("reconcile", str(file), "--user", "ada@example.org", "--json")
    assert (body["vendor"], body["kind"], body["unit"]) == ("anthropic", "usage", "tokens")
    assert body["total"] == {
        "day": None,
        "model": "all models",
        "vendor": 1250,
        "gateway": 1240,
        "captured": 0.992,
        "vendor_requests": None,
        "gateway_requests": None,
    }
    said = ada.ok("reconcile", str(file))
    assert "captured 99.2 %: 1,240 of 1,250 tokens" in said


def test_a_bad_file_is_one_line_with_line_and_column(ada: Installation) -> None:
    file = ada.data.parent / "export.csv"
    file.write_text(EXPORT.format(day="soon"))
    done = ada.run("reconcile", str(file), "--user", "ada@example.org")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "Line 2, column usage_date_utc, is neither a date" in done.stderr
    file.write_bytes(b"\xff\xfe\x00")
    assert ada.run("reconcile", str(file)).exit_code == 1
