"""The unmodified SDKs, with nothing changed but the base URL and the key."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import anthropic
import openai
import pytest

from byok.accounts import access_tokens, users
from tests.vendor import JSON, SSE, LoopbackVendor, Reply, Seen

USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}


def chat(seen: Seen) -> Reply:
    """OpenAI's and Anthropic's answers in small, streamed or not."""
    asked = json.loads(seen.body)
    if seen.target == "/v1/messages":
        return _messages(streamed=asked.get("stream", False))
    if not asked.get("stream"):
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}
        whole = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini", "choices": [choice], "usage": USAGE}
        return Reply(body=json.dumps(whole).encode())
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
    delta = chunk | {"choices": [{"index": 0, "delta": {"content": "hello"}, "finish_reason": None}]}
    events = [delta, chunk | {"choices": [], "usage": USAGE}]
    return Reply(headers=[SSE], body=[b"data: " + json.dumps(event).encode() + b"\n\n" for event in events] + [b"data: [DONE]\n\n"])


def _messages(*, streamed: bool) -> Reply:
    message = {"id": "m", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "stop_reason": None, "stop_sequence": None}
    if not streamed:
        whole = message | {"content": [{"type": "text", "text": "hello"}], "usage": {"input_tokens": 12, "output_tokens": 3}}
        return Reply(body=json.dumps(whole).encode())
    events = [
        {"type": "message_start", "message": message | {"content": [], "usage": {"input_tokens": 12, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 3}},
        {"type": "message_stop"},
    ]
    return Reply(headers=[SSE], body=[f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events])


@pytest.fixture
def of_openai(house: Any, vendor: LoopbackVendor) -> Iterator[openai.OpenAI]:
    vendor.script = chat
    with openai.OpenAI(base_url=f"{house.url}/v1", api_key=house.token, max_retries=0) as client:
        yield client


@pytest.fixture
def of_anthropic(house: Any, vendor: LoopbackVendor) -> Iterator[anthropic.Anthropic]:
    vendor.script = chat
    with anthropic.Anthropic(base_url=house.url, api_key=house.token, max_retries=0) as client:
        yield client


SAID: Any = [{"role": "user", "content": "hi"}]


def test_openai_chat(house: Any, of_openai: openai.OpenAI) -> None:
    assert of_openai.chat.completions.create(model="gpt-4o-mini", messages=SAID).choices[0].message.content == "hello"
    chunks = list(of_openai.chat.completions.create(model="gpt-4o-mini", messages=SAID, stream=True))
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["hello"]
    assert [(record.total_tokens, record.status, record.usage_source) for record in house.records()] == [(15, 200, "vendor")] * 2
    assert "echo/echo-1" in [model.id for model in of_openai.models.list()] or "echo-1" in [model.id for model in of_openai.models.list()]


def test_openai_with_the_native_path(house: Any, vendor: LoopbackVendor) -> None:
    vendor.script = chat
    with openai.OpenAI(base_url=f"{house.url}/openai/v1", api_key=house.token) as client:
        assert client.chat.completions.create(model="gpt-4o-mini", messages=SAID).usage.total_tokens == 15


def test_openai_errors(house: Any, of_openai: openai.OpenAI, vendor: LoopbackVendor) -> None:
    create = of_openai.chat.completions.create
    with pytest.raises(openai.NotFoundError, match="No vendor is known"):
        create(model="nobody-knows-this", messages=SAID)
    with pytest.raises(openai.PermissionDeniedError, match="byok key add"):
        create(model="moonshot/kimi-k2", messages=SAID)
    with pytest.raises(openai.AuthenticationError, match="No valid access token"):
        of_openai.with_options(api_key="sk-wrong").chat.completions.create(model="gpt-4o-mini", messages=SAID)
    vendor.script = Reply(429, [JSON], b'{"error": {"message": "slow down", "type": "x", "code": "y", "param": null}}')
    with pytest.raises(openai.RateLimitError, match="slow down"):
        create(model="gpt-4o-mini", messages=SAID)
    vendor.script = Reply(raw=b"")
    with pytest.raises(openai.InternalServerError, match="could not be reached"):
        create(model="gpt-4o-mini", messages=SAID)


def test_anthropic_messages(house: Any, of_anthropic: anthropic.Anthropic) -> None:
    answer = of_anthropic.messages.create(model="claude-sonnet-4-5", max_tokens=9, messages=SAID)
    assert answer.content[0].text == "hello"
    with of_anthropic.messages.stream(model="claude-sonnet-4-5", max_tokens=9, messages=SAID) as stream:
        assert stream.get_final_text() == "hello"
    found = [(record.vendor, record.endpoint, record.prompt_tokens, record.completion_tokens) for record in house.records()]
    assert found == [("anthropic", "messages", 12, 3)] * 2


def test_anthropic_with_the_native_path_and_its_errors(house: Any, of_anthropic: anthropic.Anthropic) -> None:
    native = of_anthropic.with_options(base_url=f"{house.url}/anthropic")
    assert native.messages.create(model="claude-sonnet-4-5", max_tokens=9, messages=SAID).usage.output_tokens == 3
    with pytest.raises(anthropic.AuthenticationError, match="No valid access token"):
        of_anthropic.with_options(api_key="wrong").messages.create(model="claude-sonnet-4-5", max_tokens=9, messages=SAID)
    with pytest.raises(anthropic.NotFoundError, match="No vendor is known"):
        of_anthropic.messages.create(model="nobody-knows-this", max_tokens=9, messages=SAID)


def test_limits_and_lists_of_models_raise_the_sdk_s_own_exceptions(
    house: Any, of_openai: openai.OpenAI, of_anthropic: anthropic.Anthropic
) -> None:
    assert of_openai.models.retrieve("openai/gpt-4o-mini").id == "gpt-4o-mini"
    with pytest.raises(openai.NotFoundError):
        of_openai.models.retrieve("gpt-4x")
    now = datetime.now(UTC)
    mini = access_tokens.create(house.services.db, house.user.id, now=now, models=["gpt-4o-mini"])
    with pytest.raises(openai.PermissionDeniedError):
        of_openai.with_options(api_key=mini).chat.completions.create(model="gpt-4o", messages=SAID)
    with pytest.raises(anthropic.PermissionDeniedError):
        of_anthropic.with_options(api_key=mini).messages.create(model="claude-sonnet-4-5", max_tokens=9, messages=SAID)
    users.change(house.services.db, house.user.id, requests_per_minute=1)
    fresh = access_tokens.create(house.services.db, house.user.id, now=now)  # not remembered with the limits of before
    of_openai.with_options(api_key=fresh).chat.completions.create(model="gpt-4o-mini", messages=SAID)
    with pytest.raises(openai.RateLimitError):
        of_openai.with_options(api_key=fresh).chat.completions.create(model="gpt-4o-mini", messages=SAID)
    with pytest.raises(anthropic.RateLimitError):
        of_anthropic.with_options(api_key=fresh).messages.create(model="claude-sonnet-4-5", max_tokens=9, messages=SAID)
