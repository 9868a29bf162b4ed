"""An error inside a 200 is booked with its real class."""

import msgspec
import pytest

from byok.gateway.formats.failure import Told, base_resp_status, error_status, failure_of


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"type": "overloaded_error", "message": "Overloaded"}, 529),
        ({"type": "rate_limit_error"}, 429),
        ({"type": "authentication_error"}, 401),
        ({"type": "permission_error"}, 401),
        ({"type": "billing_error"}, 402),
        ({"type": "invalid_request_error"}, 400),
        ({"type": "not_found_error"}, 400),
        ({"type": "request_too_large"}, 400),
        ({"type": "timeout_error"}, 504),
        ({"type": "api_error"}, 502),
        ({"code": "rate_limit_exceeded"}, 429),
        ({"code": "insufficient_quota", "type": "insufficient_quota"}, 402),
        ({"code": "invalid_api_key", "type": "invalid_request_error"}, 401),
        ({"code": "server_error"}, 502),
        ({"code": "context_length_exceeded", "type": "invalid_request_error"}, 400),
        ({"code": "content_filter"}, 400),
        ({"code": "invalid_prompt"}, 400),
        ({"code": 429, "status": "RESOURCE_EXHAUSTED"}, 429),
        ({"code": 503, "status": "UNAVAILABLE"}, 529),
        ({"code": 500, "status": "INTERNAL"}, 502),
        ({"code": 504, "status": "DEADLINE_EXCEEDED"}, 504),
        ({"code": 400, "status": "INVALID_ARGUMENT"}, 400),
        ({"code": 403, "status": "PERMISSION_DENIED"}, 401),
        ({"code": 403, "message": "Your input was flagged by moderation"}, 400),
        ({"code": 402, "message": "More credits are needed"}, 402),
        ({"code": 408}, 504),
        ({"code": "429"}, 429),
        ({"code": "1302", "message": "…"}, 429),
        ({"code": "1113", "message": "…"}, 402),
        ({"code": "Throttling.AllocationQuota"}, 429),
        ({"code": "DataInspectionFailed"}, 400),
        ({"message": "The engine is currently overloaded"}, 529),
        ({"message": "something else"}, 502),
        ({}, None),
        (None, None),
        ("", None),
        ("rate limit reached", 429),
        ("boom", 502),
        ([1], 502),
        # one word, however it is joined
        ("model 'x' not found", 400),
        ({"type": "NotFoundError", "message": "no such model"}, 400),
        ({"type": "BadRequestError"}, 400),
        ({"code": "ModelNotFound"}, 400),
        ({"code": "BadRequest.EmptyInput"}, 400),
        ({"code": "slow_down"}, 429),
        *[({"code": code}, 400) for code in ("image_too_small", "image_parse_error", "empty_image_file", "failed_to_download_image")],
        ({"code": "vector_store_timeout"}, 504),
        # numbers under other names
        ({"type": "authorized_error", "message": "login fail: …", "http_code": "401"}, 401),
        ({"type": "authorized_error", "message": "login fail: …"}, 401),
        ({"message": "…", "http_code": "429"}, 429),
        ({"message": "Slow down", "status": 429}, 429),
        ({"message": "…", "status_code": 503}, 529),
        # a mere "invalid" that means more
        ({"code": 400, "status": "INVALID_ARGUMENT", "message": "API key not valid. Please pass a valid API key."}, 401),
        ({"type": "invalid_request_error", "message": "Your credit balance is too low to access the Anthropic API."}, 402),
        ({"code": 400, "message": "Invalid value: 'API key not valid'"}, 400),  # it quotes the request
        ({"message": "Insufficient Balance", "type": "unknown_error", "code": "invalid_request_error"}, 402),
        ({"message": "Incorrect API key provided: …", "code": "invalid-argument"}, 401),
        # a mere "server error" that means more
        ({"type": "server_error", "message": "The server is currently overloaded with other requests. Sorry about that!"}, 529),
        ({"type": "internal_server_error", "message": "over capacity"}, 529),
        ({"type": "server_error", "message": "We're currently processing too many requests - please try again later."}, 429),
        ({"type": "new_api_error", "message": "Invalid token"}, 401),
        ({"type": "server_error", "message": "The server had an error while processing your request. Sorry about that!"}, 502),
        ({"type": "api_error", "message": "Invalid response of the model"}, 502),  # not the caller's fault
        ({"code": 500, "type": "server_error", "message": "overloaded"}, 502),  # a number says it
        ({"message": "Input validation error: …"}, 400),
        # Z.AI's codes, which are not MiniMax's
        *[({"code": code}, 401) for code in ("1000", 1001, "1002", 1004, 1121, "1220", 1311)],
        *[({"code": code}, 400) for code in (1222, "1300")],
        ({"code": 1312}, 529),
        ({"code": "1313"}, 429),
    ],
)
def test_an_error_is_booked_as_its_real_class(error: object, status: int | None):
    assert error_status(error) == status


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (0, None),
        (1000, 502),
        (1001, 504),
        (1002, 429),
        (1004, 401),
        ("1004", 401),
        (1008, 402),
        (1113, 502),
        (1026, 400),
        (2013, 400),
        (2049, 401),
        (999999, 502),
    ],
)
def test_a_code_of_minimax_is_booked_as_its_real_class(code: object, status: int | None):
    assert base_resp_status({"status_code": code, "status_msg": "…"}) == status


@pytest.mark.parametrize("odd", [None, [], "x", {}, {"status_code": None}, {"status_code": "none"}, {"status_code": -1}])
def test_base_resp_of_another_make_is_no_failure(odd: object):
    assert base_resp_status(odd) is None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"code": 500, "msg": "404 NOT_FOUND", "success": False}, 502),
        ({"code": 401, "msg": "token expired or incorrect", "success": False}, 401),
        ({"code": 1001, "msg": "…", "success": False}, 401),
        ({"object": "error", "code": 429, "message": "…"}, 429),
        ({"object": "error", "type": "BadRequestError", "message": "…"}, 400),
        ({"type": "error", "code": None, "message": "Rate limit reached", "param": None}, 429),
        ({"type": "error"}, 502),
        ({"type": "error", "error": {"type": "overloaded_error"}}, 529),
        ({"base_resp": {"status_code": 1008}}, 402),
        ({"error": None, "base_resp": {"status_code": 0}, "x_groq": {"id": "r", "error": "Rate limit reached"}}, 429),
        ({"code": "InvalidApiKey", "message": "Invalid API-key provided.", "request_id": "r"}, 401),
        ({"code": "SomethingNew", "message": "…", "request_id": "r"}, 502),
        ({"status_code": 429, "message": "Slow down"}, 429),
        ({"http_code": "403", "msg": "…"}, 401),
        ({"success": False, "errors": [{"code": 10000, "message": "Authentication error"}], "result": None}, 401),
        ({"errors": ["boom"]}, 502),
    ],
)
def test_members_at_the_top_tell_of_a_failure(body: dict[str, object], status: int):
    assert failure_of(msgspec.convert(body, Told)) == status


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"object": "chat.completion", "error": None, "base_resp": {"status_code": 0, "status_msg": ""}},
        {"type": "message_start", "message": {"model": "m"}},
        {"x_groq": {"id": "r", "usage": {"total_tokens": 3}}},
        {"code": "", "message": "", "status_code": 200, "request_id": "r"},
        {"code": 200, "msg": "…", "success": True},
        {"code": "Success", "message": "…"},
        {"code": 20000, "message": "OK", "status": True},
        {"type": "response.code_interpreter_call_code.done", "code": "print(1)"},
        {"object": "response", "status": "completed", "message": None},
    ],
)
def test_members_at_the_top_of_an_answer_tell_of_none(body: dict[str, object]):
    assert failure_of(msgspec.convert(body, Told)) is None
