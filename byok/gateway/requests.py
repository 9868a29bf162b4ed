"""What the gateway reads of a request's JSON body, and the few edits it makes: only the needed bytes change.

Prompts never become Python objects: the decoder skips all members but three.
"""

import re
from typing import Any, NamedTuple

import msgspec

from byok.errors import BadRequest

_KEY = re.compile(rb'\s*,?\s*("(?:[^"\\]++|\\.)*+")\s*:\s*')
_MODEL = re.compile(rb'"model"\s*:\s*')
_MULTIPART_MODEL = re.compile(rb'name="?model"?[^\r\n]*\r?\n(?:[^\r\n]+\r?\n)*\r?\n([^\r\n]{1,256})\r?\n')
_BRING_A_MODEL = ("agent", "agent_id", "preset")
_FAULTS = (msgspec.MsgspecError, ValueError, RecursionError)


class InvalidJson(BadRequest):
    """The body is no JSON object; says nothing of what it holds."""

    code = "invalid_json"

    def __init__(self) -> None:
        super().__init__("The request body is not a JSON object.", remedy="Send one JSON object with the content type application/json.")


class DuplicateKey(BadRequest):
    """A member that decides something here stands twice: this gateway and a vendor might read different ones."""

    code = "duplicate_key"

    def __init__(self) -> None:
        super().__init__("A member of the request body occurs twice.", remedy="Send each top-level member once.")


class RequestHead(NamedTuple):
    """What a body says about itself. `model` is None if absent or no text."""

    model: str | None
    stream: bool
    include_usage: bool


class _Head(msgspec.Struct):
    model: Any = None
    stream: Any = None
    stream_options: Any = None


_decode = msgspec.json.Decoder(_Head).decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode


def read_request(body: bytes) -> RequestHead:
    """Return what the gateway needs to know of a body; raises `InvalidJson` and `DuplicateKey` (for `model`).

    >>> read_request(b'{"model":"gpt-4o-mini","stream":true,"messages":[]}')
    RequestHead(model='gpt-4o-mini', stream=True, include_usage=False)
    """
    try:
        head = _decode(body)
    except _FAULTS:
        raise InvalidJson from None
    if head.model is not None and not _stands_once(body):
        _members(body)
    options = head.stream_options
    return RequestHead(
        model=head.model if isinstance(head.model, str) else None,
        stream=head.stream is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def all_models(body: bytes) -> list[str | None]:
    """Return every model that a JSON body may lead to: its `model`, fallbacks in `models`, and those of `tools` that call one.

    None stands for one that cannot be told: a `models` that is no list of names, or an agent or preset that brings its own model.
    Raises `DuplicateKey`, in a tool, too.
    """
    members = {name: body[begin:end] for name, (begin, end) in _members(body).items()}
    found: list[str | None] = [None for name in _BRING_A_MODEL if members.get(name, b"null") != b"null"]
    if "model" in members:
        found += _texts([_decoded(members["model"])])
    if "models" in members:
        found += _texts(_decoded(members["models"]))
    for tool in _raw_list(members.get("tools", b"[]")):
        if tool.startswith(b"{") and (place := _members(tool).get("model")) is not None:
            found += _texts([_decoded(tool[slice(*place)])])
    return found


def _texts(value: Any) -> list[str | None]:
    return [one if isinstance(one, str) else None for one in (value if isinstance(value, list) else [None])]


def _decoded(value: bytes) -> Any:
    try:
        return msgspec.json.decode(value)
    except _FAULTS:
        raise InvalidJson from None


def _raw_list(value: bytes) -> list[bytes]:
    try:
        return [bytes(one) for one in msgspec.json.decode(value, type=list[msgspec.Raw])]
    except _FAULTS:  # null, or what the vendor will refuse
        return []


def multipart_model(body: bytes) -> str | None:
    """Return the field `model` of a form, as audio and image calls send it; None if it cannot be found."""
    found = _MULTIPART_MODEL.search(body)
    return found[1].decode("utf-8", "replace").strip() if found else None


def add_include_usage(body: bytes) -> bytes:
    """Return the body with `stream_options.include_usage` true; every other byte stays. The body must be a JSON object."""
    if b'"stream_options"' not in body and b"\\u00" not in body:
        return _insert(body, body.index(b"{") + 1, b'"stream_options":{"include_usage":true}')
    members = _members(body)
    if "stream_options" not in members:
        return _insert(body, body.index(b"{") + 1, b'"stream_options":{"include_usage":true}')
    begin, end = members["stream_options"]
    return body[:begin] + _with_include_usage(body[begin:end]) + body[end:]


def strip_vendor_prefix(body: bytes, vendor: str) -> bytes:
    """Return the body with the `vendor/` taken off its model's name; every other byte stays. Without that prefix: the same body."""
    if _stands_once(body) and (found := _MODEL.search(body)):
        begin = found.end()
    else:
        members = _members(body)
        if "model" not in members:
            return body
        begin = members["model"][0]
    prefix = b'"' + vendor.encode() + b"/"
    if body.startswith(prefix, begin):
        return body[: begin + 1] + body[begin + len(prefix) :]
    return _strip_escaped_prefix(body, begin, vendor)


def _strip_escaped_prefix(body: bytes, begin: int, vendor: str) -> bytes:
    """The prefix may be written with escapes, such as `openai\\/gpt-4o`."""
    text = re.compile(rb'"(?:[^"\\]++|\\.)*+"').match(body, begin)
    if text is None or not (model := _decode_text(text[0])).startswith(f"{vendor}/"):
        return body
    return body[:begin] + msgspec.json.encode(model.removeprefix(f"{vendor}/")) + body[text.end() :]


def _with_include_usage(options: bytes) -> bytes:
    if not options.startswith(b"{"):  # null, or what the vendor will refuse
        return b'{"include_usage":true}' if options == b"null" else options
    members = _members(options)
    if "include_usage" in members:
        begin, end = members["include_usage"]
        return options[:begin] + b"true" + options[end:]
    return _insert(options, 1, b'"include_usage":true')


def _insert(body: bytes, at: int, member: bytes) -> bytes:
    comma = b"" if body[at:].lstrip(b" \t\r\n")[:1] == b"}" else b","
    return body[:at] + member + comma + body[at:]


def _stands_once(body: bytes) -> bool:
    """Whether a key `model` stands only once, so that no walk is needed: also no other spelling of it, with escaped letters."""
    return body.count(b'"model"') == 1 and b"\\u00" not in body


def _members(body: bytes) -> dict[str, tuple[int, int]]:
    """Return where each top-level value stands; raises `DuplicateKey` if a key occurs twice."""
    try:
        values = _decode_members(body)
    except _FAULTS:
        raise InvalidJson from None
    places: dict[str, tuple[int, int]] = {}
    at = body.index(b"{") + 1
    for key, value in values.items():
        raw = bytes(value)
        found = _KEY.match(body, at)
        if found is None or _decode_text(found[1]) != key or not body.startswith(raw, found.end()):
            raise DuplicateKey
        at = found.end() + len(raw)
        places[key] = (found.end(), at)
    if body[at:].strip(b" \t\r\n") != b"}":
        raise DuplicateKey
    return places
