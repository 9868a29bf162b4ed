"""What the gateway reads of a request's JSON body, and the few edits it makes: only the needed bytes change.

Prompts never become Python objects: the decoder skips all members but three.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from byok.errors import BadRequest
from byok.gateway.odd_json import without_surrogates

_KEY = re.compile(rb'\s*,?\s*("(?:[^"\\]++|\\.)*+")\s*:\s*')
_MODEL = re.compile(rb'"model"\s*:\s*')
_MULTIPART_NAME = re.compile(rb'name="?model"?(?![^\s;"])')
_MULTIPART_VALUE = re.compile(rb"[^\r\n]{0,200}\r?\n(?:[^\r\n]{1,200}\r?\n){0,8}\r?\n([^\r\n]{1,256})\r?\n")
_MOST_PLACES = 64  # in a form that look like the field `model`: a file may hold such text, too
_ESCAPED_LETTER = re.compile(rb"\\u00[4-7]")  # with which a key can be spelled in another way
_SIMPLE_VALUE = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[^\s,{}\[\]"]++')
_TO_BRACKET = re.compile(rb'[^"{}\[\]]*+(?:"(?:[^"\\]++|\\.)*+"[^"{}\[\]]*+)*+')
_MOST_MEMBERS = 1_000
_MOST_BRACKETS = 1_000_000  # about as many as fit into the largest context of a model
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


class TooComplex(BadRequest):
    """A key that decides something here has to be looked for among more members than any vendor takes."""

    code = "body_too_complex"

    def __init__(self) -> None:
        super().__init__("The request body has too many members.", remedy="Send fewer; the API of your vendor names those it knows.")


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
_decode_text = msgspec.json.Decoder(str).decode


def read_request(body: bytes) -> RequestHead:
    """Return what the gateway needs to know of a body; raises `InvalidJson`, `DuplicateKey` (for `model`) and `TooComplex`.

    >>> read_request(b'{"model":"gpt-4o-mini","stream":true,"messages":[]}')
    RequestHead(model='gpt-4o-mini', stream=True, include_usage=False)
    """
    try:
        head = _decode(body)
    except _FAULTS:
        head = _decode_with_halves(body)
    if head.model is not None and not _stands_once(body):
        _members(body)
    options = head.stream_options
    return RequestHead(
        model=head.model if isinstance(head.model, str) else None,
        stream=head.stream is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def _decode_with_halves(body: bytes) -> _Head:
    """Of a body that holds half of a surrogate pair, as a text cut by length does in JavaScript: the vendor is to judge it."""
    plain = without_surrogates(body)
    if plain == body:
        raise InvalidJson from None
    try:
        return _decode(plain)
    except _FAULTS:
        raise InvalidJson from None


def all_models(body: bytes) -> list[str | None]:
    """Return every model that a JSON body may lead to: its `model`, fallbacks in `models` and `fallbacks`, and `tools` that call one.

    None stands for one that cannot be told: a `models` that is no list of names, Anthropic's `fallbacks` of its own choice, or an agent or
    preset that brings its own model. Raises `DuplicateKey`, in a tool and a fallback, too.
    """
    members = {name: body[begin:end] for name, (begin, end) in _members(body).items()}
    found: list[str | None] = [None for name in _BRING_A_MODEL if members.get(name, b"null") != b"null"]
    if "model" in members:
        found += _texts([_decoded(members["model"])])
    if "models" in members:
        found += _texts(_decoded(members["models"]))
    found += [_model_of(tool) for tool in _raw_list(members.get("tools", b"[]")) if tool.startswith(b"{") and "model" in _members(tool)]
    if (fallbacks := members.get("fallbacks", b"null")) != b"null":
        found += [_model_of(one) for one in _raw_list(fallbacks)] if fallbacks.startswith(b"[") else [None]
    return found


def _model_of(entry: bytes) -> str | None:
    """What an object names as its `model`; a name may stand alone."""
    if entry.startswith(b"{"):
        begin, end = _members(entry).get("model", (0, 0))
        entry = entry[begin:end] or b"null"
    name = _decoded(entry)
    return name if isinstance(name, str) else None


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
    for place in islice(_MULTIPART_NAME.finditer(body), _MOST_PLACES):
        if found := _MULTIPART_VALUE.match(body, place.end()):
            return found[1].decode("utf-8", "replace").strip()
    return None


def add_include_usage(body: bytes) -> bytes:
    """Return the body with `stream_options.include_usage` true; every other byte stays. The body must be a JSON object."""
    if b'"stream_options"' not in body and not _has_escaped_letter(body):
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
    if text is None or not (model := _text(text[0])).startswith(f"{vendor}/"):
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
    return body.count(b'"model"') == 1 and not _has_escaped_letter(body)


def _has_escaped_letter(body: bytes) -> bool:
    return b"\\u00" in body and _ESCAPED_LETTER.search(body) is not None  # the plain search is many times faster than the pattern's


def _members(body: bytes) -> dict[str, tuple[int, int]]:
    """Return where each top-level value of an object stands; raises `DuplicateKey` if a key occurs twice, `TooComplex`, `InvalidJson`."""
    places: dict[str, tuple[int, int]] = {}
    brackets = iter(range(_MOST_BRACKETS))
    at = body.index(b"{") + 1
    while (found := _KEY.match(body, at)) is not None:
        key = _text(found[1])
        if key in places:
            raise DuplicateKey
        if len(places) == _MOST_MEMBERS:
            raise TooComplex
        at = _end_of_value(body, found.end(), brackets)
        places[key] = (found.end(), at)
    return places


def _text(quoted: bytes) -> str:
    try:
        return _decode_text(quoted)
    except _FAULTS:
        raise InvalidJson from None


def _end_of_value(body: bytes, at: int, brackets: Iterator[int]) -> int:
    if found := _SIMPLE_VALUE.match(body, at):
        return found.end()
    depth = 0
    for _ in brackets:
        found = _TO_BRACKET.match(body, at)
        at = found.end() + 1 if found else len(body)
        depth += 1 if body[at - 1] in b"{[" else -1
        if depth == 0:
            return at
    raise TooComplex
