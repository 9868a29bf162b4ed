"""A hard budget with the real processes: gateway, keeper, and the vendor echo."""

import json
import time

import httpx
import pytest

BODY = {"model": "echo/echo-1", "max_tokens": 400, "messages": [{"role": "user", "content": "hello"}]}


@pytest.mark.slow
def test_a_hard_budget_stops_calls_within_seconds_and_raising_it_lets_them_go_on(install):
    installation = install()
    token = installation.add_user("ada@example.org")
    installation.command("budget", "set", "ada@example.org", "--tokens", "1000", "--hard")
    installation.start("gateway", "keeper")
    headers = {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=installation.gateway, headers=headers, timeout=60) as client:

        def call() -> httpx.Response:
            return client.post("/v1/chat/completions", json=BODY)

        def call_until(status: int) -> httpx.Response:
            end = time.monotonic() + 60
            while (answer := call()).status_code != status and time.monotonic() < end:
                time.sleep(0.25)
            return answer

        answers = [call() for _ in range(3)]  # 1,203 tokens
        assert [answer.status_code for answer in answers] == [200] * 3
        used_up_at = time.monotonic()
        answer = call_until(429)
        took = time.monotonic() - used_up_at
        assert answer.json()["error"]["code"] == "budget_exceeded", answer.text
        print(f"stopped after {took:.1f} s")
        (listed,) = json.loads(installation.command("budget", "list", "--json"))
        assert listed["used_up"]
        assert listed["spent"] >= 1203
        installation.command("budget", "set", "ada@example.org", "--tokens", "1000000", "--hard")
        assert call_until(200).status_code == 200
