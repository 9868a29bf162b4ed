"""Numbered calls: a vendor that keeps a ledger of what it answered, and clients that remember what they saw the end of."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from tests.vendor import Reply, Seen


def completion(number: int) -> int:
    return number * 7 % 1000 + 1


def answer(seen: Seen) -> Reply:
    """The usage names the call: prompt_tokens is its number. The ledger has it, synced, before the client can."""
    body = json.loads(seen.body)
    number = int(body["messages"][0]["content"])
    usage = {"prompt_tokens": number, "completion_tokens": completion(number), "total_tokens": number + completion(number)}
    head = {"id": "chatcmpl-1", "created": 1, "model": "gpt-4o-mini"}
    ledger = {"call": number}
    if not body.get("stream"):
        choices = [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}]
        return Reply(body=json.dumps(head | {"object": "chat.completion", "choices": choices, "usage": usage}).encode(), ledger=ledger)
    words = [head | {"choices": [{"index": 0, "delta": {"content": f"w{n} "}, "finish_reason": None}]} for n in range(4)]
    events = [*words, head | {"choices": [], "usage": usage}]
    pieces = [f"data: {json.dumps(event)}\n\n".encode() for event in events] + [b"data: [DONE]\n\n"]
    return Reply(headers=(("content-type", "text/event-stream"),), body=pieces, between_s=0.005, ledger=ledger)


@dataclass(frozen=True)
class Caller:
    """A user with an access token, and where the calls go."""

    user_id: str
    token: str


class Load:
    """Clients that call without a pause; a call is acknowledged when its last byte arrived.

    `choose` says for each call who makes it and through which gateway. `sent` and `acknowledged` are numbers of calls, by user id.
    """

    def __init__(self, choose: Callable[[], tuple[Caller, str]], *, clients: int, pause_s: float = 0.0) -> None:
        self.sent: dict[str, set[int]] = {}
        self.acknowledged: dict[str, set[int]] = {}
        self._choose, self._pause_s = choose, pause_s
        self._stop, self._lock, self._next = threading.Event(), threading.Lock(), 0
        self._threads = [threading.Thread(target=self._call_on, daemon=True) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def acknowledged_by(self, user_id: str) -> set[int]:
        with self._lock:
            return set(self.acknowledged.get(user_id, ()))

    def sent_by(self, user_id: str) -> int:
        with self._lock:
            return len(self.sent.get(user_id, ()))

    def _call_on(self) -> None:
        with httpx.Client(timeout=10) as client:
            while not self._stop.is_set():
                caller, base = self._choose()
                with self._lock:
                    self._next += 1
                    number = self._next
                    self.sent.setdefault(caller.user_id, set()).add(number)
                if self._call(client, caller, base, number):
                    with self._lock:
                        self.acknowledged.setdefault(caller.user_id, set()).add(number)
                    self._stop.wait(self._pause_s)
                else:
                    self._stop.wait(0.05)

    def _call(self, client: httpx.Client, caller: Caller, base: str, number: int) -> bool:
        stream = number % 2 == 0
        body = {"model": "gpt-4o-mini", "stream": stream, "messages": [{"role": "user", "content": str(number)}]}
        if stream:
            body["stream_options"] = {"include_usage": True}
        try:
            got = client.post(f"{base}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {caller.token}"})
        except httpx.TransportError:
            return False
        return got.status_code == 200 and (not stream or got.text.endswith("data: [DONE]\n\n"))
