"""The client's request body: read whole, because the model's name in it picks the vendor, and never larger than allowed."""

from collections.abc import Awaitable, Callable
from typing import Any

from byok.errors import BadRequest, BodyTooLarge
from byok.gateway.headers import Headers, first

Receive = Callable[[], Awaitable[Any]]


class ClientGone(Exception):
    """The client left before its request was complete. Nothing reached a vendor."""


def check_length(headers: Headers, limit_mb: int) -> None:
    """Refuse by the announced length, before a byte of the body is read. Raises `BodyTooLarge`, `BadRequest`."""
    length = first(headers, b"content-length")
    if length is None:
        return
    if not length.isdigit():
        raise BadRequest("The content-length is not a number.", remedy="Send the body's length in bytes.")
    if int(length) > limit_mb << 20:
        raise BodyTooLarge(limit_mb)


async def read(receive: Receive, limit_mb: int) -> bytes:
    """The whole body. Raises `BodyTooLarge` as soon as more than the limit has come, `ClientGone`."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return body
    pieces, size = [body], len(body)
    while message.get("more_body", False):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece = message.get("body", b"")
        size += len(piece)
        if size > limit_mb << 20:
            raise BodyTooLarge(limit_mb)
        pieces.append(piece)
    return b"".join(pieces)
