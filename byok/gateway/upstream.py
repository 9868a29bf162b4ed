"""What the relay knows of the way to a vendor: one request out, its answer back as it arrives. `http1` and `echo` are such ways."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from byok.gateway.headers import Headers


class Outgoing(msgspec.Struct):
    """One request to a vendor; `url` is origin and path, `query` without the question mark."""

    method: str
    url: str
    query: bytes
    headers: Headers
    body: bytes


class Unreachable(Exception):
    """No answer: the vendor could not be reached, or left before its answer began. Nothing was relayed."""


class Silent(Exception):
    """The vendor sent nothing for longer than the limit."""


class Broken(Exception):
    """The answer ended before its end. What had arrived was read before."""


class Answer(Protocol):
    """A vendor's answer whose head has arrived. `headers` are raw, in the vendor's order."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]

    @property
    def trailers(self) -> Sequence[tuple[bytes, bytes]]:
        """What followed the body; complete when `read` said b""."""
        ...

    async def read(self) -> bytes:
        """The next bytes as they came, b"" at the clean end; raises `Silent` or `Broken`, each time. Cancelling it loses nothing."""
        ...

    def close(self) -> None:
        """Let go: an unfinished answer ends its connection, which tells the vendor to stop."""
        ...


class Upstream(Protocol):
    """A way to vendors."""

    async def send(self, request: Outgoing) -> Answer:
        """Send and wait for the answer's head; raises `Unreachable` or `Silent`. Cancelling it ends the connection."""
        ...

    async def close(self) -> None: ...
