"""What was said is nowhere: canaries in every place of a call, looked for in every file that an installation wrote."""

import base64
import json
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import pytest

from tests.e2e.installation import Installation, wait_until
from tests.vendor import JSON, SSE, LoopbackVendor, Reply, Seen

SENT = {
    name: f"canary{name}Q7x" for name in ("system", "user", "tool", "metadata", "path", "query", "agent", "cookie", "header", "passkey")
}
SAID = {name: f"canary{name}Z4k" for name in ("answer", "piece", "error", "location")}
STORED_KEY = "vk-canarystoredkeyW3n"
CANARIES = (*SENT.values(), *SAID.values(), "canarystoredkeyW3n")
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def vendor_answer(seen: Seen) -> Reply:
    if b'"fail"' in seen.body:
        error = {"error": {"message": f"{SAID['error']} {STORED_KEY}", "type": SAID["error"], "code": SAID["error"]}}
        return Reply(429, [JSON, ("x-location", SAID["location"])], json.dumps(error).encode())
    if b'"stream"' in seen.body:
        events = [{"choices": [{"delta": {"content": SAID["piece"]}}]}, {"choices": [], "usage": USAGE}]
        return Reply(headers=[SSE], body=[b"data: " + json.dumps(event).encode() + b"\n\n" for event in events])
    return Reply(body=json.dumps({"model": "gpt-4o", "choices": [{"message": {"content": SAID["answer"]}}], "usage": USAGE}).encode())


def forms(canary: str) -> list[bytes]:
    """As it is, in hex, and in base64 at each of its three offsets."""
    shifted = [base64.b64encode(b"x" * offset + canary.encode())[4:-4] for offset in range(3)]
    return [canary.encode(), canary.encode().hex().encode(), *shifted]


def found_in(root: Path) -> list[tuple[str, str]]:
    """(file, canary) for every hit in names, raw bytes and decoded Parquet."""
    hits = []
    for path in root.rglob("*"):
        if not path.is_file():
            continue
        raw = path.read_bytes()
        decoded = str(pq.ParquetFile(path).read().to_pylist()).encode() if raw[:4] == b"PAR1" else b""
        text = str(path).encode() + raw + decoded
        hits += [(path.name, canary) for canary in CANARIES if any(form in text for form in forms(canary))]
    return hits


@pytest.mark.slow
def test_no_prompt_answer_header_or_key_reaches_disk_or_log(install):
    with LoopbackVendor(vendor_answer) as vendor:
        installation: Installation = install(BYOK_OPENAI_BASE_URL=f"{vendor.url}/v1", BYOK_LOG_LEVEL="debug")
        token = installation.add_user("ada@example.org")
        installation.command("key", "add", "ada@example.org", "--vendor", "openai", stdin=f"{STORED_KEY}\n")
        installation.start("gateway", "web", "keeper")
        headers = {"authorization": f"Bearer {token}", "user-agent": SENT["agent"], "cookie": SENT["cookie"], "x-odd": SENT["header"]}
        messages = [{"role": "system", "content": SENT["system"]}, {"role": "user", "content": SENT["user"]}]
        body = {"model": "gpt-4o", "messages": messages, "tools": [{"name": SENT["tool"]}], "metadata": {"k": SENT["metadata"]}}
        with httpx.Client(base_url=installation.gateway, headers=headers) as client:
            chat = "/v1/chat/completions"
            assert SAID["answer"] in client.post(f"{chat}?x={SENT['query']}", json=body).text
            assert SAID["piece"] in client.post(chat, json=body | {"stream": True}).text
            assert SAID["error"] in client.post(chat, json=body | {"fail": 1}).text
            assert client.post(chat, json=body, headers={"x-byok-vendor-key": SENT["passkey"]}).status_code == 200
            assert client.post(chat, content=json.dumps(body)[:-40]).status_code == 400
            assert client.post(chat, json=body | {"model": SENT["user"]}).status_code == 404
            assert client.post(f"/openai/v1/{SENT['path']}", json=body).status_code == 404
            assert client.post(chat, json=body, headers={"authorization": f"Bearer {SENT['user']}"}).status_code == 401
        wait_until(lambda: len(installation.sql("select 1 from usage")) == 4)
        installation.command("compact")
        for name in ("gateway", "web", "keeper"):
            assert installation.stop(name) == 0
        assert found_in(installation.root) == []

        for number, canary in enumerate(CANARIES):  # the search itself must be able to fail
            (installation.root / f"planted-{number}").write_bytes(b"log: " + forms(canary)[number % 5])
        assert len(found_in(installation.root)) == len(CANARIES)
