"""A hard budget that is used up refuses what it covers, in the caller's own format, and reaches no vendor."""

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from byok.accounts import budgets
from byok.accounts.budgets import Figure, Stop
from byok.gateway.hard_budgets import BudgetExceeded, check

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
QUESTION = {"model": "gpt-4o-mini", "messages": []}
MESSAGE = {"model": "claude-sonnet-4-5", "max_tokens": 5, "messages": []}
GENERATE = "/gemini/v1beta/models/gemini-2.5-flash:generateContent"
ENDS = datetime(2026, 12, 1, tzinfo=UTC)


def use_up(house, *, ends_in=timedelta(days=3), **words):
    now = datetime.now(UTC)
    made = budgets.put(house.services.db, house.user.id, hard=True, now=now, **({"usd": Decimal(50)} | words))
    budgets.note(house.services.db, [(made.id, Figure("2026-11", now + ends_in, made.amount, 0, 0, now, now))])
    return made


def test_each_format_gets_its_own_error_with_a_remedy(house, client, vendor):
    use_up(house)
    answers = [client.post(CHAT, json=QUESTION), client.post(MESSAGES, json=MESSAGE), client.post(GENERATE, json={"contents": []})]
    assert [answer.status_code for answer in answers] == [429] * 3
    openai, anthropic, gemini = (answer.json()["error"] for answer in answers)
    assert openai["code"] == "budget_exceeded"
    assert anthropic["type"] == "rate_limit_error"
    assert gemini["status"] == "RESOURCE_EXHAUSTED"
    for error in (openai, anthropic, gemini):
        assert "This month's budget of 50.00 USD for all vendors is used up." in error["message"]
        assert "byok budget set" in error["message"]
    assert {answer.headers["x-should-retry"] for answer in answers} == {"false"}
    assert all("retry-after" not in answer.headers for answer in answers)
    assert vendor.seen == []
    assert house.records() == []
    assert 'byok_refused_total{code="budget_exceeded"} 3.0' in client.get("/metrics").text


def test_a_budget_of_less_than_a_cent_is_told_as_it_is(house, client):
    use_up(house, usd=Decimal("0.0042"))
    assert "This month's budget of 0.0042 USD for all vendors" in client.post(CHAT, json=QUESTION).json()["error"]["message"]


def test_it_covers_its_vendor_and_key_only(house, client):
    use_up(house, vendor="openai")
    assert client.post(CHAT, json=QUESTION).status_code == 429
    assert client.post(MESSAGES, json=MESSAGE).status_code == 200


def test_what_is_not_booked_goes_on(house, client):
    use_up(house)
    assert client.get("/v1/models").status_code == 200
    assert client.get("/openai/v1/models").status_code == 200


def test_calls_go_on_within_seconds_when_it_is_raised(house, client):
    use_up(house)
    assert client.post(CHAT, json=QUESTION).status_code == 429
    budgets.put(house.services.db, house.user.id, usd=Decimal(51), hard=True, now=datetime.now(UTC))
    deadline = time.monotonic() + 60
    while (status := client.post(CHAT, json=QUESTION).status_code) == 429 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert status == 200


@pytest.mark.parametrize(
    ("vendor", "key_id", "refused"),
    [
        (None, None, True),
        ("openai", None, True),
        (None, "key_1", True),
        ("openai", "key_1", True),
        ("gemini", None, False),
        (None, "key_2", False),
    ],
)
def test_a_stop_covers_what_it_names(vendor, key_id, refused):
    stop = Stop(vendor, key_id, "tokens", 1000, True, ENDS)
    before, after = ENDS - timedelta(microseconds=1), ENDS
    check([stop], "openai", "key_1", now=after)
    if refused:
        with pytest.raises(BudgetExceeded, match="1,000 tokens") as caught:
            check([stop], "openai", "key_1", now=before)
        assert "ask an admin" in caught.value.remedy
        assert caught.value.status == 429
    else:
        check([stop], "openai", "key_1", now=before)
