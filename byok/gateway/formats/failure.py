"""An error inside a 200: which status it is booked with. Vendors tell by number, by word, or by MiniMax's own codes."""

from typing import Any

from byok.gateway.formats.shape import mapping, number

_BY_WORD = (  # the first that occurs in code, type or status decides
    (402, ("insufficient_quota", "insufficient_balance", "insufficient_credit", "billing", "payment", "arrearage", "credit")),
    (429, ("rate_limit", "ratelimit", "rate-limit", "too_many", "throttl", "resource_exhausted", "limit_burst", "limit_requests", "quota")),
    (529, ("overload", "unavailable", "capacity", "busy")),
    (401, ("auth", "api_key", "apikey", "permission", "credential", "access_denied")),
    (504, ("timeout", "timed_out", "deadline")),
    (502, ("server_error", "internal", "api_error", "upstream", "bad_gateway", "unknown")),
    (
        400,
        (
            "invalid",
            "bad_request",
            "not_found",
            "unsupported",
            "too_large",
            "content",
            "policy",
            "moderation",
            "safety",
            "length",
            "refus",
            "argument",
        ),
    ),
)
_BY_NUMBER = {400: 400, 401: 401, 402: 402, 403: 401, 404: 400, 408: 504, 413: 400, 422: 400, 429: 429, 503: 529, 504: 504, 529: 529}
# https://platform.minimax.io/docs/api-reference/errorcode.md
_BASE_RESP = {
    1001: 504,  # request timeout
    1002: 429,  # rate limit
    1004: 401,  # not authorised
    1008: 402,  # insufficient balance
    1026: 400,  # sensitive input
    1027: 400,  # sensitive output
    1039: 429,  # token limit per minute
    1041: 429,  # connection limit
    1042: 400,  # invisible characters
    1043: 400,
    1044: 400,
    2013: 400,  # invalid parameters
    2045: 429,  # rate growth limit
    2048: 400,
    2049: 401,  # invalid key
    2056: 402,  # usage limit of the plan
    20132: 400,
}


def error_status(error: object) -> int | None:
    """Return the class of an `error` member: an object, a string, or null (None: no error)."""
    if not error:
        return None
    if isinstance(error, str):
        return _by_word(error) or 502
    told = mapping(error)
    words = " ".join(str(told[name]) for name in ("code", "type", "status", "error_type") if isinstance(told.get(name), str))
    code = number(told.get("code"))
    if code is None and str(told.get("code", "")).isdigit():
        code = int(str(told["code"])[:6])
    by_number = None if code is None else _number_class(code)
    return by_number or _by_word(words) or 502


def base_resp_status(base_resp: object) -> int | None:
    """Return the class of MiniMax's `base_resp`, None where it reports no error."""
    code = number(mapping(base_resp).get("status_code"))
    if not code:
        return None
    return _BASE_RESP.get(code, 502)


def _number_class(code: int) -> int | None:
    if code in _BY_NUMBER:
        return _BY_NUMBER[code]
    if 400 <= code < 500:
        return 400
    return 502 if 500 <= code < 600 else None


def _by_word(text: str) -> int | None:
    low = text[:200].lower().replace(" ", "_")
    return next((status for status, words in _BY_WORD if any(word in low for word in words)), None)


def first_status(*statuses: int | None) -> int | None:
    """Return the first that reports a failure."""
    return next((status for status in statuses if status), None)


def is_error(event: dict[str, Any]) -> bool:
    """Whether this object is itself an error, as some OpenAI-compatible servers answer it."""
    return event.get("object") == "error" or event.get("type") == "error"
