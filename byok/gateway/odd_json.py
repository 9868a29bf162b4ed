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
_CONTROLS = bytes.maketrans(bytes(range(32)), b" " * 32)


def mended(data: bytes, fault: Exception) -> bytes:
    """Return the object at the beginning of `data`, also out of a list of one, as strict JSON; raises `fault` if that mends nothing.

    Mends halves of surrogate pairs, `NaN` and `Infinity`, raw control characters and bytes that are not UTF-8, and leaves out what
    stands behind the object.

    >>> mended(b'{"text": "\\\\ud83d", "logprob": -Infinity}\\0', msgspec.DecodeError())
    b'{"text": "\\\\uff3d", "logprob": null}'
    """
    if str(fault) == _TRUNCATED:
        raise fault
    text = data.translate(_CONTROLS).lstrip(b" \xef\xbb\xbf")
    if text[:1] not in (b"{", b"["):
        raise fault
    found = ArraySplitter().feed(text if text[:1] == b"[" else b"[" + text)
    if not found or (len(found) > 1 and text[:1] == b"["):
        raise fault
    plain = _NO_NUMBER.sub(b"null", without_surrogates(found[0]))
    plain = plain.decode("utf-8", "replace").encode()
    if plain == data:
        raise fault
    return plain


def without_surrogates(text: bytes) -> bytes:
    """Return JSON in which no escape names a surrogate; it stays as long as it is.

    >>> without_surrogates(b'"\\\\ud83d"')
    b'"\\\\uff3d"'
    """
    return _SURROGATE.sub(rb"\\uff", text)
