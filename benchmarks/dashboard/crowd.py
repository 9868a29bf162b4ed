"""Many dashboard sessions at once, spoken in Streamlit's own protocol: each opens a page and changes the period now and then."""

import asyncio
import random
import time
from contextlib import suppress
from dataclasses import dataclass, field

import aiohttp
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

PERIODS = tuple(f"range=custom&from=2026-{first}&to=2026-10-31" for first in ("08-03", "10-02", "10-18", "10-25", "10-31"))
PAGES = ("", "explore", "costs", "reliability")
PAUSE_S = (5.0, 25.0)  # how long a person looks at a page
_PATIENCE_S = 300


@dataclass
class Crowd:
    """Seconds from asking for a page to its last element, and how many runs failed."""

    took: list[float] = field(default_factory=list)
    failed: int = 0


def look_around(url: str, cookie: str, sessions: int, seconds: float) -> Crowd:
    """As `visit`, in a process of its own."""
    return asyncio.run(visit(url, cookie, sessions, seconds))


async def visit(url: str, cookie: str, sessions: int, seconds: float) -> Crowd:
    """Let so many people look at the dashboard for so long."""
    crowd, end = Crowd(), time.monotonic() + seconds
    async with aiohttp.ClientSession(cookies={"byok_session": cookie}, cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        await asyncio.gather(*(_person(client, url, crowd, end, random.Random(number)) for number in range(sessions)))
    return crowd


async def _person(client: aiohttp.ClientSession, url: str, crowd: Crowd, end: float, rng: random.Random) -> None:
    await asyncio.sleep(rng.uniform(0, PAUSE_S[1]))
    try:
        async with client.ws_connect(
            f"{url.replace('http', 'ws')}/_stcore/stream", protocols=["streamlit"], headers={"origin": url}, max_msg_size=0
        ) as socket:
            while time.monotonic() < end:
                asked = BackMsg()
                asked.rerun_script.query_string = rng.choice(PERIODS)
                asked.rerun_script.page_name = rng.choice(PAGES)
                started = time.monotonic()
                await socket.send_bytes(asked.SerializeToString())
                if await _finished(socket):
                    crowd.took.append(time.monotonic() - started)
                else:
                    crowd.failed += 1
                await _look(socket, rng.uniform(*PAUSE_S))
    except (aiohttp.ClientError, TimeoutError):
        crowd.failed += 1


async def _look(socket: aiohttp.ClientWebSocketResponse, seconds: float) -> None:
    """Pause as a browser does, which goes on reading: a server hangs up on whom its pings do not bring an answer from for 20 s."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for _ in socket:
                pass


async def _finished(socket: aiohttp.ClientWebSocketResponse) -> bool:
    """Read until the script has run; whether it ended well."""
    async with asyncio.timeout(_PATIENCE_S):
        async for message in socket:
            if message.type != aiohttp.WSMsgType.BINARY:
                return False
            said = ForwardMsg()
            said.ParseFromString(message.data)
            if said.WhichOneof("type") == "script_finished":
                if said.script_finished == ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                    continue  # the page asked to be drawn anew: what follows is the answer
                return said.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY
    return False
