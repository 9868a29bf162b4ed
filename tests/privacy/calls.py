"""Calls with a canary in every place that a call has, in each wire format; and a vendor that answers with canaries, or fails."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.vendor import JSON, SSE, Reply, Seen

Canaries = Mapping[str, str]
SENT = (
    *("system", "user", "assistant prefill", "tool name", "tool arguments", "tool result", "image name", "schema", "stop", "user field"),
    *("metadata", "path", "query", "host", "model name", "malformed", "oversize", "form file"),
)
SAID = (
    "answer",
    "piece",
    "reasoning",
    "tool call",
    "refusal",
    "error message",
    "error param",
    "error code",
    "vendor header",
    "half answer",
)
HEADERS = (
    *("user-agent", "x-request-id", "idempotency-key", "cookie", "openai-organization", "anthropic-beta", "x-goog-user-project"),
    *("x-byok-key", "x-forwarded-for", "x-real-ip", "referer", "origin", "traceparent", "accept", "accept-language", "content-type"),
    *("x-byok-echo-delay-ms", "x-odd-header", "authorization", "x-api-key", "x-goog-api-key", "from", "expect", "via", "connection"),
)
SECRETS = (
    "vendor key",
    "vendor key of a call",
    "password",
    "wrong password",
    "wrong token",
    "session",
    "wrong link",
    "Slack address",
    "mail password",
)
SLOTS = (*SENT, *SAID, *(f"header {name}" for name in HEADERS), *SECRETS)
DRIVES = ("good", "bad", "broken", "limited", "refused", "silent", "reset", "half", "garbage")
_USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def chat(c: Canaries, drive: str, *, stream: bool) -> tuple[str, dict[str, Any]]:
    parts = [{"type": "text", "text": c["user"]}, {"type": "image_url", "image_url": {"url": f"https://x.example/{c['image name']}.png"}}]
    call = {"id": "call_1", "type": "function", "function": {"name": c["tool name"], "arguments": json.dumps({"a": c["tool arguments"]})}}
    return "/v1/chat/completions", {
        "model": "gpt-4o",
        "stream": stream,
        "messages": [
            {"role": "system", "content": c["system"]},
            {"role": "user", "content": parts},
            {"role": "assistant", "content": c["assistant prefill"], "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": c["tool result"]},
        ],
        "tools": [{"type": "function", "function": {"name": c["tool name"], "parameters": {"title": c["schema"]}}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": c["schema"], "schema": {}}},
        "stop": [c["stop"]],
        "user": c["user field"],
        "metadata": {"k": c["metadata"], "drive": f"drive-{drive}"},
    }


def messages(c: Canaries, drive: str, *, stream: bool) -> tuple[str, dict[str, Any]]:
    return "/v1/messages", {
        "model": "claude-sonnet-4-5",
        "max_tokens": 9,
        "stream": stream,
        "system": c["system"],
        "messages": [
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": c["tool result"]}]},
            {"role": "assistant", "content": c["assistant prefill"]},
        ],
        "tools": [{"name": c["tool name"], "input_schema": {"title": c["schema"]}}],
        "stop_sequences": [c["stop"]],
        "metadata": {"user_id": c["user field"], "drive": f"drive-{drive}"},
    }


def responses(c: Canaries, drive: str, *, stream: bool) -> tuple[str, dict[str, Any]]:
    facts = {"instructions": c["system"], "input": c["user"], "metadata": {"k": c["metadata"], "drive": f"drive-{drive}"}}
    return "/v1/responses", {"model": "gpt-4o", "stream": stream, "user": c["user field"], **facts}


def generate(c: Canaries, drive: str, *, stream: bool) -> tuple[str, dict[str, Any]]:
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    contents = [
        {"role": "user", "parts": [{"text": c["user"]}, {"functionResponse": {"name": c["tool name"], "response": c["tool result"]}}]}
    ]
    facts = {"systemInstruction": {"parts": [{"text": c["system"]}]}, "labels": {"drive": f"drive-{drive}"}}
    return f"/gemini/v1beta/models/gemini-2.5-flash:{verb}", {"contents": contents, **facts}


FORMATS: tuple[Callable[..., tuple[str, dict[str, Any]]], ...] = (chat, messages, responses, generate)


def vendor(c: Canaries) -> Callable[[Seen], Reply]:
    """A vendor that repeats nothing of what it was sent and says canaries of its own."""

    def answer(seen: Seen) -> Reply:
        found = re.search(rb"drive-(\w+)", seen.body)
        drive = found[1].decode() if found else "good"
        return _reply(c, drive, _kind(seen), stream=b'"stream":true' in seen.body.replace(b" ", b"") or "streamGenerate" in seen.target)

    return answer


def _kind(seen: Seen) -> str:
    marks = {"messages": "/messages", "generate": "enerateContent", "responses": "/responses"}
    return next((name for name, mark in marks.items() if mark in seen.target), "chat")


def _reply(c: Canaries, drive: str, kind: str, *, stream: bool) -> Reply:
    extra = ("x-vendor-note", c["vendor header"])
    if drive in ("bad", "broken", "limited", "refused"):
        status = {"bad": 400, "broken": 500, "limited": 429, "refused": 401}[drive]
        said = {
            "message": f"{c['error message']} key {c['vendor key']}",
            "param": c["error param"],
            "code": c["error code"],
            "type": c["error code"],
        }
        return Reply(status, [JSON, extra], json.dumps({"error": said}).encode())
    if drive == "silent":
        return Reply(then="hang", headers=[SSE if stream else JSON], body=[b""], delay_s=3)
    if drive == "garbage":
        return Reply(200, [SSE if stream else JSON, extra], f'data: {{"choices": [{{"delta": {c["half answer"]}'.encode())
    events = list(_events(c, kind)) if stream else [json.dumps(_whole(c, kind)).encode()]
    if drive == "reset":
        return Reply(200, [SSE if stream else JSON, extra], [events[0][: len(events[0]) // 2], b""], then="reset")
    if drive == "half":  # goes on until the client leaves, or the gateway is killed
        return Reply(200, [SSE, extra], [events[0], b""], then="hang")
    return Reply(200, [SSE if stream else JSON, extra], events if stream else events[0])


def _whole(c: Canaries, kind: str) -> dict[str, Any]:
    if kind == "messages":
        content = [
            {"type": "thinking", "thinking": c["reasoning"]},
            {"type": "text", "text": c["answer"]},
            {"type": "tool_use", "name": c["tool call"]},
        ]
        return {
            "model": "claude-sonnet-4-5",
            "content": content,
            "stop_sequence": c["stop"],
            "usage": {"input_tokens": 7, "output_tokens": 3},
        }
    if kind == "generate":
        parts = [{"text": c["answer"]}, {"functionCall": {"name": c["tool call"]}}, {"text": c["reasoning"], "thought": True}]
        counts = {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10}
        return {"candidates": [{"content": {"parts": parts}}], "modelVersion": "gemini-2.5-flash", "usageMetadata": counts}
    if kind == "responses":
        output = [
            {"type": "message", "content": [{"type": "output_text", "text": c["answer"]}, {"type": "refusal", "refusal": c["refusal"]}]}
        ]
        return {"model": "gpt-4o", "output": output, "usage": {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}}
    message = {
        "content": c["answer"],
        "refusal": c["refusal"],
        "reasoning_content": c["reasoning"],
        "tool_calls": [{"function": {"name": c["tool call"]}}],
    }
    return {"model": "gpt-4o", "choices": [{"message": message}], "usage": _USAGE}


def _events(c: Canaries, kind: str) -> Iterator[bytes]:
    if kind == "messages":
        start = {"type": "message_start", "message": {"model": "claude-sonnet-4-5", "usage": {"input_tokens": 7, "output_tokens": 1}}}
        delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": c["piece"]}}
        end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}}
        events: list[dict[str, Any]] = [start, delta, end, {"type": "message_stop"}]
    elif kind == "generate":
        events = [{"candidates": [{"content": {"parts": [{"text": c["piece"]}]}}]}, _whole(c, "generate")]
    elif kind == "responses":
        events = [{"type": "response.output_text.delta", "delta": c["piece"]}, {"type": "response.completed", "response": _whole(c, kind)}]
    else:
        pieces = [
            {"content": c["piece"]},
            {"reasoning_content": c["reasoning"]},
            {"tool_calls": [{"function": {"arguments": c["tool call"]}}]},
        ]
        events = [{"model": "gpt-4o", "choices": [{"delta": piece}]} for piece in pieces]
        events.append({"model": "gpt-4o", "choices": [], "usage": _USAGE})
    for event in events:
        name = f"event: {event['type']}\n" if "type" in event else ""
        yield f"{name}data: {json.dumps(event)}\n\n".encode()
    if kind == "chat":
        yield b"data: [DONE]\n\n"
