"""An export through the page, format by format: how long it takes, and how much memory the web process needs for it."""

import asyncio
import time
from pathlib import Path

import aiohttp
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

FORMATS = ("csv", "json", "jsonl", "parquet")
_PERIOD = "range=custom&from=2025-11-01&to=2026-10-31"
_PIECE = 1 << 16


def figures(url: str, cookie: str, pid: int) -> dict[str, str]:
    """All records of the year that is written, as each format: MB, seconds, the web process's memory before and at its highest."""
    return asyncio.run(_figures(url, cookie, pid))


async def _figures(url: str, cookie: str, pid: int) -> dict[str, str]:
    found = {}
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(
        cookies={"byok_session": cookie}, cookie_jar=aiohttp.CookieJar(unsafe=True), timeout=timeout
    ) as client:
        for fmt in FORMATS:
            address = await _link(client, url, fmt)
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # the highest begins anew
            before, started, size, lines = _memory_mb(pid, "VmRSS"), time.monotonic(), 0, 0
            async with client.get(url + address) as answer:
                answer.raise_for_status()
                async for piece in answer.content.iter_chunked(_PIECE):
                    size += len(piece)
                    lines += piece.count(b"\n")
            took = time.monotonic() - started
            rows = f"{lines - 1:,} records, " if fmt == "csv" else ""
            found[f"a year as {fmt}: MB, s, web's memory before and highest (MB)"] = (
                f"{rows}{size / 1e6:,.1f}, {took:.1f}, {before:,.0f}, {_memory_mb(pid, 'VmHWM'):,.0f}"
            )
    return found


async def _link(client: aiohttp.ClientSession, url: str, fmt: str) -> str:
    """The address behind the page's download button."""
    async with client.ws_connect(
        f"{url.replace('http', 'ws')}/_stcore/stream", protocols=["streamlit"], headers={"origin": url}, max_msg_size=0
    ) as socket:
        asked = BackMsg()
        asked.rerun_script.query_string = f"{_PERIOD}&format={fmt}"
        asked.rerun_script.page_name = "exports"
        await socket.send_bytes(asked.SerializeToString())
        async for message in socket:
            said = ForwardMsg()
            said.ParseFromString(message.data)
            address = said.delta.new_element.link_button.url
            if address.startswith("/download/"):
                return str(address)
    raise SystemExit("the page offers no download")


def _memory_mb(pid: int, which: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(which))
