"""JSON that a strict reader refuses and clients read all the same: one odd character must not hide what an answer cost.

Asked only after the strict reader failed, so ordinary answers pay nothing for it. What a text says does not matter here, so it may
change; its quotation marks and backslashes stay.
"""

import re

import msgspec

from byok.gateway.events import ArraySplitter

FAULTS = (msgspec.DecodeError, UnicodeDecodeError)
_TRUNCATED = "Input data was truncated"  # msgspec's words: more is to come, or never came
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_NO_NUMBER = re.compile(rb"(?<=[\[,:\s])-?(?:NaN|Infinity)(?=[\],}\s])")
_MOST_TO_CUT = 2**20  # bracket by bracket, so not for long
_CONTROLS = bytes.maketrans(bytes(range(32)), b" " * 32)


class _Object(msgspec.Struct):
    pass


_decode = msgspec.json.Decoder(_Object).decode


def mended(data: bytes, fault: Exception) -> bytes:
    """Return the object at the beginning of `data`, also out of a list of one, as strict JSON; raises `fault` if that mends nothing.

    Mends halves of surrogate pairs, `NaN` and `Infinity`, raw control characters and bytes that are not UTF-8, and leaves out what
    stands behind the object.

    >>> mended(b'{"text": "\\\\ud83d", "logprob": -Infinity}\\0', msgspec.DecodeError())
    b'{"text": "\\\\uff3d", "logprob": null}'
    """
    if str(fault) == _TRUNCATED:
        raise fault
    text = data.translate(_CONTROLS).strip(b" \xef\xbb\xbf")
    if text[:1] not in (b"{", b"["):
        raise fault
    text = _NO_NUMBER.sub(b"null", without_surrogates(text)).decode("utf-8", "replace").encode()
    if not _is_object(text):
        text = _first_object(text)
    if not text or text == data:
        raise fault
    return text


def _is_object(text: bytes) -> bool:
    try:
        _decode(text)
    except msgspec.DecodeError:
        return False
    return True


def _first_object(text: bytes) -> bytes:
    """The object that others follow, or that is alone in a list; empty if there is none, or too much of it to look for."""
    if len(text) > _MOST_TO_CUT:
        return b""
    listed = text[:1] == b"["
    found = ArraySplitter().feed(text if listed else b"[" + text)
    return found[0] if found and not (listed and len(found) > 1) else b""


def without_surrogates(text: bytes) -> bytes:
    """Return JSON in which no escape names a surrogate; it stays as long as it is.

    >>> without_surrogates(b'"\\\\ud83d"')
    b'"\\\\uff3d"'
    """
    return _SURROGATE.sub(rb"\\uff", text)
