"""LiteLLM's proxy, set up as its documentation says for one OpenAI-compatible vendor: https://docs.litellm.ai/docs/proxy/configs"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.gateway import installing
from benchmarks.gateway.processes import answers, started, wait_until
from benchmarks.gateway.target import Endpoint, Target
from benchmarks.gateway.vendor import Vendor
from tests.e2e.installation import free_port

VERSION = "1.106.0"
CONDITIONS = f"{VERSION}, one worker, master key, one vendor, no database and so no record of calls, local price map, log level ERROR"
_MASTER_KEY = "sk-bench-master"


@contextlib.contextmanager
def running(root: Path, vendor: Vendor, core: int) -> Iterator[Target]:
    """Started, not yet ready: that takes half a minute. Raises `Unavailable` when it cannot be installed."""
    program = installing.python_packages("litellm", f"litellm[proxy]=={VERSION}") / "bin" / "litellm"
    port, config, log = free_port(), root / "litellm.yaml", root / "litellm.log"
    vendors = {"json": vendor.json_port, "streams": vendor.stream_port}
    config.write_text(json.dumps(_configuration(vendors)))  # which is YAML too
    command = [str(program), "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION"}
    with started(core, command, log, env) as process:
        headers = {"authorization": f"Bearer {_MASTER_KEY}"}
        json_calls, streams = (Endpoint(port, headers, model, process.pid) for model in vendors)
        yield Target(
            "litellm", json_calls, streams, slow=True, wait=lambda: wait_until(answers(port, "/health/liveliness"), process, log, 180)
        )


def _configuration(vendors: dict[str, int]) -> dict[str, object]:
    models = [
        {
            "model_name": name,
            "litellm_params": {"model": "openai/gpt-4o-mini", "api_base": f"http://127.0.0.1:{port}/v1", "api_key": "sk-vendor"},
        }
        for name, port in vendors.items()
    ]
    return {"model_list": models, "general_settings": {"master_key": _MASTER_KEY}, "litellm_settings": {"telemetry": False}}
