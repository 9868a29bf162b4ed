"""An error inside a 200: which status it is booked with. Vendors tell by number, by word, or by codes of their own."""

from typing import Any

import msgspec

from byok.gateway.formats.shape import mapping, number

_BY_WORD = (  # the first line with a word that occurs in code, type or status decides; written as `_plain` writes
    (429, ("ratelimit", "limitrequests", "limitburst", "toomany", "throttl", "resourceexhausted", "slowdown")),
    (402, ("quota", "balance", "billing", "payment", "credits", "arrearage", "keylimit")),
    (529, ("overload", "unavailable", "capacity", "busy", "systemresource")),
    (401, ("authenti", "authoriz", "apikey", "permission", "forbidden", "credential", "accessdenied", "deactivated")),
    (504, ("timeout", "timedout", "deadline")),
    (502, ("servererror", "internal", "apierror", "badgateway", "upstream")),
    (400, ("invalid", "badrequest", "notfound", "notexist", "notsupport", "unsupported", "toolarge", "toosmall", "toolong", "length")),
    (400, ("contentfilter", "contentpolicy", "inspection", "moderation", "policy", "safety", "sensitive", "refus", "flagged")),
    (400, ("empty", "parseerror", "failedtodownload", "validation")),
)
# What a mere "invalid" may mean, told by the message's beginning alone: further on it may quote the request.
_BY_BEGINNING = (
    (401, ("apikeynotvalid", "apikeyexpired", "incorrectapikey", "invalidapikey", "invalidtoken")),
    (402, ("yourcreditbalanceistoolow", "insufficientbalance")),
)
_BY_NUMBER = {400: 400, 401: 401, 402: 402, 404: 400, 408: 504, 413: 400, 422: 400, 429: 429, 503: 529, 504: 504, 524: 504, 529: 529}
_BY_ERROR_CODE = {  # Z.AI: https://docs.z.ai/api-reference/api-code
    **dict.fromkeys((1000, 1001, 1002, 1003, 1004, 1110, 1111, 1112, 1121, 1220, 1311), 401),
    **dict.fromkeys((1113, 1309), 402),
    **dict.fromkeys((1302, 1303, 1304, 1308, 1310, 1313), 429),
    **dict.fromkeys((1210, 1211, 1212, 1213, 1214, 1215, 1221, 1222, 1261, 1300, 1301), 400),
    **dict.fromkeys((1305, 1312), 529),
}
_BY_BASE_RESP = {  # MiniMax: https://platform.minimax.io/docs/api-reference/errorcode.md
    **dict.fromkeys((1004, 2042, 2049), 401),
    **dict.fromkeys((1008, 2056), 402),
    **dict.fromkeys((1002, 1039, 1041, 2045), 429),
    **dict.fromkeys((1026, 1027, 1042, 1043, 1044, 2013, 2037, 2039, 2048, 20132), 400),
    1001: 504,
}
_NUMBERS = ("code", "http_code", "status_code", "status")
_FINE = ("ok", "success")
_JOINTS = str.maketrans("", "", "_-. ")


class Told(msgspec.Struct):
    """The top-level members that tell of a failure in one format or another. A format's own struct extends this."""

    error: Any = None
    errors: Any = None  # a list of them, as Cloudflare's
    base_resp: Any = None  # MiniMax
    x_groq: Any = None
    success: Any = None  # false in Z.AI's errors that have no `error`
    object: Any = None
    type: Any = None
    code: Any = None
    message: Any = None
    msg: Any = None
    status: Any = None
    http_code: Any = None
    status_code: Any = None


_decode_told = msgspec.json.Decoder(Told).decode


def failure_of(told: Told) -> int | None:
    """Return the class of the failure that an answer or an event tells of by its top-level members, None if it tells of none.

    >>> failure_of(Told(success=False, code=401, msg="token expired")), failure_of(Told(object="chat.completion"))
    (401, None)
    """
    if told.error or told.base_resp or told.x_groq:
        failure = error_status(told.error) or base_resp_status(told.base_resp) or error_status(mapping(told.x_groq).get("error"))
        if failure:
            return failure
    if isinstance(told.errors, list) and told.errors:
        return error_status(told.errors[0]) or 502
    if told.success is False or told.object == "error" or told.type == "error":
        return error_status(_flat(told))
    if (told.message or told.msg) and _tells_of_failure(told):
        return error_status(_flat(told))
    return None


def failure_in(data: bytes) -> int | None:
    """The same of a JSON object's bytes: the readers ask it only where something may be wrong, and read no more than they need elsewhere.

    >>> failure_in(b'{"code": 500, "msg": "404 NOT_FOUND", "success": false}')
    502
    """
    return failure_of(_decode_told(data))


def error_status(error: object) -> int | None:
    """Return the class of an `error` member: an object, a text, or null (None: no error).

    >>> error_status({"type": "overloaded_error", "message": "Overloaded"}), error_status({"code": 402}), error_status(None)
    (529, 402, None)
    """
    if not error:
        return None
    if isinstance(error, str):
        return _by_word(error) or 502
    told = mapping(error)
    numbers = [_as_number(told.get(name)) for name in _NUMBERS]
    words = " ".join(value for name in ("code", "type", "status") if isinstance(value := told.get(name), str))
    message = str(told.get("message", ""))
    status = first_status(*map(_by_number, numbers)) or _worded(words, message) or (401 if 403 in numbers else 502)
    return _by_beginning(message) or status if status == 400 else status


def named_error_status(data: bytes) -> int:
    """Return the class of an event that is named `error` and whose members tell nothing by themselves: JSON of another make, or a text.

    >>> named_error_status(b'{"detail": "Rate limit reached"}'), named_error_status(b"boom")
    (429, 502)
    """
    try:
        told = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        told = data.decode("utf-8", "replace")
    if isinstance(told, dict):
        told = {"message": told.get("detail") or told.get("msg")} | told
    return error_status(told) or 502


def base_resp_status(base_resp: object) -> int | None:
    """Return the class of MiniMax's `base_resp`, None where it reports no error.

    >>> base_resp_status({"status_code": 1008}), base_resp_status({"status_code": 0})
    (402, None)
    """
    code = number(mapping(base_resp).get("status_code"))
    return _BY_BASE_RESP.get(code, 502) if code else None


def first_status(*statuses: int | None) -> int | None:
    """Return the first that reports a failure."""
    return next((status for status in statuses if status), None)


def _flat(told: Told) -> dict[str, Any]:
    """An error whose members stand at the top, as an `error` member would say it."""
    names = ("code", "type", "status", "http_code", "status_code")
    return {"message": told.message or told.msg} | {name: getattr(told, name) for name in names}


def _tells_of_failure(told: Told) -> bool:
    """Whether a text at the top comes with a code that is none of success: `{"code": "InvalidApiKey", "message": …}` of DashScope."""
    if not isinstance(told.message or told.msg, str):
        return False
    if isinstance(told.code, str) and told.code and not told.code.isdecimal():
        return told.code.lower() not in _FINE
    return any(_by_number(code) or code == 403 for code in map(_as_number, (told.code, told.http_code, told.status_code, told.status)))


def _as_number(value: object) -> int | None:
    return int(value[:9]) if isinstance(value, str) and value.isdecimal() else number(value)


def _by_number(code: int | None) -> int | None:
    """403 stays open: bad credentials for some vendors, refused input for others."""
    if code is None or code == 403:
        return None
    known = _BY_NUMBER.get(code) or _BY_ERROR_CODE.get(code)
    if known is None and 400 <= code < 600:
        return 400 if code < 500 else 502
    return known


def _by_word(text: str) -> int | None:
    plain = _plain(text)
    return next((status for status, words in _BY_WORD if any(word in plain for word in words)), None)


def _worded(words: str, message: str) -> int | None:
    """The message is asked last: it is made for people, and may quote the request. But `server_error` alone says less than most of them."""
    status = _by_word(words)
    if status not in (None, 502):
        return status
    told = _by_beginning(message) or _by_word(message)
    return status if status and told == 400 else told or status


def _by_beginning(text: str) -> int | None:
    plain = _plain(text)
    return next((status for status, beginnings in _BY_BEGINNING if plain.startswith(beginnings)), None)


def _plain(text: str) -> str:
    """The same words however they are joined: RateLimit, rate_limit, rate limit."""
    return text[:200].lower().translate(_JOINTS)
