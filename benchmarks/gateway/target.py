"""What is measured: a name, and where it takes calls that go on to the vendor's JSON and to its streams."""

from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from benchmarks.gateway.processes import Unavailable
from benchmarks.gateway.stream_vendor import prompt

PATH = "/v1/chat/completions"
REQUEST_BYTES = 1024


@dataclass(frozen=True)
class Endpoint:
    port: int
    headers: dict[str, str] = field(default_factory=dict)
    model: str = "gpt-4o-mini"
    pid: int | None = None  # None: not ours to watch


@dataclass(frozen=True)
class Target:
    name: str
    json: Endpoint
    streams: Endpoint
    wait: Callable[[], None] = lambda: None  # until it answers; raises `Unavailable`
    slow: bool = False  # a hundred times dearer than the rest: fewer and longer rounds


def json_body(endpoint: Endpoint) -> dict[str, object]:
    return {"model": endpoint.model, "messages": [{"role": "user", "content": "x" * (REQUEST_BYTES - 70)}]}


def stream_body(endpoint: Endpoint, events: int, apart_ms: int) -> dict[str, object]:
    words = f"{prompt(events, apart_ms)} {'x' * (REQUEST_BYTES - 110)}"
    return {"model": endpoint.model, "stream": True, "messages": [{"role": "user", "content": words}]}


def check(target: Target) -> None:
    """One call of each kind must come through; raises `Unavailable` with the status otherwise."""
    for kind, endpoint, body in (
        ("JSON", target.json, json_body(target.json)),
        ("stream", target.streams, stream_body(target.streams, 3, 1)),
    ):
        answer = httpx.post(f"http://127.0.0.1:{endpoint.port}{PATH}", json=body, headers=endpoint.headers, timeout=60)
        wanted = '"usage"' if kind == "JSON" else "[DONE]"
        if answer.status_code != 200 or wanted not in answer.text:
            raise Unavailable(f"a {kind} call was answered with {answer.status_code}")
