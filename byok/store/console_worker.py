"""The locked process: one session of one user's SQL over copies of that user's rows. `byok.store.console` starts it.

Before a query can arrive it has closed every door behind itself: it was started by exec with an empty environment and an empty directory,
imports, limits itself, connects, locks itself into the kernel's sandbox, takes the rows from standard input and locks the engine. A step
that fails ends the process: there is no half-locked console.
"""

import json
import os
import struct
import sys
from typing import Any, BinaryIO

from byok.store import sandbox

LENGTH = struct.Struct("<Q")
_SESSION_CPU_S = 300
_LOADING_BYTES = 2 << 30


def main(parent: int) -> None:
    """Serve queries from standard input until it is closed; answers go to standard output."""
    # Arrow's allocator must start no thread (Landlock binds threads one by one), and numpy, which nothing here needs, costs half the start.
    os.environ.update(JE_ARROW_MALLOC_CONF="background_thread:false", ARROW_DEFAULT_MEMORY_POOL="system")
    sys.modules.update(dict.fromkeys(("numpy", "pandas", "polars")))  # type: ignore[arg-type]  # None means: cannot be imported
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not mix with the answers
    try:
        from byok.store import console_session

        os.environ.clear()
        sandbox.limit_resources(cpu_s=_SESSION_CPU_S)
        sandbox.limit_memory(_LOADING_BYTES)
        session = console_session.Session()
        statm = open("/proc/self/statm", "rb", buffering=0) if sys.platform == "linux" else None  # noqa: SIM115, PTH123
        layers = sandbox.lock(parent)
        setup = json.loads(_read(source))
        session.load(source, setup)
        _leave_room(statm, session, setup["memory_bytes"])
        session.lock(setup)
    except Exception as error:
        _answer(sink, {"broken": type(error).__name__})
        return
    _answer(sink, {"ready": layers, "rows_cut": session.rows_cut})
    while query := _read(source):
        sandbox.limit_cpu(setup["seconds"] + 1)
        head, body = session.answer(query.decode())
        _answer(sink, head, body)


def _leave_room(statm: BinaryIO | None, session: Any, memory_bytes: int) -> None:
    """What is left of `memory_bytes` (resident) after the rows becomes the room to grow, and a good half of it the engine's.

    Private memory is bounded too: the address space counts much that is mapped and not resident yet, which could still become so.
    """
    if statm is None:
        session.limit_memory(memory_bytes // 2)
        return
    with statm:
        size, resident, shared, _, _, private, _ = (int(pages) * os.sysconf("SC_PAGE_SIZE") for pages in statm.read().split())
    room = max(memory_bytes - resident, memory_bytes // 4)
    session.limit_memory(room * 3 // 5)
    sandbox.limit_address_space(size + room)
    sandbox.limit_private_memory(max(memory_bytes - shared, private + memory_bytes // 5))


def _read(source: BinaryIO) -> bytes:
    head = source.read(LENGTH.size)
    return source.read(LENGTH.unpack(head)[0]) if len(head) == LENGTH.size else b""


def _answer(sink: BinaryIO, head: dict[str, Any], body: bytes = b"") -> None:
    text = json.dumps(head | {"body": len(body)}).encode()
    sink.write(LENGTH.pack(len(text)) + text + body)
    sink.flush()
