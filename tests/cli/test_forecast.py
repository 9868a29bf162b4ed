from datetime import UTC, datetime, timedelta

from tests.cli.conftest import Installation


def fill(ada: Installation, days: int) -> None:
    user_id, now = ada.user_id("ada@example.org"), datetime.now(UTC)
    ada.import_rows(*({"ts": (now - timedelta(days=n, minutes=1)).isoformat(), "user_id": user_id} for n in range(days)))


def test_forecast_says_amounts_and_what_they_come_from(ada: Installation) -> None:
    fill(ada, 60)
    said = ada.ok("forecast", "ada@example.org", "--metric", "calls")
    assert "projected" in said
    assert "From the last" in said
    body = ada.json("forecast", "ada@example.org", "--json")
    assert list(body) == ["metric", "month", "so_far", "middle", "low", "high", "enough", "basis", "unpriced_calls", "tz"]
    assert body["low"] <= body["middle"] <= body["high"]


def test_with_too_little_data_there_is_a_reason_and_no_figure(ada: Installation) -> None:
    fill(ada, 3)
    said = ada.ok("forecast", "ada@example.org")
    assert "projected" not in said
    assert "a forecast needs 14" in said
    assert ada.json("forecast", "ada@example.org", "--vendor", "gemini", "--json")["basis"] == "There is nothing before today to go by."
