"""Images and sounds inside JSON: long runs of base64, cut short so that what stands around them fits into bounded memory."""

import re

LOOK_BYTES = 2**20  # what is held is looked through when it has grown to this, and again when it has doubled
_RUN = re.compile(rb"[A-Za-z0-9+/=_-]*+")
_STEP = 4096
_KEPT = 8  # a run may begin inside an escape, which has five characters


def shorten(held: bytearray, most: int) -> int:
    """Take the blobs out of what is held of one text; return how large it may grow, of at most `most`, before it is looked at again."""
    held[:] = without_blobs(held)
    return look_at(len(held), most)


def look_at(size: int, most: int) -> int:
    """Return how large a text of `size` may grow before it is looked at: each byte is looked at about twice."""
    return max(LOOK_BYTES, min(2 * size, most))


def without_blobs(data: bytes | bytearray) -> bytes | bytearray:
    """Return `data` without nearly all of each long run of base64: the same JSON but for such texts. Nothing found: `data` itself.

    >>> len(without_blobs(b'{"data":"' + b"QUJD" * 10_000 + b'","usage":{}}')) < 5_000
    True
    """
    kept, begin, at = [], 0, 0
    while at < len(data):  # a run of two steps covers the beginning of one
        run = _RUN.match(data, at)
        end = run.end() if run else at
        if end - at >= _STEP:
            kept.append(data[begin : at + _KEPT])
            begin = end
        at = max(end, at + _STEP)
    return b"".join((*kept, data[begin:])) if kept else data
