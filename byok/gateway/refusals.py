"""Our own errors in the caller's wire format, so that an unmodified SDK raises its own exception with our words in it."""

import re

import msgspec

from byok.errors import ByokError
from byok.gateway import web_door
from byok.gateway.formats import anthropic, gemini, ollama, openai_chat
from byok.gateway.formats.shape import Format
from byok.gateway.headers import REQUEST_ID, Headers

_IS_ANTHROPIC = re.compile(r"/anthropic/v1/|/messages$")


def format_of(path: str) -> Format:
    """The wire format that a caller of this path reads its errors in, also where the path leads nowhere."""
    if path.startswith(("/gemini/", "/v1beta/")) and "/openai/" not in path:
        return gemini.FORMAT
    if path.startswith("/v1/messages") or (_IS_ANTHROPIC.search(path) and "/chat/completions" not in path):
        return anthropic.FORMAT
    if path.startswith("/ollama/api/"):
        return ollama.FORMAT
    return openai_chat.FORMAT


def body(error: ByokError, path: str) -> bytes:
    """The error body: the caller's wire format, or the API's own on the paths that web answers."""
    if web_door.is_for_web(path):
        return msgspec.json.encode(error.body())
    return format_of(path).error_body(error)


def headers(error: ByokError, length: int, request_id: bytes) -> Headers:
    """The headers of a refusal; a 401 says how to come in, a 429 when to come back."""
    found: Headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % length), (REQUEST_ID, request_id)]
    if error.status == 401:
        found.append((b"www-authenticate", b"Bearer"))
    if (retry_after_s := getattr(error, "retry_after_s", None)) is not None:
        found.append((b"retry-after", b"%d" % retry_after_s))
    if getattr(error, "final", False):
        found.append((b"x-should-retry", b"false"))  # the SDKs of OpenAI and Anthropic would try a 429 again
    return found
