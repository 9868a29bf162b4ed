"""The official SDKs against the running gateway: tools, streams, responses, embeddings, messages, generate, and every error."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import errors as google_errors
from google.genai import types as google_types

from tests.gateway.conftest import base_urls
from tests.vendor import JSON, SSE, LoopbackVendor, Reply, Seen

CHAT_USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
RESPONSES_USAGE = {"input_tokens": 12, "output_tokens": 3, "total_tokens": 15, "input_tokens_details": {"cached_tokens": 4}}
RESPONSES_USAGE["output_tokens_details"] = {"reasoning_tokens": 1}
GEMINI_USAGE = {"promptTokenCount": 12, "candidatesTokenCount": 3, "totalTokenCount": 15}
CALL = {"name": "weather", "arguments": '{"city": "Oslo"}'}
TOOL: Any = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
SAID: Any = [{"role": "user", "content": "hi"}]


def events(*told: dict[str, Any], named: bool = False, done: bool = False) -> Reply:
    pieces = [(f"event: {event['type']}\n" if named else "") + f"data: {json.dumps(event)}\n\n" for event in told]
    return Reply(headers=[SSE], body=[piece.encode() for piece in pieces] + ([b"data: [DONE]\n\n"] if done else []))


def whole(told: dict[str, Any]) -> Reply:
    return Reply(headers=[JSON], body=json.dumps(told).encode())


def chat(asked: dict[str, Any]) -> Reply:
    head = {"id": "c", "created": 1, "model": "gpt-4o-mini"}
    call = {"index": 0, "id": "call_1", "type": "function", "function": CALL}
    if not asked.get("stream"):
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        choice = {"index": 0, "finish_reason": "tool_calls", "message": message}
        return whole(head | {"object": "chat.completion", "choices": [choice], "usage": CHAT_USAGE})
    head["object"] = "chat.completion.chunk"
    first = {"index": 0, "delta": {"role": "assistant", "tool_calls": [call | {"function": CALL | {"arguments": '{"city"'}}]}}
    second = {"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": ': "Oslo"}'}}]}}
    last = {"index": 0, "delta": {}, "finish_reason": "tool_calls"}
    chunks = [head | {"choices": [choice]} for choice in (first, second, last)]
    return events(*chunks, head | {"choices": [], "usage": CHAT_USAGE}, done=True)


def responses(asked: dict[str, Any]) -> Reply:
    message = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": []}
    text = {"type": "output_text", "text": "hello", "annotations": []}
    answer = {"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-4o-mini", "status": "completed", "tools": []}
    answer |= {"output": [message | {"content": [text]}], "usage": RESPONSES_USAGE, "parallel_tool_calls": True, "tool_choice": "auto"}
    if not asked.get("stream"):
        return whole(answer)
    place = {"item_id": "m", "output_index": 0, "content_index": 0}
    began = answer | {"status": "in_progress", "output": [], "usage": None}
    told = [
        {"type": "response.created", "response": began},
        {"type": "response.output_item.added", "output_index": 0, "item": message},
        {"type": "response.content_part.added", "part": text | {"text": ""}} | place,
        {"type": "response.output_text.delta", "delta": "hello", "logprobs": []} | place,
        {"type": "response.completed", "response": answer},
    ]
    return events(*(event | {"sequence_number": number} for number, event in enumerate(told)), named=True)


def messages(asked: dict[str, Any]) -> Reply:
    head = {"id": "m", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "stop_sequence": None}
    block = {"type": "tool_use", "id": "toolu_1", "name": "weather"}
    usage = {"input_tokens": 2, "cache_read_input_tokens": 10, "cache_creation_input_tokens": 0}
    if not asked.get("stream"):
        content = [block | {"input": {"city": "Oslo"}}]
        return whole(head | {"content": content, "stop_reason": "tool_use", "usage": usage | {"output_tokens": 3}})
    return events(
        {"type": "message_start", "message": head | {"content": [], "stop_reason": None, "usage": usage | {"output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": block | {"input": {}}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"city":'}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": ' "Oslo"}'}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": {"output_tokens": 3}},
        {"type": "message_stop"},
        named=True,
    )


def generate(seen: Seen) -> Reply:
    def chunk(part: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"candidates": [{"content": {"role": "model", "parts": [part]}} | more], "modelVersion": "gemini-2.5-flash"}

    if ":batchEmbedContents" in seen.target:
        return whole({"embeddings": [{"values": [0.5, 0.25]}], "usageMetadata": {"promptTokenCount": 12}})
    if ":countTokens" in seen.target:
        return whole({"totalTokens": 12})
    if ":streamGenerateContent" in seen.target:
        running = {"usageMetadata": GEMINI_USAGE | {"candidatesTokenCount": 1, "totalTokenCount": 13}}
        return events(chunk({"text": "hel"}) | running, chunk({"text": "lo"}, finishReason="STOP") | {"usageMetadata": GEMINI_USAGE})
    if b"functionDeclarations" in seen.body:
        return whole(
            chunk({"functionCall": {"name": "weather", "args": {"city": "Oslo"}}}, finishReason="STOP") | {"usageMetadata": GEMINI_USAGE}
        )
    return whole(chunk({"text": "hello"}, finishReason="STOP") | {"usageMetadata": GEMINI_USAGE})


def vendor_of_everything(seen: Seen) -> Reply:
    if "/models/" in seen.target:
        return generate(seen)
    asked = json.loads(seen.body)
    if seen.target == "/v1/embeddings":
        one = {"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}
        return whole(
            {"object": "list", "data": [one], "model": "text-embedding-3-small", "usage": {"prompt_tokens": 12, "total_tokens": 12}}
        )
    return {"/v1/chat/completions": chat, "/v1/responses": responses, "/v1/messages": messages}[seen.target](asked)


@pytest.fixture
def of_openai(house: Any, vendor: LoopbackVendor) -> Iterator[openai.OpenAI]:
    vendor.script = vendor_of_everything
    with openai.OpenAI(base_url=f"{house.url}/v1", api_key=house.token, max_retries=0) as client:
        yield client


@pytest.fixture
def of_anthropic(house: Any, vendor: LoopbackVendor) -> Iterator[anthropic.Anthropic]:
    vendor.script = vendor_of_everything
    with anthropic.Anthropic(base_url=house.url, api_key=house.token, max_retries=0) as client:
        yield client


@pytest.fixture
def of_google(house: Any, vendor: LoopbackVendor) -> genai.Client:
    vendor.script = vendor_of_everything
    return google_client(house.url, house.token)


def google_client(url: str, token: str, **headers: str) -> genai.Client:
    return genai.Client(api_key=token, http_options=google_types.HttpOptions(base_url=f"{url}/gemini", headers=headers))


def booked(house: Any) -> list[tuple[str, str, int | None, int | None, str]]:
    return [(one.vendor, one.endpoint, one.prompt_tokens, one.completion_tokens, one.usage_source) for one in house.records()]


def test_openai_tools(house: Any, of_openai: openai.OpenAI) -> None:
    ask: dict[str, Any] = {"model": "gpt-4o-mini", "messages": SAID, "tools": [TOOL]}
    [call] = of_openai.chat.completions.create(**ask).choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Oslo"})
    pieces = [chunk.choices[0].delta for chunk in of_openai.chat.completions.create(**ask, stream=True)]
    assert "".join(piece.tool_calls[0].function.arguments for piece in pieces if piece.tool_calls) == '{"city": "Oslo"}'
    asking = of_openai.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True})
    assert [chunk.usage.total_tokens for chunk in asking if chunk.usage] == [15]
    assert booked(house) == [("openai", "chat", 12, 3, "vendor")] * 3


def test_openai_responses(house: Any, of_openai: openai.OpenAI) -> None:
    answer = of_openai.responses.create(model="gpt-4o-mini", input="hi")
    assert (answer.output_text, answer.usage.total_tokens) == ("hello", 15)
    with of_openai.responses.stream(model="gpt-4o-mini", input="hi") as stream:
        assert "hello" in [event.delta for event in stream if event.type == "response.output_text.delta"]
        assert stream.get_final_response().usage.total_tokens == 15
    assert booked(house) == [("openai", "responses", 12, 3, "vendor")] * 2
    assert {(one.cached_tokens, one.reasoning_tokens) for one in house.records()} == {(4, 1)}


def test_openai_embeddings(house: Any, of_openai: openai.OpenAI) -> None:
    answer = of_openai.embeddings.create(model="text-embedding-3-small", input="hi", encoding_format="float")
    assert answer.data[0].embedding == [0.5, 0.25]
    assert booked(house) == [("openai", "embeddings", 12, 0, "vendor")]


@pytest.mark.parametrize("base", ["", "/anthropic"])
def test_anthropic_tools(house: Any, of_anthropic: anthropic.Anthropic, base: str) -> None:
    client = of_anthropic.with_options(base_url=house.url + base)
    tool: Any = {"name": "weather", "input_schema": TOOL["function"]["parameters"]}
    ask: dict[str, Any] = {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": SAID, "tools": [tool]}
    assert client.messages.create(**ask).content[0].input == {"city": "Oslo"}
    with client.messages.stream(**ask) as stream:
        assert stream.get_final_message().content[0].input == {"city": "Oslo"}
    assert booked(house) == [("anthropic", "messages", 12, 3, "vendor")] * 2
    assert {one.cached_tokens for one in house.records()} == {10}


def test_google_generate(house: Any, of_google: genai.Client) -> None:
    ask: dict[str, Any] = {"model": "gemini-2.5-flash", "contents": "hi"}
    answer = of_google.models.generate_content(**ask)
    assert (answer.text, answer.usage_metadata.total_token_count) == ("hello", 15)
    assert "".join(chunk.text for chunk in of_google.models.generate_content_stream(**ask)) == "hello"
    weather = google_types.FunctionDeclaration(name="weather", parameters={"type": "OBJECT", "properties": {"city": {"type": "STRING"}}})
    tools = google_types.GenerateContentConfig(tools=[google_types.Tool(function_declarations=[weather])])
    [call] = of_google.models.generate_content(**ask, config=tools).function_calls
    assert (call.name, call.args) == ("weather", {"city": "Oslo"})
    assert of_google.models.count_tokens(**ask).total_tokens == 12
    assert booked(house) == [("gemini", "generate", 12, 3, "vendor")] * 3, "counting tokens is no call"


def test_google_embeddings(house: Any, of_google: genai.Client) -> None:
    assert of_google.models.embed_content(model="gemini-embedding-001", contents="hi").embeddings[0].values == [0.5, 0.25]
    assert booked(house) == [("gemini", "embeddings", 12, 0, "vendor")]


# -- errors: status -> how it comes about --

LARGE = "x" * (2 * 2**20)
FAULTS: dict[int, dict[str, Any]] = {
    400: {"headers": {"x-byok-key": "no key id"}},
    401: {"token": "byok_aaaaaaaa_" + "b" * 43},
    403: {"headers": {"x-byok-key": "key_ofsomebodyelse"}},
    404: {"model": "nobody-knows-this"},
    413: {"text": LARGE},
    429: {"limit": 1},
    502: {"reply": Reply(raw=b"")},
    504: {"reply": Reply(delay_s=30)},
}
OPENAI = {400: "BadRequestError", 401: "AuthenticationError", 403: "PermissionDeniedError", 404: "NotFoundError", 413: "APIStatusError"}
OPENAI |= {429: "RateLimitError", 502: "InternalServerError", 504: "InternalServerError"}


def ask_openai(url: str, token: str, model: str, text: str, headers: dict[str, str]) -> None:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=token, max_retries=0)
    client.chat.completions.create(model=model or "gpt-4o-mini", messages=[{"role": "user", "content": text}], extra_headers=headers)


def ask_anthropic(url: str, token: str, model: str, text: str, headers: dict[str, str]) -> None:
    client = anthropic.Anthropic(base_url=url, api_key=token, max_retries=0)
    said: Any = [{"role": "user", "content": text}]
    client.messages.create(model=model or "claude-sonnet-4-5", max_tokens=9, messages=said, extra_headers=headers)


def ask_google(url: str, token: str, model: str, text: str, headers: dict[str, str]) -> None:
    client = google_client(url, token, **headers)
    client.models.generate_content(model=model or "gemini-2.5-flash", contents=text)


@pytest.fixture
def small_house(tmp_path: Path, vendor: LoopbackVendor, make_house: Any, serve_house: Any) -> Iterator[Any]:
    settings = {"BYOK_UPSTREAM_TIMEOUT_S": "1", "BYOK_MAX_BODY_MB": "1", **base_urls(vendor)}
    with make_house(tmp_path, **settings) as house, serve_house(house):
        yield house


@pytest.mark.parametrize("status", FAULTS)
@pytest.mark.parametrize("ask", [ask_openai, ask_anthropic, ask_google], ids=["openai", "anthropic", "google"])
def test_each_error_is_the_sdk_s_own_exception(ask: Callable[..., None], status: int, small_house: Any, vendor: LoopbackVendor) -> None:
    from byok.accounts import users

    fault = FAULTS[status]
    if ask is ask_google and status == 404:
        pytest.skip("a native path goes to its vendor whatever the model is called")
    vendor.script = fault.get("reply", vendor_of_everything)
    said = (
        small_house.url,
        fault.get("token", small_house.token),
        fault.get("model", ""),
        fault.get("text", "hi"),
        fault.get("headers", {}),
    )
    if limit := fault.get("limit"):
        users.change(small_house.services.db, small_house.user.id, requests_per_minute=limit)
        ask(*said)
    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError, google_errors.APIError)) as raised:
        ask(*said)
    told = raised.value
    if ask is ask_google:
        assert isinstance(told, google_errors.ClientError if status < 500 else google_errors.ServerError)
        assert told.code == status
    else:
        sdk = openai if ask is ask_openai else anthropic
        assert isinstance(told, getattr(sdk, OPENAI[status]))
        assert told.status_code == status
    assert len(small_house.records()) == (1 if status in (429, 502, 504) else 0), "only what reached the vendor is booked"
