from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tests.cli.conftest import Installation


def test_what_if_says_what_was_paid_and_what_would_have_been(ada: Installation) -> None:
    user_id, ts = ada.user_id("ada@example.org"), (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    counts = {"prompt_tokens": 1_000_000, "completion_tokens": 100_000, "total_tokens": 1_100_000}
    ada.import_rows({"ts": ts, "user_id": user_id, "vendor": "openai", "model": "gpt-4o", **counts})
    pair = "openai/gpt-4o=openai/gpt-4o-mini"
    assert "3.50 USD was, 0.21 USD would have been: -3.29 USD." in ada.ok("what-if", "ada@example.org", "--replace", pair)
    (row,) = ada.json("what-if", "ada@example.org", "--replace", pair, "--json")["what_if"]
    assert (row["to_model"], Decimal(str(row["difference_usd"]))) == ("gpt-4o-mini", Decimal("-3.29"))
    refused = ada.run("what-if", "ada@example.org", "--replace", "gpt-4o")
    assert (refused.exit_code, "vendor/model=vendor/model" in refused.stderr) == (1, True)


def test_less_than_a_cent_is_not_nothing(ada: Installation) -> None:
    user_id, ts = ada.user_id("ada@example.org"), (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    counts = {"prompt_tokens": 1_000, "completion_tokens": 0, "total_tokens": 1_000}
    ada.import_rows({"ts": ts, "user_id": user_id, "vendor": "openai", "model": "gpt-4o", **counts})
    said = ada.ok("what-if", "ada@example.org", "--replace", "openai/gpt-4o=openai/gpt-4o-mini")
    assert "0.0025 USD was, 0.00015 USD would have been: -0.0024 USD." in said


def test_a_count_beyond_belief_keeps_nobody_from_asking(ada: Installation) -> None:
    """Vendors are believed up to 2^53."""
    ts = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    counts = {"prompt_tokens": 2**53 - 2, "completion_tokens": 1, "total_tokens": 2**53 - 1}
    ada.import_rows({"ts": ts, "user_id": ada.user_id("ada@example.org"), "vendor": "openai", "model": "gpt-4o", **counts})
    (row,) = ada.json("what-if", "ada@example.org", "--cached-share", "1", "--json")["what_if"]
    assert (row["calls"], row["total_tokens"]) == (1, 2**53 - 1)
