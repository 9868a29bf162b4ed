"""What the web process says in JSON: exact numbers, and one body for every error."""

import errno
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Any

import orjson
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from byok.errors import BadRequest, ByokError, TooManyRequests

_NANO = Decimal("1e-9")
_WIDE = Context(prec=60)  # sums of decimal(18,9) outgrow the default 28 digits
log = structlog.get_logger("byok.web")
_OF_FILES = {errno.EACCES, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EROFS}
_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
NO_STORE = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class ExactJson(Response):
    """JSON in which a Decimal is a number with all nine decimals, never by way of a float, and an instant ends in `Z`."""

    media_type = "application/json"

    def __init__(self, content: Any, status_code: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(content, status_code, {**NO_STORE, **(headers or {})})

    def render(self, content: Any) -> bytes:
        return encode(content)


def encode(content: Any) -> bytes:
    """Return `content` as JSON text.

    >>> encode({"cost_usd": Decimal("0.0035")})
    b'{"cost_usd":0.003500000}'
    """
    try:
        return orjson.dumps(content, default=_exact, option=orjson.OPT_PASSTHROUGH_DATETIME)
    except orjson.JSONEncodeError:  # most likely a sum that outgrew 64 bits
        return orjson.dumps(_widened(content), default=_exact, option=orjson.OPT_PASSTHROUGH_DATETIME)


def _exact(value: object) -> object:
    if isinstance(value, Decimal):
        whole = value.as_tuple().exponent == 0  # a count beyond a bigint, as Arrow gives it
        return orjson.Fragment(format(value if whole else value.quantize(_NANO, context=_WIDE), "f").encode())
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _widened(value: Any) -> Any:
    """The same with integers of any size: the encoder knows those of 64 bits only."""
    if isinstance(value, dict):
        return {name: _widened(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_widened(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return orjson.Fragment(str(value).encode())
    return value


def error(fault: ByokError) -> ExactJson:
    """The HTTP answer for an error of ours: its body, and the headers that its status asks for."""
    headers = {}
    if fault.status == 401:
        headers["www-authenticate"] = 'Bearer error="invalid_token"'  # RFC 6750; the same for every reason
    if isinstance(fault, TooManyRequests):
        headers["retry-after"] = str(fault.retry_after_s)
    return ExactJson(fault.body(), fault.status, headers)


class Internal(ByokError):
    status, code = 500, "internal"

    def __init__(self) -> None:
        super().__init__(
            "Something went wrong on our side; it is in the log of the web process.", remedy="Try again; if it persists, run: byok doctor"
        )


class UnknownPath(ByokError):
    status, code = 404, "not_found"

    def __init__(self) -> None:
        super().__init__("There is nothing at this path.", remedy="GET /docs lists every route of this API.")


class MethodNotAllowed(ByokError):
    status, code = 405, "method_not_allowed"

    def __init__(self) -> None:
        super().__init__("This path does not answer to this method.", remedy="GET /docs lists every route of this API.")


class RequestTooLarge(ByokError):
    status, code = 413, "body_too_large"

    def __init__(self) -> None:
        super().__init__("The request body is larger than this address takes.", remedy="Send at most 64 KB.")


class FilesUnavailable(ByokError):
    status, code = 503, "files_unavailable"

    def __init__(self) -> None:
        super().__init__(
            "A file of this installation cannot be read or written just now.",
            remedy="Try again; if it persists, run: byok doctor",
        )


async def our_fault(_: Request, fault: Exception) -> ExactJson:
    """Starlette's handler for `ByokError`."""
    return error(fault if isinstance(fault, ByokError) else Internal())


async def file_fault(request: Request, fault: Exception) -> ExactJson:
    """Starlette's handler for OSError: a disk that refuses, or else (a connection, a time-out) something unforeseen. What it was is for
    the operator."""
    log.error("request_failed", method=request.method, exc_info=fault)
    of_files = isinstance(fault, OSError) and (fault.filename is not None or fault.errno in _OF_FILES)
    return error(FilesUnavailable() if of_files else Internal())


async def internal_fault(_: Request, __: Exception) -> ExactJson:
    """Starlette's handler for everything unforeseen: no word of it goes out."""
    return error(Internal())


async def http_fault(request: Request, fault: Exception) -> ExactJson:
    """Starlette's handler for what its own routing and parsing refuse."""
    if isinstance(fault.__cause__, ByokError):  # ours, wrapped by a parser
        return error(fault.__cause__)
    status = fault.status_code if isinstance(fault, HTTPException) else 400
    if status == 404:
        return error(UnknownPath())
    if status == 405:
        answer = error(MethodNotAllowed())
        answer.headers["allow"] = ", ".join(_methods(request))
        return answer
    return error(BadRequest("The request could not be read.", remedy="Send JSON, as GET /docs describes it."))


def _methods(request: Request) -> list[str]:
    """What this path answers to, whichever of its routes does: Starlette names the methods of the first one only."""

    def answers(method: str) -> bool:
        asked = {**request.scope, "method": method}
        return any(route.matches(asked)[0] is Match.FULL for route in request.app.routes)

    return [method for method in _METHODS if answers(method)]
