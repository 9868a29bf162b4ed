"""The recorded exchanges of the vendors as calls through the gateway, and a vendor on loopback that answers them as recorded."""

import json
from dataclasses import dataclass
from typing import Any

from tests.corpus import corpus
from tests.vendor import Reply, Seen

# corpus file -> our name of the vendor, and the form of its base URL
VENDORS = {
    "openai": ("openai", "/v1"),
    "anthropic": ("anthropic", ""),
    "google": ("gemini", ""),
    "deepseek": ("deepseek", ""),
    "alibaba": ("qwen", "/compatible-mode/v1"),
    "minimax": ("minimax", "/v1"),
    "moonshot": ("moonshot", "/v1"),
}
BOOKED = ("/chat/completions", "/v1/responses", "/v1/messages", ":generateContent", ":streamGenerateContent", "/v1/embeddings")
_MARK = "exchange-"


@dataclass(frozen=True)
class Exchange:
    """One recorded reply: where it came from, its bytes, and what is to be booked of it (None: not told)."""

    number: int
    vendor: str
    path: str
    model: str
    stream: bool
    status: int
    content_type: str
    body: bytes
    expected: dict[str, int | None] | None
    failed: bool

    def request(self) -> dict[str, Any]:
        """A request body in the vendor's own format that names this exchange."""
        text = f"{_MARK}{self.number} "
        if "enerateContent" in self.path:
            return {"contents": [{"parts": [{"text": text}]}]}
        body: dict[str, Any] = {"model": self.model, "messages": [{"role": "user", "content": text}], "max_tokens": 10}
        if self.path.endswith(("/responses", "/embeddings")):
            body = {"model": self.model, "input": text}
        if self.stream:
            body["stream"] = True
        if self.stream and self.path.endswith("/chat/completions"):
            body["stream_options"] = {"include_usage": True}  # so that the recorded bytes come through whole
        return body

    def target(self) -> str:
        """The gateway's native path."""
        query = "?alt=sse" if ":streamGenerateContent" in self.path and "event-stream" in self.content_type else ""
        return f"/{self.vendor}{self.path}{query}"

    def reply(self) -> Reply:
        return Reply(status=self.status, headers=(("content-type", self.content_type),), body=self.body)


def exchanges() -> list[Exchange]:
    """All recorded exchanges of the seven vendors on booked paths whose usage is known beyond doubt or that failed."""
    found = []
    folder = corpus("vendor-responses")
    for name, (vendor, _) in VENDORS.items():
        for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            told = (row["usage_present"] and not row.get("usage_alternative")) or row["status"] >= 400
            if row["body_encoding"] == "utf-8" and row["endpoint_path"].endswith(BOOKED) and told:
                found.append(_exchange(len(found), vendor, row))
    return found


def _exchange(number: int, vendor: str, row: dict[str, Any]) -> Exchange:
    expected = row["usage_expected"]
    return Exchange(
        number=number,
        vendor=vendor,
        path=row["endpoint_path"],
        model=row["request_model"] or "unknown",
        stream=bool(row["stream"]),
        status=row["status"],
        content_type=row["content_type"] or "application/json",
        body=row["response_body"].encode(),
        expected=expected and {name.removesuffix("_tokens"): value for name, value in expected.items()},
        failed=row["status"] >= 400 or bool(row.get("error_in_body")),
    )


def answer_with(recorded: list[Exchange]) -> Any:
    """A script for the loopback vendor: each request gets the reply that it names."""

    def script(seen: Seen) -> Reply:
        start = seen.body.index(_MARK.encode()) + len(_MARK)
        return recorded[int(seen.body[start : seen.body.index(b" ", start)])].reply()

    return script


def base_urls(port: int) -> dict[str, str]:
    """Settings that send every vendor's calls to the loopback vendor."""
    return {f"BYOK_{vendor.upper()}_BASE_URL": f"http://127.0.0.1:{port}{path}" for vendor, path in VENDORS.values()}
