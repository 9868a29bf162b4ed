"""The built-in vendor: always there, deterministic, counted by words."""

import json
import time
from typing import Any

import httpx
import pytest

CHAT = "/v1/chat/completions"


def ask(content: Any = "the quick brown fox", **more: Any) -> dict[str, Any]:
    return {"model": "echo/echo-1", "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": content}], **more}


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    data = [line.removeprefix("data: ") for line in answer.text.split("\n") if line]
    assert data.pop() == "[DONE]"
    return [json.loads(event) for event in data]


def test_it_repeats_what_was_said_and_counts_words(house: Any, client: httpx.Client) -> None:
    first, again = client.post(CHAT, json=ask()), client.post(CHAT, json=ask())
    assert first.content == again.content
    assert first.json()["choices"][0]["message"]["content"] == "the quick brown fox"
    assert first.json()["usage"] == {"prompt_tokens": 6, "completion_tokens": 4, "total_tokens": 10}
    record = house.records()[0]
    assert (record.vendor, record.model, record.status, record.total_tokens, record.usage_source) == ("echo", "echo-1", 200, 10, "vendor")


@pytest.mark.parametrize("count", [0, 1, 3, 200])
def test_max_tokens_is_exact(house: Any, client: httpx.Client, count: int) -> None:
    assert client.post(CHAT, json=ask(max_tokens=count)).json()["usage"]["completion_tokens"] == count
    found = events(client.post(CHAT, json=ask(max_tokens=count, stream=True)))
    assert len([event for event in found if event["choices"] and event["choices"][0]["delta"].get("content")]) == count
    assert [event for event in found if "usage" in event] == [], "a usage chunk that was not asked for"
    assert [(record.completion_tokens, record.usage_source) for record in house.records()] == [(count, "vendor")] * 2


def test_usage_in_a_stream_where_it_was_asked_for(client: httpx.Client) -> None:
    found = events(client.post("/v1/chat/completions", json=ask(model="echo-1", stream=True, stream_options={"include_usage": True})))
    assert found[-1]["usage"] == {"prompt_tokens": 6, "completion_tokens": 4, "total_tokens": 10}


def test_text_in_parts_counts(client: httpx.Client) -> None:
    parts = [{"type": "text", "text": "one two"}, {"type": "image_url", "image_url": {"url": "data:x"}}, {"type": "text", "text": "three"}]
    assert client.post(CHAT, json=ask(parts)).json()["usage"]["prompt_tokens"] == 5


def test_a_pause_between_events(house: Any) -> None:
    headers = house.bearer | {"x-byok-echo-delay-ms": "100"}
    with httpx.stream("POST", house.url + CHAT, json=ask(max_tokens=3, stream=True), headers=headers) as answer:
        at = [time.monotonic() for _ in answer.iter_raw()]
    assert at[-1] - at[0] > 0.25
    (record,) = house.records()
    assert record.ttft_ms < 100, "no pause before the first"


def test_it_needs_no_key_and_is_always_listed(client: httpx.Client) -> None:
    assert [entry["id"] for entry in client.get("/v1/models").json()["data"] if entry["owned_by"] == "echo"]
    assert client.get("/echo/v1/models").json()["data"][0]["id"] == "echo-1"
    assert client.post("/echo/v1/chat/completions", json=ask(model="echo-1")).status_code == 200


def test_what_it_cannot_do_it_says(house: Any, client: httpx.Client) -> None:
    for path in ("/v1/embeddings", "/v1/responses", "/v1/messages", "/echo/v1/responses"):
        refused = client.post(path, json={"model": "echo/echo-1", "input": "x"})
        assert refused.status_code == 404 and refused.json()["error"]["remedy"]
    assert house.records() == [], "the gateway refused them, no vendor did"
    assert client.post(CHAT, json=ask(max_tokens=-1)).status_code == 400
    assert client.post(CHAT, json=ask(max_tokens="many")).status_code == 400
