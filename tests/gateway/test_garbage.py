"""A call leaves nothing for the garbage collector: its walks over everything would make other calls wait."""

import gc

import httpx
import pytest

from tests.vendor import JSON, SSE, Reply

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
ANSWER = b'{"model":"gpt-4o-mini","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}'
ANSWERS = {False: Reply(headers=[JSON], body=ANSWER), True: Reply(headers=[SSE], body=[b"data: " + ANSWER + b"\n\ndata: [DONE]\n\n"])}


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_leaves_no_cycles(house, client: httpx.Client, vendor, stream):
    vendor.script = ANSWERS[stream]

    def call() -> None:
        assert client.post("/v1/chat/completions", json=CHAT | {"stream": stream}).status_code == 200

    call()  # what the first call makes for good
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            call()
        house.wait_for_records(4)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        ours = [type(left).__name__ for left in gc.garbage if type(left).__module__.startswith("byok.gateway")]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert ours == []
