"""An error inside a 200: which status it is booked with. Vendors tell by number, by word, or by codes of their own."""

from byok.gateway.formats.shape import mapping, number

_BY_WORD = (  # the first line with a word that occurs in code, type or status decides
    (
        429,
        ("rate_limit", "ratelimit", "rate limit", "limit_requests", "limit_burst", "too_many", "too many", "throttl", "resource_exhausted"),
    ),
    (402, ("quota", "balance", "billing", "payment", "credits", "arrearage")),
    (529, ("overload", "unavailable", "capacity", "busy")),
    (
        401,
        (
            "authenti",
            "unauthorized",
            "api_key",
            "api key",
            "apikey",
            "permission",
            "forbidden",
            "credential",
            "access_denied",
            "accessdenied",
        ),
    ),
    (504, ("timeout", "timed out", "timed_out", "deadline")),
    (502, ("server_error", "internal", "api_error", "bad_gateway", "upstream")),
    (400, ("invalid", "bad_request", "not_found", "not_support", "unsupported", "too_large", "too_long", "length", "content_filter")),
    (400, ("content_policy", "inspection", "moderation", "policy", "safety", "sensitive", "refus")),
)
_BY_NUMBER = {400: 400, 401: 401, 402: 402, 404: 400, 408: 504, 413: 400, 422: 400, 429: 429, 503: 529, 504: 504, 529: 529}
_BY_VENDOR_CODE = {
    # MiniMax: https://platform.minimax.io/docs/api-reference/errorcode.md
    **dict.fromkeys((1004, 2049), 401),
    **dict.fromkeys((1008, 2056), 402),
    **dict.fromkeys((1002, 1039, 1041, 2045), 429),
    **dict.fromkeys((1026, 1027, 1042, 1043, 1044, 2013, 2037, 2039, 2048, 20132), 400),
    1001: 504,
    # Z.AI: https://docs.z.ai/api-reference/api-code
    **dict.fromkeys((1003, 1110, 1111, 1112), 401),
    **dict.fromkeys((1113, 1309), 402),
    **dict.fromkeys((1302, 1303, 1304, 1308, 1310), 429),
    **dict.fromkeys((1210, 1211, 1212, 1213, 1214, 1215, 1261, 1301), 400),
    1305: 529,
}


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
    code = told.get("code")
    if isinstance(code, str) and code.isdecimal():
        code = int(code[:9])
    words = " ".join(value for name in ("code", "type", "status") if isinstance(value := told.get(name), str))
    # The message is asked last: it is made for people, and may quote the request.
    told_by = _by_number(number(code)) or _by_word(words) or _by_word(str(told.get("message", "")))
    return told_by or (401 if code == 403 else 502)


def base_resp_status(base_resp: object) -> int | None:
    """Return the class of MiniMax's `base_resp`, None where it reports no error.

    >>> base_resp_status({"status_code": 1008}), base_resp_status({"status_code": 0})
    (402, None)
    """
    code = number(mapping(base_resp).get("status_code"))
    return _BY_VENDOR_CODE.get(code, 502) if code else None


def first_status(*statuses: int | None) -> int | None:
    """Return the first that reports a failure."""
    return next((status for status in statuses if status), None)


def _by_number(code: int | None) -> int | None:
    """403 stays open: bad credentials for some vendors, refused input for others."""
    if code is None or code == 403:
        return None
    known = _BY_NUMBER.get(code) or _BY_VENDOR_CODE.get(code)
    if known is None and 400 <= code < 600:
        return 400 if code < 500 else 502
    return known


def _by_word(text: str) -> int | None:
    low = text[:200].lower()
    return next((status for status, words in _BY_WORD if any(word in low for word in words)), None)
